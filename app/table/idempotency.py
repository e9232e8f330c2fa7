"""Sent twice, stored once: what becomes of an Idempotency-Key.

A record is written in the same transaction as what it is about. It holds a fingerprint of the
request and the first id given out, never content. It lives out its day, also when what it is about
is deleted: the record of a create then keeps a late retry from making a second session.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import IdempotencyKeyReused
from app.table import writes
from app.table.definition import TTL_ATTRIBUTE
from app.table.ids import Clock
from app.table.writes import Item, Write

LIFETIME = 24 * 60 * 60
"""Seconds."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's Idempotency-Key as it is stored: `name` finds the record, `fingerprint` tells the
    request from another one with the same key."""

    name: str
    fingerprint: str


def identify(key: str, route: str, *content: Any) -> IdempotencyKey:
    """`route` names the operation, whichever way its path was spelled: the same key on two routes
    is two requests. The record's own key has the caller and the session.

    `content` is what the client sent, without our defaults, and who sent it. The order of an
    object's members does not count; 1 and 1.0 differ.
    """
    return IdempotencyKey(_digest(route, key), _digest(*content))


def put_record(
    key: Mapping[str, str], idempotency_key: IdempotencyKey, first_id: str, clock: Clock
) -> Write:
    """The write that goes with the others. Its condition fails if the request was carried out
    before; an expired record counts as absent, whether or not DynamoDB has removed it yet."""
    now = clock() // 1000
    return writes.put(
        key,
        {
            "fingerprint": idempotency_key.fingerprint,
            "first_id": first_id,
            TTL_ATTRIBUTE: now + LIFETIME,
        },
        f"attribute_not_exists(PK) OR {TTL_ATTRIBUTE} <= :now",
        {":now": now},
    )


def first_id_of(record: Item, idempotency_key: IdempotencyKey) -> str:
    """The first id that the earlier, same request was given.

    Raises:
        IdempotencyKeyReused: the earlier request was a different one.
    """
    if record["fingerprint"] != idempotency_key.fingerprint:
        raise IdempotencyKeyReused
    return str(record["first_id"])


def _digest(*parts: Any) -> str:
    """Of the parts as a JSON array, which keeps them apart."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
