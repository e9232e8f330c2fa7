"""The JSON form of verdicts on sources."""

import marshmallow as ma
from marshmallow import fields, validate

from app.grounding.sources import MAX_KEY
from app.grounding.verdicts import STATES
from app.http.fields import BodySchema, no_half_pairs
from app.verdicts.model import MAX_REASON, MAX_VERSION

EXAMPLE = {
    "key": "doc:house-rules",
    "state": "changed",
    "version": "2026-11",
    "reason": "The new rules hold from November",
}


class NewVerdictSchema(BodySchema):
    key = fields.String(
        required=True,
        validate=[validate.Length(1, MAX_KEY), no_half_pairs],
        metadata={
            "description": "The source's `key`, as answers show it. Its hash must be the address's",
            "example": EXAMPLE["key"],
        },
    )
    state = fields.String(
        required=True,
        validate=validate.OneOf(STATES),
        metadata={
            "description": "What became of the source. With `current`, it is no longer changed or "
            "withdrawn",
            "example": EXAMPLE["state"],
        },
    )
    version = fields.String(
        allow_none=True,
        validate=[validate.Length(1, MAX_VERSION), no_half_pairs],
        metadata={
            "description": "The present version of a source that has changed. Citations of this "
            "version are `current`",
            "example": EXAMPLE["version"],
        },
    )
    reason = fields.String(
        allow_none=True,
        validate=[validate.Length(1, MAX_REASON), no_half_pairs],
        metadata={
            "description": "Shown with the scope `sources:govern` only",
            "example": EXAMPLE["reason"],
        },
    )


class VerdictSchema(ma.Schema):
    hash = fields.String(required=True, metadata={"description": "Of the key, in hexadecimal"})
    key = fields.String(required=True, metadata={"example": EXAMPLE["key"]})
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    version = fields.String(required=True, allow_none=True)
    reason = fields.String(
        allow_none=True, metadata={"description": "Only with the scope `sources:govern`"}
    )
    governed_at = fields.String(required=True, metadata={"format": "date-time"})
    governed_by = fields.String(
        required=True, metadata={"description": "The user, or the agent acting for the user"}
    )


class PutVerdictHeadersSchema(ma.Schema):
    if_match = fields.String(
        data_key="If-Match",
        metadata={"description": "Write only if the verdict's ETag is one of these; `*`: any"},
    )
    if_none_match = fields.String(
        data_key="If-None-Match",
        validate=validate.Regexp(r"[ \t]*\*[ \t]*\Z", error="Only * is possible here."),
        metadata={
            "description": "`*`: write only if nobody has said anything yet",
            "pattern": r"^\*$",
        },
    )
