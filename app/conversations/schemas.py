"""A session with its messages in JSON."""

import marshmallow as ma
from marshmallow import fields

from app.http.fields import NEXT_CURSOR
from app.messages.schemas import MessageSchema
from app.sessions.schemas import SessionSchema


class SessionWithMessagesSchema(SessionSchema):
    messages = fields.List(fields.Nested(MessageSchema), required=True)
    next_cursor = NEXT_CURSOR


class GetHeadersSchema(ma.Schema):
    if_none_match = fields.String(
        data_key="If-None-Match",
        metadata={"description": "The ETag of the copy you have: 304 if it is current"},
    )
