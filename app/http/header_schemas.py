"""Headers that several routes take."""

import marshmallow as ma
from marshmallow import fields, validate


class IfMatchSchema(ma.Schema):
    if_match = fields.String(
        data_key="If-Match",
        metadata={
            "description": "Write only if the session's ETag is one of these: up to 100, separated "
            "by commas, or `*`. A weak or malformed ETag never matches",
        },
    )


class IfNoneMatchSchema(ma.Schema):
    if_none_match = fields.String(
        data_key="If-None-Match",
        metadata={"description": "The ETag of your copy. If it is current, the response is 304"},
    )


class IdempotencySchema(ma.Schema):
    idempotency_key = fields.String(
        data_key="Idempotency-Key",
        validate=[
            validate.Length(1, 255),
            validate.Regexp(r"^[\x21-\x7e]+\Z", error="Printable ASCII without spaces."),
        ],
        metadata={
            "description": "A unique value of your choice. A request repeated with it within 24 "
            "hours is stored only once, and its response has `Idempotent-Replayed: true`",
            "pattern": r"^[\x21-\x7e]+$",
        },
    )


class ChangeHeadersSchema(IdempotencySchema, IfMatchSchema):
    pass


class AppendHeadersSchema(ChangeHeadersSchema):
    prefer = fields.String(
        data_key="Prefer",
        metadata={
            "description": "`return=minimal` (RFC 7240): return only the ids and timestamps",
        },
    )
