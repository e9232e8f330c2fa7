"""The JSON form of sessions, in requests and responses."""

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app.http.fields import BodySchema, JsonObject, Schema, StrictBoolean, StrictInteger, line
from app.http.header_schemas import IdempotencySchema
from app.sessions import rules
from app.sessions.rules import (
    DEFAULT_TITLE,
    MAX_DAYS,
    MAX_DOMAIN,
    MAX_KEY,
    MAX_METADATA,
    MAX_TITLE,
)


class Title(fields.String):
    """Line breaks and tabs become blanks before the title is checked."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return rules.one_line(super()._deserialize(value, attr, data, **kwargs))


def session_title() -> Title:
    return Title(
        allow_none=True,
        **line(
            max_length=MAX_TITLE,
            description="The title in lists. Line breaks and tabs become blanks. The default is "
            f"`{DEFAULT_TITLE}`",
            example="Pothole issues",
        ),
    )


def session_metadata(**options: Any) -> JsonObject:
    return JsonObject(
        max_bytes=MAX_METADATA,
        metadata={
            "description": "Any JSON object of at most 16 KB, for your own use. It comes back as "
            "it was sent",
            "example": {"channel": "web"},
            "type": "object",
            "additionalProperties": True,
        },
        **options,
    )


def _expires_in_days(description: str) -> StrictInteger:
    return StrictInteger(
        allow_none=True,
        validate=validate.Range(1, MAX_DAYS),
        metadata={"description": description, "example": 30},
    )


def _flag(description: str, **options: Any) -> StrictBoolean:
    return StrictBoolean(**options, allow_none=True, metadata={"description": description})


ARCHIVED = "Put away. Use the list's filter `archived` to leave such sessions out"
PINNED = "Kept at hand, for a front end to show first. The order of the list is not changed"


def session_key() -> fields.String:
    return fields.String(
        allow_none=True,
        **line(
            min_length=1,
            max_length=MAX_KEY,
            description="Your own id of the session, such as a framework's thread id. The "
            "session_id is `sess_` and the first 128 bits of its SHA-256 as a ULID",
            example="thread-42",
        ),
    )


class CreateHeadersSchema(IdempotencySchema):
    if_none_match = fields.String(
        data_key="If-None-Match",
        validate=validate.Regexp(r"[ \t]*\*[ \t]*\Z", error="Only * is possible here."),
        metadata={"description": "`*`: create a session, do not find one", "pattern": r"^\*$"},
    )


class NewSessionSchema(BodySchema):
    domain_id = fields.String(
        required=True,
        **line(
            min_length=1,
            max_length=MAX_DOMAIN,
            description="The agent system or subject of the session",
            example="civic_complaints_v1",
        ),
    )
    title = session_title()
    metadata = session_metadata(allow_none=True)
    expires_in_days = _expires_in_days(
        "Days until the session and its messages are deleted. null: never, overriding any default"
    )
    archived = _flag(ARCHIVED)
    pinned = _flag(PINNED)
    key = session_key()

    nulls: ClassVar = {"expires_in_days"}


class SessionChangesSchema(BodySchema):
    """The members to change. null counts as left out, but for `expires_in_days`."""

    class Meta:
        json_schema: ClassVar = {"minProperties": 1}

    nulls: ClassVar = {"expires_in_days"}

    title = session_title()
    metadata = session_metadata(allow_none=True)
    expires_in_days = _expires_in_days(
        "Days from now until the session and its messages are deleted. null: never"
    )
    archived = _flag(ARCHIVED)
    pinned = _flag(PINNED)
    if_settings_version = StrictInteger(
        allow_none=True,
        metadata={
            "description": "Write only if the session has this `settings_version`. Messages that "
            "arrive do not change it"
        },
    )

    @ma.post_load
    def _something_changes(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if not self.without_nulls(data).keys() - {"if_settings_version"}:
            raise ma.ValidationError("Give at least one member to change.")
        return data


class SessionPatchSchema(SessionChangesSchema):
    """As for PUT, but `metadata` is merged into the present one (RFC 7396). null removes it."""

    nulls: ClassVar = {"expires_in_days", "metadata"}


class LastMessageSchema(ma.Schema):
    message_id = fields.String(required=True)
    role = fields.String(required=True)
    text = fields.String(
        required=True,
        metadata={"description": "The beginning of its text: at most 160 characters"},
    )


class OriginSchema(ma.Schema):
    session_id = fields.String(required=True)
    message_id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The last message that was copied; null if there was none"},
    )


class SessionSchema(ma.Schema):
    """Used only in the OpenAPI document. `app.sessions.answers` builds the responses."""

    session_id = fields.String(
        required=True, metadata={"example": "sess_01JD2QX5ZJ4W7K9M3T6R8V0B1C"}
    )
    key = fields.String(required=True, allow_none=True)
    title = fields.String(required=True)
    domain_id = fields.String(required=True)
    message_count = fields.Integer(required=True)
    feedback_count = fields.Integer(required=True)
    last_activity = fields.String(required=True, metadata={"format": "date-time"})
    created_at = fields.String(required=True, metadata={"format": "date-time"})
    archived = fields.Boolean(required=True, metadata={"description": ARCHIVED})
    pinned = fields.Boolean(required=True, metadata={"description": PINNED})
    last_message = fields.Nested(LastMessageSchema, required=True, allow_none=True)
    id = fields.String(
        required=True, metadata={"format": "uuid", "description": "session_id as a UUID"}
    )
    metadata = session_metadata(required=True)
    version = fields.Integer(
        required=True, metadata={"description": "Counts all changes, appended messages included"}
    )
    settings_version = fields.Integer(
        required=True,
        metadata={"description": "Counts changes of title, metadata, flags and retention"},
    )
    updated_at = fields.String(required=True, metadata={"format": "date-time"})
    expires_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    forked_from = fields.Nested(OriginSchema, required=True, allow_none=True)
    imported = fields.Boolean(
        required=True, metadata={"description": "Whether it was imported, with its dates"}
    )


class DeletionSchema(ma.Schema):
    session_id = fields.String(required=True)
    deleted_messages = fields.Integer(required=True)


class ErasureQuerySchema(Schema):
    confirm = fields.String(
        required=True,
        # Not Equal: that is an enum in the document, and Swagger UI would fill in its only value.
        validate=validate.Regexp(r"all\Z", error="Must be equal to all."),
        metadata={"description": "Must be `all`", "pattern": "^all$"},
    )


class ErasureSchema(ma.Schema):
    deleted_sessions = fields.Integer(required=True)
    deleted_messages = fields.Integer(required=True)
