"""The JSON form of a session with its messages."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.http.fields import (
    NEXT_CURSOR,
    BodySchema,
    Moment,
    ObjectField,
    ObjectList,
    Schema,
    WholeNumber,
    cursor,
    line,
)
from app.messages.grounding_schemas import INCLUDE, VIEW, offsets
from app.messages.model import MAX_IMPORT
from app.messages.schemas import CHANGED, MESSAGE_ID, MessageSchema, NewMessageSchema
from app.sessions.schemas import NewSessionSchema, SessionSchema, session_key, session_title
from app.values.schemas import PREFIX, ListedValueSchema, Prefix

MAX_CREATED_BY = 512

MAX_POSITION = 2048
"""Characters of a cursor that holds a whole sort key, of up to 1,024 bytes."""


def _listed(parameter: str) -> fields.Field[Any]:
    return fields.List(
        fields.Nested(ListedValueSchema),
        metadata={"description": f"Only if the request had `{parameter}`"},
    )


def _cursor(parameter: str, path: str) -> fields.String:
    return fields.String(
        allow_none=True,
        metadata={
            "description": f"Only if the request had `{parameter}`: the `cursor` of the next ones "
            f"at `{path}` with the same prefix; null if there are none"
        },
    )


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
    values = _listed("values")
    values_cursor = _cursor("values", "/sessions/{session_id}/values")
    user_values = _listed("user_values")
    user_values_cursor = _cursor("user_values", "/values")
    tenant_values = _listed("tenant_values")
    tenant_values_cursor = _cursor("tenant_values", "/tenant/values")


class GetQuerySchema(Schema):
    messages = WholeNumber(
        validate=validate.Range(0, 1000),
        metadata={"description": "Only the last so many messages; 0 for the session alone"},
    )
    view = VIEW
    include = INCLUDE
    offsets = offsets("in a neutral view")
    values = Prefix(metadata={"description": f"Also the values with this prefix. {PREFIX}"})
    user_values = Prefix(
        metadata={"description": f"Also your own values with this prefix. {PREFIX}"}
    )
    tenant_values = Prefix(
        metadata={
            "description": "Also the tenant's values with this prefix; needs the scope "
            f"`tenant-values:read`. {PREFIX}"
        }
    )


class ForkSchema(BodySchema):
    until = fields.String(
        allow_none=True,
        validate=validate.Regexp(f"{MESSAGE_ID}\\Z", error="Not a message_id."),
        metadata={
            "description": "The last message to copy. All are copied if it is left out",
            "pattern": f"{MESSAGE_ID}$",
        },
    )
    key = session_key()
    title = session_title()


class ExportQuerySchema(Schema):
    cursor = cursor(most=MAX_POSITION)


class UnfinishedForkSchema(ma.Schema):
    session_id = fields.String(
        required=True, metadata={"description": "The id that the new session will have"}
    )


class ImportedSessionSchema(NewSessionSchema):
    created_at = Moment(
        as_number=True,
        allow_none=True,
        metadata={
            "description": "The default is the time of the first message",
            "type": "string",
            "format": "date-time",
        },
    )


class ImportedMessageSchema(NewMessageSchema):
    created_at = Moment(
        as_number=True, required=True, metadata={"type": "string", "format": "date-time"}
    )
    created_by = fields.String(
        allow_none=True,
        **line(
            min_length=1,
            max_length=MAX_CREATED_BY,
            description="Who wrote it. The default is the importer",
            example="alice",
        ),
    )


class ImportSchema(BodySchema):
    session = ObjectField(ImportedSessionSchema, required=True)
    messages = ObjectList(ImportedMessageSchema, least=0, most=MAX_IMPORT, allow_none=True)
