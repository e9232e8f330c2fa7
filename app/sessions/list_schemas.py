"""The JSON form of the list of sessions, and its query."""

from contextvars import ContextVar
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app.http.fields import NEXT_CURSOR, Moment, Schema, WholeNumber, cursor, limit, query_flag
from app.sessions.rules import MAX_DOMAIN
from app.sessions.schemas import SessionSchema, session_metadata


def _moment(description: str) -> Moment:
    return Moment(
        metadata={
            "description": description,
            "type": "string",
            "format": "date-time",
        }
    )


MAX_PAIRS, MAX_NAME, MAX_SEARCH = 8, 64, 128
"""Limits of filters: pairs of metadata, characters of a name, characters to search for."""


class ListQuerySchema(Schema):
    page = WholeNumber(
        validate=validate.Range(1, 10**9),
        metadata={
            "description": "The number of the page, from 1. Cannot be combined with cursor or a "
            "filter"
        },
    )
    limit = limit(default=20, most=100)
    cursor = cursor()
    domain_id = fields.String(
        validate=validate.Length(1, MAX_DOMAIN), metadata={"description": "Only of this domain"}
    )
    archived = query_flag("Only archived sessions, or only others")
    pinned = query_flag("Only pinned sessions, or only others")
    q = fields.String(
        validate=validate.Length(1, MAX_SEARCH),
        metadata={"description": "Only sessions whose title has this text, whatever its case"},
    )
    created_from = _moment("Only sessions created at this time or later")
    created_to = _moment("Only sessions created before this time")
    active_from = _moment("Only sessions whose last activity was at this time or later")
    active_to = _moment("Only sessions whose last activity was before this time")

    @ma.pre_load
    def _read_metadata(self, data: Any, **_: Any) -> dict[str, Any]:
        """Puts the parameters `metadata.<name>` aside, which are not fields."""
        self._pairs.set(
            tuple(
                (name.removeprefix(METADATA), value)
                for name, value in sorted(data.items())
                if name.startswith(METADATA)
            )
        )
        return {name: value for name, value in data.items() if not name.startswith(METADATA)}

    @ma.post_load
    def _add_metadata(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        pairs = self._pairs.get()
        if len(pairs) > MAX_PAIRS:
            raise ma.ValidationError(f"More than {MAX_PAIRS} pairs.", "metadata")
        if long := [name for name, _ in pairs if not 1 <= len(name) <= MAX_NAME]:
            raise ma.ValidationError(f"Must have 1 to {MAX_NAME} characters.", METADATA + long[0])
        if pairs:
            data["metadata"] = pairs
        if "page" in data and (found := sorted(data.keys() - {"page", "limit"})):
            raise ma.ValidationError("Cannot be combined with page.", found[0])
        return data

    _pairs: ClassVar[ContextVar[tuple[tuple[str, str], ...]]] = ContextVar("pairs")


METADATA = "metadata."


class PaginationSchema(ma.Schema):
    page = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "null if the request had a cursor or a filter"},
    )
    limit = fields.Integer(required=True)
    total = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "The number of all sessions of the caller; null with a filter"},
    )
    next_cursor = NEXT_CURSOR


class SessionRowSchema(SessionSchema):
    metadata = session_metadata(required=True, allow_none=True)
    metadata_omitted = fields.Boolean(
        metadata={"description": "true if the metadata is too long for the list, and null here"}
    )


class SessionListSchema(ma.Schema):
    sessions = fields.List(fields.Nested(SessionRowSchema), required=True)
    pagination = fields.Nested(PaginationSchema, required=True)
