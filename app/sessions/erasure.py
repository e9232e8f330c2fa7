"""Erases a user: marks all of the user's sessions, then removes them like `app.sessions.removal`.
The user's own values go first, by the end of their epoch (`app.sessions.leftovers`).

The erasure is first noted on the user's item, so that the sweep can finish it. The note,
`erase_until`, is the user's `last_ulid` at that moment: the greatest id a session was born with.
Later sessions get greater ids, because the transaction that creates a session has that as a
condition. So the note covers exactly the sessions that existed, whatever the clocks of the hosts.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from app.errors import Unavailable
from app.sessions import leftovers
from app.sessions.model import counted_messages
from app.sessions.removal import (
    NEEDED_TO_REMOVE,
    Receipt,
    mark_write,
    remove,
)
from app.table import budget, ids, keys, ranges, writes
from app.table.database_time import MAX_AHEAD
from app.table.db import ConditionFailed, Table
from app.table.definition import BY_ACTIVITY
from app.table.writes import Item, Value, Write

MARKS_AT_ONCE = 99
"""Sessions marked in one transaction. It takes 100 items, and one of them is the user."""


def count_new_session(partition: str, session_ulid: str) -> Write:
    """A write for the transaction that creates a session. Its condition fails unless the session's
    id is the user's greatest. The item found then has the greatest id in `last_ulid`."""
    return writes.change(
        keys.user(partition),
        {"last_ulid": session_ulid, **keys.by_tenant(partition)},
        {},
        "attribute_not_exists(last_ulid) OR last_ulid < :last_ulid",
        {"session_count": 1},
    )


def publish_session(partition: str, session_ulid: str) -> Write:
    """Like `count_new_session`, for a session that was filled before. Its condition fails while the
    user is being erased, because what it holds may be older than the erasure."""
    write = count_new_session(partition, session_ulid)
    condition = write["Update"]["ConditionExpression"]
    write["Update"]["ConditionExpression"] = f"({condition}) AND attribute_not_exists(erase_until)"
    return write


def publish_older_session(partition: str, session_ulid: str) -> Write:
    """Like `publish_session`, for a session that is not the user's newest. An erasure that is noted
    later covers it, too."""
    return writes.change(
        keys.user(partition),
        dict(keys.by_tenant(partition)),
        {":session": session_ulid},
        "last_ulid >= :session AND attribute_not_exists(erase_until)",
        {"session_count": 1},
    )


def erase(table: Table, partition: str, now: int) -> Receipt:
    """Erases all sessions and values of a user that exist at the time of the call.

    Raises:
        Unavailable: the note could not be written, and no session was erased.
    """
    due = keys.by_due_time(partition, ids.iso_time(now))
    note = writes.update(
        keys.user(partition),
        # An existing note keeps its due time, and with it its place in the sweep.
        "SET erase_until = if_not_exists(last_ulid, :latest),"
        " last_ulid = if_not_exists(last_ulid, :latest),"
        " GSI2PK = :due_pk, GSI2SK = if_not_exists(GSI2SK, :due_sk)",
        {
            # For users whose sessions were all created before `last_ulid` was introduced.
            ":latest": ids.greatest_of(now + MAX_AHEAD),
            ":due_pk": due["GSI2PK"],
            ":due_sk": due["GSI2SK"],
        },
        "attribute_exists(last_ulid) OR attribute_exists(session_count)",
    )
    leftovers.end_epoch(table, partition, now)
    until = ids.GREATEST
    # Otherwise all sessions are marked already, or there have only been values.
    with suppress(ConditionFailed):
        until = str(table.execute(note)["erase_until"])
    return _erase_until(table, partition, until, ids.iso_time(now))


def continue_erasing(table: Table, partition: str, now: str) -> Receipt:
    """Continues the erasure that is noted on the user, for the sweep."""
    user = table.get(keys.user(partition)) or {}
    if "erase_until" not in user:  # the index was out of date
        return Receipt(0, 0, finished=True)
    return _erase_until(table, partition, str(user["erase_until"]), now)


