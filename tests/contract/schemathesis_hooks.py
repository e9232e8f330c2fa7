"""Makes good requests good where the document says it in a way that the generator cannot follow."""

import uuid
from typing import Any

import schemathesis
from schemathesis import GenerationMode


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    # The same key with another body is refused, as it must be: each is used once.
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    # Acting for somebody takes a scope that this token lacks.
    if case.headers:
        case.headers.pop("Act-For-User", None)
        # No ETag but the session's own.
        case.headers.pop("If-Match", None)
    # No cursor but one that was given out leads anywhere.
    if case.query:
        case.query.pop("cursor", None)
    # It knows `items`, but not `prefixItems`.
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
