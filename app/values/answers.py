"""Values in responses. JSON is sent as it was stored, other bytes as base64."""

import base64
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any

import flask

from app.errors import ApiError
from app.http import octets
from app.http.answers import JsonText, json_array, json_object
from app.table import ids
from app.values.batch import Outcome
from app.values.changes import Done
from app.values.model import Content, StoredValue, is_json
from app.values.pages import ValuePage


def value_members(value: StoredValue) -> dict[str, Any]:
    members: dict[str, Any] = {
        "name": value.name,
        "content_type": value.content_type,
        "etag": value.etag,
        "size": value.size,
        "updated_at": value.updated_at,
    }
    if value.content:
        data = value.content.data
        if isinstance(data, str):
            members["json"] = JsonText(data)
        else:
            members["base64"] = base64.b64encode(data).decode()
    return members


def page_members(page: ValuePage) -> dict[str, Any]:
    values = json_array(str(json_object(value_members(value))) for value in page.values)
    return {"values": values, "next_cursor": page.next_cursor}


def written_members(done: Done, content: Content) -> dict[str, Any]:
    return {
        "name": done.name,
        "content_type": content.content_type,
        "etag": content.etag,
        "size": len(content.raw),
        "updated_at": ids.timestamp(done.written),
    }


def results(outcomes: Sequence[Outcome]) -> JsonText:
    return json_array(str(json_object(_result(outcome))) for outcome in outcomes)


def _result(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, ApiError):
        return outcome.brief
    if isinstance(outcome, StoredValue):
        return {"status": 200, **value_members(outcome)}
    if isinstance(outcome, ValuePage):
        return {"status": 200, **page_members(outcome)}
    if outcome.etag is None:
        return {"status": 204, "name": outcome.name}
    return {
        "status": 201 if outcome.is_new else 200,
        "name": outcome.name,
        "etag": outcome.etag,
        "updated_at": ids.timestamp(outcome.written),
    }


DOWNLOAD_ONLY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox",
    "Content-Disposition": "attachment",
}
"""Values share an origin with the pages of this service, so a browser must not show or run them."""


def value_response(value: StoredValue) -> flask.Response:
    """
    Raises:
        NotAcceptable: these are bytes, and API Gateway would not send them.
    """
    headers = {
        "ETag": f'"{value.etag}"',
        "Last-Modified": formatdate(ids.milliseconds(value.written) // 1000, usegmt=True),
        octets.VALUE_TYPE: value.content_type,
        **DOWNLOAD_ONLY,
    }
    raw = value.content.raw if value.content else b""
    if octets.on_lambda() and not is_json(value.content_type):
        answer = octets.response(raw, headers)
    else:
        answer = flask.Response(raw, headers=headers, content_type=value.content_type)
    # To HEAD there is no body, and on Lambda bytes are base64.
    answer.headers["Content-Length"] = str(value.size)
    return answer
