"""Turns exceptions into RFC 9457 problem responses, and documents them in the OpenAPI document."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import flask
import marshmallow as ma
from apispec import APISpec
from marshmallow import fields
from werkzeug.exceptions import HTTPException

from app import errors
from app.errors import PROBLEM_JSON, ApiError, FieldError, OutcomeUnknown
from app.http import limits
from app.http.request_log import request_id
from app.logs import log_exception

INTERNAL = "INTERNAL_ERROR"
INTERNAL_ERROR = "Something went wrong on our side. Look for the request_id in the log."

SHOULD_RETRY = "Should-Retry"
"""Tells a client, in the headers of every problem, whether to send the same request again."""

FRAMEWORK_STATUSES = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
"""Errors that Flask and Werkzeug raise themselves. Their `code` is the name of the status."""

GATEWAY_STATUSES = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
"""Errors that only API Gateway answers with (deploy/gateway_answers.py)."""


def codes() -> list[str]:
    """Every `code` that a problem can have."""

    def of(error: type[ApiError]) -> set[str]:
        below = {code for kind in error.__subclasses__() for code in of(kind)}
        return below | ({error.code} if hasattr(error, "code") else set())

    named = {status.name for status in FRAMEWORK_STATUSES + GATEWAY_STATUSES}
    return sorted(of(ApiError) | named | {INTERNAL})


class FieldErrorSchema(ma.Schema):
    location = fields.String(required=True, metadata={"example": "json"})
    field = fields.String(
        required=True,
        metadata={"example": "metadata.references[0].url", "description": "JSON path"},
    )
    message = fields.String(required=True, metadata={"example": "Not a valid URL."})


class ProblemSchema(ma.Schema):
    """RFC 9457 problem details."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(
        required=True,
        metadata={
            "description": "A stable code for programs. New codes may be added",
            "enum": codes(),
        },
    )
    errors = fields.List(fields.Nested(FieldErrorSchema), required=True)
    request_id = fields.String(required=True)
    ids = fields.List(
        fields.String(),
        metadata={"description": "With `GONE_SINCE`: the ids of what the first request created"},
    )
    session_id = fields.String(metadata={"description": "With SESSION_EXISTS: that session"})
    settings_version = fields.Integer(
        metadata={"description": "With SETTINGS_CHANGED: the present one"}
    )
    etag = fields.String(
        allow_none=True,
        metadata={"description": "With VALUE_CHANGED: the present one, null if there is no value"},
    )
    results = fields.List(
        fields.Dict(),
        metadata={"description": "With VALUES_NOT_WRITTEN: what became of each operation"},
    )
    not_ready = fields.List(
        fields.String(), metadata={"description": "With `NOT_READY`: `table`, `issuer_keys`"}
    )
    violated_policies = fields.List(
        fields.String(),
        metadata={"description": "With QUOTA_EXCEEDED and RATE_EXCEEDED: the quotas' names"},
    )
    last_message_id = fields.String(
        allow_none=True,
        metadata={
            "description": "With `NOT_THE_LAST_MESSAGE`: the id of the session's last "
            "message; null if it has none"
        },
    )


DOCUMENTED: dict[int, type[ApiError]] = {
    problem.status: problem
    for problem in (
        errors.MalformedJson,
        errors.Unauthorized,
        errors.Forbidden,
        errors.SessionNotFound,
        errors.NotAcceptable,
        errors.Contended,
        errors.GoneSince,
        errors.PreconditionFailed,
        errors.TooLarge,
        errors.UnsupportedMediaType,
        errors.ValidationFailed,
        errors.QuotaExceeded,
        errors.Unavailable,
    )
}
"""The example of each status in the OpenAPI document."""

_SHOULD_RETRY = {
    SHOULD_RETRY: {
        "schema": {"type": "string", "enum": ["true", "false"]},
        "description": "Whether the same request may succeed if it is sent again",
    }
}

_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}

_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    415: {
        "Accept": {"schema": {"type": "string"}, "description": "The supported content type"},
        "Accept-Encoding": {"schema": {"type": "string"}, "description": "The supported encodings"},
    },
    429: _RETRY_AFTER
    | {
        "RateLimit-Policy": {
            "schema": {"type": "string"},
            "description": "The quotas: `q` in the unit `qu` (requests if it is missing) per `w` "
            "seconds",
        },
        "RateLimit": {
            "schema": {"type": "string"},
            "description": "What is left: `r`, until `t` seconds from now. Other responses have "
            "these two headers, too, if there are quotas",
        },
    },
    503: _RETRY_AFTER,
}


def document_responses(spec: APISpec) -> None:
    """Adds a response `Problem<status>` for each documented status."""
    for status, problem in DOCUMENTED.items():
        _document(spec, status, problem.code, problem.title, problem.detail)
    _document(spec, 500, INTERNAL, "Internal error", INTERNAL_ERROR)


def _document(spec: APISpec, status: int, code: str, title: str, detail: str) -> None:
    found: list[FieldError] = []
    if status == 422:
        url = "metadata.references[0].url"
        found = [FieldError(location="json", field=url, message="This address runs a script.")]
    request_id = "01JD0000000000000000000000"
    example = errors.problem(status, code, title, detail, request_id, errors=found)
    response: dict[str, Any] = {
        "description": title,
        "content": {PROBLEM_JSON: {"schema": ProblemSchema, "example": example}},
    }
    response["headers"] = _HEADERS.get(status, {}) | _SHOULD_RETRY
    spec.components.response(f"Problem{status}", response, lazy=True)


def register_handlers(app: flask.Flask) -> None:
    app.register_error_handler(ApiError, _answer_api_error)
    app.register_error_handler(HTTPException, _answer_http_exception)
    app.register_error_handler(Exception, _answer_unexpected)


def _answer_api_error(error: ApiError) -> flask.Response:
    return _answer(error.problem(request_id()), error.headers, repeatable=_is_repeatable(error))


def _is_repeatable(error: ApiError) -> bool:
    request = flask.request
    if isinstance(error, OutcomeUnknown) and request.method == "POST":
        return "Idempotency-Key" in request.headers
    return error.repeatable


def _answer_http_exception(error: HTTPException) -> Any:
    """Answers errors of Flask and Werkzeug: unknown path or method, body too large."""
    if error.code is None or error.code < 400:
        return error
    if error.code == 413:
        return _answer_api_error(limits.body_too_large())
    status = HTTPStatus(error.code)
    headers = dict(error.get_headers())
    headers.pop("Content-Type", None)
    title = str(error.name)
    return _answer(errors.problem(status, status.name, title, f"{title}.", request_id()), headers)


def _answer_unexpected(error: Exception) -> flask.Response:
    log_exception(error, request_id=request_id())
    return _answer(errors.problem(500, INTERNAL, "Internal error", INTERNAL_ERROR, request_id()))


def _answer(
    body: dict[str, Any],
    headers: Mapping[str, str] | None = None,
    *,
    repeatable: bool = False,
) -> flask.Response:
    told = {SHOULD_RETRY: str(repeatable).lower(), **(headers or {})}
    return flask.Response(
        json.dumps(body), status=body["status"], headers=told, content_type=PROBLEM_JSON
    )
