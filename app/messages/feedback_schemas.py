"""The JSON form of feedback, and of the check of a history."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.http.fields import JsonValue, Schema, WholeNumber
from app.messages.model import MAX_COMMENT, MAX_RATING
from app.messages.rules import feedback_faults

_RATING = {
    "description": "A short text such as `up`, a number, true or false",
    "type": ["string", "number", "boolean"],
    "maxLength": MAX_RATING,
    "example": "up",
}


class FeedbackSchema(Schema):
    rating = JsonValue(allow_none=True, metadata=_RATING)
    comment = fields.String(
        allow_none=True,
        validate=validate.Length(1, MAX_COMMENT),
        metadata={"example": "Just what I needed."},
    )

    @ma.validates_schema
    def _is_feedback(self, data: dict[str, Any], **_: Any) -> None:
        faults = dict(feedback_faults(data.get("rating"), data.get("comment")))
        if faults:
            raise ma.ValidationError({path or "_schema": [text] for path, text in faults.items()})


class GivenFeedbackSchema(ma.Schema):
    by = fields.String(
        required=True, metadata={"description": "The user, or the agent acting for the user"}
    )
    at = fields.String(required=True, metadata={"format": "date-time"})
    rating = JsonValue(required=True, metadata=_RATING)
    comment = fields.String(required=True, allow_none=True)


class DeletedFeedbackSchema(ma.Schema):
    deleted_feedback = fields.Integer(required=True)


class CheckQuerySchema(Schema):
    messages = WholeNumber(
        validate=validate.Range(1, 1000),
        metadata={"description": "How many of the last messages. The default is 1000"},
    )


class FindingSchema(ma.Schema):
    problem = fields.String(
        required=True, validate=validate.OneOf(["call_without_result", "result_without_call"])
    )
    message_id = fields.String(required=True)
    pointer = fields.String(
        required=True, metadata={"description": "A JSON Pointer into the message (RFC 6901)"}
    )
    tool_call_id = fields.String(required=True, allow_none=True)
    tool_name = fields.String(required=True, allow_none=True)


class HistoryCheckSchema(ma.Schema):
    findings = fields.List(fields.Nested(FindingSchema), required=True)
    more_findings = fields.Boolean(
        required=True, metadata={"description": "true if not all are listed"}
    )
    checked_messages = fields.Integer(required=True)
    complete = fields.Boolean(
        required=True, metadata={"description": "Whether all messages were checked"}
    )
