"""The JSON form of values, and of operations on them."""

import base64
import binascii
from typing import Any, ClassVar

import flask
import marshmallow as ma
from marshmallow import fields, validate

from app.http.fields import (
    NEXT_CURSOR,
    BodySchema,
    IdempotencySchema,
    JsonValue,
    ObjectList,
    Schema,
    StrictBoolean,
    StrictInteger,
    cursor,
    limit,
    query_flag,
)
from app.literals import Literal, text_of
from app.values import rules
from app.values.changes import ANY, Change, IfMatch
from app.values.model import BYTES, JSON, MAX_VALUES, Content, content_of, is_json, plain_type
from app.values.operations import MAX_OPERATIONS, Get, Operation, Page

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
    names_only = query_flag("`true`: without their contents")


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


class PutValueHeadersSchema(ValueIfMatchSchema):
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


class BatchHeadersSchema(IdempotencySchema):
    pass


class PatchValueSchema(ma.Schema):
    """Any JSON value. The parser keeps its text."""

    class Meta:
        json_schema: ClassVar = {"type": ["object", "array", "string", "number", "boolean", "null"]}

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


class OperationSchema(Schema):
    """Exactly one of `put`, `delete`, `get` and `list`."""

    put = Name(metadata={"description": "The name of a value to write: `json` or `base64`"})
    delete = Name(metadata={"description": "The name of a value to delete, if it is there"})
    get = Name(metadata={"description": "The name of a value to read"})
    list = Prefix(metadata={"description": PREFIX})
    json = JsonValue(allow_none=True, metadata={"description": "The content, any JSON value"})
    base64 = fields.String(metadata={"description": "The content, any bytes"})
    content_type = fields.String(
        metadata={"description": f"The default is `{JSON}` or `{BYTES}`", "example": JSON}
    )
    if_match = fields.String(
        metadata={"description": "The etag that the value must have; `*`: any"}
    )
    if_none_match = fields.String(
        validate=validate.Regexp(r"\*\Z", error="Only * is possible here."),
        metadata={"description": "`*`: write only if there is no such value", "pattern": r"^\*$"},
    )
    order = fields.String(validate=validate.OneOf(("asc", "desc")))
    limit = StrictInteger(validate=validate.Range(1, MAX_VALUES))
    cursor = cursor()
    names_only = StrictBoolean()

    @ma.post_load
    def _operation(self, data: dict[str, Any], **_: Any) -> Operation:
        kinds = data.keys() & _MEMBERS.keys()
        if len(kinds) != 1:
            raise ma.ValidationError("Give exactly one of put, delete, get, list.")
        [kind] = kinds
        if extra := sorted(data.keys() - _MEMBERS[kind] - {kind}):
            raise ma.ValidationError(f"Has no meaning with {kind}.", extra[0])
        if kind == "get":
            return Get(data["get"])
        if kind == "list":
            options = {name: data[name] for name in _MEMBERS["list"] if name in data}
            return Page(data["list"], **options)
        content = _content(data) if kind == "put" else None
        if_match = _tags(data["if_match"]) if "if_match" in data else None
        return Change(data[kind], content, if_match, only_new="if_none_match" in data)


class WriteSchema(OperationSchema):
    """Exactly one of `put` and `delete`."""

    class Meta:
        exclude = ("get", "list", "order", "limit", "cursor", "names_only")


_MEMBERS = {
    "put": {"json", "base64", "content_type", "if_match", "if_none_match"},
    "delete": {"if_match"},
    "get": set(),
    "list": {"order", "limit", "cursor", "names_only"},
}


def _content(data: dict[str, Any]) -> Content:
    if len(data.keys() & {"json", "base64"}) != 1:
        raise ma.ValidationError("Give exactly one of json, base64.")
    content_type = data.get("content_type", JSON if "json" in data else BYTES)
    if fault := rules.type_fault(content_type):
        raise ma.ValidationError(fault, "content_type")
    if "json" in data:
        if not is_json(content_type):
            raise ma.ValidationError("Not a type of JSON.", "content_type")
        return Content(plain_type(content_type), text_of(data["json"]))
    try:
        raw = base64.b64decode(data["base64"], validate=True)
    except (binascii.Error, ValueError):
        raise ma.ValidationError("Not base64.", "base64") from None
    if is_json(content_type) and (fault := rules.json_fault(raw)):
        raise ma.ValidationError(fault, "base64")
    return content_of(content_type, raw)


def _tags(if_match: str) -> IfMatch:
    """One etag, with or without the quotes that it has in a header."""
    return (ANY,) if if_match == ANY else (if_match.removeprefix('"').removesuffix('"'),)


class BatchSchema(BodySchema):
    atomic = StrictBoolean(
        allow_none=True,
        metadata={
            "description": "Carry out all operations or none, in one transaction of at most 100 "
            "items and 4 MB. It can only put and delete, each name once"
        },
    )
    operations = ObjectList(OperationSchema, most=MAX_OPERATIONS, required=True)

    @ma.validates_schema
    def _only_writes(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("atomic") and not all(isinstance(o, Change) for o in data["operations"]):
            raise ma.ValidationError("With atomic, only put and delete.", "operations")


class AppendedValuesSchema(BodySchema):
    """Values to write in the same step, all or nothing."""

    session = ObjectList(WriteSchema, least=0, most=MAX_OPERATIONS, allow_none=True)
    user = ObjectList(WriteSchema, least=0, most=MAX_OPERATIONS, allow_none=True)
    tenant = ObjectList(WriteSchema, least=0, most=MAX_OPERATIONS, allow_none=True)


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
            "value; 412: the precondition does not hold; 413: no room in this response; 424: "
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
