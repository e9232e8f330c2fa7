"""Sent twice, stored once: what an Idempotency-Key is turned into.

A record is written in the same transaction as what it is about. It holds a fingerprint of the
request and the first id given out, never content: the first answer follows from these and the
request itself, so a replay reads nothing more.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app import db, keys
from app.errors import IdempotencyKeyReused
from app.ids import Clock

LIFETIME = 24 * 60 * 60
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request with an Idempotency-Key, as it is kept: `name` finds it, `fingerprint` tells it
    from another one under the same key."""

    name: str
    fingerprint: str


def identify(key: str, route: str, *content: Any) -> Request:
    """`route` is part of the name: the same key on two routes is two requests."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return Request(_digest(f"{route}\n{key}"), _digest(canonical))


def record(key: Mapping[str, str], request: Request, first_id: str, clock: Clock) -> dict[str, Any]:
    """The write that goes with the others. Its condition fails where the request was done before;
    a record past its time counts as absent, whether or not DynamoDB has removed it yet."""
    now = clock() // 1000
    return db.put_if(
        key,
        {
            "fingerprint": request.fingerprint,
            "first_id": first_id,
            keys.TTL_ATTRIBUTE: now + LIFETIME,
        },
        f"attribute_not_exists(PK) OR {keys.TTL_ATTRIBUTE} <= :now",
        {":now": now},
    )


def first_id_of(record: db.Item, request: Request) -> str:
    """The first id that the earlier, same request was given.

    Raises:
        IdempotencyKeyReused: the earlier request was another one.
    """
    if record["fingerprint"] != request.fingerprint:
        raise IdempotencyKeyReused
    return str(record["first_id"])


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
