"""Records of requests, so that a request sent twice with one Idempotency-Key is stored once.

A record is written in the same transaction as the result of the request. It holds a fingerprint of
the request and the first new id, never content. The record of a create remains for a day even if
its session is deleted, so that a late retry does not create a second session. If the session has a
key, there may be another one with the same id by then, which is not what the request created.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    """A client's Idempotency-Key in its stored form. `name` is part of the record's key;
    `fingerprint` identifies the request, to detect a different one with the same key."""

    name: str
    fingerprint: str


def identify(key: str, route: str, *content: Any) -> IdempotencyKey:
    """`route` names the operation: the same key on two routes identifies two requests. Caller and
    session are not needed here, because they are in the record's own key.

    `content` is what the client sent, without our defaults, and who sent it. The order of an
    object's members does not matter; 1 and 1.0 are different.
    """
    return IdempotencyKey(_digest(route, key), _digest(*content))


def mark_of(key: IdempotencyKey, *content: Any) -> bytes:
    """Ten bytes that a write of this request leaves in what it has written, instead of a record."""
    return hashlib.sha256(_digest(key.name, key.fingerprint, *content).encode()).digest()[:10]


def within(idempotency_key: IdempotencyKey, session_ulid: str) -> IdempotencyKey:
    """The same for a record that is not in its session's range: one session's requests are not
    those of another."""
    return replace(idempotency_key, name=_digest(session_ulid, idempotency_key.name))


def put_record(
    key: Mapping[str, str],
    idempotency_key: IdempotencyKey,
    first_id: str,
    clock: Clock,
    *,
    removed: str | None = None,
    born: str | None = None,
) -> Write:
    """The write of the record, for the request's transaction. Its condition fails if the request
    was carried out before. An expired record counts as absent, even if DynamoDB has not removed it
    yet. `removed` is what the request took away, if a replay has to tell it. `born` is the birth of
    a session that it created.
    """
    now = clock() // 1000
    return writes.put(
        key,
        {
            "fingerprint": idempotency_key.fingerprint,
            "first_id": first_id,
            "removed": removed,
            "born": born,
            TTL_ATTRIBUTE: now + LIFETIME,
        },
        f"attribute_not_exists(PK) OR {TTL_ATTRIBUTE} <= :now",
        {":now": now},
    )


def is_current(record: Item, now: int) -> bool:
    """Whether a record that was read still counts. `now` is in milliseconds."""
    return int(record[TTL_ATTRIBUTE]) > now // 1000


def first_id_of(record: Item, idempotency_key: IdempotencyKey) -> str:
    """The first id that the earlier request created.

    Raises:
        IdempotencyKeyReused: the earlier request was a different one.
    """
    if record["fingerprint"] != idempotency_key.fingerprint:
        raise IdempotencyKeyReused
    return str(record["first_id"])


def _digest(*parts: Any) -> str:
    """Hashes the parts as a JSON array, so that ("ab", "c") and ("a", "bc") differ."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
