"""The JSON form of the answers that cite a source, and of the receipt of a redaction."""

import marshmallow as ma
from marshmallow import fields

from app.http.fields import NEXT_CURSOR, Schema, cursor, limit

MAX_ANSWERS = 100
"""Of a page. Their sessions are read in one call, which takes 100 keys."""

MAX_CURSOR = 2816
"""Characters. A cursor names a user's partition, a session and a message."""


class AnswersQuerySchema(Schema):
    limit = limit(default=50, most=MAX_ANSWERS)
    cursor = cursor(most=MAX_CURSOR)


class SourceAnswerSchema(ma.Schema):
    session_id = fields.String(required=True)
    message_id = fields.String(required=True)
    timestamp = fields.String(required=True, metadata={"format": "date-time"})


class SourceAnswersSchema(ma.Schema):
    answers = fields.List(fields.Nested(SourceAnswerSchema), required=True)
    next_cursor = NEXT_CURSOR


class TenantSourceAnswerSchema(SourceAnswerSchema):
    user_id = fields.String(required=True)


class TenantSourceAnswersSchema(ma.Schema):
    answers = fields.List(fields.Nested(TenantSourceAnswerSchema), required=True)
    next_cursor = NEXT_CURSOR


class RedactionSchema(ma.Schema):
    hash = fields.String(required=True)
    started_at = fields.String(required=True, metadata={"format": "date-time"})
    finished_at = fields.String(
        required=True,
        allow_none=True,
        metadata={"format": "date-time", "description": "null if more remains"},
    )
    checked_messages = fields.Integer(
        required=True,
        metadata={"description": "How many messages cite the source or were given it"},
    )
    redacted_messages = fields.Integer(
        required=True, metadata={"description": "How many of them had something to remove"}
    )
    never_indexed = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Messages that the redaction does not find"},
    )
    not_removed = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "What remains in the messages that it finds"},
    )
