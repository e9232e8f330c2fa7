"""Deleting a session so that it cannot half-happen: mark it, remove what is under it, then itself.

The mark takes the session out of every answer and makes appends fail. From then on nothing is
added under it, so anybody may remove what is there, in any order: the request that marked it, a
repeated one, or the sweep, which finds the session in GSI2.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from app.errors import Unavailable
from app.sessions.model import counted_messages
from app.table import budget, keys, ranges, writes
from app.table.db import Table
from app.table.writes import Value, Write

TIME_FOR_A_PAGE = 3.0
"""Seconds that must be left to begin removing another MB."""

NEEDED_TO_REMOVE = "PK, SK, deleted_at, message_count"

Page = TypeVar("Page")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was deleted. Unless `finished`, the rest waits for another call or the sweep; it is in
    no answer any more."""

    deleted_sessions: int
    deleted_messages: int
    finished: bool


def count_sessions(partition: str, change: int) -> Write:
    """Keeps the user's count of sessions, in the transaction that changes it."""
    return writes.update(keys.user(partition), "ADD session_count :change", {":change": change})


def mark(
    table: Table,
    partition: str,
    session_ulid: str,
    now: str,
    condition: str,
    values: Mapping[str, Value] | None = None,
) -> None:
    """One transaction: takes the session out of every answer and of the count, and notes it for
    the sweep.

    Raises:
        ConditionFailed: with the item found as `session`.
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
    """Removes a marked session: what is under it first, its own item last, so that nothing is left
    without it. 1 query per MB, ⌈items/25⌉ batch writes, 1 delete. The record of the request that
    created it stays for its day (`app.table.idempotency`)."""
    messages = 0
    pages = table.query(partition, ranges.all_of_session(session_ulid), only=NEEDED_TO_REMOVE)
    try:
        for items in while_time_allows(pages):
            if items and keys.is_session(str(items[0]["SK"])):
                head, *items = items
                messages = counted_messages(head)
            table.delete_many(items)
        table.execute(writes.delete(keys.session(partition, session_ulid)))
    except Unavailable:
        return Receipt(0, messages, finished=False)
    return Receipt(1, messages, finished=True)


def while_time_allows(pages: Iterable[Page]) -> Iterator[Page]:
    """The first page always, so that every call makes progress however little time it has.

    Raises:
        Unavailable: there is no time for another page.
    """
    for number, page in enumerate(pages):
        if number and budget.current().remaining() < TIME_FOR_A_PAGE:
            raise Unavailable
        yield page
