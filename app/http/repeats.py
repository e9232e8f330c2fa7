"""The Idempotency-Key of the request that is being answered, for `app.table.idempotency`."""

from typing import Any

import flask

from app.table.idempotency import IdempotencyKey, identify


def request_key(key: str | None, writer: str, *also: Any) -> IdempotencyKey | None:
    """None if the client sent no key. The body counts as it came: a default of ours that changes
    between two tries makes no other request of them. `also` is what else belongs to the request."""
    if not key:
        return None
    return identify(key, str(flask.request.endpoint), writer, flask.g.sent, *also)
