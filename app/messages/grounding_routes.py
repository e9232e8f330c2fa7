"""The routes that tell what answers rest on."""

from dataclasses import replace
from functools import partial
from typing import Any

import flask

from app.grounding.answers import Shape
from app.http.answers import hashed_response, json_object
from app.http.header_schemas import IfNoneMatchSchema
from app.identity.auth import current_caller
from app.identity.caller import Caller
from app.messages.feedback_routes import blp
from app.messages.grounding import ground
from app.messages.grounding_schemas import (
    MessageGroundingQuerySchema,
    MessageGroundingSchema,
    SessionGroundingQuerySchema,
    SessionGroundingSchema,
)
from app.messages.reader import MAX_MESSAGES, MessagePage, Order, first_of
from app.messages.routes import reader
from app.verdicts.routes import store as verdicts

__all__ = ["blp"]

ETAG = {"ETag": {"schema": {"type": "string"}, "description": "A hash of the response"}}


@blp.get("/sessions/<session_id>/messages/<message_id:message_id>/grounding")
@blp.arguments(MessageGroundingQuerySchema, location="query")
@blp.arguments(IfNoneMatchSchema, location="headers")
@blp.response(200, MessageGroundingSchema, headers=ETAG)
@blp.alt_response(304, description="Not modified", success=True)
@blp.problems(404, 422)
def get_message_grounding(
    query: dict[str, str], headers: dict[str, str], session_id: str, message_id: str
) -> flask.Response:
    """Show what a message rests on

    Returns citations and sources in one form for every provider. They are worked out from the
    provider's own object and from `metadata.references`. A citation that leads nowhere is listed
    with the reason. Each citation has a verdict: what the tenant has said became of its source.
    """
    caller = current_caller()
    message = reader.get(caller, session_id, message_id)
    grounded = ground([message], _shape(query), partial(verdicts.reader.read, caller.tenant))
    return hashed_response(json_object(grounded.members()), headers.get("if_none_match"))


@blp.get("/sessions/<session_id>/grounding")
@blp.arguments(SessionGroundingQuerySchema, location="query")
@blp.arguments(IfNoneMatchSchema, location="headers")
@blp.response(200, SessionGroundingSchema, headers=ETAG)
@blp.alt_response(304, description="Not modified", success=True)
@blp.problems(404, 422)
def get_session_grounding(
    query: dict[str, Any], headers: dict[str, str], session_id: str
) -> flask.Response:
    """Show what a session's messages rest on

    Returns all citations, each source once, and figures over all answers. Reads as many messages as
    `GET /sessions/{session_id}`; if there are more, continue with `next_cursor`. The figures are
    those of the messages that were read.
    """
    caller = current_caller()
    is_latest = "messages" in query
    page = _page(caller, session_id, query)
    ask = partial(verdicts.reader.read, caller.tenant)
    grounded = ground(page.messages, _shape(query), ask, named=True)
    count = len(grounded.listed)
    if count < len(page.messages):
        order: Order = "desc" if is_latest else query["order"]
        page = first_of(caller, session_id, page, count, order)
    if is_latest:
        grounded.listed.reverse()
    members = {
        **grounded.members(),
        "checked_messages": count,
        "next_cursor": None if is_latest else page.next_cursor,
    }
    if is_latest:
        members["earlier_cursor"] = page.next_cursor
    return hashed_response(json_object(members), headers.get("if_none_match"))


def _page(caller: Caller, session_id: str, query: dict[str, Any]) -> MessagePage:
    """With `messages`, the last ones, latest first, so that the earliest are left out if there is
    no room for all."""
    if "messages" in query:
        _, page = reader.latest(caller, session_id, query["messages"])
        return replace(page, messages=page.messages[::-1])
    order, cursor = query["order"], query.get("cursor")
    if cursor or order == "desc":
        return reader.page(caller, session_id, limit=MAX_MESSAGES, order=order, cursor=cursor)
    _, page = reader.read(caller, session_id)
    return page


def _shape(query: dict[str, Any]) -> Shape:
    return Shape(utf16=query.get("offsets") == "utf16")
