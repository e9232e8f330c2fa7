"""Gives each request an id, a time budget for DynamoDB, and one line in the log."""

import re
import time
import uuid
from typing import Any

import flask

from app.logs import embedded_metrics, log_event
from app.table import budget
from app.table.ids import SESSION_PREFIX, parse

REQUEST_METRICS = {
    "ms": "Milliseconds",
    "error": "Count",
    "db_calls": "Count",
    "db_retries": "Count",
    "db_throttles": "Count",
}
"""Members of a request's line that become CloudWatch metrics, in total and per `operation`."""

_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)


def init_app(app: flask.Flask, seconds: float, metrics_namespace: str | None = None) -> None:
    """`seconds` is the time that a request may spend on DynamoDB."""
    metrics = embedded_metrics(metrics_namespace, REQUEST_METRICS, ["operation"])

    @app.before_request
    def begin() -> None:
        g = flask.g
        g.started = time.perf_counter()
        g.budget = budget.begin(_time_left(seconds))

    @app.after_request
    def end(response: flask.Response) -> flask.Response:
        response.headers["X-Request-Id"] = request_id()
        log_event("request", _fields(response) | metrics())
        budget.end()
        return response


def _time_left(seconds: float) -> float:
    """The budget in seconds. On Lambda it ends at least a second before the function's timeout, so
    that there is time to respond."""
    context = flask.request.environ.get("lambda.context")
    if context is None:
        return seconds
    return min(seconds, float(context.get_remaining_time_in_millis()) / 1000 - 1)


def _fields(response: flask.Response) -> dict[str, Any]:
    """The members of the log line. `tests/log_watch.py` must list each of them."""
    request, g = flask.request, flask.g
    rule = request.url_rule
    sent = (request.view_args or {}).get("session_id", "")
    caller = g.get("caller")
    used: budget.Budget = g.budget
    return {
        "request_id": request_id(),
        "method": request.method,
        "route": rule.rule if rule else None,
        "operation": request.endpoint or "none",
        # Only a well-formed id, because anything else could be a user's text.
        "session_id": sent if parse(SESSION_PREFIX, sent) else None,
        "status": response.status_code,
        "error": int(response.status_code >= 500),
        "ms": round((time.perf_counter() - g.started) * 1000, 2),
        "db_calls": used.calls,
        "db_ms": round(used.seconds * 1000, 2),
        "db_retries": used.retries,
        "db_throttles": used.throttles,
        "db_units": used.units,
        "db_failure": used.failure,
        "tenant": caller and caller.tenant,
        "user": caller and caller.user,
        "agent": caller and caller.agent,
        **({"trace_id": g.trace_id} if "trace_id" in g else {}),
        # The reason why the token was refused, as one word. The client does not get it.
        **({"refused": g.refused} if "refused" in g else {}),
    }


def request_id() -> str:
    """The client's `X-Request-Id` if it is well-formed, otherwise a new id."""
    g = flask.g
    if "request_id" not in g:
        sent = flask.request.headers.get("X-Request-Id", "")
        g.request_id = sent if _SAFE_REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
    request_id: str = g.request_id
    return request_id
