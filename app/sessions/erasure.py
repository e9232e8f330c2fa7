"""Erasing a user: all of their sessions are marked, then removed as `app.sessions.removal` does.

That it was asked for is noted on the user first, so that the sweep can finish it.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from app.errors import Unavailable
from app.sessions.model import counted_messages
from app.sessions.removal import (
    NEEDED_TO_REMOVE,
    Receipt,
    count_sessions,
    delete_create_record,
    mark_write,
    while_time_allows,
)
from app.table import ids, keys, ranges, writes
from app.table.db import ConditionFailed, Table
from app.table.definition import BY_ACTIVITY
from app.table.writes import Item

MARKS_AT_ONCE = 99
"""A transaction takes 100 items, and one of them is the user's count."""


def erase(table: Table, partition: str, now: str) -> Receipt:
    """Erases everything of a user that existed when this was called.

    Raises:
        Unavailable: not even the note could be written; nothing is erased.
    """
    due = keys.by_due_time(partition, now)
    note = writes.update(
        keys.user(partition),
        "SET GSI2PK = :pk, GSI2SK = :sk",
        {":pk": due["GSI2PK"], ":sk": due["GSI2SK"]},
        "attribute_exists(PK)",
    )
    with suppress(ConditionFailed):  # without a user there are no sessions
        table.execute(note)
    return continue_erasing(table, partition, now)


def continue_erasing(table: Table, partition: str, now: str, made_until: str = "~") -> Receipt:
    """Erases what a user had by `made_until`. A session made meanwhile is erased whole or not.

    Most sessions are in the index, so those are marked first. Then the partition is read twice. The
    first reading removes what is under marked sessions and marks the others (the index lags, or
    they are new). The second removes those: only what is read after the mark is known to be all of
    it. Sessions that the second reading finds unmarked are newer than the request and stay.
    Otherwise erasing would never end while somebody goes on writing.
    """
    sessions = messages = 0
    try:
        for items in while_time_allows(table.query_index(BY_ACTIVITY, partition)):
            _mark_all(table, partition, items, now, made_until)
        for marking in (True, False):
            unmarked = 0
            for page in _read_partition(table, partition):
                if marking:
                    _mark_all(table, partition, page.unmarked, now, made_until)
                table.delete_many(page.under_marked)
                for head in page.emptied:
                    delete_create_record(table, head)
                table.delete_many(page.emptied)
                unmarked += len(page.unmarked)
                sessions += len(page.emptied)
                messages += sum(counted_messages(head) for head in page.emptied)
            if not unmarked:
                break
        _end_erasure(table, partition)
    except Unavailable:
        return Receipt(sessions, messages, finished=False)
    return Receipt(sessions, messages, finished=True)


@dataclass(slots=True)
class _Page:
    """One page of a partition, sorted by what is to be done with the items."""

    unmarked: list[Item] = field(default_factory=list)
    """Sessions that are not marked."""

    under_marked: list[Item] = field(default_factory=list)
    """Messages and records of marked sessions."""

    emptied: list[Item] = field(default_factory=list)
    """Marked sessions whose messages and records have all been read by now."""


def _read_partition(table: Table, partition: str) -> Iterator[_Page]:
    marked: Item | None = None  # the marked session that is being read
    pages = table.query(partition, ranges.ALL_SESSIONS, only=NEEDED_TO_REMOVE)
    for items in while_time_allows(pages):
        page = _Page()
        for item in items:
            if not keys.is_session(str(item["SK"])):
                if marked:
                    page.under_marked.append(item)
                continue
            if marked:
                page.emptied.append(marked)
            marked = item if "deleted_at" in item else None
            if not marked:
                page.unmarked.append(item)
        yield page
    if marked:
        yield _Page(emptied=[marked])


def _mark_all(
    table: Table, partition: str, items: Iterable[Item], now: str, made_until: str
) -> None:
    """One transaction per 99 sessions. Sessions that are marked or gone by now are left out."""
    condition = "attribute_exists(PK) AND attribute_not_exists(deleted_at)"
    sessions = [keys.session_of(str(item["SK"])) for item in items]
    waiting = [session for session in sessions if ids.timestamp(session) <= made_until]
    while waiting:
        batch = waiting[:MARKS_AT_ONCE]
        marks = {session: mark_write(partition, session, now, condition) for session in batch}
        try:
            table.transact({**marks, "user": count_sessions(partition, -len(batch))})
            waiting = waiting[MARKS_AT_ONCE:]
        except ConditionFailed as failed:
            waiting = [session for session in waiting if session not in failed.found]


def _end_erasure(table: Table, partition: str) -> None:
    """Deletes the user too, unless there are newer sessions; then only the note."""
    user = keys.user(partition)
    try:
        table.execute(writes.delete(user, "session_count = :none", {":none": 0}))
    except ConditionFailed:
        with suppress(ConditionFailed):  # there never was such a user
            note_gone = writes.update(
                user, "REMOVE GSI2PK, GSI2SK", condition="attribute_exists(PK)"
            )
            table.execute(note_gone)
