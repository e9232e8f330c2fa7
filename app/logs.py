"""Structured logs: one JSON line a request, with its id. Never a token, never what a message says.

An exception is logged by its class and the lines it passed; its text is left out, because texts
quote values.
"""

import json
import logging
import re
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import flask

from app import work
from app.ids import SESSION_PREFIX, iso_time, parse

log = logging.getLogger("sessions")

REQUEST_METRICS = {
    "ms": "Milliseconds",
    "error": "Count",
    "db_calls": "Count",
    "db_retries": "Count",
    "db_throttles": "Count",
}
"""Members of a request's line that CloudWatch makes metrics of, all told and by `operation`."""

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": iso_time(int(record.created * 1000)),
            "level": record.levelname,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line)


def configure(level: str) -> None:
    """One handler of our own: Lambda's would add a second copy of each line in its own format."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(level)


def init_app(app: flask.Flask, budget: float, metrics_namespace: str | None = None) -> None:
    """Gives every request an id, a time budget for DynamoDB, and a line in the log."""
    metrics = embedded_metrics(metrics_namespace, REQUEST_METRICS, ["operation"])

    @app.before_request
    def begin() -> None:
        g = flask.g
        g.started = time.perf_counter()
        g.work = work.begin(_time_left(budget))

    @app.after_request
    def end(response: flask.Response) -> flask.Response:
        response.headers["X-Request-Id"] = request_id()
        log_event("request", _fields(response) | metrics())
        return response


def _time_left(budget: float) -> float:
    """Lambda stops a function at its timeout, whatever it is doing: be done a second before."""
    context = flask.request.environ.get("lambda.context")
    if context is None:
        return budget
    return min(budget, float(context.get_remaining_time_in_millis()) / 1000 - 1)


def _fields(response: flask.Response) -> dict[str, Any]:
    request, g = flask.request, flask.g
    rule = request.url_rule
    sent = (request.view_args or {}).get("session_id", "")
    caller = g.get("caller")
    taken: work.Work = g.work
    return {
        "request_id": request_id(),
        "method": request.method,
        "route": rule.rule if rule else None,
        "operation": request.endpoint or "none",
        "session_id": sent if parse(SESSION_PREFIX, sent) else None,  # else: anybody's words
        "status": response.status_code,
        "error": int(response.status_code >= 500),
        "ms": round((time.perf_counter() - g.started) * 1000, 2),
        "db_calls": taken.calls,
        "db_ms": round(taken.seconds * 1000, 2),
        "db_retries": taken.retries,
        "db_throttles": taken.throttles,
        "db_units": taken.units,
        "tenant": caller and caller.tenant,
        "user": caller and caller.user,
        "agent": caller and caller.agent,
    }


def request_id() -> str:
    """The request's id: the client's own, where it is sane, or a new one."""
    g = flask.g
    if "request_id" not in g:
        sent = flask.request.headers.get("X-Request-Id", "")
        g.request_id = sent if _SANE_REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
    request_id: str = g.request_id
    return request_id


def embedded_metrics(
    namespace: str | None, units: dict[str, str], dimensions: Sequence[str] = ()
) -> Callable[[], dict[str, Any]]:
    """What makes CloudWatch read metrics out of a log line that has these members; nothing where
    there is no namespace.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    if not namespace:
        return dict
    directive = {
        "Namespace": namespace,
        "Dimensions": [[], *([name] for name in dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name, unit in units.items()],
    }
    return lambda: {
        "_aws": {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}
    }


def log_event(message: str, fields: dict[str, Any]) -> None:
    """A line, made without `log.info`'s search for its caller, which the line does not show."""
    if log.isEnabledFor(logging.INFO):
        record = logging.LogRecord(log.name, logging.INFO, "", 0, message, (), None)
        record.fields = fields
        log.handle(record)


def log_exception(error: BaseException) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    fields = {
        "request_id": request_id(),
        "exception": f"{type(error).__module__}.{type(error).__qualname__}",
        "error_code": getattr(error, "response", {}).get("Error", {}).get("Code"),
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    log.error("unexpected exception", extra={"fields": fields})
