"""The routes of feedback on messages, and of what a provider would say of them."""

from dataclasses import asdict
from typing import Any

import flask
from flask import current_app
from werkzeug.local import LocalProxy

from app.http.answers import SESSION_ETAG, json_object, json_response
from app.identity.auth import current_caller
from app.messages.change_routes import blp
from app.messages.feedback import FeedbackStore
from app.messages.feedback_schemas import (
    CheckQuerySchema,
    DeletedFeedbackSchema,
    FeedbackSchema,
    GivenFeedbackSchema,
    HistoryCheckSchema,
)
from app.messages.history import tool_findings
from app.messages.routes import applied_headers, reader
from app.table.ids import timestamp

__all__ = ["blp"]

feedback: FeedbackStore = LocalProxy(lambda: current_app.extensions["feedback_store"])  # type: ignore[assignment]

PATH = "/sessions/<session_id>/messages/<message_id:message_id>/feedback"


@blp.put(PATH)
@blp.arguments(FeedbackSchema, example={"rating": "up", "comment": "Just what I needed."})
@blp.response(200, GivenFeedbackSchema, headers=SESSION_ETAG)
@blp.problems(400, 404, 409, 413, 415, 422)
def put_feedback(given: dict[str, Any], session_id: str, message_id: str) -> flask.Response:
    """Give feedback on a message

    Each user or agent has one feedback on a message, which this replaces. It comes with the
    message, and the session counts it.
    """
    stored = feedback.put(current_caller(), session_id, message_id, **given, checked=True)
    members = json_object({"by": stored.rater, "at": timestamp(stored.rated)})
    text = f"{str(members)[:-1]},{stored.body[1:]}"
    return json_response(text, headers=applied_headers(stored.rated))


@blp.delete(PATH)
@blp.response(200, DeletedFeedbackSchema, headers=SESSION_ETAG)
@blp.problems(404)
def delete_feedback(session_id: str, message_id: str) -> flask.Response:
    """Take your feedback on a message back

    Feedback of others stays.
    """
    version = feedback.delete(current_caller(), session_id, message_id)
    return json_response('{"deleted_feedback":1}', headers=applied_headers(version))


@blp.get("/sessions/<session_id>/check")
@blp.arguments(CheckQuerySchema, location="query")
@blp.response(200, HistoryCheckSchema)
@blp.problems(404, 422)
def check_history(query: dict[str, int], session_id: str) -> flask.Response:
    """Check whether a provider would accept the messages

    Providers refuse a history in which a tool call has no result, or a result no call, as after an
    interruption. This finds both in the last messages, for each known `format`, and for plain
    messages with blocks that only one provider writes. `complete` is false if there are earlier
    messages; a call may then be among those.
    """
    count = query.get("messages", 1000)
    _, page = reader.latest(current_caller(), session_id, count)
    findings, more = tool_findings(page.messages)
    members = {
        "findings": [asdict(finding) for finding in findings],
        "more_findings": more,
        "checked_messages": len(page.messages),
        "complete": page.next_cursor is None,
    }
    return json_response(json_object(members))
