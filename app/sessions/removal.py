"""Deleting, so that it cannot half-happen: first mark, then remove, then the session's own item.

The mark takes a session out of every answer and makes appends fail; from then on nothing is added
under it, so what is found can be removed in any order and by anyone: the request that marked it,
a repeated one, or the sweep, which finds it in GSI2.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app import db, keys
from app.db import Item, Table, Value
from app.errors import Unavailable

TIME_FOR_A_PAGE = 3.0
"""Seconds left that make it worth beginning another MB of removals."""

MARKS_AT_ONCE = 99
"""A transaction takes 100 items, and the user's count is one."""

_NEEDED = "PK, SK, deleted_at, message_count, create_record"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was deleted. Unless `finished`, some of it still waits for another call or the sweep;
    nobody sees it any more."""

    deleted_sessions: int
    deleted_messages: int
    finished: bool


def count_sessions(partition: str, change: int) -> dict[str, Any]:
    """The write that keeps the user's count in step, in the transaction that changes it."""
    return db.update(keys.user(partition), "ADD session_count :change", {":change": change})


def mark(
    table: Table,
    partition: str,
    session: str,
    now: str,
    condition: str,
    values: Mapping[str, Value] | None = None,
) -> None:
    """One transaction: out of every answer, out of the count, into the sweep's work.

    Raises:
        ConditionFailed: with the session found first.
    """
    write = _mark(partition, session, now, condition, {":now": now, **(values or {})})
    table.transact(write, count_sessions(partition, -1))


def _mark(
    partition: str, session: str, now: str, condition: str, values: Mapping[str, Value]
) -> dict[str, Any]:
    due = keys.due(session, now)
    return db.update(
        keys.session(partition, session),
        "SET deleted_at = :now, GSI2PK = :due_pk, GSI2SK = :due_sk REMOVE GSI1PK, GSI1SK",
        {":due_pk": due["GSI2PK"], ":due_sk": due["GSI2SK"], **values},
        condition,
    )


def remove(table: Table, partition: str, session: str) -> Receipt:
    """All that a marked session left, its own item last, so that no orphan can remain: 1 query a
    MB, ⌈items/25⌉ batch writes, 1 delete. Stops between two pages when time runs out."""
    head: Item = {}  # of the session itself, the first item of the first page
    try:
        for items in table.query(partition, keys.all_of_session(session), only=_NEEDED):
            if items and keys.is_session(str(items[0]["SK"])):
                head = items[0]
                items[:1] = _create_record(head)
            table.delete_many(items)
            if db.current_work().remaining() < TIME_FOR_A_PAGE:
                return Receipt(1, int(head.get("message_count", 0)), finished=False)
        table.delete(keys.session(partition, session))
    except Unavailable:
        return Receipt(1, int(head.get("message_count", 0)), finished=False)
    return Receipt(1, int(head.get("message_count", 0)), finished=True)


def erase(table: Table, partition: str, now: str) -> Receipt:
    """Everything of a user; of a session made meanwhile, all or nothing.

    The index shows most sessions, so they are marked from there first, at once. Then the partition
    is gone through: what stands under a marked session is removed, and a session not marked yet
    (the index lags, or it is new) is marked, for another pass to remove: only what is read after
    the mark is known to be all there is.
    """
    sessions = messages = 0
    try:
        for items in table.query_index(keys.BY_ACTIVITY, partition):
            _mark_all(table, partition, items, now)
        unmarked = True
        while unmarked:
            unmarked = False
            head: Item | None = None  # the marked session whose items are being passed
            for items in table.query(partition, keys.ALL_SESSIONS, only=_NEEDED):
                new, under, done, head = _sort(items, head)
                unmarked |= bool(new)
                _mark_all(table, partition, new, now)
                _delete_with_records(table, under, done)
                sessions += len(done)
                messages += sum(int(item["message_count"]) for item in done)
                if db.current_work().remaining() < TIME_FOR_A_PAGE:
                    return Receipt(sessions, messages, finished=False)
            if head:
                _delete_with_records(table, [], [head])
                sessions += 1
                messages += int(head["message_count"])
        for items in table.query(partition, keys.CREATE_RECORDS, only="PK, SK"):
            table.delete_many(items)
        _delete_user(table, partition)
    except Unavailable:
        return Receipt(sessions, messages, finished=False)
    return Receipt(sessions, messages, finished=True)


def _sort(
    items: Sequence[Item], head: Item | None
) -> tuple[list[Item], list[Item], list[Item], Item | None]:
    """A page of a whole partition: sessions not marked yet; what stands under marked ones; marked
    sessions with nothing left to come; and the one whose items go on in the next page."""
    new: list[Item] = []
    under: list[Item] = []
    done: list[Item] = []
    for item in items:
        if not keys.is_session(str(item["SK"])):
            if head:
                under.append(item)
            continue
        if head:
            done.append(head)
        head = item if "deleted_at" in item else None
        if not head:
            new.append(item)
    return new, under, done, head


def _mark_all(table: Table, partition: str, items: Sequence[Item], now: str) -> None:
    """A transaction for each 99 sessions; those that are marked or gone by now are left out."""
    condition = "attribute_exists(PK) AND attribute_not_exists(deleted_at)"
    waiting = [keys.session_of(str(item["SK"])) for item in items]
    while waiting:
        batch = waiting[:MARKS_AT_ONCE]
        writes = [_mark(partition, session, now, condition, {":now": now}) for session in batch]
        try:
            table.transact(*writes, count_sessions(partition, -len(batch)))
            waiting = waiting[MARKS_AT_ONCE:]
        except db.ConditionFailed as failed:
            gone = {s for s, found in zip(batch, failed.found, strict=False) if found is not None}
            waiting = [session for session in waiting if session not in gone]


def _delete_with_records(table: Table, under: Sequence[Item], done: Sequence[Item]) -> None:
    """A session's own item goes last."""
    table.delete_many([*under, *(record for item in done for record in _create_record(item))])
    table.delete_many(done)


def _delete_user(table: Table, partition: str) -> None:
    # The condition fails where somebody has created a session since, or there never was one.
    with suppress(db.ConditionFailed):
        table.delete_if(keys.user(partition), "session_count = :none", {":none": 0})


def _create_record(head: Item) -> list[Item]:
    """The record of the request that created a session goes with it."""
    sk = head.get("create_record")
    return [{"PK": head["PK"], "SK": sk}] if sk else []
