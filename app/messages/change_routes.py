"""The routes of /sessions/{session_id}/messages that change what was said."""

from typing import Any

import flask
from flask import current_app
from werkzeug.local import LocalProxy

from app.http.answers import (
    PREFERENCE_APPLIED,
    SESSION_ETAG,
    json_object,
    json_response,
    prefers_minimal,
)
from app.http.etags import accepted_versions
from app.http.header_schemas import AppendHeadersSchema, ChangeHeadersSchema, IfMatchSchema
from app.http.repeats import request_key
from app.identity.auth import current_caller
from app.messages import tails
from app.messages.answers import edit_members, message_list, receipt, unindexed_member
from app.messages.change_schemas import (
    EditedMessageSchema,
    EditSchema,
    MessageIfMatchSchema,
    PoppedSchema,
    PopSchema,
    RemovedSchema,
    ReplacedSchema,
    ReplacementSchema,
    TailQuerySchema,
)
from app.messages.editor import MessageEditor
from app.messages.model import NewMessage
from app.messages.remover import MessageRemover
from app.messages.routes import ETAG, applied_headers, blp
from app.messages.tails import Start
from app.messages.usage import note_tokens
from app.table.ids import MESSAGE_PREFIX
from app.table.versions import etag

__all__ = ["blp"]

editor: MessageEditor = LocalProxy(lambda: current_app.extensions["message_editor"])  # type: ignore[assignment]
remover: MessageRemover = LocalProxy(lambda: current_app.extensions["message_remover"])  # type: ignore[assignment]

Headers = dict[str, str]


@blp.put("/sessions/<session_id>/messages/<message_id:message_id>")
@blp.arguments(EditSchema, example={"content": "I found 6 pothole reports.", "status": "complete"})
@blp.arguments(MessageIfMatchSchema, location="headers")
@blp.response(200, EditedMessageSchema, headers=ETAG | SESSION_ETAG)
@blp.problems(400, 404, 412, 413, 415, 422)
def edit_message(
    new: dict[str, Any], headers: Headers, session_id: str, message_id: str
) -> flask.Response:
    """Replace what a message says, or only its status

    The new content, metadata and provider's object take the place of the old ones, which are gone
    for good. A role or name that is left out stays, as do the author, the time and the feedback. A
    body with only a `status` changes nothing else.
    """
    if_match = accepted_versions(headers.get("if_match"))
    caller = current_caller()
    if new.keys() == {"status"}:
        edit = editor.set_status(caller, session_id, message_id, new["status"], if_match=if_match)
    else:
        message = NewMessage(**new)
        edit = editor.replace(
            caller, session_id, message_id, message, if_match=if_match, checked=True
        )
        note_tokens([message])
    return json_response(
        json_object(edit_members(edit)),
        headers={"ETag": etag(edit.edited), **applied_headers(edit.edited)},
    )


@blp.delete("/sessions/<session_id>/messages/<message_id:message_id>")
@blp.arguments(MessageIfMatchSchema, location="headers")
@blp.response(200, RemovedSchema, headers=SESSION_ETAG)
@blp.problems(404, 409, 412, 422)
def delete_message(headers: Headers, session_id: str, message_id: str) -> flask.Response:
    """Delete one message

    It is gone for good, with its feedback.
    """
    if_match = accepted_versions(headers.get("if_match"))
    removal = remover.remove_one(current_caller(), session_id, message_id, if_match)
    return _removed(removal.count, removal.version)


@blp.delete("/sessions/<session_id>/messages")
@blp.arguments(TailQuerySchema, location="query")
@blp.arguments(IfMatchSchema, location="headers")
@blp.response(200, RemovedSchema, headers=SESSION_ETAG)
@blp.problems(404, 409, 412, 422)
def delete_messages(query: dict[str, str], headers: Headers, session_id: str) -> flask.Response:
    """Delete all messages from one on, after one, or all

    No response shows them any more. Of a long tail, the sweep removes the rest.
    """
    if_match = accepted_versions(headers.get("if_match"))
    removal = remover.remove(current_caller(), session_id, _start(query), if_match)
    return _removed(removal.count, removal.version)


@blp.post("/sessions/<session_id>/messages/pop")
@blp.arguments(PopSchema, example={"count": 1})
@blp.arguments(ChangeHeadersSchema, location="headers")
@blp.response(200, PoppedSchema, headers=SESSION_ETAG)
@blp.problems(400, 404, 409, 412, 413, 415, 422)
def pop_messages(body: dict[str, int], headers: Headers, session_id: str) -> flask.Response:
    """Remove the last messages, and get them

    Two clients at once never get the same message. If the request is repeated with the same
    `Idempotency-Key`, the response has only the ids, because the messages are gone.
    """
    caller = current_caller()
    removal = remover.pop(
        caller,
        session_id,
        body.get("count", 1),
        if_match=accepted_versions(headers.get("if_match")),
        idempotency_key=request_key(headers.get("idempotency_key"), caller.writer),
    )
    members = {
        "message_ids": [MESSAGE_PREFIX + ulid for ulid in removal.ulids],
        "messages": None if removal.messages is None else message_list(removal.messages),
    }
    return json_response(
        json_object(members),
        headers=applied_headers(removal.version, replayed=removal.replayed),
    )


@blp.post("/sessions/<session_id>/messages/replace")
@blp.arguments(
    ReplacementSchema,
    example={
        "from": "msg_01JD2QX61N0V5H8Y2C4G7P9S3D",
        "messages": [{"role": "user", "content": "And within 200 m?"}],
    },
)
@blp.arguments(AppendHeadersSchema, location="headers")
@blp.response(200, ReplacedSchema, headers=SESSION_ETAG | PREFERENCE_APPLIED)
@blp.problems(400, 404, 409, 410, 412, 413, 415, 422)
def replace_messages(body: dict[str, Any], headers: Headers, session_id: str) -> flask.Response:
    """Put new messages in the place of all from one on

    Deletes and appends in one step, so that no reader sees one without the other. For example, to
    edit a question and ask again, or to put a summary in the place of a long history.
    """
    caller = current_caller()
    short = prefers_minimal(headers.get("prefer", ""))
    said = [NewMessage(**message) for message in body["messages"]]
    removal = remover.replace(
        caller,
        session_id,
        _start(body),
        said,
        if_match=accepted_versions(headers.get("if_match")),
        idempotency_key=request_key(headers.get("idempotency_key"), caller.writer),
        checked=True,
        answered_whole=not short,
    )
    if not removal.replayed:
        note_tokens(said)
    messages = removal.messages or ()
    shown = [receipt(message) for message in messages] if short else message_list(messages)
    members = {"messages": shown, "deleted_messages": removal.count}
    return json_response(
        json_object(members | unindexed_member(removal.unindexed)),
        headers=applied_headers(removal.version, short=short, replayed=removal.replayed),
    )


def _start(chosen: dict[str, Any]) -> Start:
    """The schema has made sure that there is exactly one."""
    if "from" in chosen:
        return tails.start_at(chosen["from"])
    return tails.start_after(chosen["after"]) if "after" in chosen else tails.ALL


def _removed(count: int, version: str) -> flask.Response:
    return json_response(json_object({"deleted_messages": count}), headers=applied_headers(version))
