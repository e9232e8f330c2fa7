"""The routes of values. Each exists three times: for a session, a user and a tenant."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flask
from flask import current_app
from werkzeug.local import LocalProxy

from app.http import bodies, strict_json
from app.http.answers import json_object, json_response
from app.http.api import Blueprint
from app.http.etags import accepted_tags, is_unchanged
from app.http.header_schemas import IdempotencySchema
from app.http.repeats import key_of, request_key
from app.identity import auth, scopes
from app.identity.auth import current_caller
from app.literals import Literal
from app.values.addresses import checked, place_of
from app.values.answers import page_members, results, value_response, written_members
from app.values.batch import ValueBatches
from app.values.changes import Change
from app.values.model import Content, is_json, plain_type
from app.values.operation_schemas import BatchSchema
from app.values.reader import ValueReader
from app.values.schemas import (
    DeletedValuesSchema,
    DeleteValuesSchema,
    GetValueHeadersSchema,
    ListValuesSchema,
    PatchValueSchema,
    PutValueHeadersSchema,
    ResultsSchema,
    ValueIfMatchSchema,
    ValueListSchema,
    ValueSchema,
)
from app.values.store import ValueStore

blp = Blueprint(
    "values",
    __name__,
    description="Named values beside the messages: of a session, of a user, or of a tenant",
)

store: ValueStore = LocalProxy(lambda: current_app.extensions["value_store"])  # type: ignore[assignment]
reader: ValueReader = LocalProxy(lambda: current_app.extensions["value_store"].reader)  # type: ignore[assignment]
batches: ValueBatches = LocalProxy(lambda: current_app.extensions["value_batches"])  # type: ignore[assignment]

ETAG = {"ETag": {"schema": {"type": "string"}, "description": "A hash of type and content"}}
RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}

ANY_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {}, "example": {"step": 3, "tools": ["search"]}},
        "*/*": {"schema": {"type": "string", "format": "binary"}},
    },
}
"""The body of a PUT in the OpenAPI document."""

Headers = dict[str, str]


PLACES = {
    "session": "/sessions/<session_id>/values",
    "user": "/values",
    "tenant": "/tenant/values",
}


def each_place(method: str, path: str, name: str) -> Callable[[Any], Any]:
    """Registers a view for the values of a session, of a user and of a tenant. `name` is that of
    its endpoints, with `{}` for the place."""

    def register(view: Any) -> Any:
        for place, prefix in PLACES.items():
            route = getattr(blp, method)
            defaults = {} if place == "session" else {"of": place}
            route(prefix + path, endpoint=name.format(place), defaults=defaults)(view)
        return view

    return register


@each_place("get", "/<value_name:name>", "get_{}_value")
@blp.arguments(GetValueHeadersSchema, location="headers")
@blp.response(200, description="The value, with its own content type", headers=ETAG)
@blp.alt_response(304, description="Not modified", success=True)
@blp.problems(404, 406, 422)
def get_value(headers: Headers, name: str, **place: str) -> flask.Response:
    """Get a value

    The body is the value as it was sent, with its content type. HEAD gives its headers alone.
    """
    where, name = place_of(**place), checked(name)
    known = headers.get("if_none_match")
    value = reader.get(
        where,
        name,
        with_content=flask.request.method == "GET",
        known=partial(is_unchanged, if_none_match=known) if known else None,
    )
    if known and is_unchanged(value.etag, known):
        return flask.Response(status=304, headers={"ETag": f'"{value.etag}"'})
    return value_response(value)


@each_place("put", "/<value_name:name>", "put_{}_value")
@blp.doc(requestBody=ANY_BODY)
@blp.arguments(PutValueHeadersSchema, location="headers")
@blp.response(200, ValueSchema, headers=ETAG)
@blp.alt_response(201, schema=ValueSchema, headers=ETAG, success=True)
@blp.problems(400, 404, 409, 412, 413, 415, 422)
def put_value(headers: Headers, name: str, **place: str) -> flask.Response:
    """Write a value

    The body is the value: JSON, or bytes of any content type, up to 3 MB. It replaces the value of
    this name. `If-None-Match: *` only creates, `If-Match` only replaces what you know. With an
    `Idempotency-Key`, a repeated request is not refused for what the first one has written. Names
    are UTF-8 of up to 700 bytes, with segments between slashes.
    """
    where, name = place_of(**place), checked(name)
    caller = current_caller()
    content_type, raw = bodies.read_any(flask.request)
    content = Content(content_type, raw)
    if is_json(content_type):
        sent = strict_json.decode(raw)
        strict_json.loads(sent)
        content = Content(plain_type(content_type), sent)
    done = store.put(
        where,
        name,
        content,
        if_match=accepted_tags(headers.get("if_match")),
        only_new="if_none_match" in headers,
        idempotency_key=key_of(
            headers.get("idempotency_key"), caller.writer, place.get("session_id"), name
        ),
        parsed=True,
    )
    text = json_object(written_members(done, content))
    return json_response(text, 201 if done.is_new else 200, {"ETag": f'"{content.etag}"'})


@each_place("patch", "/<value_name:name>", "patch_{}_value")
@blp.arguments(PatchValueSchema, example={"step": 4, "draft": None})
@blp.arguments(ValueIfMatchSchema, location="headers")
@blp.response(200, ValueSchema, headers=ETAG)
@blp.problems(400, 404, 409, 412, 413, 415, 422)
def patch_value(patch: Literal, headers: Headers, name: str, **place: str) -> flask.Response:
    """Merge into a JSON value

    By RFC 7396: members of the body replace those of the value, null removes them. What is not in
    the body keeps its text. The body may be `application/merge-patch+json`.
    """
    where, name = place_of(**place), checked(name)
    done, content = store.patch(
        where, name, patch.text, if_match=accepted_tags(headers.get("if_match"))
    )
    text = json_object(written_members(done, content))
    return json_response(text, headers={"ETag": f'"{content.etag}"'})


@each_place("delete", "/<value_name:name>", "delete_{}_value")
@blp.arguments(ValueIfMatchSchema, location="headers")
@blp.response(204)
@blp.problems(404, 409, 412, 422)
def delete_value(headers: Headers, name: str, **place: str) -> flask.Response:
    """Delete a value

    If there is none of this name, the response is 404.
    """
    where, name = place_of(**place), checked(name)
    store.delete(where, name, if_match=accepted_tags(headers.get("if_match")))
    return flask.Response(status=204)


@each_place("get", "", "list_{}_values")
@blp.arguments(ListValuesSchema, location="query")
@blp.response(200, ValueListSchema)
@blp.problems(404, 422)
def list_values(query: dict[str, Any], **place: str) -> flask.Response:
    """List values by the beginning of their names

    Returns one page, in the order of the names' bytes in UTF-8, with the contents or the names
    alone. A page ends early, with `next_cursor`, before it gets too large.
    """
    page = reader.page(place_of(**place), **query)
    return json_response(json_object(page_members(page)))


@each_place("delete", "", "delete_{}_values")
@blp.arguments(DeleteValuesSchema, location="query")
@blp.response(200, DeletedValuesSchema)
@blp.alt_response(202, schema=DeletedValuesSchema, headers=RETRY_AFTER, success=True)
@blp.problems(404, 422)
def delete_values(query: dict[str, str], **place: str) -> Any:
    """Delete all values whose names begin alike

    The response counts what this request deleted. 202 means that more remains; repeat the request.
    """
    removed = store.delete_many(place_of(**place), query.get("prefix", ""))
    body = {"deleted_values": removed.deleted_values}
    return (body, 200) if removed.finished else (body, 202, {"Retry-After": "1"})


@each_place("post", "/batch", "batch_{}_values")
@blp.arguments(
    BatchSchema,
    example={"operations": [{"put": "agent/state", "json": {"step": 3}}, {"list": "agent/"}]},
)
@blp.arguments(IdempotencySchema, location="headers")
@blp.response(200, ResultsSchema)
@blp.problems(400, 404, 409, 410, 412, 413, 415, 422)
def batch_values(body: dict[str, Any], headers: Headers, **place: str) -> flask.Response:
    """Write, delete, read and list values in one request

    The operations are carried out in order, and each has its result at the same place in `results`.
    If one fails, the others are still carried out, unless `atomic` is true: then all are written or
    none, which costs twice the write units.
    """
    where = place_of(**place)
    operations = body["operations"]
    if not all(isinstance(operation, Change) for operation in operations):
        auth.require(scopes.TENANT_READ if place.get("of") == "tenant" else scopes.READ)
    key = request_key(
        headers.get("idempotency_key"), current_caller().writer, place.get("session_id")
    )
    carry_out = batches.together if body.get("atomic") else batches.one_by_one
    done = carry_out(where, operations, idempotency_key=key, parsed=True)
    replay = {"Idempotent-Replayed": "true"} if done.replayed else {}
    return json_response(json_object({"results": results(done.outcomes)}), headers=replay)
