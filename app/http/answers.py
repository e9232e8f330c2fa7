"""Builds responses from stored JSON text, without parsing it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import flask
from werkzeug.http import parse_list_header

from app.http.etags import is_unchanged

RETURN_MINIMAL = "return=minimal"

PREFERENCE_APPLIED = {
    "Preference-Applied": {
        "schema": {"type": "string"},
        "description": f"`{RETURN_MINIMAL}` if the request asked for it",
    }
}

LOCATION = {
    "Location": {
        "schema": {"type": "string", "format": "uri-reference"},
        "description": "The address of what was created, relative to the request's address",
    }
}
"""The header in the OpenAPI document. `location_of` makes its value."""


SESSION_ETAG = {
    "Session-ETag": {
        "schema": {"type": "string"},
        "description": "The session's new ETag",
    }
}
"""The header of answers that change a session and show something else."""


class JsonText:
    """JSON text in pieces. They are joined once, because every copy of a large text takes time."""

    __slots__ = ("pieces",)

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces

    def __str__(self) -> str:
        return "".join(self.pieces)


def json_array(texts: Iterable[str]) -> JsonText:
    """
    >>> str(json_array(['{"a":1}', "2"]))
    '[{"a":1},2]'
    """
    pieces = [piece for text in texts for piece in (",", text)]
    return JsonText("[", *pieces[1:], "]")


def json_object(members: Mapping[str, Any]) -> JsonText:
    """
    >>> str(json_object({"messages": json_array(['{"a":1.0}']), "next_cursor": None}))
    '{"messages":[{"a":1.0}],"next_cursor":null}'
    """
    pieces: list[str] = []
    for name, value in members.items():
        pieces += (",", f'"{name}":')
        pieces += value.pieces if isinstance(value, JsonText) else (_encode(value),)
    return JsonText("{", *pieces[1:], "}")


_encode = json.JSONEncoder(separators=(",", ":")).encode


def with_members(text: str, members: Mapping[str, Any]) -> str:
    """Adds members to the JSON text of an object that is not empty.

    >>> with_members('{"a":1}', {"b": None}), with_members('{"a":1}', {})
    ('{"a":1,"b":null}', '{"a":1}')
    """
    return f"{text[:-1]},{str(json_object(members))[1:]}" if members else text


def json_response(
    text: str | JsonText, status: int = 200, headers: Mapping[str, str] | None = None
) -> flask.Response:
    """A response whose body is JSON text."""
    return flask.Response(str(text), status, headers, content_type="application/json")


def hashed_response(text: str | JsonText, if_none_match: str | None) -> flask.Response:
    """A response whose ETag is a hash of it, because more than one thing may change it. So a 304
    saves only the transfer."""
    text = str(text)
    etag = hashlib.sha256(text.encode()).hexdigest()[:32]
    headers = {"ETag": f'"{etag}"'}
    if if_none_match and is_unchanged(etag, if_none_match):
        return flask.Response(status=304, headers=headers)
    return json_response(text, headers=headers)


def prefers_minimal(prefer: str) -> bool:
    """Whether a `Prefer` header asks for a short response. Its first `return` counts.

    https://www.rfc-editor.org/rfc/rfc7240#section-4.2

    >>> prefers_minimal('wait=5, return="minimal"; foo'), prefers_minimal("return=representation")
    (True, False)
    """
    for preference in parse_list_header(prefer):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "return":
            return value.strip().strip('"').lower() == "minimal"
    return False


def location_of(new_id: str) -> str:
    """The address of what a POST to this path created, relative to the request's path (RFC 9110
    section 10.2.2). A relative address also works behind a path prefix that the app does not see.

    https://example.com/dev/api/v1/sessions + sessions/sess_1 = …/dev/api/v1/sessions/sess_1
    https://example.com/dev/api/v1/sessions/ + sess_1 = …/dev/api/v1/sessions/sess_1
    """
    collection = flask.request.path.rsplit("/", 1)[1]
    return f"{collection}/{new_id}" if collection else new_id
