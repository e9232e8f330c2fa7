"""The routes that need sessions and messages together.

They belong to the blueprint of the sessions. They are here because `app.sessions` must not import
messages.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flask
from flask import current_app
from werkzeug.local import LocalProxy

from app.conversations.exporting import Exporter, first_line
from app.conversations.fork import SessionForker
from app.conversations.importing import DatedMessage, SessionImporter
from app.conversations.schemas import (
    ExportQuerySchema,
    ForkSchema,
    GetQuerySchema,
    ImportSchema,
    SessionWithMessagesSchema,
    UnfinishedForkSchema,
)
from app.http.answers import LOCATION, hashed_response, json_object, json_response, with_members
from app.http.etags import is_unchanged
from app.http.header_schemas import IdempotencySchema, IfNoneMatchSchema
from app.http.repeats import request_key
from app.identity import auth, scopes
from app.identity.auth import current_caller
from app.identity.caller import Caller
from app.messages.model import NewMessage
from app.messages.reader import MAX_MESSAGES, MessagePage, MessageReader, Order
from app.messages.views import DERIVED, shown_members
from app.sessions.answers import session_members
from app.sessions.creation import NewSession
from app.sessions.model import Session
from app.sessions.routes import ETAG, RETRY_AFTER, blp
from app.sessions.routes import store as sessions
from app.sessions.schemas import SessionSchema
from app.table.budget import is_time_up
from app.table.cursors import make_cursor, read_cursor
from app.values import places
from app.values.answers import page_members as value_page_members
from app.values.pages import wire_of
from app.values.places import Place
from app.values.routes import reader as values
from app.verdicts.routes import store as verdicts
from app.wire import MAX_ANSWER, MAX_WIRE_BYTES, wire_size

__all__ = ["blp"]

forker: SessionForker = LocalProxy(lambda: current_app.extensions["session_forker"])  # type: ignore[assignment]
exporter: Exporter = LocalProxy(lambda: current_app.extensions["exporter"])  # type: ignore[assignment]
importer: SessionImporter = LocalProxy(lambda: current_app.extensions["session_importer"])  # type: ignore[assignment]
messages: MessageReader = LocalProxy(lambda: current_app.extensions["message_reader"])  # type: ignore[assignment]


PLACES: dict[str, Callable[[Caller, str], Place]] = {
    "values": places.of_session,
    "user_values": lambda caller, _: places.of_user(caller),
    "tenant_values": lambda caller, _: places.of_tenant(caller),
}
"""Whose values are shown with a session, by the parameter of the query."""

ROOM_FOR_HEADERS = 20_000
"""Bytes of Lambda's response, besides its body, and of the members around the values."""


@blp.get("/sessions/<session_id>")
@blp.arguments(GetQuerySchema, location="query")
@blp.arguments(IfNoneMatchSchema, location="headers")
@blp.response(200, SessionWithMessagesSchema, headers=ETAG)
@blp.alt_response(304, description="Not modified", success=True)
@blp.problems(404, 422)
def get_session(query: dict[str, Any], headers: dict[str, str], session_id: str) -> flask.Response:
    """Get a session with its messages, oldest first

    Returns up to 5,000 messages or 4.5 MB. If there are more, continue with `next_cursor` at
    `/sessions/{session_id}/messages`. With `messages`, only the last ones are returned, and
    `earlier_cursor` continues at `/sessions/{session_id}/messages?order=desc`.

    With `values`, the session's values with that prefix are returned, too; with `user_values` and
    `tenant_values` those of the user and the tenant. They are read after the messages. With
    `view=neutral`, messages of any provider have one form. With `include=grounding`, each has a
    summary of what it rests on. In these cases the ETag is that of the whole response, and a 304
    costs as much as a 200.
    """
    caller = current_caller()
    known = headers.get("if_none_match")
    asked = {name: query[name] for name in PLACES if name in query}
    if "tenant_values" in asked:
        auth.require(scopes.TENANT_READ)
    is_derived = bool(asked) or any(name in query for name in DERIVED)
    if known and not is_derived:
        current = sessions.get(caller, session_id)
        if is_unchanged(current.last_ulid, known):
            return flask.Response(status=304, headers={"ETag": current.etag})
    session, members = _with_messages(caller, session_id, query)
    text = str(json_object(members))
    if asked:
        text = with_members(text, _values(caller, session_id, asked, wire_size(text)))
    if is_derived:
        return hashed_response(text, known)
    return json_response(text, headers={"ETag": session.etag})


def _values(caller: Caller, session_id: str, asked: dict[str, str], size: int) -> dict[str, Any]:
    """The members with the values of each prefix, beside an answer of `size` bytes. They are never
    older than that. So who appends after its last message, knows the values that it has led to."""
    room = MAX_WIRE_BYTES - ROOM_FOR_HEADERS - size
    members: dict[str, Any] = {}
    for name, prefix in asked.items():
        page = values.page(PLACES[name](caller, session_id), prefix).within(room)
        room -= sum(map(wire_of, page.values))
        shown = value_page_members(page)
        members |= {name: shown["values"], f"{name}_cursor": shown["next_cursor"]}
    return members


