"""The JSON form of messages and references. Values are checked here, but kept exactly as sent."""

from itertools import islice
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app.errors import MAX_FAULTS
from app.http.fields import NEXT_CURSOR, BoundedList, Schema, cursor, limit, line
from app.messages.model import MAX_BATCH, MAX_NAME, ROLES

HTTP_URL = r"^https?://[^\x00-\x20\x7f/?#][^\x00-\x20\x7f]*"
"""Excludes `javascript:` and similar schemes, because front ends show these as links."""

AFTER = r"^(msg|sess)_[0-7][0-9A-HJKMNP-TV-Z]{25}"


class Checked(fields.Nested):
    """Checks a value against a schema, but returns the original, so that no number changes."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        named = value
        if isinstance(value, dict):  # it may be large, so only these members are checked
            named = {name: value[name] for name in self.schema.fields if name in value}
        super()._deserialize(named, *args, **kwargs)
        return value


class Coordinates(fields.Field[list[float]]):
    """RFC 7946 section 3.1.1: longitude, latitude and, optionally, altitude."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:  # noqa: ARG002
        if not isinstance(value, list) or len(value) not in (2, 3):
            raise ma.ValidationError("Must be [longitude, latitude].")
        bounds = (180, 90, float("inf"))
        errors = {
            index: [f"Must be a number{f' from -{bound} to {bound}' if index < 2 else ''}."]
            for index, (number, bound) in enumerate(zip(value, bounds, strict=False))
            if type(number) not in (int, float) or abs(number) > bound
        }
        if errors:
            raise ma.ValidationError(errors)
        return value


class PointSchema(ma.Schema):
    class Meta:
        unknown = ma.INCLUDE

    type = fields.String(
        required=True, validate=validate.Equal("Point"), metadata={"enum": ["Point"]}
    )
    coordinates = Coordinates(
        required=True,
        metadata={
            "description": "[longitude, latitude]",
            "type": "array",
            "prefixItems": [
                {"type": "number", "minimum": -180, "maximum": 180},
                {"type": "number", "minimum": -90, "maximum": 90},
            ],
            "items": {"type": "number"},
            "minItems": 2,
            "maxItems": 3,
            "example": [36.9, 37.1],
        },
    )


class ReferenceSchema(ma.Schema):
    """A source that grounds an answer. Other members are kept as sent."""

    class Meta:
        unknown = ma.INCLUDE

    type = fields.String(required=True, validate=validate.Length(1), metadata={"example": "report"})
    reference_id = fields.String(
        required=True, validate=validate.Length(1), metadata={"example": "inc_abc123"}
    )
    summary = fields.String(required=True, metadata={"example": "Pothole on Main St"})
    url = fields.String(
        validate=validate.Regexp(f"{HTTP_URL}\\Z", error="Not an http(s) URL."),
        metadata={
            "example": "https://example.com/reports/inc_abc123",
            "pattern": f"{HTTP_URL}$",
        },
    )
    location = Checked(PointSchema)


class MetadataSchema(ma.Schema):
    class Meta:
        unknown = ma.INCLUDE

    references = BoundedList(Checked(ReferenceSchema))


class Content(fields.Field[Any]):
    """Text, or a list of blocks that each have a type."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:  # noqa: ARG002
        if isinstance(value, str):
            return value
        if not isinstance(value, list):
            raise ma.ValidationError("Must be a string or a list of objects with a type.")
        faulty = (
            index
            for index, block in enumerate(value)
            if not isinstance(block, dict) or not isinstance(block.get("type"), str)
        )
        errors = {
            index: ["Must be an object with a type that is a string."]
            for index in islice(faulty, MAX_FAULTS + 1)
        }
        if errors:
            raise ma.ValidationError(errors)
        return value


_CONTENT = {
    "description": "A string, or a list of blocks that each have a `type`",
    "example": "I found 5 pothole reports near Main St.",
    "oneOf": [
        {"type": "string"},
        {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"type": "string"}},
                "additionalProperties": True,
            },
        },
    ],
}


class NewMessageSchema(Schema):
    role = fields.String(
        required=True, validate=validate.OneOf(ROLES), metadata={"example": "assistant"}
    )
    name = fields.String(
        allow_none=True,
        load_default=None,
        **line(
            min_length=1,
            max_length=MAX_NAME,
            description="The agent or tool that wrote it",
            example="query-agent",
        ),
    )
    content = Content(required=True, metadata=_CONTENT)
    metadata = Checked(
        MetadataSchema,
        load_default=dict,
        metadata={"description": "Any JSON object. Only `references` are checked"},
    )


class MessageBatchSchema(Schema):
    messages = BoundedList(
        fields.Nested(NewMessageSchema), required=True, validate=validate.Length(1, MAX_BATCH)
    )


class MessageSchema(ma.Schema):
    """Used only in the OpenAPI document. Responses are built from the stored text
    (`Message.to_json`)."""

    message_id = fields.String(
        required=True, metadata={"example": "msg_01JD2QX61N0V5H8Y2C4G7P9S3D"}
    )
    session_id = fields.String(
        required=True, metadata={"example": "sess_01JD2QX5ZJ4W7K9M3T6R8V0B1C"}
    )
    timestamp = fields.String(required=True, metadata={"format": "date-time"})
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    name = fields.String(required=True, allow_none=True)
    content = Content(required=True, metadata=_CONTENT)
    metadata = fields.Nested(MetadataSchema, required=True)
    created_by = fields.String(
        required=True, metadata={"description": "The user, or the agent acting for the user"}
    )


class AppendedMessageSchema(MessageSchema):
    """With `Prefer: return=minimal`, only the ids and the timestamp are sent."""

    class Meta:
        json_schema: ClassVar = {"required": ["message_id", "session_id", "timestamp"]}


class AppendedMessagesSchema(ma.Schema):
    messages = fields.List(fields.Nested(AppendedMessageSchema), required=True)


class MessageListSchema(ma.Schema):
    messages = fields.List(fields.Nested(MessageSchema), required=True)


CHANGED = fields.String(
    required=True,
    allow_none=True,
    metadata={
        "description": "A new value means that messages were edited or removed. A client that "
        "polls with `after` then reads the messages again"
    },
)


class MessagePageSchema(MessageListSchema):
    next_cursor = NEXT_CURSOR
    changed = CHANGED


class AppendQuerySchema(Schema):
    after = fields.String(
        validate=validate.Regexp(f"{AFTER}\\Z", error="Not a message_id."),
        metadata={
            "description": "Append only if the message with this id is the session's last. For a "
            "session without messages, give its session_id. Otherwise the response is 412 "
            "`NOT_THE_LAST_MESSAGE`, with the actual `last_message_id`",
            "pattern": f"{AFTER}$",
        },
    )


PREVIOUS = fields.String(
    allow_none=True,
    metadata={
        "description": "Only if the request had `after`: the previous message; null for the first"
    },
)


class PageQuerySchema(Schema):
    limit = limit(default=100, most=1000)
    cursor = cursor()
    order = fields.String(
        load_default="asc",
        validate=validate.OneOf(("asc", "desc")),
        metadata={"description": "`asc`: oldest first; `desc`: latest first"},
    )
    after = fields.String(
        validate=validate.Regexp(r"^msg_[0-7][0-9A-HJKMNP-TV-Z]{25}\Z", error="Not a message_id."),
        metadata={
            "description": "Only messages later than this message_id. To poll, give the last "
            "message you have **read**, not one you have just written: others may have written "
            "messages before it that you have not read yet",
            "pattern": "^msg_[0-7][0-9A-HJKMNP-TV-Z]{25}$",
        },
    )
