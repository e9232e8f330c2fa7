"""Deletes a session in resumable steps: marks it, removes what is under it, then its own item.

Once a session is marked, no response shows it and appends to it fail. Nothing is added under it any
more, so its items can be removed in any order, by any of these: the request that marked it, a
repeated request, or the sweep, which finds the session in GSI2.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from app.errors import Unavailable
from app.sessions.model import counted_messages
from app.table import budget, keys, ranges, writes
from app.table.db import ConditionFailed, Table
from app.table.writes import Item, Value, Write

TIME_FOR_A_PAGE = 3.0
"""Seconds that must remain in order to begin another page (1 MB)."""

IDENTITY = ("first_id", "info", "cut")
"""Attributes that tell two items with the same key apart."""

NEEDED_TO_REMOVE = (
    "PK, SK, deleted_at, message_count, born, last_ulid, session_key, staged, "
    + ", ".join(IDENTITY)
)

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

    Costs 1 query per MB, ⌈items/25⌉ batch writes and 1 delete. A session with a key costs 1 get per
    MB more, and 1 delete for each record. The record of the request that created the session
    remains until it expires (`app.table.idempotency`).
    """
    head: Item | None = None
    pages = table.query(partition, ranges.all_of_session(session_ulid), only=NEEDED_TO_REMOVE)
    try:
        for items in while_time_allows(pages):
            if head is None:
                head, *items = items or [{}]
                if "deleted_at" not in head or not keys.is_session(str(head["SK"])):
                    return Receipt(0, 0, finished=True)  # removed by somebody else
                if "staged" in head and not _claim(table, head):
                    return Receipt(0, 0, finished=True)  # somebody goes on filling it
            if not _remove_page(table, head, items):
                return Receipt(0, counted_messages(head), finished=True)
        if head:
            # Another remover may have been first, and the key used again.
            same = "deleted_at = :deleted_at AND last_ulid = :last_ulid"
            seen = {":deleted_at": head["deleted_at"], ":last_ulid": head.get("last_ulid", "")}
            key = keys.session(partition, session_ulid)
            with suppress(ConditionFailed):
                table.execute(writes.delete(key, same, seen))
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


def _remove_page(table: Table, head: Item, items: list[Item]) -> bool:
    """Removes items that were read after a marked session's own. Returns whether they were its.

    A session with a key may have been removed meanwhile, and made again with the same id. If the
    marked one is still there after its items were read, they were its. The ids of its messages
    never come back, but the names of its other items do. So those are removed on condition of what
    was read.
    """
    if "session_key" not in head:
        table.delete_many(items)
        return True
    now = table.get({"PK": str(head["PK"]), "SK": str(head["SK"])})
    if not now or any(now.get(name) != head.get(name) for name in ("born", "deleted_at")):
        return False
    table.delete_many([item for item in items if keys.is_under_message(str(item["SK"]))])
    for item in items:
        if keys.is_under_message(str(item["SK"])):
            continue
        named = [name for name in IDENTITY if name in item]
        same = " AND ".join(["attribute_exists(PK)", *(f"{name} = :{name}" for name in named)])
        seen = {f":{name}": item[name] for name in named}
        key = {"PK": str(item["PK"]), "SK": str(item["SK"])}
        with suppress(ConditionFailed):
            table.execute(writes.delete(key, same, seen))
    return True


def while_time_allows(pages: Iterable[Page]) -> Iterator[Page]:
    """Yields pages while there is time. Always yields the first, so that every call makes progress.

    Raises:
        Unavailable: there is too little time for another page.
    """
    for number, page in enumerate(pages):
        if number and budget.current().remaining() < TIME_FOR_A_PAGE:
            raise Unavailable
        yield page
