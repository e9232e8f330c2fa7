"""Edits messages: replaces what was said, or only its status (access pattern 16).

The old text is gone after the write. Who wrote the message and when stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.errors import MessageChanged, MessageNotFound, SessionNotFound
from app.identity.caller import Caller
from app.logs import log_damaged
from app.messages import edges, head_writes, rules, sizes
from app.messages.bounds import bounds_of
from app.messages.edges import Indexed, edges_at
from app.messages.excerpts import excerpt
from app.messages.model import COMPLETE, Message, NewMessage
from app.sessions.model import is_live, ulid_of
from app.sessions.write_ids import WriteIds
from app.table import ids, keys, writes
from app.table.db import ConditionFailed, Table
from app.table.item_sizes import split
from app.table.versions import IfMatch, match_message
from app.table.writes import Item, Value, Write


@dataclass(frozen=True, slots=True)
class Edit:
    """`edited` is the id of the edit: the message's new ETag, and the session's."""

    session_ulid: str
    ulid: str
    edited: str
    status: str
    unindexed: int = 0
    """How many sources there was no room for in the index."""


class MessageEditor:
    def __init__(
        self, table: Table, ulids: ids.UlidSource | None = None, *, web_sources: bool = False
    ) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()
        self.web_sources = web_sources

    def replace(
        self,
        caller: Caller,
        session_id: str,
        message_id: str,
        new: NewMessage,
        *,
        if_match: IfMatch | None = None,
        checked: bool = False,
    ) -> Edit:
        """Puts a new content, metadata and provider's object in the place of the old ones. A role
        or name that is None stays. Costs 1 transaction; 1 or 2 more if the message is not the last
        one, has several parts or had indexed sources.

        Raises:
            ValidationFailed, TooLarge, SessionNotFound, MessageNotFound, MessageChanged
        """
        if not checked:
            rules.check_edit(new)
        [body] = sizes.bodies([new], caller)
        found = edges.find([new], web=self.web_sources)
        [indexed], unindexed = edges.choose(found, caller.partition, [body])
        edit = self._edit(caller, session_id, message_id, new, body, if_match, indexed)
        return replace(edit, unindexed=unindexed)

    def rewrite(self, caller: Caller, message: Message, body: str) -> Edit:
        """Puts another text in the place of a message's, if it has not been changed since it was
        read. Its sources stay what they are. Costs as much as `replace`.

        Raises:
            SessionNotFound, MessageChanged
            MessageNotFound: also if it is damaged, and cannot be written.
        """
        said = replace(message, body=body)
        new = NewMessage(
            role=said.role,
            content=said.content,
            format=said.format,
            native=said.native,
            status=said.status,
        )
        unchanged = (message.version,)
        return self._edit(caller, said.session_id, said.message_id, new, body, unchanged)

    def set_status(
        self,
        caller: Caller,
        session_id: str,
        message_id: str,
        status: str,
        *,
        if_match: IfMatch | None = None,
    ) -> Edit:
        """Costs 1 transaction.

        Raises:
            ValidationFailed, SessionNotFound, MessageNotFound, MessageChanged
        """
        rules.check_status(status)
        new = NewMessage(status=status)
        return self._edit(caller, session_id, message_id, new, None, if_match)

    def _edit(
        self,
        caller: Caller,
        session_id: str,
        message_id: str,
        new: NewMessage,
        body: str | None,
        if_match: IfMatch | None,
        indexed: Indexed | None = None,
    ) -> Edit:
        """Unless they are None, `body` becomes the text, and `indexed` the message's sources."""
        session_ulid = ulid_of(session_id)
        # For an id that is none, the session is still looked at first.
        ulid = ids.parse(ids.MESSAGE_PREFIX, message_id) or ids.LEAST
        key = keys.message(caller.partition, session_ulid, ulid)
        write_ids = WriteIds(self.table, self.ulids, caller)
        # The first try supposes a short message without sources that is the last one. A failed
        # condition tells.
        is_last, old = True, Stored()
        while True:
            [change] = write_ids.take()
            session = head_writes.edit(
                caller.partition,
                session_ulid,
                ulid,
                change,
                write_ids.now,
                is_last=None if body is None else is_last,
                shown=_shown(new),
            )
            message = _message_writes(key, new, body, indexed, change, old, if_match)
            try:
                self.table.transact({"session": session, **message})
                return Edit(session_ulid, ulid, change, new.status)
            except ConditionFailed as failed:
                head, item = failed.found.get("session"), failed.found.get("message")
            if head is not None:
                if not is_live(head, write_ids.now):
                    raise SessionNotFound
                if not bounds_of(head).shows(ulid):
                    raise MessageNotFound
            if item is not None:
                known, old = old, _stored(item, if_match)
                if old == known and head is None:  # it was as supposed, and does not say so
                    log_damaged(key["PK"], key["SK"])
                    raise MessageNotFound
            if head is not None:
                was_last, is_last = is_last, head.get("last_message") == ulid
                if is_last == was_last or body is None:
                    write_ids.follow(head, change)


