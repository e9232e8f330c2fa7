"""What a session looks like in JSON, coming and going."""

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app.http.fields import NEXT_CURSOR, Schema, StrictInteger, WholeNumber, cursor, limit, line
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
    """A small flat object of strings: the session's item is rewritten by every append."""

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
            description=f"Shown in lists; `{DEFAULT_TITLE}` if it is not given",
            example="Pothole issues",
        ),
    )


def _metadata(**options: Any) -> StringPairs:
    return StringPairs(
        **options,
        metadata={
            "description": "Up to 16 pairs of strings, yours to use",
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


class NewSessionSchema(Schema):
    domain_id = fields.String(
        required=True,
        **line(
            min_length=1,
            max_length=MAX_DOMAIN,
            description="Which agent system or subject this belongs to",
            example="civic_complaints_v1",
        ),
    )
    title = _title(load_default=DEFAULT_TITLE)
    metadata = _metadata(load_default=dict)
    expires_in_days = _expires_in_days(
        "Gone with all its messages after so many days; null keeps it, where a default is set"
    )


class SessionChangesSchema(Schema):
    """What is to change; what is not named stays as it is."""

    class Meta:
        json_schema: ClassVar = {"minProperties": 1}

    title = _title()
    metadata = _metadata()
    expires_in_days = _expires_in_days("From now on; null keeps the session")

    @ma.validates_schema
    def _something_changes(self, data: dict[str, Any], **_: Any) -> None:
        if not data:
            raise ma.ValidationError("Name at least one of title, metadata, expires_in_days.")


class ListedSessionSchema(ma.Schema):
    session_id = fields.String(
        required=True, metadata={"example": "sess_01JD2QX5ZJ4W7K9M3T6R8V0B1C"}
    )
    title = fields.String(required=True)
    domain_id = fields.String(required=True)
    message_count = fields.Integer(required=True)
    last_activity = fields.String(required=True, metadata={"format": "date-time"})
    created_at = fields.String(required=True, metadata={"format": "date-time"})


class SessionSchema(ListedSessionSchema):
    id = fields.String(
        required=True, metadata={"format": "uuid", "description": "session_id as a UUID"}
    )
    metadata = _metadata(required=True)
    version = fields.Integer(required=True, metadata={"description": "Also the ETag"})
    updated_at = fields.String(required=True, metadata={"format": "date-time"})
    expires_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class ListQuerySchema(Schema):
    page = WholeNumber(
        validate=validate.Range(1, 10**9),
        metadata={"description": "From 1; not together with cursor"},
    )
    limit = limit(default=20, most=100)
    cursor = cursor()

    @ma.validates_schema
    def _page_or_cursor(self, data: dict[str, Any], **_: Any) -> None:
        if "page" in data and "cursor" in data:
            raise ma.ValidationError("Either page or cursor.", "cursor")


class PaginationSchema(ma.Schema):
    page = fields.Integer(
        required=True, allow_none=True, metadata={"description": "null where a cursor led here"}
    )
    limit = fields.Integer(required=True)
    total = fields.Integer(required=True, metadata={"description": "All of the caller's sessions"})
    next_cursor = NEXT_CURSOR


class SessionListSchema(ma.Schema):
    sessions = fields.List(fields.Nested(ListedSessionSchema), required=True)
    pagination = fields.Nested(PaginationSchema, required=True)


class DeletionSchema(ma.Schema):
    session_id = fields.String(required=True)
    deleted_messages = fields.Integer(required=True)


class ErasureQuerySchema(Schema):
    confirm = fields.String(
        required=True,
        # Not Equal, which is an enum in the document: Swagger UI fills its only value in.
        validate=validate.Regexp(r"all\Z", error="Must be equal to all."),
        metadata={"description": "Must be `all`", "pattern": "^all$"},
    )


class ErasureSchema(ma.Schema):
    deleted_sessions = fields.Integer(required=True)
    deleted_messages = fields.Integer(required=True)
