"""Deletes a session in resumable steps: marks it, removes what is under it, then its own item.

Once a session is marked, no response shows it and appends to it fail. Nothing is added under it any
more, so its items can be removed in any order, by any of these: the request that marked it, a
repeated request, or the sweep, which finds the session in GSI2.

A session with a key may be removed by one of them and made again, with the same id, while another
is still at work. So its items are removed in transactions whose condition is that the marked
session is still there. The last of them also makes sure that the next session with the key is born
with an id above all of the old one's, by the user's `last_ulid` (`app.sessions.erasure`).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from app.errors import Unavailable
from app.sessions import leftovers
from app.sessions.model import counted_messages
from app.table import budget, ids, keys, ranges, writes
from app.table.database_time import MAX_AHEAD
from app.table.db import ConditionFailed, Table
from app.table.writes import Item, Value, Write

NEEDED_TO_REMOVE = (
    "PK, SK, deleted_at, message_count, born, last_ulid, session_key, staged, has_values, epoch"
)

MARK = ("deleted_at", "last_ulid")
"""Attributes that no other marked session with the same key has alike."""

REMOVED_TOGETHER = 99
"""Items removed in one transaction. It takes 100 items and 4 MB, and one of them is the session. A
page of a query has 1 MB at most, before the projection."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was deleted. If not `finished`, another call or the sweep removes the rest, which no
    response shows any more."""

    deleted_sessions: int
    deleted_messages: int
    finished: bool


def count_sessions(partition: str, change: int) -> Write:
    """A write that adds `change` to the user's count of sessions."""
    return writes.update(keys.user(partition), "ADD session_count :change", {":change": change})


def mark(
    table: Table,
    partition: str,
    session_ulid: str,
    now: str,
    condition: str,
    values: Mapping[str, Value] | None = None,
) -> None:
    """Marks a session as deleted, removes it from the user's count and enters it for the sweep. One
    transaction.

    Raises:
        ConditionFailed: `found["session"]` is the session's item.
    """
    table.transact(
        {
            "session": mark_write(partition, session_ulid, now, condition, values),
            "user": count_sessions(partition, -1),
        }
    )


def mark_write(
    partition: str,
    session_ulid: str,
    now: str,
    condition: str,
    values: Mapping[str, Value] | None = None,
) -> Write:
    due = keys.by_due_time(session_ulid, now)
    return writes.update(
        keys.session(partition, session_ulid),
        "SET deleted_at = :now, GSI2PK = :due_pk, GSI2SK = :due_sk REMOVE GSI1PK, GSI1SK",
        {":now": now, ":due_pk": due["GSI2PK"], ":due_sk": due["GSI2SK"], **(values or {})},
        condition,
    )


def remove(table: Table, partition: str, session_ulid: str) -> Receipt:
    """Removes a marked session. Its own item is last, so that no item remains without its session.

    Costs 1 query per MB, ⌈items/25⌉ batch writes and 1 delete; for a session with a key
    ⌈items/99⌉ transactions and 1 more. The record of the request that created the session remains
    until it expires (`app.table.idempotency`).
    """
    head: Item | None = None
    pages = table.query(partition, ranges.all_of_session(session_ulid), only=NEEDED_TO_REMOVE)
    try:
        for items in budget.while_time_allows(pages):
            if head is None:
                head, *items = items or [{}]
                if "deleted_at" not in head or not keys.is_session(str(head["SK"])):
                    return Receipt(0, 0, finished=True)  # removed by somebody else
                if "staged" in head and not _claim(table, head):
                    return Receipt(0, 0, finished=True)  # somebody goes on filling it
            items = [item for item in items if not keys.is_stale(str(item["SK"]))]
            if "session_key" not in head:
                table.delete_many(items)
            elif not delete_while(table, head, MARK, items):
                return Receipt(0, counted_messages(head), finished=True)
        if head and "session_key" in head:
            _delete_with_key(table, head)
        elif head:
            own = writes.delete(keys.session(partition, session_ulid))
            _delete_own(table, own, _late_values(table, head))
    except Unavailable:
        return Receipt(0, counted_messages(head or {}), finished=False)
    return Receipt(1, counted_messages(head or {}), finished=True)


def _claim(table: Table, head: Item) -> bool:
    """Makes sure that a staged session is never shown (`app.sessions.staging`)."""
    key = {"PK": str(head["PK"]), "SK": str(head["SK"])}
    claim = writes.change(key, {"claimed": 1}, {":staged": head["staged"]}, "staged = :staged")
    with suppress(ConditionFailed):
        table.execute(claim)
        return True
    return False


def delete_while(table: Table, head: Item, names: Sequence[str], items: Sequence[Item]) -> bool:
    """Deletes items while their session's own has the attributes `names` as they are in `head`.
    Returns False if it has not, and then leaves the rest. One of `names` at least is in `head`."""
    key = {"PK": str(head["PK"]), "SK": str(head["SK"])}
    same, seen = _unchanged(head, names)
    # It writes what is there. A condition alone would need a permission of its own.
    guard = writes.update(key, f"SET {names[0]} = :{names[0]}", seen, same)
    for start in range(0, len(items), REMOVED_TOGETHER):
        deletes = {
            str(item["SK"]): writes.delete({"PK": str(item["PK"]), "SK": str(item["SK"])})
            for item in items[start : start + REMOVED_TOGETHER]
        }
        try:
            table.transact({"session": guard, **deletes})
        except ConditionFailed:
            return False
    return True


def _delete_with_key(table: Table, head: Item) -> None:
    """Deletes the own item of a marked session with a key, unless another remover was first."""
    partition, last = str(head["PK"]), str(head.get("last_ulid", ""))
    own = writes.delete({"PK": partition, "SK": str(head["SK"])}, *_unchanged(head, MARK))
    late = _late_values(table, head)
    if _is_plausible(table, last):
        user = writes.update(
            keys.user(partition), "SET last_ulid = :last", {":last": last}, "last_ulid < :last"
        )
        try:
            table.transact({"session": own, "user": user, **late})
            return
        except ConditionFailed as failed:
            if "session" in failed.found:
                return
    with suppress(ConditionFailed):
        _delete_own(table, own, late)


def _delete_own(table: Table, own: Write, late: dict[str, Write]) -> None:
    if late:
        table.transact({"session": own, **late})
    else:
        table.execute(own)


def _late_values(table: Table, head: Item) -> dict[str, Write]:
    """What makes the sweep look for values that were put meanwhile, if the session has any."""
    if "has_values" not in head:
        return {}
    partition, session_ulid = str(head["PK"]), keys.session_of(str(head["SK"]))
    now = table.database_time() or ids.system_clock()
    epoch = leftovers.epoch_of(head, session_ulid)
    return {"stale": leftovers.note(partition, session_ulid, epoch, now)}


def _is_plausible(table: Table, last: str) -> bool:
    """Whether a host can have made this id. A damaged one would spoil the ids of all sessions that
    the user creates later."""
    latest = (table.database_time() or 0) + MAX_AHEAD
    return ids.is_ulid(last) and last <= ids.greatest_of(latest)


def _unchanged(head: Item, names: Sequence[str]) -> tuple[str, dict[str, Value]]:
    """A condition that an item's attributes are those that were read, and its values. What could
    not be read is left out."""
    found = [name for name in names if name in head]
    same = " AND ".join(f"{name} = :{name}" for name in found)
    return same, {f":{name}": head[name] for name in found}
