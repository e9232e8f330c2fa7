"""The JSON form of operations on values, which become `app.values.operations`."""

import base64
import binascii
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.http.fields import (
    BodySchema,
    JsonValue,
    ObjectList,
    Schema,
    StrictBoolean,
    StrictInteger,
    cursor,
)
from app.literals import text_of
from app.values import rules
from app.values.changes import ANY, Change, IfMatch
from app.values.model import BYTES, JSON, MAX_VALUES, Content, content_of, is_json, plain_type
from app.values.operations import MAX_OPERATIONS, Get, Operation, Page
from app.values.schemas import PREFIX, Name, Prefix


class OperationSchema(Schema):
    """Exactly one of `put`, `delete`, `get` and `list`. A member that is null counts as left out,
    but for `json`."""

    put = Name(
        allow_none=True,
        metadata={"description": "The name of a value to write: `json` or `base64`"},
    )
    delete = Name(
        allow_none=True, metadata={"description": "The name of a value to delete, if it is there"}
    )
    get = Name(allow_none=True, metadata={"description": "The name of a value to read"})
    list = Prefix(allow_none=True, metadata={"description": PREFIX})
    json = JsonValue(allow_none=True, metadata={"description": "The content, any JSON value"})
    base64 = fields.String(allow_none=True, metadata={"description": "The content, any bytes"})
    content_type = fields.String(
        allow_none=True,
        metadata={"description": f"The default is `{JSON}` or `{BYTES}`", "example": JSON},
    )
    if_match = fields.String(
        allow_none=True, metadata={"description": "The etag that the value must have; `*`: any"}
    )
    if_none_match = fields.String(
        allow_none=True,
        validate=validate.Regexp(r"\*\Z", error="Only * is possible here."),
        metadata={"description": "`*`: write only if there is no such value", "pattern": r"^\*$"},
    )
    order = fields.String(allow_none=True, validate=validate.OneOf(("asc", "desc")))
    limit = StrictInteger(allow_none=True, validate=validate.Range(1, MAX_VALUES))
    cursor = cursor(allow_none=True)
    names_only = StrictBoolean(allow_none=True)

    @ma.post_load
    def _operation(self, data: dict[str, Any], **_: Any) -> Operation:
        data = {n: value for n, value in data.items() if value is not None or n == "json"}
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
