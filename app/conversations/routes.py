"""The routes that need sessions and messages together.

They belong to the blueprint of the sessions. They are here because `app.sessions` must not import
messages.
"""

from typing import Any

import flask
from flask import current_app
from werkzeug.local import LocalProxy

from app.conversations.fork import SessionForker
from app.conversations.importing import DatedMessage, SessionImporter
from app.conversations.schemas import (
    ForkSchema,
    GetHeadersSchema,
    GetQuerySchema,
    ImportSchema,
    SessionWithMessagesSchema,
    UnfinishedForkSchema,
)
from app.http.answers import LOCATION, json_object, json_response
from app.http.etags import is_unchanged
from app.http.fields import IdempotencySchema
from app.http.repeats import request_key
from app.identity.auth import current_caller
from app.messages.answers import page_members
from app.messages.model import NewMessage
from app.messages.reader import MessagePage, MessageReader
from app.sessions.answers import session_members
from app.sessions.creation import NewSession
from app.sessions.model import Session
from app.sessions.routes import ETAG, RETRY_AFTER, blp
from app.sessions.routes import store as sessions
from app.sessions.schemas import SessionSchema

__all__ = ["blp"]

forker: SessionForker = LocalProxy(lambda: current_app.extensions["session_forker"])  # type: ignore[assignment]
importer: SessionImporter = LocalProxy(lambda: current_app.extensions["session_importer"])  # type: ignore[assignment]
messages: MessageReader = LocalProxy(lambda: current_app.extensions["message_reader"])  # type: ignore[assignment]


@blp.get("/sessions/<session_id>")
@blp.arguments(GetQuerySchema, location="query")
@blp.arguments(GetHeadersSchema, location="headers")
@blp.response(200, SessionWithMessagesSchema, headers=ETAG)
@blp.alt_response(304, description="Not modified", success=True)
@blp.problems(404, 422)
def get_session(query: dict[str, int], headers: dict[str, str], session_id: str) -> flask.Response:
    """Get a session with its messages, oldest first

    Returns up to 5,000 messages or 4.5 MB. If there are more, continue with `next_cursor` at
    `/sessions/{session_id}/messages`. With `messages`, only the last ones are returned, and
    `earlier_cursor` continues at `/sessions/{session_id}/messages?order=desc`.
    """
    caller = current_caller()
    if known := headers.get("if_none_match"):
        current = sessions.get(caller, session_id)
        if is_unchanged(current.last_ulid, known):
            return flask.Response(status=304, headers={"ETag": current.etag})
    count = query.get("messages")
    earlier = {}
    if count is None:
        session, page = messages.read(caller, session_id)
    elif count == 0:
        session = sessions.get(caller, session_id)
        page = MessagePage([], None, session.changed)
    else:
        session, page = messages.latest(caller, session_id, count)
        earlier = {"next_cursor": None, "earlier_cursor": page.next_cursor}
    members = {**session_members(session), **page_members(page), **earlier}
    return json_response(json_object(members), headers={"ETag": session.etag})


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


def _created(session: Session, location: str, *, replayed: bool) -> flask.Response:
    """`location` is relative to the request's address."""
    up = "../" if flask.request.path.endswith("/") else ""
    answer = {"ETag": session.etag, "Location": up + location}
    replay = {"Idempotent-Replayed": "true"} if replayed else {}
    return json_response(json_object(session_members(session)), 201, answer | replay)
