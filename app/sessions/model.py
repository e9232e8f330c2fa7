"""Sessions as the stores return them, their stored form, and the condition for a live session.

To add a field, add it to a class here, to its schema in `app.sessions.schemas` and, if clients may
set it, to `app.sessions.rules`. A field of `ListedSession` must also be in GSI1, so add it to
`LIST_ATTRIBUTES` in `app.table.definition`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeGuard, TypeVar

from app.errors import SessionDamaged, SessionNotFound
from app.logs import log_damaged
from app.table import ids, keys
from app.table.writes import Item, Value

LIVE = (
    "attribute_exists(PK) AND attribute_not_exists(deleted_at)"
    " AND (attribute_not_exists(expires_at) OR expires_at > :now)"
)
"""A condition: the session exists, is not being deleted, and has not expired (`:now`, ISO 8601)."""

EXPIRED = "expires_at <= :now"

MAX_HEAD_WIRE = 140_000
"""Maximum bytes of a session without its messages in a response, as Lambda sends it. An emoji in
its title, metadata or domain takes 14 bytes: twelve for two escapes, and two for their
backslashes."""


def dump_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _read_metadata(text: Any) -> dict[str, str]:
    metadata = json.loads(str(text))
    if not isinstance(metadata, dict) or not all(
        isinstance(text, str) for text in metadata.values()
    ):
        raise ValueError("not an object of strings")
    return metadata


_REQUIRED = object()


def _stored(
    read: Callable[[Any], Any] = str,
    write: Callable[[Any], Value] | None = None,
    *,
    absent: Any = _REQUIRED,
) -> Any:
    """A field that is stored as an attribute of the same name. None means no attribute.

    `absent` is its value for items without the attribute, such as those stored before the field
    was added. Without it such an item is damaged. A bool is `_stored(bool, int, absent=False)`.
    """
    return field(metadata={"read": read, "write": write, "absent": absent})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSession:
    """A session as the list shows it, with only the attributes in GSI1."""

    ulid: str
    last_activity: str
    domain_id: str = _stored()
    title: str = _stored()
    message_count: int = _stored(int)
    expires_at: str | None = _stored(absent=None)

    @property
    def session_id(self) -> str:
        return ids.SESSION_PREFIX + self.ulid

    @property
    def created_at(self) -> str:
        return ids.timestamp(self.ulid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(ListedSession):
    """A whole session. `last_ulid` is the id of its last message, or its own id if it has none."""

    metadata: dict[str, str] = _stored(_read_metadata, dump_json)
    version: int = _stored(int)
    updated_at: str = _stored()
    last_ulid: str = _stored()

    @property
    def id(self) -> str:
        return ids.as_uuid(self.ulid)

    @property
    def etag(self) -> str:
        return f'"{self.version}"'


_STORED: dict[type[ListedSession], list[tuple[str, Callable[[Any], Any], Any]]] = {
    kind: [(f.name, f.metadata["read"], f.metadata["absent"]) for f in fields(kind) if f.metadata]
    for kind in (ListedSession, Session)
}
"""Name, `read` and `absent` of each stored field. Made once: a list has up to 100 sessions."""

Kind = TypeVar("Kind", bound=ListedSession)


def from_item(kind: type[Kind], item: Item) -> Kind:
    """Reads a `Session` from its item, or a `ListedSession` from its entry in GSI1.

    Raises:
        SessionDamaged: an attribute is missing or invalid. The item's key is logged.
    """
    try:
        stored: dict[str, Any] = {
            name: absent if name not in item and absent is not _REQUIRED else read(item[name])
            for name, read, absent in _STORED[kind]
        }
        ulid = keys.session_of(str(item["SK"]))
        last_activity = keys.activity_of(str(item["GSI1SK"]))
    except (KeyError, ValueError, RecursionError):
        stored = {}
    if not stored or not ids.is_ulid(ulid) or ulid > ids.END_OF_TIME:
        log_damaged(str(item["PK"]), str(item["SK"]))
        raise SessionDamaged
    return kind(ulid=ulid, last_activity=last_activity, **stored)


def counted_messages(item: Item) -> int:
    """The session's number of messages, or 0 if it is damaged, so that it can still be removed."""
    count = item.get("message_count")
    return count if isinstance(count, int) else 0


def to_attributes(values: Mapping[str, Any]) -> dict[str, Value | None]:
    """The stored form of some or all fields of a session."""
    writers = {field.name: field.metadata.get("write") for field in fields(Session)}
    return {
        name: write(value) if (write := writers[name]) else value for name, value in values.items()
    }


def all_attributes(session: Session) -> dict[str, Value | None]:
    return to_attributes(
        {field.name: getattr(session, field.name) for field in fields(session) if field.metadata}
    )


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
