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
    # Only cursors from the API are valid.
    if case.query:
        case.query.pop("cursor", None)
    # The generator supports `items`, but not `prefixItems`.
    for point in _points(case.body):
        longitude, latitude, *altitude = point["coordinates"]
        point["coordinates"] = [_within(longitude, 180), _within(latitude, 90), *altitude]


def _within(number: float, bound: int) -> float:
    return max(-bound, min(bound, number))


def _points(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [point for item in value for point in _points(item)]
    if not isinstance(value, dict):
        return []
    here = [value] if isinstance(value.get("coordinates"), list) else []
    return here + [point for item in value.values() for point in _points(item)]
