"""Sessions as the stores return them, their stored form, and the condition for a live session.

To add a field, add it to `Session` here, to `to_json` in `app.sessions.answers` and its schema in
`app.sessions.schemas` and, if clients may set it, to `app.sessions.rules`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeGuard

from app.errors import SessionDamaged, SessionNotFound
from app.literals import text_fault
from app.logs import log_damaged
from app.table import ids, keys
from app.table.versions import etag
from app.table.writes import Item, Value

LIVE = (
    "attribute_exists(PK) AND attribute_not_exists(deleted_at)"
    " AND (attribute_not_exists(expires_at) OR expires_at > :now)"
)
"""A condition: the session exists, is not being deleted, and has not expired (`:now`, ISO 8601)."""

EXPIRED = "expires_at <= :now"

INLINE_METADATA = 200
"""Maximum bytes of metadata in the session's own item, which every append writes again. Longer
metadata has an item of its own."""

MAX_HEAD_WIRE = 120_000
"""Maximum bytes of a session without its messages in a response, as Lambda sends it. An emoji in
its title, metadata or domain takes 14 bytes: twelve for two escapes, and two for their
backslashes."""


def _read_ulid(value: Any) -> str:
    """
    Raises:
        ValueError: not a ULID, or one whose time cannot be written.
    """
    if not ids.is_ulid(str(value)) or str(value) > ids.END_OF_TIME:
        raise ValueError
    return str(value)


def _read_metadata(text: Any) -> str:
    if text_fault(str(text)) is not None:
        raise ValueError
    return str(text)


_REQUIRED = object()


def _stored(
    read: Callable[[Any], Any] = str,
    write: Callable[[Any], Value | None] | None = None,
    *,
    absent: Any = _REQUIRED,
) -> Any:
    """A field that is stored as an attribute of the same name. None means no attribute.

    `absent` is its default, and its value for items without the attribute. Without it such an item
    is damaged. For a bool use `_flag`.
    """
    metadata = {"read": read, "write": write, "absent": absent}
    return (
        field(metadata=metadata)
        if absent is _REQUIRED
        else field(default=absent, metadata=metadata)
    )


def _flag() -> Any:
    """A bool. False is no attribute, to keep the item small."""
    return _stored(bool, lambda value: 1 if value else None, absent=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session as it is stored. Every append writes its whole item again, in the table and in
    GSI1, so the item should stay under 1 KB."""

    ulid: str
    born: str
    """The ULID that the session was given when it was created. It is the session's own, unless
    that is derived from a key."""
    last_activity: str

    domain_id: str = _stored()
    title: str = _stored()
    metadata: str | None = _stored(
        _read_metadata, lambda text: text if text != "{}" else None, absent="{}"
    )
    """JSON text, as it was sent. None if it is in an item of its own and has not been read."""
    info: str | None = _stored(_read_ulid, absent=None)
    """The id of the change that wrote the item of the long metadata, if there is one."""
    message_count: int = _stored(int)
    version: int = _stored(int)
    settings_version: int = _stored(int)
    """Counts changes of what a client sets: title, metadata, flags and retention."""
    last_ulid: str = _stored(_read_ulid)
    """The greatest id that any write to the session has been given. It is the ETag."""
    changed: str = _stored(_read_ulid)
    """The id of the last change of its messages that was not an append."""
    last_message: str | None = _stored(_read_ulid, absent=None)
    last_role: str | None = _stored(absent=None)
    excerpt: str | None = _stored(absent=None)
    """The beginning of the last message's text."""
    feedback_count: int = _stored(int, lambda count: count or None, absent=0)
    session_key: str | None = _stored(absent=None)
    """The client's own key, from which the id is derived."""
    expires_at: str | None = _stored(absent=None)
    forked_from: str | None = _stored(absent=None)
    """The ULIDs of the session and of its last message that was copied, with `#` between them."""
    imported: str | None = _stored(absent=None)
    """When it was created elsewhere, ISO 8601."""
    archived: bool = _flag()
    pinned: bool = _flag()

    @property
    def session_id(self) -> str:
        return ids.SESSION_PREFIX + self.ulid

    @property
    def id(self) -> str:
        return ids.as_uuid(self.ulid)

    @property
    def created_at(self) -> str:
        return self.imported or ids.timestamp(self.born)

    @property
    def updated_at(self) -> str:
        return ids.timestamp(self.last_ulid)

    @property
    def etag(self) -> str:
        return etag(self.last_ulid)


_STORED: list[tuple[str, Callable[[Any], Any], Any]] = [
    (f.name, f.metadata["read"], f.metadata["absent"]) for f in fields(Session) if f.metadata
]
"""Name, `read` and `absent` of each stored field. Made once: a list has up to 100 sessions."""


def from_item(item: Item) -> Session:
    """Reads a session from its item, or from its entry in GSI1.

    Raises:
        SessionDamaged: an attribute is missing or invalid. The item's key is logged.
    """
    try:
        stored: dict[str, Any] = {
            name: absent if name not in item and absent is not _REQUIRED else read(item[name])
            for name, read, absent in _STORED
        }
        ulid = keys.session_of(str(item["SK"]))
        if not ids.is_ulid(ulid):
            raise ValueError
        born = _read_ulid(item.get("born", ulid))
        last_activity = keys.activity_of(str(item["GSI1SK"]))
    except (KeyError, ValueError, RecursionError):
        log_damaged(str(item["PK"]), str(item["SK"]))
        raise SessionDamaged from None
    if stored["info"]:
        stored["metadata"] = None
    return Session(ulid=ulid, born=born, last_activity=last_activity, **stored)


def with_info(session: Session, item: Item | None) -> Session | None:
    """The session with its long metadata; None if the item is not of the same write."""
    if not session.info:
        return session
    try:
        if not item or item["info"] != session.info:
            return None
        return replace(session, metadata=_read_metadata(item["metadata"]))
    except (KeyError, ValueError, RecursionError):
        return None


def is_long(metadata: str) -> bool:
    return len(metadata.encode()) > INLINE_METADATA


def counted_messages(item: Item) -> int:
    """The session's number of messages, or 0 if it is damaged, so that it can still be removed."""
    count = item.get("message_count")
    return count if isinstance(count, int) else 0


def to_attributes(values: Mapping[str, Any]) -> dict[str, Value | None]:
    """The stored form of some or all fields of a session."""
    return {
        name: write(value) if (write := _WRITERS[name]) else value for name, value in values.items()
    }


def all_attributes(session: Session) -> dict[str, Value | None]:
    attributes = to_attributes({name: getattr(session, name) for name in _WRITERS})
    if session.info:
        attributes["metadata"] = None
    return {"born": session.born if session.born != session.ulid else None, **attributes}


_WRITERS = {f.name: f.metadata["write"] for f in fields(Session) if f.metadata}


def is_live(item: Item | None, now: str) -> TypeGuard[Item]:
    """Checks the condition `LIVE` on an item that was read."""
    return (
        item is not None
        and "PK" in item
        and "deleted_at" not in item
        and str(item.get("expires_at", "~")) > now
    )


def ulid_of(session_id: str) -> str:
    """
    Raises:
        SessionNotFound: the value is not a session id.
    """
    ulid = ids.parse(ids.SESSION_PREFIX, session_id)
    if not ulid:
        raise SessionNotFound
    return ulid
