"""Fields and checks that the schemas of both resources share."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.errors import MAX_FAULTS
from app.values import CONTROL_CHARACTER

NO_CONTROL_CHARACTERS = r"^[^\x00-\x1f\x7f]*$"


def no_control_characters(value: str) -> None:
    """Titles and names end up in terminals, headers and logs."""
    if CONTROL_CHARACTER.search(value):
        raise ma.ValidationError("Control characters are not allowed.")


class Schema(ma.Schema):
    """A schema for what clients send: the work does not grow with the number of unknown names."""

    def load(self, data: Any, **options: Any) -> Any:
        unknown = options.get("unknown") or self.unknown
        most = len(self.fields) + MAX_FAULTS
        if unknown == ma.RAISE and isinstance(data, Mapping) and len(data) > most:
            known = {field.data_key or name for name, field in self.fields.items()}
            names = islice((name for name in data if name not in known), MAX_FAULTS + 1)
            raise ma.ValidationError({name: [self.error_messages["unknown"]] for name in names})
        return super().load(data, **options)


class BoundedList(fields.List[Any]):
    """Checks the length before the items, and stops where enough of them are at fault."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:  # noqa: ARG002
        if not isinstance(value, list):
            raise self.make_error("invalid")
        for check in self.validators:
            check(value)
        loaded, faults = [], {}
        for index, item in enumerate(value):
            try:
                loaded.append(self.inner.deserialize(item, **kwargs))
            except ma.ValidationError as error:
                faults[index] = error.messages
                if len(faults) > MAX_FAULTS:
                    break
        if faults:
            raise ma.ValidationError(faults)
        return loaded


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
    prefer = fields.String(
        data_key="Prefer",
        metadata={
            "description": "`return=minimal` (RFC 7240): answer with the ids and timestamps only",
        },
    )
