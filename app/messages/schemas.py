"""The JSON form of messages and references. Values are checked here, but kept exactly as sent.

This module is over 250 lines because a message has one form in all requests and answers.
"""

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app import formats
from app.formats import FORMATS
from app.http.fields import (
    NEXT_CURSOR,
    BodySchema,
    JsonValue,
    ObjectField,
    ObjectList,
    Schema,
    cursor,
    limit,
    line,
)
from app.literals import value_of
from app.messages.feedback_schemas import GivenFeedbackSchema
from app.messages.grounding_schemas import INCLUDE, VIEW, NeutralMembersSchema, offsets
from app.messages.metadata_schemas import GROUNDING, METADATA, SHOWN_GROUNDING, Metadata, Request
from app.messages.model import MAX_BATCH, MAX_NAME, MAX_ROLE, STATUSES
from app.messages.rules import NO_ROLE, native_faults
from app.sessions.schemas import NewSessionSchema
from app.values.operation_schemas import AppendedValuesSchema
from app.values.schemas import ResultSchema

MESSAGE_ID = r"^msg_[0-7][0-9A-HJKMNP-TV-Z]{25}"

AFTER = r"^(msg|sess)_[0-7][0-9A-HJKMNP-TV-Z]{25}"

UNKNOWN_MEMBER = (
    "Unknown member. Put a provider's own object into native, and the name of its kind into format."
)


class MessageContentSchema(BodySchema):
    """What a client says in a message."""

    error_messages = {"unknown": UNKNOWN_MEMBER}  # noqa: RUF012  marshmallow declares it so

    role = fields.String(
        allow_none=True,
        **line(
            min_length=1,
            max_length=MAX_ROLE,
            description="Any word, such as `user`, `assistant`, `system` or `tool`. May be left "
            "out where the format tells it",
            example="assistant",
        ),
    )
    name = fields.String(
        allow_none=True,
        **line(
            min_length=1,
            max_length=MAX_NAME,
            description="The agent or tool that wrote it",
            example="query-agent",
        ),
    )
    content = JsonValue(
        allow_none=True,
        metadata={
            "description": "Any JSON value: text, a list of blocks, or any other. It comes back as "
            "it was sent",
            "example": "I found 5 pothole reports near Main St.",
        },
    )
    metadata = Metadata(allow_none=True, metadata=METADATA)
    format = fields.String(
        allow_none=True,
        **line(
            min_length=1,
            max_length=MAX_NAME,
            description=f"The kind of object in `native`: {', '.join(f'`{f}`' for f in FORMATS)}, "
            "or a name of your own",
            example="anthropic.messages",
        ),
    )
    native = JsonValue(
        allow_none=True,
        metadata={
            "description": "A provider's own object: the whole response, one message or one item. "
            "It comes back as it was sent",
        },
    )
    grounding = Request(allow_none=True, metadata=GROUNDING)
    status = fields.String(
        allow_none=True,
        validate=validate.OneOf(STATUSES),
        metadata={"description": "The default is `complete`", "example": "complete"},
    )

    @ma.validates_schema
    def _native_has_a_format(self, data: dict[str, Any], **_: Any) -> None:
        faults = dict(native_faults(data.get("format"), data.get("native")))
        if faults:
            raise ma.ValidationError({name: [fault] for name, fault in faults.items()})


class NewMessageSchema(MessageContentSchema):
    @ma.validates_schema
    def _has_a_role(self, data: dict[str, Any], **_: Any) -> None:
        if not data.get("role") and not formats.role(
            data.get("format"), value_of(data.get("native"))
        ):
            raise ma.ValidationError(NO_ROLE, "role")


class SessionToCreateSchema(NewSessionSchema):
    @ma.validates_schema
    def _has_a_key(self, data: dict[str, Any], **_: Any) -> None:
        if not data.get("key"):
            raise ma.ValidationError("Missing data for required field.", "key")


