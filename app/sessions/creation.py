"""What a new session is, and the writes that make it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.errors import Unavailable
from app.literals import text_of
from app.sessions import erasure, model, removal, rules
from app.sessions.model import Session
from app.table import ids, keys, writes
from app.table.db import ConditionFailed, Table
from app.table.writes import Item, Value, Write

_DAY = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """`metadata` is a JSON object, or a `Literal` that keeps the client's text. A session with a
    `key` has an id that is derived from it."""

    domain_id: str
    title: str = rules.DEFAULT_TITLE
    metadata: Any = field(default_factory=dict)
    expires_in_days: int | None = None
    archived: bool = False
    pinned: bool = False
    key: str | None = None

    def check(self) -> None:
        """
        Raises:
            ValidationFailed: lists the invalid fields.
        """
        rules.check({name: getattr(self, name) for name in self.__slots__})

    def made(self, born: str) -> Session:
        """The session, created with the id `born`."""
        ulid = ids.from_key(self.key) if self.key else born
        metadata = text_of(self.metadata)
        return Session(
            ulid=ulid,
            born=born,
            session_key=self.key,
            domain_id=self.domain_id,
            title=rules.one_line(self.title),
            metadata=metadata,
            info=born if model.is_long(metadata) else None,
            archived=self.archived,
            pinned=self.pinned,
            message_count=0,
            version=1,
            settings_version=1,
            last_activity=ids.timestamp(born),
            expires_at=expiry(ids.milliseconds(born), self.expires_in_days),
            last_ulid=born,
            changed=born,
        )


def expiry(start: int, days: int | None) -> str | None:
    return ids.iso_time(start + days * _DAY) if days else None


def creation(
    partition: str, session: Session, also: Mapping[str, Value] | None = None
) -> dict[str, Write]:
    """The writes of a new session: `user`, whose condition is that the session is born after the
    user's others; `session`, whose condition is that there is none with this id; and `info`, if its
    metadata is long. `also` are further attributes of the session's item."""
    attributes = model.all_attributes(session) | keys.by_activity(
        partition, session.ulid, session.last_activity
    )
    if session.expires_at:
        attributes |= keys.by_due_time(session.ulid, session.expires_at)
    key = keys.session(partition, session.ulid)
    parts = {
        "user": erasure.count_new_session(partition, session.born),
        "session": writes.put(key, {**attributes, **(also or {})}, "attribute_not_exists(PK)"),
    }
    if session.info:
        parts["info"] = put_info(partition, session.ulid, session.info, session.metadata)
    return parts


def put_info(partition: str, session_ulid: str, info: str, metadata: str | None) -> Write:
    return writes.put(keys.info(partition, session_ulid), {"info": info, "metadata": metadata})


def make_room(table: Table, partition: str, found: Item, now: str) -> None:
    """Removes a session that has expired or is being deleted, so that one with the same key can be
    made.

    Raises:
        Unavailable: there is too much to remove at once. The next request goes on.
    """
    session_ulid = keys.session_of(str(found["SK"]))
    if str(found.get("staged_until", "")) > now and "claimed" not in found:
        raise Unavailable("A session with this key is being made. Try again.")
    if "deleted_at" not in found:
        expired = f"attribute_not_exists(deleted_at) AND {model.EXPIRED}"
        try:
            removal.mark(table, partition, session_ulid, now, expired)
        except ConditionFailed:
            return  # somebody else was first; the next try sees what has become of it
    if not removal.remove(table, partition, session_ulid).finished:
        raise Unavailable("An older session with this key is still being removed. Try again.")
