"""/sessions."""

from typing import Any

import flask
from flask import current_app
from werkzeug.local import LocalProxy

from app import idempotency
from app.api import Blueprint, json_response, location_of
from app.auth import current_caller
from app.etags import accepted_versions, is_unchanged
from app.messages.routes import json_list
from app.messages.routes import store as messages
from app.schemas import IdempotencySchema, IfMatchSchema
from app.sessions.schemas import (
    DeletionSchema,
    ErasureQuerySchema,
    ErasureSchema,
    GetHeadersSchema,
    ListQuerySchema,
    NewSessionSchema,
    SessionChangesSchema,
    SessionListSchema,
    SessionSchema,
    SessionWithMessagesSchema,
)
from app.sessions.store import SessionStore

blp = Blueprint("sessions", __name__, description="Conversations, each with its messages")

store: SessionStore = LocalProxy(lambda: current_app.extensions["session_store"])  # type: ignore[assignment]

ETAG = {"ETag": {"schema": {"type": "string"}, "description": "The session's version"}}
LOCATION = {"Location": {"schema": {"type": "string"}}}
GO_ON = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}

Headers = dict[str, str]

_SESSION = SessionSchema()


@blp.post("/sessions")
@blp.arguments(
    NewSessionSchema, example={"domain_id": "civic_complaints_v1", "title": "Pothole issues"}
)
@blp.arguments(IdempotencySchema, location="headers")
@blp.response(201, SessionSchema, headers=ETAG | LOCATION)
@blp.problems(400, 413, 415, 422)
def create_session(new: dict[str, Any], headers: Headers) -> Any:
    """Create a session"""
    caller = current_caller()
    new.setdefault("expires_in_days", current_app.config["RETENTION_DAYS"])
    key = headers.get("idempotency_key")
    request = idempotency.identify(key, flask.request.path, caller.writer, new) if key else None
    session, replayed = store.create(caller, **new, request=request)
    answer = {"ETag": session.etag, "Location": location_of(session.session_id)}
    return session, answer | ({"Idempotent-Replayed": "true"} if replayed else {})


@blp.get("/sessions")
@blp.arguments(ListQuerySchema, location="query")
@blp.response(200, SessionListSchema)
@blp.problems(422)
def list_sessions(query: dict[str, Any]) -> Any:
    """List your sessions, latest activity first

    It is read from an index, which may lag behind a write by moments. `total` is exact, but that it
    may count a session past its time until the sweep has removed it.
    """
    caller, limit = current_caller(), query["limit"]
    if "cursor" in query:
        listed = store.list_after(caller, query["cursor"], limit)
    else:
        listed = store.list_page(caller, query.get("page", 1), limit)
    return {"sessions": listed.sessions, "pagination": listed}


@blp.get("/sessions/<session_id>")
@blp.arguments(GetHeadersSchema, location="headers")
@blp.response(200, SessionWithMessagesSchema, headers=ETAG)
@blp.alt_response(304, description="Not modified", success=True)
@blp.problems(404)
def get_session(headers: Headers, session_id: str) -> flask.Response:
    """Get a session with its messages, oldest first

    All of them, as long as the answer stays under 4.5 MB; beyond that, `next_cursor` goes on at
    `/sessions/{session_id}/messages`.
    """
    caller = current_caller()
    if known := headers.get("if_none_match"):
        current = store.get(caller, session_id)
        if is_unchanged(current, known):
            return flask.Response(status=304, headers={"ETag": current.etag})
    session, page = messages.read(caller, session_id)
    head = flask.json.dumps(_SESSION.dump(session), separators=(",", ":"))
    return json_response(
        f'{head[:-1]},"messages":{json_list(page.messages)},'
        f'"next_cursor":{flask.json.dumps(page.next_cursor)}}}',
        headers={"ETag": session.etag},
    )


@blp.put("/sessions/<session_id>")
@blp.arguments(SessionChangesSchema, example={"title": "Potholes, resolved"})
@blp.arguments(IfMatchSchema, location="headers")
@blp.response(200, SessionSchema, headers=ETAG)
@blp.problems(400, 404, 412, 413, 415, 422)
def update_session(changes: dict[str, Any], headers: Headers, session_id: str) -> Any:
    """Change a session's title, metadata or retention"""
    if_match = accepted_versions(headers.get("if_match"))
    session = store.update(current_caller(), session_id, changes, if_match)
    return session, {"ETag": session.etag}


@blp.delete("/sessions/<session_id>")
@blp.arguments(IfMatchSchema, location="headers")
@blp.response(200, DeletionSchema)
@blp.alt_response(202, schema=DeletionSchema, headers=GO_ON, success=True)
@blp.problems(404, 412)
def delete_session(headers: Headers, session_id: str) -> Any:
    """Delete a session and everything under it

    It is gone from every answer at once. 202 says that a very large one is still being removed;
    asking again goes on with it, and so does the sweep.
    """
    if_match = accepted_versions(headers.get("if_match"))
    receipt = store.delete(current_caller(), session_id, if_match)
    body = {"session_id": session_id, "deleted_messages": receipt.deleted_messages}
    return (body, 200) if receipt.finished else (body, 202, {"Retry-After": "1"})


@blp.delete("/sessions")
@blp.arguments(ErasureQuerySchema, location="query")
@blp.response(200, ErasureSchema)
@blp.alt_response(202, schema=ErasureSchema, headers=GO_ON, success=True)
@blp.problems(422)
def delete_all_sessions(query: dict[str, str]) -> Any:  # noqa: ARG001  asked for, and checked
    """Erase everything of yours

    The receipt counts what this request removed; 202 says that there is more, to be asked again.
    """
    receipt = store.delete_all(current_caller())
    return (receipt, 200) if receipt.finished else (receipt, 202, {"Retry-After": "1"})
