"""The JSON form of a session with its messages."""

import marshmallow as ma
from marshmallow import fields, validate

from app.http.fields import NEXT_CURSOR, Schema, WholeNumber
from app.messages.schemas import CHANGED, MessageSchema
from app.sessions.schemas import SessionSchema


class SessionWithMessagesSchema(SessionSchema):
    messages = fields.List(fields.Nested(MessageSchema), required=True)
    next_cursor = NEXT_CURSOR
    earlier_cursor = fields.String(
        allow_none=True,
        metadata={
            "description": "Only if the request had `messages`: the `cursor` of the messages "
            "before these, in descending order"
        },
    )
    changed = CHANGED


class GetQuerySchema(Schema):
    messages = WholeNumber(
        validate=validate.Range(0, 1000),
        metadata={"description": "Only the last so many messages; 0 for the session alone"},
    )


class GetHeadersSchema(ma.Schema):
    if_none_match = fields.String(
        data_key="If-None-Match",
        metadata={"description": "The ETag of your copy. If it is current, the response is 304"},
    )
