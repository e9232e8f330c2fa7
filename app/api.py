"""flask-smorest, as this API uses it: how a body is read, how errors are answered and documented.

Routes decorate with `Blueprint`; the OpenAPI document follows from what they say.
"""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

import flask
import flask_smorest
import marshmallow as ma
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import fields
from webargs.flaskparser import FlaskParser, is_json_request
from werkzeug.exceptions import HTTPException

from app import errors, strict_json
from app.errors import PROBLEM_JSON, ApiError, FieldError
from app.logs import log_exception, request_id

View = TypeVar("View", bound=Callable[..., Any])


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
    code = fields.String(required=True, metadata={"description": "Stable, for programs"})
    errors = fields.List(fields.Nested(FieldErrorSchema), required=True)
    request_id = fields.String(required=True)


PROBLEMS: dict[int, type[ApiError]] = {
    problem.status: problem
    for problem in (
        errors.MalformedJson,
        errors.Unauthorized,
        errors.Forbidden,
        errors.SessionNotFound,
        errors.PreconditionFailed,
        errors.TooLarge,
        errors.UnsupportedMediaType,
        errors.ValidationFailed,
        errors.Unavailable,
    )
}
"""The answers a route may document, each by its most usual case."""

_HEADERS = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    503: {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}},
}


class Parser(FlaskParser):
    """Reads bodies strictly, and raises our errors."""

    DEFAULT_UNKNOWN_BY_LOCATION = FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION | {"query": ma.RAISE}

    def load_json(self, req: flask.Request, schema: ma.Schema) -> Any:  # noqa: ARG002
        if not is_json_request(req):
            raise errors.UnsupportedMediaType
        body = req.get_data()
        if req.content_length is None and len(body) >= (req.max_content_length or len(body) + 1):
            raise errors.TooLarge  # Werkzeug cuts a chunked body off at the limit, silently
        return strict_json.loads(body)

    def load_headers(self, req: flask.Request, schema: ma.Schema) -> Any:
        """Only those that the schema knows, and as a dict: marshmallow asks for each several times,
        and webargs' view of the headers is slow to answer."""
        names = (field.data_key or name for name, field in schema.fields.items())
        return {name: req.headers[name] for name in names if name in req.headers}

    def handle_error(self, error: ma.ValidationError, *_: Any, **__: Any) -> NoReturn:
        found = [
            FieldError(location=str(location), field=path, message=message)
            for location, messages in error.messages_dict.items()
            for path, message in _flatten(messages)
        ]
        raise errors.ValidationFailed(errors=found) from None


def _flatten(messages: Any, path: str = "") -> list[tuple[str, str]]:
    """marshmallow's nested messages as JSON paths.

    >>> _flatten({"references": {0: {"url": ["Not a valid URL."]}}})
    [('references[0].url', 'Not a valid URL.')]
    """
    if isinstance(messages, Mapping):
        return [
            found for key, below in messages.items() for found in _flatten(below, _join(path, key))
        ]
    return [(path, str(message)) for message in messages]


def _join(path: str, key: str | int) -> str:
    if key == "_schema":
        return path
    return f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".lstrip(".")


class Blueprint(flask_smorest.Blueprint):
    """A view's name becomes its operationId; its errors are documented as what is sent."""

    ARGUMENTS_PARSER = Parser()

    def arguments(self, schema: type[ma.Schema], **options: Any) -> Callable[[View], View]:
        """One instance for all requests: webargs would make one, and those nested in it, for each,
        which takes longer than the checking."""
        decorator: Callable[[View], View] = super().arguments(schema(), **options)
        return decorator

    def problems(self, *statuses: int) -> Callable[[View], View]:
        """Documents a route's errors, and those that any route has."""

        def decorate(view: Any) -> Any:
            # What `alt_response` does, without a wrapper around the view for each status.
            view._apidoc = deepcopy(getattr(view, "_apidoc", {}))
            responses = view._apidoc.setdefault("response", {}).setdefault("responses", {})
            for status in sorted({*statuses, 401, 403, 500, 503}):
                responses.setdefault(status, []).append(f"Problem{status}")
            return view

        return decorate

    def _prepare_arguments_doc(self, doc: Any, doc_info: Any, **kwargs: Any) -> Any:
        # flask-smorest names the 422 after http.HTTPStatus, whose names differ between Pythons.
        doc_info.get("arguments", {}).pop("responses", None)
        return super()._prepare_arguments_doc(doc, doc_info, **kwargs)

    def _store_endpoint_docs(self, endpoint: str, obj: Any, *args: Any, **options: Any) -> None:
        obj = self.doc(operationId=endpoint)(obj)
        super()._store_endpoint_docs(endpoint, obj, *args, **options)


