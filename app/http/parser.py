"""Parses bodies, queries and headers strictly, and reports faults as our errors."""

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import flask
import marshmallow as ma
from webargs.flaskparser import FlaskParser

from app import errors
from app.errors import FieldError
from app.http import bodies, strict_json
from app.http.fields import objects_inside


class Parser(FlaskParser):
    DEFAULT_UNKNOWN_BY_LOCATION = FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION | {"query": ma.RAISE}

    def load_json(self, req: flask.Request, schema: ma.Schema) -> Any:
        """Returns the parsed body. `flask.g.sent` keeps its text."""
        flask.g.sent = strict_json.decode(bodies.read_json(req))
        return strict_json.loads(flask.g.sent, objects_inside(schema))

    def load_querystring(self, req: flask.Request, schema: ma.Schema) -> Any:
        """Refuses a repeated parameter: `confirm=all&confirm=no` has no single meaning."""
        repeated = [name for name, values in req.args.lists() if len(values) > 1]
        if repeated:
            raise errors.ValidationFailed(
                FieldError(location="query", field=name, message="Sent more than once.")
                for name in repeated
            )
        return super().load_querystring(req, schema)

    def load_headers(self, req: flask.Request, schema: ma.Schema) -> Any:
        """Returns only the headers in the schema, as a dict. marshmallow looks each one up several
        times, and webargs' own view of the headers is slow."""
        names = (field.data_key or name for name, field in schema.fields.items())
        return {name: req.headers[name] for name in names if name in req.headers}

    def handle_error(self, error: ma.ValidationError, *_: Any, **__: Any) -> NoReturn:
        raise errors.ValidationFailed(
            FieldError(location=str(location), field=path, message=message)
            for location, messages in error.messages_dict.items()
            for path, message in _flatten(messages)
        ) from None


def _flatten(messages: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Pairs of a JSON path and a message, from marshmallow's nested messages.

    >>> list(_flatten({"references": {0: {"url": ["Not a valid URL."]}}}))
    [('references[0].url', 'Not a valid URL.')]
    """
    if isinstance(messages, Mapping):
        for key, below in messages.items():
            yield from _flatten(below, _join(path, key))
    else:
        for message in messages:
            yield path, str(message)


def _join(path: str, key: str | int) -> str:
    if key == "_schema":
        return path
    return f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".lstrip(".")
