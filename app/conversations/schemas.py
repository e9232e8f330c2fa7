"""The JSON form of a session with its messages."""

import marshmallow as ma
from marshmallow import fields

from app.http.fields import NEXT_CURSOR
from app.messages.schemas import CHANGED, MessageSchema
from app.sessions.schemas import SessionSchema


class SessionWithMessagesSchema(SessionSchema):
    messages = fields.List(fields.Nested(MessageSchema), required=True)
    next_cursor = NEXT_CURSOR
    changed = CHANGED


class GetHeadersSchema(ma.Schema):
    if_none_match = fields.String(
        data_key="If-None-Match",
        metadata={"description": "The ETag of your copy. If it is current, the response is 304"},
    )
