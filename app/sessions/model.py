"""A session as the stores return it, and the conditions that say whether there is one."""

import json
from dataclasses import dataclass
from typing import Any, TypeGuard

from app import ids, keys
from app.db import Item, Value
from app.errors import SessionNotFound

LIVE = (
    "attribute_exists(PK) AND attribute_not_exists(deleted_at)"
    " AND (attribute_not_exists(retain_until) OR retain_until > :now)"
)
"""A condition: the session is there, not being deleted, and not past its time (`:now`, ISO)."""

EXPIRED = "retain_until <= :now"

IfMatch = tuple[int, ...]
"""The versions that a write accepts; empty where none can match."""


@dataclass(frozen=True, slots=True)
class Session:
    """`last_ulid` is the greatest id given out in the session: its own, or its last message's."""

    ulid: str
    domain_id: str
    title: str
    metadata: dict[str, str]
    message_count: int
    version: int
    updated_at: str
    last_activity: str
    expires_at: str | None
    last_ulid: str

    @property
    def session_id(self) -> str:
        return ids.SESSION_PREFIX + self.ulid

    @property
    def id(self) -> str:
        return ids.as_uuid(self.ulid)

    @property
    def created_at(self) -> str:
        return ids.timestamp(self.ulid)

    @property
    def etag(self) -> str:
        return f'"{self.version}"'


@dataclass(frozen=True, slots=True)
class ListedSession:
    """What the list shows of a session: all that GSI1 carries."""

    session_id: str
    title: str
    domain_id: str
    message_count: int
    last_activity: str
    created_at: str


def from_item(item: Item) -> Session:
    return Session(
        ulid=keys.session_of(str(item["SK"])),
        domain_id=str(item["domain_id"]),
        title=str(item["title"]),
        metadata=json.loads(str(item["metadata"])),
        message_count=int(item["message_count"]),
        version=int(item["version"]),
        updated_at=str(item["updated_at"]),
        last_activity=keys.activity_of(str(item["GSI1SK"])),
        expires_at=_text(item.get("retain_until")),
        last_ulid=str(item["last_ulid"]),
    )


def from_index(item: Item) -> ListedSession:
    ulid = keys.session_of(str(item["SK"]))
    return ListedSession(
        session_id=ids.SESSION_PREFIX + ulid,
        title=str(item["title"]),
        domain_id=str(item["domain_id"]),
        message_count=int(item["message_count"]),
        last_activity=keys.activity_of(str(item["GSI1SK"])),
        created_at=ids.timestamp(ulid),
    )


def to_attributes(session: Session) -> dict[str, Value | None]:
    return {
        "domain_id": session.domain_id,
        "title": session.title,
        "metadata": dump_metadata(session.metadata),
        "message_count": session.message_count,
        "version": session.version,
        "updated_at": session.updated_at,
        "retain_until": session.expires_at,
        "last_ulid": session.last_ulid,
    }


def dump_metadata(metadata: dict[str, str]) -> str:
    return json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))


def is_live(item: Item | None, now: str) -> TypeGuard[Item]:
    """What `LIVE` says, of an item that was read."""
    return (
        item is not None
        and "PK" in item
        and "deleted_at" not in item
        and str(item.get("retain_until", "~")) > now
    )


def ulid_of(session_id: str) -> str:
    """What is no session id cannot be one of the caller's sessions.

    Raises:
        SessionNotFound
    """
    ulid = ids.parse(ids.SESSION_PREFIX, session_id)
    if not ulid:
        raise SessionNotFound
    return ulid


def match_version(if_match: IfMatch | None) -> tuple[str, dict[str, int]]:
    """The part of a condition, with its values, that makes a write depend on the version."""
    if if_match is None:
        return "", {}
    versions = {f":version{i}": version for i, version in enumerate(if_match or (-1,))}
    return f" AND version IN ({', '.join(versions)})", versions


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
