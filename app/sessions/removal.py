"""Deleting, so that it cannot half-happen: first mark, then remove, then the session's own item.

The mark takes a session out of every answer and makes appends fail; from then on nothing is added
under it, so what is found can be removed in any order and by anyone: the request that marked it,
a repeated one, or the sweep, which finds it in GSI2.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app import db, ids, keys, work
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
    MB, ⌈items/25⌉ batch writes, 1 delete, and 1 of the record where there is one."""
    head: Item = {}  # of the session itself, the first item of the first page
    try:
        for items in _while_time_allows(
            table.query(partition, keys.all_of_session(session), only=_NEEDED)
        ):
            if items and keys.is_session(str(items[0]["SK"])):
                head = items.pop(0)
            table.delete_many(items)
        _delete_create_record(table, head)
        table.delete(keys.session(partition, session))
    except Unavailable:
        return Receipt(0, int(head.get("message_count", 0)), finished=False)
    return Receipt(1, int(head.get("message_count", 0)), finished=True)


def erase(table: Table, partition: str, now: str) -> Receipt:
    """Everything of a user. That it was asked for is noted on the user first, so that the sweep
    finishes what this leaves.

    Raises:
        Unavailable: not even that could be noted; nothing is erased.
    """
    due = keys.due(partition, now)
    with suppress(db.ConditionFailed):  # without a user there are no sessions
        noted = {":pk": due["GSI2PK"], ":sk": due["GSI2SK"]}
        set_due = "SET GSI2PK = :pk, GSI2SK = :sk"
        table.update(db.update(keys.user(partition), set_due, noted, "attribute_exists(PK)"))
    return go_on_erasing(table, partition, now)


def go_on_erasing(table: Table, partition: str, now: str, made_until: str = "~") -> Receipt:
    """What a user has, as far as it was made by then; of a session made meanwhile, all or nothing.

    The index shows most sessions, so they are marked from there first, at once. Then the partition
    is gone through: what stands under a marked session is removed, and a session not marked yet
    (the index lags, or it is new) is marked, for a second pass to remove: only what is read after
    the mark is known to be all there is. What the second pass finds unmarked is younger than the
    request and stays: against somebody who goes on writing, marking would never end.
    """
    sessions = messages = 0
    try:
        for items in _while_time_allows(table.query_index(keys.BY_ACTIVITY, partition)):
            _mark_all(table, partition, items, now, made_until)
        marked = True
        for marking in (True, False):
            if not marked:
                break
            marked = False
            for new, under, done in _pass(table, partition):
                if marking:
                    _mark_all(table, partition, new, now, made_until)
                    marked |= bool(new)
                table.delete_many(under)
                for head in done:
                    _delete_create_record(table, head)
                table.delete_many(done)
                sessions += len(done)
                messages += sum(int(head["message_count"]) for head in done)
        _end_erasure(table, partition)
    except Unavailable:
        return Receipt(sessions, messages, finished=False)
    return Receipt(sessions, messages, finished=True)


def _pass(table: Table, partition: str) -> Iterator[tuple[list[Item], list[Item], list[Item]]]:
    """A whole partition, page by page: sessions not marked yet; what stands under marked ones;
    marked sessions with nothing left to come."""
    head: Item | None = None  # the marked session whose items are being passed
    pages = table.query(partition, keys.ALL_SESSIONS, only=_NEEDED)
    for items in _while_time_allows(pages):
        new, under, done, head = _sort(items, head)
        yield new, under, done
    if head:
        yield [], [], [head]


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


def _mark_all(
    table: Table, partition: str, items: Sequence[Item], now: str, made_until: str
) -> None:
    """A transaction for each 99 sessions; those that are marked or gone by now are left out."""
    condition = "attribute_exists(PK) AND attribute_not_exists(deleted_at)"
    sessions = [keys.session_of(str(item["SK"])) for item in items]
    waiting = [session for session in sessions if ids.timestamp(session) <= made_until]
    while waiting:
        batch = waiting[:MARKS_AT_ONCE]
        writes = [_mark(partition, session, now, condition, {":now": now}) for session in batch]
        try:
            table.transact(*writes, count_sessions(partition, -len(batch)))
            waiting = waiting[MARKS_AT_ONCE:]
        except db.ConditionFailed as failed:
            gone = {s for s, found in zip(batch, failed.found, strict=False) if found is not None}
            waiting = [session for session in waiting if session not in gone]


def _end_erasure(table: Table, partition: str) -> None:
    """The user goes too, unless there are younger sessions; then only the note goes."""
    user = keys.user(partition)
    try:
        table.delete_if(user, "session_count = :none", {":none": 0})
    except db.ConditionFailed:
        with suppress(db.ConditionFailed):  # there never was such a user
            table.update(db.update(user, "REMOVE GSI2PK, GSI2SK", {}, "attribute_exists(PK)"))


def _delete_create_record(table: Table, head: Item) -> None:
    """The record of the request that created a session goes with it, unless the key has been used
    again since then: now it is about a later session, which may live on."""
    if "create_record" in head:
        record = {"PK": str(head["PK"]), "SK": str(head["create_record"])}
        session = keys.session_of(str(head["SK"]))
        with suppress(db.ConditionFailed):
            table.delete_if(record, "first_id = :session", {":session": session})


def _while_time_allows(pages: Iterable[list[Item]]) -> Iterator[list[Item]]:
    """The first page always, so that whoever comes back gets on, however little time there is.

    Raises:
        Unavailable: there is no time for another page.
    """
    for number, items in enumerate(pages):
        if number and work.current().remaining() < TIME_FOR_A_PAGE:
            raise Unavailable
        yield items
