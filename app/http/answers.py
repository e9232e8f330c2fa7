"""Answers that are put together from JSON text which is stored as it came, without parsing it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import flask
from werkzeug.http import parse_list_header

RETURN_MINIMAL = "return=minimal"

PREFERENCE_APPLIED = {
    "Preference-Applied": {
        "schema": {"type": "string"},
        "description": f"`{RETURN_MINIMAL}` where that was asked for",
    }
}

LOCATION = {
    "Location": {
        "schema": {"type": "string", "format": "uri-reference"},
        "description": "Its address, relative to that of this request",
    }
}
"""For the document; see `location_of`."""


class JsonText(str):
    """A string that is JSON already."""

    __slots__ = ()


def json_array(texts: Iterable[str]) -> JsonText:
    """
    >>> json_array(['{"a":1}', "2"])
    '[{"a":1},2]'
    """
    return JsonText(f"[{','.join(texts)}]")


def json_object(members: Mapping[str, Any]) -> JsonText:
    """
    >>> json_object({"messages": json_array(['{"a":1.0}']), "next_cursor": None})
    '{"messages":[{"a":1.0}],"next_cursor":null}'
    """
    return JsonText(
        "{" + ",".join(f'"{name}":{_text(value)}' for name, value in members.items()) + "}"
    )


def with_members(text: str, members: Mapping[str, Any]) -> str:
    """JSON text of an object that is not empty, with more members.

    >>> with_members('{"a":1}', {"b": None}), with_members('{"a":1}', {})
    ('{"a":1,"b":null}', '{"a":1}')
    """
    return f"{text[:-1]},{json_object(members)[1:]}" if members else text


def _text(value: Any) -> str:
    return value if isinstance(value, JsonText) else json.dumps(value, separators=(",", ":"))


def json_response(
    text: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> flask.Response:
    """An answer that is JSON text already."""
    return flask.Response(text, status, headers, content_type="application/json")


def prefers_minimal(prefer: str) -> bool:
    """Whether a `Prefer` header asks for a short answer; the first `return` in it counts.

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
    """The address of what a POST to this path has created, relative to the path as the client wrote
    it (RFC 9110 section 10.2.2). So it holds behind every prefix, whether we know of it or not.

    https://example.com/dev/api/v1/sessions + sessions/sess_1 = …/dev/api/v1/sessions/sess_1
    https://example.com/dev/api/v1/sessions/ + sess_1 = …/dev/api/v1/sessions/sess_1
    """
    collection = flask.request.path.rsplit("/", 1)[1]
    return f"{collection}/{new_id}" if collection else new_id
