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
    """The address of what a POST to this path has created, with the stage's prefix if any."""
    request = flask.request
    return f"{request.script_root}{request.path.rstrip('/')}/{new_id}"