def _erase_until(table: Table, partition: str, until: str, now: str) -> Receipt:
    """Erases the sessions with ids up to `until`.

    First marks the sessions in the index, which are nearly all. Then reads the partition twice. The
    first pass removes everything under marked sessions, and marks sessions that the index did not
    show yet. The second pass removes those: a session's messages are only known to be complete if
    they are read after its mark.
    """
    sessions = messages = 0
    try:
        left = table.get(keys.stale(partition))
        if left:
            leftovers.remove_values(table, partition, "", str(left.get("epoch", "")))
        for items in budget.while_time_allows(table.query_index(BY_ACTIVITY, partition)):
            _mark_all(table, partition, items, now, until)
        for marking in (True, False):
            unmarked = 0
            for page in _read_partition(table, partition):
                if marking:
                    _mark_all(table, partition, page.unmarked, now, until)
                table.delete_many(page.under_marked)
                table.delete_many(page.emptied)
                unmarked += len(page.unmarked)
                sessions += len(page.emptied)
                messages += sum(counted_messages(head) for head in page.emptied)
                for head in page.on_its_own:
                    receipt = remove(table, partition, keys.session_of(str(head["SK"])))
                    sessions += receipt.deleted_sessions
                    messages += receipt.deleted_messages
                    if not receipt.finished:
                        raise Unavailable
            if not unmarked:
                break
        _end_erasure(table, partition, until, keep=bool(left))
    except Unavailable:
        return Receipt(sessions, messages, finished=False)
    return Receipt(sessions, messages, finished=True)


@dataclass(slots=True)
class _Page:
    """The items of one page of a partition, grouped by what to do with them."""

    unmarked: list[Item] = field(default_factory=list)
    """Sessions that are not marked."""

    under_marked: list[Item] = field(default_factory=list)
    """Messages and records of marked sessions."""

    on_its_own: list[Item] = field(default_factory=list)
    """Marked sessions whose id may be used again, or that have values. Each is removed on its own.
    """

    emptied: list[Item] = field(default_factory=list)
    """Marked sessions whose messages and records have all been read."""


def _read_partition(table: Table, partition: str) -> Iterator[_Page]:
    marked: Item | None = None  # the marked session that is being read
    pages = table.query(partition, ranges.all_sessions(), only=NEEDED_TO_REMOVE)
    for items in budget.while_time_allows(pages):
        page = _Page()
        for item in items:
            if not keys.is_session(str(item["SK"])):
                if marked and not keys.is_stale(str(item["SK"])):
                    page.under_marked.append(item)
                continue
            if marked:
                page.emptied.append(marked)
            on_its_own = item.keys() & {"session_key", "has_values"}
            marked = item if "deleted_at" in item and not on_its_own else None
            if "deleted_at" not in item:
                page.unmarked.append(item)
            elif not marked:
                page.on_its_own.append(item)
        yield page
    if marked:
        yield _Page(emptied=[marked])


def _mark_all(table: Table, partition: str, items: Iterable[Item], now: str, until: str) -> None:
    """Marks sessions, in transactions of 99. Skips sessions that are marked or removed already.

    Marks only while the user has a note up to `until` or further. The note is removed once
    everything up to it is erased, and new sessions may then have ids up to `until` again.
    """
    born = {keys.session_of(str(item["SK"])): item.get("born") for item in items}
    waiting = [session for session in born if str(born[session] or session) <= until]
    while waiting:
        batch = waiting[:MARKS_AT_ONCE]
        marks = {session: _mark(partition, session, born[session], now) for session in batch}
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


def _mark(partition: str, session: str, born: Value | None, now: str) -> Write:
    condition = "attribute_exists(PK) AND attribute_not_exists(deleted_at)"
    if born is None:
        return mark_write(partition, session, now, condition)
    # With a key it may have been deleted and made again, after the erasure was requested.
    return mark_write(partition, session, now, f"{condition} AND born = :born", {":born": born})


def _end_erasure(table: Table, partition: str, until: str, *, keep: bool) -> None:
    """Deletes the user's item, or only the note if there are newer sessions or values. If the note
    has moved on to newer sessions, both remain. With `keep`, the item is still needed for the epoch
    of the values."""
    user, noted = keys.user(partition), {":until": until}
    if not keep:
        empty = (
            "erase_until = :until AND attribute_not_exists(has_values)"
            " AND (attribute_not_exists(session_count) OR session_count = :none)"
        )
        try:
            table.execute(writes.delete(user, empty, {**noted, ":none": 0}))
            return
        except ConditionFailed:
            pass
    with suppress(ConditionFailed):  # another erasure has ended first, or has been noted since
        gone = "REMOVE GSI2PK, GSI2SK, erase_until"
        table.execute(writes.update(user, gone, noted, "erase_until = :until"))
