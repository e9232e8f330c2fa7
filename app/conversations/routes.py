"""GET /sessions/{session_id}: a session with its messages.

The route belongs to the blueprint of the sessions. It is here because it also needs messages, which
`app.sessions` must not import.
"""

import flask
from flask import current_app
from werkzeug.local import LocalProxy

from app.conversations.schemas import GetHeadersSchema, GetQuerySchema, SessionWithMessagesSchema
from app.http.answers import json_object, json_response
from app.http.etags import is_unchanged
from app.identity.auth import current_caller
from app.messages.answers import page_members
from app.messages.reader import MessagePage, MessageReader
from app.sessions.answers import session_members
from app.sessions.routes import ETAG, blp
from app.sessions.routes import store as sessions

__all__ = ["blp"]

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
