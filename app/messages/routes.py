"""/sessions/{session_id}/messages.

It is over 250 lines because of the example and of the docstrings that Swagger UI shows.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flask
from flask import current_app
from werkzeug.local import LocalProxy
from werkzeug.routing import BaseConverter

from app.http.answers import (
    LOCATION,
    PREFERENCE_APPLIED,
    RETURN_MINIMAL,
    SESSION_ETAG,
    hashed_response,
    json_object,
    json_response,
    location_of,
    prefers_minimal,
    with_members,
)
from app.http.api import Blueprint
from app.http.etags import accepted_versions
from app.http.header_schemas import AppendHeadersSchema, IfNoneMatchSchema
from app.http.repeats import request_key
from app.identity import auth, scopes
from app.identity.auth import current_caller
from app.identity.caller import Caller
from app.messages.answers import message_list, previous_member, receipt, unindexed_member
from app.messages.model import NewMessage
from app.messages.reader import MessageReader
from app.messages.schemas import (
    AppendAnswerSchema,
    AppendedMessagesSchema,
    AppendQuerySchema,
    MessageBatchSchema,
    MessagePageSchema,
    MessageQuerySchema,
    MessageSchema,
    NewMessageSchema,
    PageQuerySchema,
)
from app.messages.store import Appended, MessageStore
from app.messages.usage import note_tokens
from app.messages.views import DERIVED, shown, shown_members
from app.sessions.creation import NewSession
from app.table.versions import etag
from app.values import places
from app.values.answers import results
from app.values.changes import Change
from app.values.places import Place
from app.verdicts.routes import store as verdicts

ETAG = {"ETag": {"schema": {"type": "string"}, "description": "The message's version"}}
HASH = {
    "ETag": {
        "schema": {"type": "string"},
        "description": "Only with `view` or `include`: a hash of the response",
    }
}

blp = Blueprint(
    "messages", __name__, description="The messages of a session, with their references"
)

store: MessageStore = LocalProxy(lambda: current_app.extensions["message_store"])  # type: ignore[assignment]
reader: MessageReader = LocalProxy(lambda: current_app.extensions["message_reader"])  # type: ignore[assignment]


class MessageIdConverter(BaseConverter):
    """Accepts anything but the names of routes that take only POST. The store checks whether it is
    an id."""

    regex = r"(?!(?:batch|pop|replace)$)[^/]+"
    part_isolating = True  # so that a trailing slash is accepted, as in the other routes


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
@blp.arguments(AppendQuerySchema, location="query")
@blp.response(
    201,
    AppendAnswerSchema,
    headers=ETAG | SESSION_ETAG | LOCATION | PREFERENCE_APPLIED,
)
@blp.problems(400, 404, 410, 412, 413, 415, 422)
def append_message(
    new: dict[str, Any], headers: dict[str, str], query: dict[str, str], session_id: str
) -> flask.Response:
    """Append a message

    The message becomes the session's last one, even if others write at the same time. With an
    `Idempotency-Key` you can repeat the request without storing the message twice.
    """
    appended, applied = _append(session_id, [new], headers, query)
    [message] = appended.messages
    applied["ETag"] = etag(message.version)
    short = "Preference-Applied" in applied
    text = str(json_object(receipt(message))) if short else message.json
    return json_response(
        with_members(text, {**previous_member(query), **unindexed_member(appended.unindexed)}),
        201,
        {"Location": location_of(message.message_id), **applied},
    )


@blp.post("/sessions/<session_id>/messages/batch")
@blp.arguments(
    MessageBatchSchema,
    example={"messages": [{"role": "user", "content": "Any potholes near me?"}, EXAMPLE]},
)
@blp.arguments(AppendHeadersSchema, location="headers")
@blp.arguments(AppendQuerySchema, location="query")
@blp.response(201, AppendedMessagesSchema, headers=SESSION_ETAG | PREFERENCE_APPLIED)
@blp.problems(400, 404, 410, 412, 413, 415, 422)
def append_messages(
    batch: dict[str, Any], headers: dict[str, str], query: dict[str, str], session_id: str
) -> flask.Response:
    """Append several messages, all or none, in order

    The messages follow each other directly, even if others write at the same time. A batch is
    refused if its response would be too large. With `Prefer: return=minimal` it is accepted. With a
    `session`, the session is created in the same step if it does not exist.
    """
    session = batch.get("session")
    if session:
        session.setdefault("expires_in_days", current_app.config["RETENTION_DAYS"])
    made = NewSession(**session) if session else None
    changes = batch.get("values") or {}
    if changes.get("tenant"):
        auth.require(scopes.TENANT_WRITE)
    appended, applied = _append(session_id, batch["messages"], headers, query, made, changes)
    messages = appended.messages
    short = "Preference-Applied" in applied
    shown = [receipt(message) for message in messages] if short else message_list(messages)
    members = {"messages": shown, **previous_member(query), **unindexed_member(appended.unindexed)}
    if changes:
        written = {name: results(done) for name, done in appended.values.items()}
        members["values"] = json_object(written)
    return json_response(json_object(members), 201, applied)


@blp.get("/sessions/<session_id>/messages")
@blp.arguments(PageQuerySchema, location="query")
@blp.arguments(IfNoneMatchSchema, location="headers")
@blp.response(200, MessagePageSchema, headers=HASH)
@blp.alt_response(304, description="Not modified", success=True)
@blp.problems(404, 422)
def list_messages(
    query: dict[str, Any], headers: dict[str, str], session_id: str
) -> flask.Response:
    """List messages, oldest or latest first

    Returns one page. Use `next_cursor` to get the next page, or `after` to get only messages later
    than one you already have. With `view=neutral`, messages of any provider have one form. With
    `include=grounding`, each has a summary of what it rests on. The response then has an ETag.
    """
    caller = current_caller()
    view = {name: query.pop(name) for name in (*DERIVED, "offsets") if name in query}
    page = reader.page(caller, session_id, **query)
    ask = partial(verdicts.reader.read, caller.tenant)
    members = shown_members(caller, session_id, page, query["order"], view, ask)
    if not any(name in view for name in DERIVED):
        return json_response(json_object(members))
    return hashed_response(json_object(members), headers.get("if_none_match"))


@blp.get("/sessions/<session_id>/messages/<message_id:message_id>")
@blp.arguments(MessageQuerySchema, location="query")
@blp.arguments(IfNoneMatchSchema, location="headers")
@blp.response(200, MessageSchema, headers=ETAG)
@blp.alt_response(304, description="Not modified", success=True)
@blp.problems(404, 422)
def get_message(
    query: dict[str, str], headers: dict[str, str], session_id: str, message_id: str
) -> flask.Response:
    """Get one message

    Returns the whole message, with its content as it was sent. With `include=grounding`, it has
    a summary of what it rests on, and the ETag is a hash of the response.
    """
    caller = current_caller()
    message = reader.get(caller, session_id, message_id)
    if "include" in query:
        [text] = shown([message], query, partial(verdicts.reader.read, caller.tenant))
        return hashed_response(text, headers.get("if_none_match"))
    return json_response(message.json, headers={"ETag": etag(message.version)})


def _append(
    session_id: str,
    new: list[dict[str, Any]],
    headers: dict[str, str],
    query: dict[str, str],
    session: NewSession | None = None,
    changes: Mapping[str, Sequence[Change]] | None = None,
) -> tuple[Appended, dict[str, str]]:
    """Returns what was stored, and the headers that apply to any append."""
    caller = current_caller()
    short = prefers_minimal(headers.get("prefer", ""))
    said = [NewMessage(**message) for message in new]
    appended = store.append(
        caller,
        session_id,
        said,
        if_match=accepted_versions(headers.get("if_match")),
        idempotency_key=request_key(headers.get("idempotency_key"), caller.writer, query),
        after=query.get("after"),
        session=session,
        values=_places(caller, session_id, changes or {}),
        checked=True,
        answered_whole=not short,
    )
    if not appended.replayed:
        note_tokens(said)
    applied = applied_headers(appended.version, short=short, replayed=appended.replayed)
    return appended, applied


def _places(
    caller: Caller, session_id: str, changes: Mapping[str, Sequence[Change]]
) -> dict[str, tuple[Place, Sequence[Change]]]:
    of = {
        "session": partial(places.of_session, caller, session_id),
        "user": partial(places.of_user, caller),
        "tenant": partial(places.of_tenant, caller),
    }
    return {name: (of[name](), changes[name]) for name in of if changes.get(name)}


def applied_headers(version: str, *, short: bool = False, replayed: bool = False) -> dict[str, str]:
    """The headers of an answer that changed a session with this new version."""
    applied = {"Session-ETag": etag(version)}
    if short:
        applied["Preference-Applied"] = RETURN_MINIMAL
    return applied | ({"Idempotent-Replayed": "true"} if replayed else {})
