"""The JSON form of sessions, in requests and responses."""

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app.http.fields import (
    NEXT_CURSOR,
    Schema,
    StrictBoolean,
    StrictInteger,
    WholeNumber,
    cursor,
    limit,
    line,
)
from app.sessions.rules import (
    MAX_DAYS,
    MAX_DOMAIN,
    MAX_NAME,
    MAX_PAIRS,
    MAX_TITLE,
    MAX_VALUE,
    pair_fault,
)

DEFAULT_TITLE = "New Session"


class StringPairs(fields.Field[dict[str, str]]):
    """A flat object of strings. It is small, because every append rewrites the session's item."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> dict[str, str]:  # noqa: ARG002
        if not isinstance(value, dict):
            raise ma.ValidationError("Not an object.")
        if len(value) > MAX_PAIRS:
            raise ma.ValidationError(f"More than {MAX_PAIRS} pairs.")
        errors = {
            name: [message] for name, text in value.items() if (message := pair_fault(name, text))
        }
        if errors:
            raise ma.ValidationError(errors)
        return value


def _title(**options: Any) -> fields.String:
    return fields.String(
        **options,
        **line(
            max_length=MAX_TITLE,
            description=f"The title in lists. The default is `{DEFAULT_TITLE}`",
            example="Pothole issues",
        ),
    )


def _metadata(**options: Any) -> StringPairs:
    return StringPairs(
        **options,
        metadata={
            "description": "Up to 16 pairs of strings, for your own use",
            "example": {"channel": "web"},
            "type": "object",
            "maxProperties": MAX_PAIRS,
            "propertyNames": {"maxLength": MAX_NAME},
            "additionalProperties": {"type": "string", "maxLength": MAX_VALUE},
        },
    )


def _expires_in_days(description: str) -> StrictInteger:
    return StrictInteger(
        allow_none=True,
        validate=validate.Range(1, MAX_DAYS),
        metadata={"description": description, "example": 30},
    )


def _flag(description: str, **options: Any) -> StrictBoolean:
    return StrictBoolean(**options, metadata={"description": description})


ARCHIVED = "Put away. Use the list's filter `archived` to leave such sessions out"
PINNED = "Kept at hand, for a front end to show first. The order of the list is not changed"


class NewSessionSchema(Schema):
    domain_id = fields.String(
        required=True,
        **line(
            min_length=1,
            max_length=MAX_DOMAIN,
            description="The agent system or subject of the session",
            example="civic_complaints_v1",
        ),
    )
    title = _title(load_default=DEFAULT_TITLE)
    metadata = _metadata(load_default=dict)
    expires_in_days = _expires_in_days(
        "Days until the session and its messages are deleted. null: never, overriding any default"
    )
    archived = _flag(ARCHIVED, load_default=False)
    pinned = _flag(PINNED, load_default=False)


class SessionChangesSchema(Schema):
    """The members to change."""

    class Meta:
        json_schema: ClassVar = {"minProperties": 1}

    title = _title()
    metadata = _metadata()
    expires_in_days = _expires_in_days(
        "Days from now until the session and its messages are deleted. null: never"
    )
    archived = _flag(ARCHIVED)
    pinned = _flag(PINNED)

    @ma.validates_schema
    def _something_changes(self, data: dict[str, Any], **_: Any) -> None:
        if not data:
            raise ma.ValidationError("Give at least one member.")


class LastMessageSchema(ma.Schema):
    message_id = fields.String(required=True)
    role = fields.String(required=True)
    text = fields.String(
        required=True,
        metadata={"description": "The beginning of its text: at most 160 characters"},
    )


class SessionSchema(ma.Schema):
    """Used only in the OpenAPI document. `app.sessions.answers` builds the responses."""

    session_id = fields.String(
        required=True, metadata={"example": "sess_01JD2QX5ZJ4W7K9M3T6R8V0B1C"}
    )
    title = fields.String(required=True)
    domain_id = fields.String(required=True)
    message_count = fields.Integer(required=True)
    last_activity = fields.String(required=True, metadata={"format": "date-time"})
    created_at = fields.String(required=True, metadata={"format": "date-time"})
    archived = fields.Boolean(required=True, metadata={"description": ARCHIVED})
    pinned = fields.Boolean(required=True, metadata={"description": PINNED})
    last_message = fields.Nested(LastMessageSchema, required=True, allow_none=True)
    id = fields.String(
        required=True, metadata={"format": "uuid", "description": "session_id as a UUID"}
    )
    metadata = _metadata(required=True)
    version = fields.Integer(
        required=True, metadata={"description": "Counts all changes, appended messages included"}
    )
    settings_version = fields.Integer(
        required=True,
        metadata={"description": "Counts changes of title, metadata, flags and retention"},
    )
    updated_at = fields.String(required=True, metadata={"format": "date-time"})
    expires_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class ListQuerySchema(Schema):
    page = WholeNumber(
        validate=validate.Range(1, 10**9),
        metadata={"description": "The number of the page, from 1. Cannot be combined with cursor"},
    )
    limit = limit(default=20, most=100)
    cursor = cursor()

    @ma.validates_schema
    def _page_or_cursor(self, data: dict[str, Any], **_: Any) -> None:
        if "page" in data and "cursor" in data:
            raise ma.ValidationError("Give either page or cursor.", "cursor")


class PaginationSchema(ma.Schema):
    page = fields.Integer(
        required=True, allow_none=True, metadata={"description": "null if the request had a cursor"}
    )
    limit = fields.Integer(required=True)
    total = fields.Integer(
        required=True, metadata={"description": "The number of all sessions of the caller"}
    )
    next_cursor = NEXT_CURSOR


class SessionListSchema(ma.Schema):
    sessions = fields.List(fields.Nested(SessionSchema), required=True)
    pagination = fields.Nested(PaginationSchema, required=True)


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
