"""Edits messages: replaces what was said, or only its status (access pattern 16).

The old text is gone after the write. Who wrote the message and when stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import MessageChanged, MessageNotFound, SessionNotFound
from app.identity.caller import Caller
from app.messages import head_writes, rules, sizes
from app.messages.bounds import bounds_of
from app.messages.excerpts import excerpt
from app.messages.model import COMPLETE, NewMessage
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


class MessageEditor:
    def __init__(self, table: Table, ulids: ids.UlidSource | None = None) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()

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
        one or has several parts.

        Raises:
            ValidationFailed, TooLarge, SessionNotFound, MessageNotFound, MessageChanged
        """
        if not checked:
            rules.check_edit(new)
        [body] = sizes.bodies([new], caller.writer)
        return self._edit(caller, session_id, message_id, new, body, if_match)

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
        return self._edit(caller, session_id, message_id, NewMessage(status=status), None, if_match)

    def _edit(
        self,
        caller: Caller,
        session_id: str,
        message_id: str,
        new: NewMessage,
        body: str | None,
        if_match: IfMatch | None,
    ) -> Edit:
        session_ulid = ulid_of(session_id)
        # For an id that is none, the session is still looked at first.
        ulid = ids.parse(ids.MESSAGE_PREFIX, message_id) or ids.LEAST
        key = keys.message(caller.partition, session_ulid, ulid)
        write_ids = WriteIds(self.table, self.ulids, caller)
        # The first try supposes a short message that is the last one. A failed condition tells.
        is_last, old_parts = True, 1
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
            message = _message_writes(key, new, body, change, old_parts, if_match)
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
                old_parts = _parts_of(item, if_match)
            if head is not None:
                was_last, is_last = is_last, head.get("last_message") == ulid
                if is_last == was_last or body is None:
                    write_ids.follow(head, change)


def _shown(new: NewMessage) -> Mapping[str, Value]:
    """What the list of sessions shows of the message."""
    shown: dict[str, Value] = {"excerpt": excerpt(new)}
    return shown | ({"last_role": role} if (role := new.spoken_role) else {})


def _parts_of(item: Item, if_match: IfMatch | None) -> int:
    """The number of items of a message whose write failed.

    Raises:
        MessageNotFound, MessageChanged
    """
    if "PK" not in item:
        raise MessageNotFound
    version = item.get("edited") or keys.message_of(str(item["SK"]))
    if if_match is not None and version not in if_match:
        raise MessageChanged
    return int(item.get("parts", 1))


def _message_writes(
    key: Mapping[str, str],
    new: NewMessage,
    body: str | None,
    change: str,
    old_parts: int,
    if_match: IfMatch | None,
) -> dict[str, Write]:
    """The writes of the message's items. Unless `body` is None, it must have `old_parts` items."""
    status = None if new.status == COMPLETE else new.status
    sets: dict[str, Value | None] = {"edited": change, "message_status": status}
    conditions = ["attribute_exists(PK)"]
    values: dict[str, Value] = {}
    further: dict[str, Write] = {}
    if body is not None:
        parts = split(body)
        sets |= {"body": parts[0], "parts": len(parts) if len(parts) > 1 else None}
        sets |= {"message_role": role} if (role := new.spoken_role) else {}
        sets |= {"message_name": new.name} if new.name else {}
        conditions.append("parts = :old" if old_parts > 1 else "attribute_not_exists(parts)")
        values |= {":old": old_parts} if old_parts > 1 else {}
        for number in range(1, max(len(parts), old_parts)):
            place = {**key, "SK": f"{key['SK']}#{number:02}"}
            further[place["SK"]] = (
                writes.put(place, {"body": parts[number], "parts": len(parts)})
                if number < len(parts)
                else writes.delete(place)
            )
    if if_match is not None:
        match, versions = match_message(if_match, keys.message_of(key["SK"]))
        conditions.append(match)
        values |= versions
    return {"message": writes.change(key, sets, values, " AND ".join(conditions)), **further}