class MessageBatchSchema(Schema):
    messages = ObjectList(NewMessageSchema, most=MAX_BATCH, required=True)
    session = ObjectField(
        SessionToCreateSchema,
        allow_none=True,
        metadata={
            "description": "What the session is to be if there is none yet. It is then created in "
            "the same step. Its key must give the session_id of the path"
        },
    )
    values = ObjectField(
        AppendedValuesSchema,
        allow_none=True,
        metadata={
            "description": "Values to write in the same step, all or nothing, with their "
            "preconditions. Those of the tenant need the scope `tenant-values:write`"
        },
    )


class MessageSchema(NeutralMembersSchema):
    """Used only in the OpenAPI document. Responses are built from the stored text
    (`Message.json`)."""

    message_id = fields.String(
        required=True, metadata={"example": "msg_01JD2QX61N0V5H8Y2C4G7P9S3D"}
    )
    session_id = fields.String(
        required=True, metadata={"example": "sess_01JD2QX5ZJ4W7K9M3T6R8V0B1C"}
    )
    timestamp = fields.String(required=True, metadata={"format": "date-time"})
    created_by = fields.String(
        required=True, metadata={"description": "The user, or the agent acting for the user"}
    )
    role = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    edited_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    content = JsonValue(
        required=True,
        allow_none=True,
        metadata={"description": "As it was sent; in the neutral view, the text"},
    )
    format = fields.String()
    native = JsonValue(metadata={"description": "As it was sent, if it was"})
    grounding = Request(metadata=SHOWN_GROUNDING)
    metadata = Metadata(required=True, metadata=METADATA)
    imported = fields.Boolean(metadata={"description": "Only if it was imported with its date"})
    feedback = fields.List(
        fields.Nested(GivenFeedbackSchema), metadata={"description": "Only if there is any"}
    )


PREVIOUS = fields.String(
    allow_none=True,
    metadata={
        "description": "Only if the request had `after`: the previous message; null for the first"
    },
)


class AppendedMessageSchema(MessageSchema):
    """With `Prefer: return=minimal`, only the ids and the timestamp are sent."""

    class Meta:
        json_schema: ClassVar = {"required": ["message_id", "session_id", "timestamp"]}


UNINDEXED = fields.Integer(
    metadata={
        "description": "How many sources of the request are not in the index of "
        "`/sources/{hash}/answers`, which takes at most 30. Left out if there are none"
    }
)


class AppendAnswerSchema(AppendedMessageSchema):
    previous = PREVIOUS
    unindexed = UNINDEXED


class WrittenValuesSchema(ma.Schema):
    session = fields.List(fields.Nested(ResultSchema))
    user = fields.List(fields.Nested(ResultSchema))
    tenant = fields.List(fields.Nested(ResultSchema))


class AppendedMessagesSchema(ma.Schema):
    messages = fields.List(fields.Nested(AppendedMessageSchema), required=True)
    previous = PREVIOUS
    unindexed = UNINDEXED
    values = fields.Nested(
        WrittenValuesSchema, metadata={"description": "Only if the request had `values`"}
    )


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


class MessageQuerySchema(Schema):
    include = INCLUDE


class PageQuerySchema(Schema):
    limit = limit(default=100, most=1000)
    cursor = cursor()
    view = VIEW
    include = INCLUDE
    offsets = offsets("in a neutral view")
    order = fields.String(
        load_default="asc",
        validate=validate.OneOf(("asc", "desc")),
        metadata={"description": "`asc`: oldest first; `desc`: latest first"},
    )
    after = fields.String(
        validate=validate.Regexp(f"{MESSAGE_ID}\\Z", error="Not a message_id."),
        metadata={
            "description": "Only messages later than this message_id. To poll, give the last "
            "message you have **read**, not one you have just written: others may have written "
            "messages before it that you have not read yet",
            "pattern": f"{MESSAGE_ID}$",
        },
    )
