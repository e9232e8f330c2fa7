"""Erasing a user: all of their sessions are marked, then removed as `app.sessions.removal` does.

That it was asked for is noted on the user first, so that the sweep can finish it. The note says up
to which session: `erase_until` is the user's `last_ulid` of that moment, the greatest id that a
session of theirs has. A session made later gets a greater id, because the transaction that makes it
has that as a condition. So the note names exactly what was there, whatever the clocks say.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from app.errors import Unavailable
from app.sessions.model import counted_messages
from app.sessions.removal import (
    NEEDED_TO_REMOVE,
    Receipt,
    mark_write,
    while_time_allows,
)
from app.table import ids, keys, ranges, writes
from app.table.database_time import MAX_AHEAD
from app.table.db import ConditionFailed, Table
from app.table.definition import BY_ACTIVITY
from app.table.writes import Item, Write

MARKS_AT_ONCE = 99
"""A transaction takes 100 items, and one of them is the user's count."""


def count_new_session(partition: str, session_ulid: str) -> Write:
    """For the transaction that makes a session. Its condition fails unless the session's id is the
    user's greatest; the item found tells that in `last_ulid`."""
    return writes.update(
        keys.user(partition),
        "SET last_ulid = :session ADD session_count :one",
        {":session": session_ulid, ":one": 1},
        "attribute_not_exists(last_ulid) OR last_ulid < :session",
    )


def erase(table: Table, partition: str, now: int) -> Receipt:
    """Erases everything of a user that existed when this was called.

    Raises:
        Unavailable: not even the note could be written; nothing is erased.
    """
    due = keys.by_due_time(partition, ids.iso_time(now))
    note = writes.update(
        keys.user(partition),
        # A note that is there already keeps its place in the sweep's order.
        "SET erase_until = if_not_exists(last_ulid, :latest),"
        " last_ulid = if_not_exists(last_ulid, :latest),"
        " GSI2PK = :due_pk, GSI2SK = if_not_exists(GSI2SK, :due_sk)",
        {
            # For a user who has no session yet that was made with `last_ulid`.
            ":latest": ids.greatest_of(now + MAX_AHEAD),
            ":due_pk": due["GSI2PK"],
            ":due_sk": due["GSI2SK"],
        },
        "attribute_exists(PK)",
    )
    until = ids.GREATEST
    with suppress(ConditionFailed):  # without a user, there are at most sessions that are marked
        until = str(table.execute(note)["erase_until"])
    return _erase_until(table, partition, until, ids.iso_time(now))


def continue_erasing(table: Table, partition: str, now: str) -> Receipt:
    """Goes on with what is noted on the user, for the sweep."""
    user = table.get(keys.user(partition)) or {}
    if "erase_until" not in user:  # the index was out of date
        return Receipt(0, 0, finished=True)
    return _erase_until(table, partition, str(user["erase_until"]), now)


def _erase_until(table: Table, partition: str, until: str, now: str) -> Receipt:
    """Erases the sessions with ids up to `until`.

    Most sessions are in the index, so those are marked first. Then the partition is read twice. The
    first reading removes what is under marked sessions and marks the others (the index lags). The
    second removes those: only what is read after the mark is known to be all of it.
    """
    sessions = messages = 0
    try:
        for items in while_time_allows(table.query_index(BY_ACTIVITY, partition)):
            _mark_all(table, partition, items, now, until)
        for marking in (True, False):
            unmarked = 0
            for page in _read_partition(table, partition, until):
                if marking:
                    _mark_all(table, partition, page.unmarked, now, until)
                table.delete_many(page.under_marked)
                table.delete_many(page.emptied)
                unmarked += len(page.unmarked)
                sessions += len(page.emptied)
                messages += sum(counted_messages(head) for head in page.emptied)
            if not unmarked:
                break
        _end_erasure(table, partition, until)
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


def _read_partition(table: Table, partition: str, until: str) -> Iterator[_Page]:
    marked: Item | None = None  # the marked session that is being read
    pages = table.query(partition, ranges.sessions_until(until), only=NEEDED_TO_REMOVE)
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


def _mark_all(table: Table, partition: str, items: Iterable[Item], now: str, until: str) -> None:
    """One transaction per 99 sessions. Sessions that are marked or gone by now are left out.

    A mark holds only while a note for as much or more stands: whoever removed that note had erased
    everything first, and ids up to `until` may be given out again from then on.
    """
    condition = "attribute_exists(PK) AND attribute_not_exists(deleted_at)"
    sessions = [keys.session_of(str(item["SK"])) for item in items]
    waiting = [session for session in sessions if session <= until]
    while waiting:
        batch = waiting[:MARKS_AT_ONCE]
        marks = {session: mark_write(partition, session, now, condition) for session in batch}
        user = writes.update(
            keys.user(partition),
            "ADD session_count :change",
            {":change": -len(batch), ":until": until},
            "erase_until >= :until",
        )
        try:
            table.transact({**marks, "user": user})
            waiting = waiting[MARKS_AT_ONCE:]
        except ConditionFailed as failed:
            if "user" in failed.found:
                return
            waiting = [session for session in waiting if session not in failed.found]


def _end_erasure(table: Table, partition: str, until: str) -> None:
    """Deletes the user too, unless there are newer sessions; then only the note. A note for more
    than has been erased here stays, with the user."""
    user, noted = keys.user(partition), {":until": until}
    try:
        empty = "erase_until = :until AND session_count = :none"
        table.execute(writes.delete(user, empty, {**noted, ":none": 0}))
    except ConditionFailed:
        with suppress(ConditionFailed):  # another erasure has ended first, or was asked for since
            note_gone = writes.update(
                user, "REMOVE GSI2PK, GSI2SK, erase_until", noted, "erase_until = :until"
            )
            table.execute(note_gone)
