"""Fields and checks that the schemas of both resources share."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

NO_CONTROL_CHARACTERS = r"^[^\x00-\x1f\x7f]*$"


def _is_control(character: str) -> bool:
    return character < " " or character == "\x7f"


def no_control_characters(value: str) -> None:
    """Titles and names end up in terminals, headers and logs."""
    if any(map(_is_control, value)):
        raise ma.ValidationError("Control characters are not allowed.")


def line(*, max_length: int, min_length: int = 0, description: str, example: str) -> Any:
    """The arguments of a String field that holds one line of text."""
    return {
        "validate": [validate.Length(min_length, max_length), no_control_characters],
        "metadata": {
            "description": description,
            "example": example,
            "pattern": NO_CONTROL_CHARACTERS,
        },
    }


class WholeNumber(fields.Integer):
    """Of a query string: digits only, where int() would take ` 5 `, `1_0` and other scripts'."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 19):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class StrictInteger(fields.Integer):
    """Of a JSON body: no strings, no booleans. 3.0 is an integer, as JSON Schema has it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) is not int and not (type(value) is float and value.is_integer()):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


def limit(*, default: int, most: int) -> WholeNumber:
    return WholeNumber(
        load_default=default,
        validate=validate.Range(1, most),
        metadata={"description": "How many at most", "example": default},
    )


def cursor() -> fields.String:
    return fields.String(
        validate=validate.Length(1, 1024),
        metadata={"description": "`next_cursor` of the page before: goes on from there"},
    )


NEXT_CURSOR = fields.String(
    required=True,
    allow_none=True,
    metadata={"description": "Where to go on; null where nothing follows"},
)


class IfMatchSchema(ma.Schema):
    if_match = fields.String(
        data_key="If-Match",
        metadata={
            "description": "The session's ETag: write only if it is still that. Up to 100 of them "
            "as RFC 9110 writes lists, or `*`. A weak or malformed one never matches",
        },
    )


class IdempotencySchema(ma.Schema):
    idempotency_key = fields.String(
        data_key="Idempotency-Key",
        validate=[
            validate.Length(1, 255),
            validate.Regexp(r"^[\x21-\x7e]+\Z", error="Printable ASCII without spaces."),
        ],
        metadata={
            "description": "A value of your own, for 24 hours: the same request sent again with it "
            "is stored once and gets the first answer, with `Idempotent-Replayed: true`",
            "pattern": r"^[\x21-\x7e]+$",
        },
    )


class AppendHeadersSchema(IdempotencySchema, IfMatchSchema):
    pass
