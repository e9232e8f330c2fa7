"""The JSON form of values, and of operations on them."""

from typing import Any, ClassVar

import flask
import marshmallow as ma
from marshmallow import fields, validate

from app.http.fields import NEXT_CURSOR, JsonValue, Schema, cursor, limit, query_flag
from app.http.header_schemas import IdempotencySchema
from app.literals import Literal
from app.values import rules
from app.values.model import JSON, MAX_VALUES

PREFIX = (
    "The beginning of the names, as text: `a/` does not match `ab`, but `a` does. Percent-encode it"
)


class Name(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if fault := rules.name_fault(value):
            raise ma.ValidationError(fault)
        return str(super()._deserialize(value, attr, data, **kwargs))


class Prefix(fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if fault := rules.prefix_fault(value):
            raise ma.ValidationError(fault)
        return str(super()._deserialize(value, attr, data, **kwargs))


def _order() -> fields.String:
    return fields.String(
        load_default="asc",
        validate=validate.OneOf(("asc", "desc")),
        metadata={"description": "By the bytes of the names in UTF-8"},
    )


class ListValuesSchema(Schema):
    prefix = Prefix(load_default="", metadata={"description": PREFIX, "example": "agent/"})
    order = _order()
    limit = limit(default=100, most=MAX_VALUES)
    cursor = cursor()
    after = Prefix(
        metadata={
            "description": "Begin after this name, in the order of the list. It begins with the "
            "prefix, and need not be the name of a value"
        }
    )
    names_only = query_flag("`true`: without their contents")

    @ma.validates_schema
    def _after_in_prefix(self, data: dict[str, Any], **_: Any) -> None:
        if not data.get("after", data["prefix"]).startswith(data["prefix"]):
            raise ma.ValidationError("Does not begin with the prefix.", "after")


class DeleteValuesSchema(Schema):
    prefix = Prefix(validate=validate.Length(1), metadata={"description": PREFIX})
    all = fields.String(
        validate=validate.Regexp(r"true\Z", error="Must be equal to true."),
        metadata={"description": "`true`: all values", "pattern": "^true$"},
    )

    @ma.validates_schema
    def _one_of_them(self, data: dict[str, Any], **_: Any) -> None:
        if len(data) != 1:
            raise ma.ValidationError("Give exactly one of prefix, all.")


class ValueIfMatchSchema(ma.Schema):
    if_match = fields.String(
        data_key="If-Match",
        metadata={"description": "Write only if the value's ETag is one of these; `*`: any"},
    )


class PutValueHeadersSchema(IdempotencySchema, ValueIfMatchSchema):
    if_none_match = fields.String(
        data_key="If-None-Match",
        validate=validate.Regexp(r"[ \t]*\*[ \t]*\Z", error="Only * is possible here."),
        metadata={"description": "`*`: write only if there is no such value", "pattern": r"^\*$"},
    )


class GetValueHeadersSchema(ma.Schema):
    if_none_match = fields.String(
        data_key="If-None-Match",
        metadata={"description": "The ETag of your copy. If it is current, the response is 304"},
    )


class PatchValueSchema(ma.Schema):
    """Any JSON value. The parser keeps its text."""

    class Meta:
        json_schema: ClassVar = {
            "type": ["object", "array", "string", "number", "boolean", "null"],
            "additionalProperties": True,
        }

    def load(self, data: Any, **_: Any) -> Literal:
        return Literal(flask.g.sent.strip(" \t\n\r"), data)


class ValueSchema(ma.Schema):
    name = fields.String(required=True, metadata={"example": "agent/state"})
    content_type = fields.String(required=True, metadata={"example": JSON})
    etag = fields.String(
        required=True, metadata={"description": "A hash of type and content, without quotes"}
    )
    size = fields.Integer(required=True, metadata={"description": "Bytes"})
    updated_at = fields.String(required=True, metadata={"format": "date-time"})


class ListedValueSchema(ValueSchema):
    json = JsonValue(allow_none=True, metadata={"description": "The content if it is JSON"})
    base64 = fields.String(metadata={"description": "The content if it is not JSON"})


class ValueListSchema(ma.Schema):
    values = fields.List(fields.Nested(ListedValueSchema), required=True)
    next_cursor = NEXT_CURSOR


class DeletedValuesSchema(ma.Schema):
    deleted_values = fields.Integer(required=True)


class ResultSchema(ListedValueSchema):
    """The outcome of one operation."""

    name = fields.String()
    content_type = fields.String()
    etag = fields.String()
    size = fields.Integer()
    updated_at = fields.String(metadata={"format": "date-time"})
    status = fields.Integer(
        required=True,
        metadata={
            "description": "201 or 200: written, or read; 204: deleted, or not there; 404: no such "
            "value; 409: others were first each time; 412: the precondition does not hold; 413: no "
            "room in this response; 424: "
            "another operation of an atomic batch failed; 503: try again"
        },
    )
    values = fields.List(fields.Nested(ListedValueSchema))
    next_cursor = fields.String(allow_none=True)
    code = fields.String(metadata={"description": "As in a problem"})
    title = fields.String()
    detail = fields.String()


class ResultsSchema(ma.Schema):
    results = fields.List(fields.Nested(ResultSchema), required=True)
