"""Corrects generated requests where the generator does not understand a rule in the document."""

import uuid
from typing import Any

import schemathesis
from schemathesis import GenerationMode


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    # The API refuses a key that is reused with another body, so each key is used once.
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    # Act-For-User needs a scope that this token does not have.
    if case.headers:
        case.headers.pop("Act-For-User", None)
        # Only the session's own ETag matches.
        case.headers.pop("If-Match", None)
        # `*` alone is a condition for a new session, and then 409 is right.
        case.headers.pop("If-None-Match", None)
    # Only cursors from the API are valid.
    if case.query:
        case.query.pop("cursor", None)
        if case.path.endswith("/values"):
            case.query.pop("after", None)  # must begin with the prefix
        _choose_one(case.query, case.path)
    if case.method == "DELETE" and case.path.endswith(("/messages", "/values")):
        case.query = {"all": "true"}
    if isinstance(case.body, dict):
        _choose_one(case.body, case.path)
        _complete(case.body, case.method, case.path)
        for message in case.body.get("messages") or ():
            _complete(message, "POST", "/messages")
        _set_operations(case.body)
    # The generator supports `items`, but not `prefixItems`.
    for point in _points(case.body):
        longitude, latitude, *altitude = point["coordinates"]
        point["coordinates"] = [_within(longitude, 180), _within(latitude, 90), *altitude]


def _set_operations(body: dict[str, Any]) -> None:
    """The document cannot say which members of an operation on values go together."""
    if "operations" in body:
        body["operations"] = [{"put": "a", "json": 1}]
    if body.get("values"):
        body["values"] = {"session": [{"put": "a", "json": 1}]}


def _choose_one(chosen: dict[str, Any], path: str) -> None:
    """The document cannot say that only one of some parameters is possible."""
    if path.endswith("/sessions") and chosen.keys() - {"page", "limit"}:
        chosen.pop("page", None)
    if path.endswith("/replace"):
        for name in ("from", "after"):  # of messages that do not exist
            chosen.pop(name, None)
        chosen["all"] = True


def _complete(body: dict[str, Any], method: str, path: str) -> None:
    """The document cannot say that a member needs another one, or that null is nothing."""
    if (body.get("format") is None) != (body.get("native") is None):
        body.pop("format", None), body.pop("native", None)
    if method == "POST" and path.endswith("/messages") and not body.get("role"):
        body["role"] = "user"
    if path.endswith("{message_id}"):
        body["content"] = body.get("content")
    if path.endswith("/feedback") and body.get("rating") is None and not body.get("comment"):
        body["rating"] = "up"
    if path.endswith("{session_id}"):
        body["pinned"] = True
    # What is somebody's present version or free key is not known to the generator.
    body.pop("if_settings_version", None)
    if body.get("key"):
        body["key"] = str(uuid.uuid4())
    if path.endswith("/batch"):
        body.pop("session", None)


def _within(number: float, bound: int) -> float:
    return max(-bound, min(bound, number))


def _points(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [point for item in value for point in _points(item)]
    if not isinstance(value, dict):
        return []
    here = [value] if isinstance(value.get("coordinates"), list) else []
    return here + [point for item in value.values() for point in _points(item)]