class _Converter(OpenAPIConverter):
    """Adds what a schema's `Meta.json_schema` says and marshmallow cannot."""

    def schema2jsonschema(self, schema: ma.Schema) -> dict[str, Any]:
        documented: dict[str, Any] = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]
        return documented | getattr(schema.Meta, "json_schema", {})


class _MarshmallowPlugin(MarshmallowPlugin):
    Converter = _Converter


class Api(flask_smorest.Api):
    ERROR_SCHEMA = ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(self, app: flask.Flask) -> None:
        super().__init__(app, spec_kwargs={"marshmallow_plugin": _MarshmallowPlugin()})

    def _register_responses(self) -> None:
        for status, problem in PROBLEMS.items():
            self._register_problem(
                status, problem.code, problem.title, problem.detail, _HEADERS.get(status)
            )
        self._register_problem(500, "INTERNAL_ERROR", "Internal error", INTERNAL_ERROR)

    def _register_problem(
        self, status: int, code: str, title: str, detail: str, headers: Any = None
    ) -> None:
        example = errors.problem(status, code, title, detail, "01JD0000000000000000000000")
        response = {
            "description": title,
            "content": {PROBLEM_JSON: {"schema": ProblemSchema, "example": example}},
        }
        if headers:
            response["headers"] = headers
        self.spec.components.response(f"Problem{status}", response, lazy=True)

    def _register_error_handlers(self) -> None:
        app = self._app
        app.register_error_handler(ApiError, _answer_api_error)
        app.register_error_handler(HTTPException, _answer_http_exception)
        app.register_error_handler(Exception, _answer_unexpected)


INTERNAL_ERROR = "Something went wrong on our side. The request_id finds it in the log."


def _answer_api_error(error: ApiError) -> flask.Response:
    return _problem(error.problem(request_id()), error.headers)


def _answer_http_exception(error: HTTPException) -> Any:
    """What Flask and Werkzeug raise by themselves: no such path or method, too large a body."""
    if error.code is None or error.code < 400:
        return error
    if error.code == 413:
        return _answer_api_error(errors.TooLarge())
    status = HTTPStatus(error.code)
    headers = dict(error.get_headers())
    headers.pop("Content-Type", None)
    title = str(error.name)
    return _problem(errors.problem(status, status.name, title, f"{title}.", request_id()), headers)


def _answer_unexpected(error: Exception) -> flask.Response:
    log_exception(error)
    return _problem(
        errors.problem(500, "INTERNAL_ERROR", "Internal error", INTERNAL_ERROR, request_id())
    )


def _problem(body: dict[str, Any], headers: Mapping[str, str] | None = None) -> flask.Response:
    return flask.Response(
        json.dumps(body), status=body["status"], headers=headers, content_type=PROBLEM_JSON
    )


def location_of(new_id: str) -> str:
    """Where to find what a POST has made: under its own address, a stage's prefix included."""
    request = flask.request
    return f"{request.script_root}{request.path.rstrip('/')}/{new_id}"


def json_response(
    text: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> flask.Response:
    """An answer that is JSON text already."""
    return flask.Response(text, status, headers, content_type="application/json")
