"""The routes of /sessions. A session with its messages is in `app.conversations.routes`."""

from collections.abc import Callable
from typing import Any

from flask import current_app
from werkzeug.local import LocalProxy

from app.http.answers import LOCATION, json_array, json_object, json_response, location_of
from app.http.api import Blueprint
from app.http.etags import accepted_versions
from app.http.header_schemas import IfMatchSchema
from app.http.repeats import request_key
from app.identity.auth import current_caller
from app.sessions.answers import row_members, session_members
from app.sessions.creation import NewSession
from app.sessions.list_schemas import ListQuerySchema, SessionListSchema
from app.sessions.listing import SessionLister
from app.sessions.model import Session
from app.sessions.schemas import (
    CreateHeadersSchema,
    DeletionSchema,
    ErasureQuerySchema,
    ErasureSchema,
    NewSessionSchema,
    SessionChangesSchema,
    SessionPatchSchema,
    SessionSchema,
)
from app.sessions.store import SessionStore

blp = Blueprint("sessions", __name__, description="Conversations, each with its messages")

store: SessionStore = LocalProxy(lambda: current_app.extensions["session_store"])  # type: ignore[assignment]
lister: SessionLister = LocalProxy(lambda: current_app.extensions["session_lister"])  # type: ignore[assignment]

ETAG = {"ETag": {"schema": {"type": "string"}, "description": "The session's version"}}
RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}

Headers = dict[str, str]


@blp.post("/sessions")
@blp.arguments(
    NewSessionSchema, example={"domain_id": "civic_complaints_v1", "title": "Pothole issues"}
)
@blp.arguments(CreateHeadersSchema, location="headers")
@blp.response(201, SessionSchema, headers=ETAG | LOCATION)
@blp.alt_response(200, schema=SessionSchema, headers=ETAG | LOCATION, success=True)
@blp.problems(400, 409, 410, 413, 415, 422)
def create_session(new: dict[str, Any], headers: Headers) -> Any:
    """Create a session, or find it by its key

    The session is empty and belongs to the token's tenant and user. With a `key` of your own, such
    as a framework's thread id, the session's id is derived from it. If there is such a session, the
    response is 200 and shows it as it is; with `If-None-Match: *` it is 409.

    A repeated request with the same `Idempotency-Key` returns the session in its current state, or
    410 if it has been deleted or has expired.
    """
    caller = current_caller()
    new.setdefault("expires_in_days", current_app.config["RETENTION_DAYS"])
    created = store.create(
        caller,
        NewSession(**new),
        only_new="if_none_match" in headers,
        idempotency_key=request_key(headers.get("idempotency_key"), caller.writer),
    )
    session = created.session
    answer = {"ETag": session.etag, "Location": location_of(session.session_id)}
    replay = {"Idempotent-Replayed": "true"} if created.replayed else {}
    status = 200 if created.existed and not created.replayed else 201
    return json_response(json_object(session_members(session)), status, answer | replay)


@blp.get("/sessions")
@blp.arguments(ListQuerySchema, location="query")
@blp.response(200, SessionListSchema)
@blp.problems(422)
def list_sessions(query: dict[str, Any]) -> Any:
    """List your sessions, latest activity first

    The list is read from an index, so a write may take a moment to show. `total` is exact, except
    that an expired session counts until the sweep removes it.

    With a filter, one request looks at up to 4,000 sessions. So a page may be short, or empty,
    while `next_cursor` leads to more; `total` is null. Sessions are also filtered by
    `metadata.<name>=<value>`, where the value is a text, or a number, `true`, `false` or `null` as
    in JSON. Metadata over 200 bytes is not searched.
    """
    listed = lister.read(current_caller(), **query)
    rows = [str(json_object(row_members(session))) for session in listed.sessions]
    pagination = {
        "page": listed.page,
        "limit": listed.limit,
        "total": listed.total,
        "next_cursor": listed.next_cursor,
    }
    return json_response(json_object({"sessions": json_array(rows), "pagination": pagination}))


@blp.put("/sessions/<session_id>")
@blp.arguments(SessionChangesSchema, example={"title": "Potholes, resolved"})
@blp.arguments(IfMatchSchema, location="headers")
@blp.response(200, SessionSchema, headers=ETAG)
@blp.problems(400, 404, 412, 413, 415, 422)
def update_session(changes: dict[str, Any], headers: Headers, session_id: str) -> Any:
    """Change a session's title, metadata, flags or retention

    Members in the body replace the stored ones. Other members are not changed.
    """
    return _changed(store.update, changes, headers, session_id)


@blp.patch("/sessions/<session_id>")
@blp.arguments(SessionPatchSchema, example={"metadata": {"channel": "web", "draft": None}})
@blp.arguments(IfMatchSchema, location="headers")
@blp.response(200, SessionSchema, headers=ETAG)
@blp.problems(400, 404, 409, 412, 413, 415, 422)
def patch_session(changes: dict[str, Any], headers: Headers, session_id: str) -> Any:
    """Change a session, merging its metadata

    `metadata` is merged into the present one by RFC 7396: null removes a member. Other members work
    as in PUT. The body may be `application/merge-patch+json`.
    """
    return _changed(store.patch, changes, headers, session_id)


def _changed(
    change: Callable[..., Session], changes: dict[str, Any], headers: Headers, session_id: str
) -> Any:
    if_match = accepted_versions(headers.get("if_match"))
    if_settings_version = changes.pop("if_settings_version", None)
    session = change(current_caller(), session_id, changes, if_match, if_settings_version)
    return json_response(json_object(session_members(session)), headers={"ETag": session.etag})


@blp.delete("/sessions/<session_id>")
@blp.arguments(IfMatchSchema, location="headers")
@blp.response(200, DeletionSchema)
@blp.alt_response(202, schema=DeletionSchema, headers=RETRY_AFTER, success=True)
@blp.problems(404, 412, 422)
def delete_session(headers: Headers, session_id: str) -> Any:
    """Delete a session and everything under it

    No response shows the session any more. 202 means that a very large session is still being
    removed. Repeat the request to continue, or leave the rest to the sweep.
    """
    if_match = accepted_versions(headers.get("if_match"))
    receipt = store.delete(current_caller(), session_id, if_match)
    body = {"session_id": session_id, "deleted_messages": receipt.deleted_messages}
    return (body, 200) if receipt.finished else (body, 202, {"Retry-After": "1"})


@blp.delete("/sessions")
@blp.arguments(ErasureQuerySchema, location="query")
@blp.response(200, ErasureSchema)
@blp.alt_response(202, schema=ErasureSchema, headers=RETRY_AFTER, success=True)
@blp.problems(422)
def delete_all_sessions(query: dict[str, str]) -> Any:  # noqa: ARG001  checked by the schema
    """Delete all of your sessions and everything under them

    The response counts what this request removed. 202 means that more remains; repeat the request.
    """
    receipt = store.delete_all(current_caller())
    return (receipt, 200) if receipt.finished else (receipt, 202, {"Retry-After": "1"})
