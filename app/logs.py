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
from typing import Any

import flask
from ulid import ULID

from app import db
from app.ids import iso_time

log = logging.getLogger("sessions")

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


def init_app(app: flask.Flask, budget: float) -> None:
    """Gives every request an id, a time budget for DynamoDB, and a line in the log."""

    @app.before_request
    def begin() -> None:
        g = flask.g
        g.started = time.perf_counter()
        g.work = db.begin_work(_time_left(budget))

    @app.after_request
    def end(response: flask.Response) -> flask.Response:
        response.headers["X-Request-Id"] = request_id()
        if log.isEnabledFor(logging.INFO):
            log.info("request", extra={"fields": _fields(response)})
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
    caller = g.get("caller")
    work: db.Work = g.work
    return {
        "request_id": request_id(),
        "method": request.method,
        "route": rule.rule if rule else None,
        "status": response.status_code,
        "ms": round((time.perf_counter() - g.started) * 1000, 2),
        "db_calls": work.calls,
        "db_ms": round(work.seconds * 1000, 2),
        "db_retries": work.retries,
        "db_throttles": work.throttles,
        "db_units": work.units,
        "tenant": caller and caller.tenant,
        "user": caller and caller.user,
        "agent": caller and caller.agent,
    }


def request_id() -> str:
    """The request's id: the client's own, where it is sane, or a new one."""
    g = flask.g
    if "request_id" not in g:
        sent = flask.request.headers.get("X-Request-Id", "")
        g.request_id = sent if _SANE_REQUEST_ID.fullmatch(sent) else str(ULID())
    request_id: str = g.request_id
    return request_id


def log_event(message: str, fields: dict[str, Any]) -> None:
    """A line of its own, for what is not a request."""
    log.info(message, extra={"fields": fields})


def log_exception(error: BaseException) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    fields = {
        "request_id": request_id(),
        "exception": f"{type(error).__module__}.{type(error).__qualname__}",
        "error_code": getattr(error, "response", {}).get("Error", {}).get("Code"),
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    log.error("unexpected exception", extra={"fields": fields})