def _shown(new: NewMessage) -> Mapping[str, Value]:
    """What the list of sessions shows of the message."""
    shown: dict[str, Value] = {"excerpt": excerpt(new)}
    return shown | ({"last_role": role} if (role := new.spoken_role) else {})


@dataclass(frozen=True, slots=True)
class Stored:
    """What an edit has to know of the message that it changes: the number of its items, and the
    attributes that list its sources."""

    parts: int = 1
    sources: Value | None = None
    given: Value | None = None


def _stored(item: Item, if_match: IfMatch | None) -> Stored:
    """A message whose write failed.

    Raises:
        MessageNotFound, MessageChanged
    """
    if "PK" not in item:
        raise MessageNotFound
    version = item.get("edited") or keys.message_of(str(item["SK"]))
    if if_match is not None and version not in if_match:
        raise MessageChanged
    return Stored(int(item.get("parts", 1)), item.get("sources"), item.get("given"))


def _message_writes(
    key: keys.Key,
    new: NewMessage,
    body: str | None,
    indexed: Indexed | None,
    change: str,
    old: Stored,
    if_match: IfMatch | None,
) -> dict[str, Write]:
    """The writes of the message's items and edges. What is replaced must be as in `old`."""
    status = None if new.status == COMPLETE else new.status
    sets: dict[str, Value | None] = {"edited": change, "message_status": status}
    same: dict[str, Value | None] = {}
    further: dict[str, Write] = {}
    if body is not None:
        parts = split(body)
        sets |= {"body": parts[0], "parts": len(parts) if len(parts) > 1 else None}
        sets |= {"message_role": role} if (role := new.spoken_role) else {}
        sets |= {"message_name": new.name} if new.name else {}
        same["parts"] = old.parts if old.parts > 1 else None
        further |= _part_writes(key, parts, old.parts)
    if indexed is not None:
        sets |= {"sources": indexed.sources or None, "given": indexed.given or None}
        same |= {"sources": old.sources, "given": old.given}
        further |= _edge_writes(key, indexed, old)
    conditions = ["attribute_exists(PK)"]
    values: dict[str, Value] = {}
    for name, value in same.items():
        is_absent = f"attribute_not_exists({name})"
        conditions.append(is_absent if value is None else f"{name} = :old_{name}")
        values |= {} if value is None else {f":old_{name}": value}
    if if_match is not None:
        match, versions = match_message(if_match, keys.message_of(key["SK"]))
        conditions.append(match)
        values |= versions
    return {"message": writes.change(key, sets, values, " AND ".join(conditions)), **further}


def _part_writes(key: keys.Key, parts: list[str], old: int) -> dict[str, Write]:
    """Puts the further parts of a text, and removes those that it had."""
    further: dict[str, Write] = {}
    for number in range(1, max(len(parts), old)):
        place = {**key, "SK": f"{key['SK']}#{number:02}"}
        further[place["SK"]] = (
            writes.put(place, {"body": parts[number], "parts": len(parts)})
            if number < len(parts)
            else writes.delete(place)
        )
    return further


def _edge_writes(key: keys.Key, new: Indexed, old: Stored) -> dict[str, Write]:
    """Puts the edges that the message has not had before, and removes those that it has no more."""
    before = edges_at(key, old.sources, old.given)
    after = edges_at(key, new.sources, new.given)
    gone = {sk: writes.delete({**key, "SK": sk}) for sk in before.keys() - after.keys()}
    return gone | {sk: writes.put({}, e) for sk, e in after.items() if before.get(sk) != e}
