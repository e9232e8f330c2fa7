"""Deletes a session in resumable steps: marks it, removes what is under it, then its own item.

Once a session is marked, no response shows it and appends to it fail. Nothing is added under it any
more, so its items can be removed in any order, by any of these: the request that marked it, a
repeated request, or the sweep, which finds the session in GSI2.
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
"""Seconds that must remain in order to begin another page (1 MB)."""

NEEDED_TO_REMOVE = "PK, SK, deleted_at, message_count"

Page = TypeVar("Page")


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

    Costs 1 query per MB, ⌈items/25⌉ batch writes and 1 delete. The record of the request that
    created the session remains until it expires (`app.table.idempotency`).
    """
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
    """Yields pages while there is time. Always yields the first, so that every call makes progress.

    Raises:
        Unavailable: there is too little time for another page.
    """
    for number, page in enumerate(pages):
        if number and budget.current().remaining() < TIME_FOR_A_PAGE:
            raise Unavailable
        yield page