def _with_messages(
    caller: Caller, session_id: str, query: dict[str, Any]
) -> tuple[Session, dict[str, Any]]:
    """The session with its last messages, or with all."""
    count = query.get("messages")
    order: Order = "asc" if count is None else "desc"
    earlier = {}
    if count is None:
        session, page = messages.read(caller, session_id)
    elif count == 0:
        session = sessions.get(caller, session_id)
        page = MessagePage([], None, session.changed)
    else:
        session, page = messages.latest(caller, session_id, count)
    ask = partial(verdicts.reader.read, caller.tenant)
    shown = shown_members(caller, session_id, page, order, query, ask, latest=bool(count))
    if count:
        earlier = {"next_cursor": None, "earlier_cursor": shown["next_cursor"]}
    return session, {**session_members(session), **shown, **earlier}


@blp.post("/sessions/<session_id>/fork")
@blp.arguments(ForkSchema, example={"until": "msg_01JD2QX61N0V5H8Y2C4G7P9S3D"})
@blp.arguments(IdempotencySchema, location="headers")
@blp.response(201, SessionSchema, headers=ETAG | LOCATION)
@blp.alt_response(202, schema=UnfinishedForkSchema, headers=RETRY_AFTER, success=True)
@blp.problems(400, 404, 409, 410, 413, 415, 422)
def fork_session(body: dict[str, Any], headers: dict[str, str], session_id: str) -> flask.Response:
    """Copy a session up to a message into a new one

    The messages keep their ids, dates and authors. Feedback is not copied. Nobody sees the new
    session before it is whole. 202 means that a very large session is still being copied; repeat
    the request with its `key` or `Idempotency-Key` to continue. Each KB costs a write unit.
    """
    caller = current_caller()
    forked = forker.fork(
        caller,
        session_id,
        **body,
        idempotency_key=request_key(headers.get("idempotency_key"), caller.writer, session_id),
    )
    if not forked.session:
        text = json_object({"session_id": forked.session_id})
        return json_response(text, 202, {"Retry-After": "1"})
    return _created(forked.session, f"../{forked.session_id}", replayed=forked.replayed)


@blp.post("/import")
@blp.arguments(
    ImportSchema,
    example={
        "session": {"domain_id": "civic_complaints_v1", "title": "From the old system"},
        "messages": [
            {"role": "user", "content": "Any potholes?", "created_at": "2024-05-01T09:30:00Z"}
        ],
    },
)
@blp.arguments(IdempotencySchema, location="headers")
@blp.response(201, SessionSchema, headers=ETAG | LOCATION)
@blp.problems(400, 409, 410, 413, 415, 422)
def import_session(body: dict[str, Any], headers: dict[str, str]) -> flask.Response:
    """Create a session with messages that have dates

    For moving here from another system. Needs the scope `sessions:import`. The messages' ids are
    made from their times, which must not fall or be in the future. Nobody sees the session before
    it is whole.
    """
    caller = current_caller()
    new = body["session"]
    new.setdefault("expires_in_days", current_app.config["RETENTION_DAYS"])
    created_at = new.pop("created_at", None)
    session, replayed = importer.load(
        caller,
        NewSession(**new),
        [
            DatedMessage(
                at=said.pop("created_at"),
                created_by=said.pop("created_by", None),
                message=NewMessage(**said),
            )
            for said in body.get("messages", ())
        ],
        created_at=created_at,
        idempotency_key=request_key(headers.get("idempotency_key"), caller.writer),
        checked=True,
    )
    return _created(session, f"sessions/{session.session_id}", replayed=replayed)


@blp.get("/export")
@blp.arguments(ExportQuerySchema, location="query")
@blp.response(
    200, {"type": "string"}, content_type="application/x-ndjson", description="Lines of JSON"
)
@blp.problems(422)
def export_user(query: dict[str, str]) -> flask.Response:
    """Export all that is kept of you

    The response is lines of JSON, each with a `type`: first `user`, then each `session` with its
    `message`s and `value`s, then your own `value`s. The last line is of type `page`; continue with
    its `next_cursor`, or end if that is null. `flask import` reads the lines.
    """
    caller = current_caller()
    scope = f"{caller.partition} export"
    position = read_cursor(scope, query["cursor"]) if "cursor" in query else ""
    lines = [] if position else [first_line("user", caller.user)]
    room, cursor = MAX_ANSWER, None
    for line in exporter.lines(caller.partition, position):
        room -= wire_size(line.text) + 1
        if lines and (room < 0 or len(lines) >= MAX_MESSAGES or is_time_up()):
            cursor = make_cursor(scope, position)
            break
        lines.append(line.text)
        position = line.position
    lines.append(str(json_object({"type": "page", "next_cursor": cursor})))
    body = "".join(f"{line}\n" for line in lines)
    return flask.Response(body, content_type="application/x-ndjson")


def _created(session: Session, location: str, *, replayed: bool) -> flask.Response:
    """`location` is relative to the request's address."""
    up = "../" if flask.request.path.endswith("/") else ""
    answer = {"ETag": session.etag, "Location": up + location}
    replay = {"Idempotent-Replayed": "true"} if replayed else {}
    return json_response(json_object(session_members(session)), 201, answer | replay)
