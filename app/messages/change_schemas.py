"""The JSON form of changes to what was said."""

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app.http.fields import BodySchema, ObjectList, Schema, StrictBoolean, StrictInteger
from app.messages.model import MAX_BATCH, MAX_POP, STATUSES
from app.messages.schemas import (
    MESSAGE_ID,
    UNINDEXED,
    AppendedMessageSchema,
    MessageContentSchema,
    MessageSchema,
    NewMessageSchema,
)


class EditSchema(MessageContentSchema):
    class Meta:
        json_schema: ClassVar = {"minProperties": 1}

    @ma.pre_load
    def _says_something(self, data: Any, **_: Any) -> Any:
        """Otherwise a body with only a name would delete what was said."""
        only_status = isinstance(data, dict) and data.keys() == {"status"} and data["status"]
        if isinstance(data, dict) and not data.keys() & {"content", "native"} and not only_status:
            raise ma.ValidationError("Give content or native, or only a status.")
        return data


class MessageIfMatchSchema(ma.Schema):
    if_match = fields.String(
        data_key="If-Match",
        metadata={"description": "Write only if the message's ETag is one of these, or `*`"},
    )


class EditedMessageSchema(ma.Schema):
    message_id = fields.String(required=True)
    session_id = fields.String(required=True)
    timestamp = fields.String(required=True, metadata={"format": "date-time"})
    edited_at = fields.String(required=True, metadata={"format": "date-time"})
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    unindexed = UNINDEXED


def _message_id(description: str, **options: Any) -> fields.String:
    return fields.String(
        validate=validate.Regexp(f"{MESSAGE_ID}\\Z", error="Not a message_id."),
        metadata={"description": description, "pattern": f"{MESSAGE_ID}$"},
        **options,
    )


FROM = "This message and all after it"
AFTER = "All messages after this one, which stays"


def _exactly_one(data: dict[str, Any]) -> None:
    if len(data.keys() & {"from", "after", "all"}) != 1:
        raise ma.ValidationError("Give exactly one of from, after and all.")


class TailQuerySchema(Schema):
    from_ = _message_id(FROM, data_key="from", attribute="from")
    after = _message_id(AFTER)
    all = fields.String(
        validate=validate.Regexp(r"true\Z", error="Must be equal to true."),
        metadata={"description": "`true`: all messages", "pattern": "^true$"},
    )

    @ma.validates_schema
    def _one(self, data: dict[str, Any], **_: Any) -> None:
        _exactly_one(data)


class RemovedSchema(ma.Schema):
    deleted_messages = fields.Integer(required=True)


class PopSchema(BodySchema):
    count = StrictInteger(
        allow_none=True,
        validate=validate.Range(1, MAX_POP),
        metadata={"description": "How many messages. The default is 1", "example": 1},
    )


class PoppedSchema(ma.Schema):
    message_ids = fields.List(fields.String(), required=True)
    messages = fields.List(fields.Nested(MessageSchema), required=True, allow_none=True)


class ReplacementSchema(BodySchema):
    from_ = _message_id(FROM, data_key="from", attribute="from", allow_none=True)
    after = _message_id(AFTER, allow_none=True)
    all = StrictBoolean(
        allow_none=True,
        validate=validate.Equal(True),
        metadata={"description": "true: all messages"},
    )
    messages = ObjectList(NewMessageSchema, most=MAX_BATCH, required=True)

    @ma.validates_schema
    def _one(self, data: dict[str, Any], **_: Any) -> None:
        _exactly_one(self.without_nulls(data))


class ReplacedSchema(RemovedSchema):
    messages = fields.List(fields.Nested(AppendedMessageSchema), required=True)
    unindexed = UNINDEXED
