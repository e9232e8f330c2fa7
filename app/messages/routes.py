"""/sessions/{session_id}/messages."""

from typing import Any

import flask
from flask import current_app
from werkzeug.local import LocalProxy
from werkzeug.routing import BaseConverter

from app import idempotency
from app.api import Blueprint, json_response, location_of
from app.auth import current_caller
from app.etags import accepted_versions
from app.messages.model import Message, NewMessage
from app.messages.schemas import (
    MessageBatchSchema,
    MessageListSchema,
    MessagePageSchema,
    MessageSchema,
    NewMessageSchema,
    PageQuerySchema,
)
from app.messages.store import MessageStore
from app.schemas import AppendHeadersSchema

blp = Blueprint("messages", __name__, description="What was said, and what it rests on")

store: MessageStore = LocalProxy(lambda: current_app.extensions["message_store"])  # type: ignore[assignment]


class MessageIdConverter(BaseConverter):
    """Anything but `batch`, which is a route of its own: it takes POST, and must not seem to take
    GET as well. Whether it is an id is for the store to say."""

    regex = r"(?!batch$)[^/]+"


LOCATION = {"Location": {"schema": {"type": "string"}}}

EXAMPLE = {
    "role": "assistant",
    "name": "query-agent",
    "content": "I found 5 pothole reports near Main St.",
    "metadata": {
        "query_id": "qry_1",
        "references": [
            {
                "type": "report",
                "reference_id": "inc_abc123",
                "summary": "Pothole on Main St",
                "status": "pending",
                "location": {"type": "Point", "coordinates": [36.9, 37.1]},
            }
        ],
    },
}


@blp.post("/sessions/<session_id>/messages")
@blp.arguments(NewMessageSchema, example=EXAMPLE)
@blp.arguments(AppendHeadersSchema, location="headers")
@blp.response(201, MessageSchema, headers=LOCATION)
@blp.problems(400, 404, 412, 413, 415, 422)
def append_message(new: dict[str, Any], headers: dict[str, str], session_id: str) -> flask.Response:
    """Append a message"""
    [message], replayed = _append(session_id, [new], headers)
    location = location_of(message.message_id)
    return json_response(message.to_json(), 201, {"Location": location, **_replayed(replayed)})


@blp.post("/sessions/<session_id>/messages/batch")
@blp.arguments(
    MessageBatchSchema,
    example={"messages": [{"role": "user", "content": "Any potholes near me?"}, EXAMPLE]},
)
@blp.arguments(AppendHeadersSchema, location="headers")
@blp.response(201, MessageListSchema)
@blp.problems(400, 404, 412, 413, 415, 422)
def append_messages(
    batch: dict[str, Any], headers: dict[str, str], session_id: str
) -> flask.Response:
    """Append up to 50 messages, all or none, in order"""
    messages, replayed = _append(session_id, batch["messages"], headers)
    return json_response(f'{{"messages":{json_list(messages)}}}', 201, _replayed(replayed))


@blp.get("/sessions/<session_id>/messages")
@blp.arguments(PageQuerySchema, location="query")
@blp.response(200, MessagePageSchema)
@blp.problems(404, 422)
def list_messages(query: dict[str, Any], session_id: str) -> flask.Response:
    """List messages, oldest or latest first"""
    page = store.page(current_caller(), session_id, **query)
    return json_response(
        f'{{"messages":{json_list(page.messages)},'
        f'"next_cursor":{flask.json.dumps(page.next_cursor)}}}'
    )


@blp.get("/sessions/<session_id>/messages/<message_id:message_id>")
@blp.response(200, MessageSchema)
@blp.problems(404)
def get_message(session_id: str, message_id: str) -> flask.Response:
    """Get one message"""
    return json_response(store.get(current_caller(), session_id, message_id).to_json())


def _append(
    session_id: str, new: list[dict[str, Any]], headers: dict[str, str]
) -> tuple[list[Message], bool]:
    caller = current_caller()
    key = headers.get("idempotency_key")
    return store.append(
        caller,
        session_id,
        [NewMessage(**message) for message in new],
        if_match=accepted_versions(headers.get("if_match")),
        request=idempotency.identify(key, flask.request.path, caller.writer, new) if key else None,
    )


def _replayed(replayed: bool) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if replayed else {}


def json_list(messages: list[Message]) -> str:
    return f"[{','.join([message.to_json() for message in messages])}]"
