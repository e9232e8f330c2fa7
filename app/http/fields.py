"""Fields and checks shared by the schemas of sessions and messages."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app.errors import MAX_FAULTS
from app.json_rules import CONTROL_CHARACTER, HALF_A_PAIR, SURROGATE
from app.literals import Inside, Literal, Sent, text_of
from app.table import ids

NO_CONTROL_CHARACTERS = r"^[^\x00-\x1f\x7f]*$"


def no_control_characters(value: str) -> None:
    """Titles and names are shown in terminals, headers and logs, where these would do harm."""
    if CONTROL_CHARACTER.search(value):
        raise ma.ValidationError("Control characters are not allowed.")
    no_half_pairs(value)


def no_half_pairs(value: str) -> None:
    """Refuses halves of surrogate pairs, which UTF-8 cannot hold."""
    if SURROGATE.search(value):
        raise ma.ValidationError(HALF_A_PAIR)


class Schema(ma.Schema):
    """A schema for requests. Its work does not grow with the number of unknown members."""

    def load(self, data: Any, **options: Any) -> Any:
        unknown = options.get("unknown") or self.unknown
        most = len(self.fields) + MAX_FAULTS
        if unknown == ma.RAISE and isinstance(data, Mapping) and len(data) > most:
            known = {field.data_key or name for name, field in self.fields.items()}
            names = islice((name for name in data if name not in known), MAX_FAULTS + 1)
            raise ma.ValidationError({name: [self.error_messages["unknown"]] for name in names})
        return super().load(data, **options)


class BodySchema(Schema):
    """A JSON body. A member that is null counts as left out, but for those in `nulls`."""

    nulls: ClassVar[set[str]] = set()

    def without_nulls(self, data: dict[str, Any]) -> dict[str, Any]:
        return {n: value for n, value in data.items() if value is not None or n in self.nulls}

    @ma.post_load
    def _leave_out(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return self.without_nulls(data)


class BoundedList(fields.List[Any]):
    """Checks the length before the items, and stops after `MAX_FAULTS` invalid items and one."""

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


class ObjectList(BoundedList):
    """A list of objects, of which each member keeps its text."""

    def __init__(
        self, schema: type[ma.Schema], *, most: int, least: int = 1, **options: Any
    ) -> None:
        self.most = most
        super().__init__(fields.Nested(schema), validate=validate.Length(least, most), **options)


class ObjectField(fields.Nested):
    """An object of which each member keeps its text."""

    most = 0


def objects_inside(schema: ma.Schema) -> dict[str, Inside]:
    """The members of a schema that are objects or lists of objects, for `read_object`."""
    found = {}
    for name, field in schema.fields.items():
        if isinstance(field, ObjectList | ObjectField):
            nested: Any = field if isinstance(field, ObjectField) else field.inner
            found[field.data_key or name] = Inside(field.most, objects_inside(nested.schema))
    return found


class JsonValue(fields.Field[Literal]):
    """Any JSON value, with the text it was sent as."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Literal:
        text = data.texts[str(attr)] if isinstance(data, Sent) else text_of(value)
        return Literal(text, value)


class JsonObject(JsonValue):
    """A JSON object of at most `max_bytes` of text in UTF-8."""

    def __init__(self, *, max_bytes: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.max_bytes = max_bytes

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Literal:
        if not isinstance(value, dict):
            raise ma.ValidationError("Not an object.")
        literal = super()._deserialize(value, attr, data, **kwargs)
        if self.max_bytes and len(literal.text.encode()) > self.max_bytes:
            raise ma.ValidationError(f"Longer than {self.max_bytes:,} bytes as JSON text.")
        return literal


def line(*, max_length: int, min_length: int = 0, description: str, example: str) -> Any:
    """Arguments of a String field for one line of text."""
    return {
        "validate": [validate.Length(min_length, max_length), no_control_characters],
        "metadata": {
            "description": description,
            "example": example,
            "pattern": NO_CONTROL_CHARACTERS,
        },
    }


class WholeNumber(fields.Integer):
    """For query strings: only ASCII digits. int() would also accept ` 5 `, `1_0` and the digits of
    other scripts."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 19):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class QueryFlag(fields.Field[bool]):
    """`true` or `false` in a query string."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> bool:  # noqa: ARG002
        if value not in ("true", "false"):
            raise ma.ValidationError("Must be true or false.")
        return bool(value == "true")


def query_flag(description: str) -> QueryFlag:
    return QueryFlag(metadata={"type": "boolean", "description": description})


class StrictInteger(fields.Integer):
    """For JSON bodies: no strings and no booleans. 3.0 is an integer, as in JSON Schema."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) is not int and not (type(value) is float and value.is_integer()):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class StrictBoolean(fields.Boolean):
    """For JSON bodies: only true and false. marshmallow would also accept 1 and "yes"."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class Moment(fields.Field[Any]):
    """ISO 8601 with an offset or Z. Becomes UTC with milliseconds, rounded up, and 1970 if it is
    earlier. With `as_number`, it becomes milliseconds since 1970, and is not earlier."""

    def __init__(self, *, as_number: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.as_number = as_number

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:  # noqa: ARG002
        try:
            since = datetime.fromisoformat(value) - datetime(1970, 1, 1, tzinfo=UTC)
            milliseconds = -(-since // timedelta(milliseconds=1))
            if milliseconds < 0 and self.as_number:
                raise ValueError
            return milliseconds if self.as_number else ids.iso_time(max(0, milliseconds))
        except (ValueError, TypeError, OverflowError):
            raise ma.ValidationError("Not a time such as 2026-01-31T12:00:00Z.") from None


def limit(*, default: int, most: int) -> WholeNumber:
    return WholeNumber(
        load_default=default,
        validate=validate.Range(1, most),
        metadata={"description": "Maximum number of entries", "example": default},
    )


def cursor(*, most: int = 1024, **options: Any) -> fields.String:
    return fields.String(
        **options,
        validate=validate.Length(1, most),
        metadata={"description": "`next_cursor` of the previous page"},
    )


NEXT_CURSOR = fields.String(
    required=True,
    allow_none=True,
    metadata={"description": "The `cursor` of the next page; null if there is none"},
)
