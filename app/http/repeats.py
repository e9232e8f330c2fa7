"""The Idempotency-Key of the current request, for `app.table.idempotency`."""

from typing import Any

import flask

from app.literals import canonical
from app.table.idempotency import IdempotencyKey, identify


def key_of(key: str | None, writer: str, *also: Any) -> IdempotencyKey | None:
    """For a request whose body is not JSON. Returns None if the client sent no key."""
    return identify(key, str(flask.request.endpoint), writer, *also) if key else None


def request_key(key: str | None, writer: str, *also: Any) -> IdempotencyKey | None:
    """Returns None if the client sent no key.

    The fingerprint covers the body without our defaults: if a default changes between two tries,
    they are still the same request. `also` is anything else that identifies the request.
    """
    if not key:
        return None
    return identify(key, str(flask.request.endpoint), writer, canonical(flask.g.sent), *also)
