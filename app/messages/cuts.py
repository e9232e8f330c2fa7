"""Hides a long run of messages at once, and removes them afterwards.

A transaction takes 100 items. A longer tail is hidden by two ids in the session's item, the first
and last of the cut, in one write. Its messages are in no answer any more, and nothing is ever
written among them, because ids only rise. So they can be removed in any order, by any of these:
the request that made the cut, a later one, or the sweep, which finds the cut in GSI2.

A session has at most one cut. Every cut reaches to the newest message, so a new one either covers
the old one or begins after it; then the old one is finished first.
"""

from contextlib import suppress

from app.errors import Unavailable
from app.messages.bounds import bounds_of
from app.messages.edges import edges_beside
from app.sessions.removal import delete_while
from app.table import budget, keys, ranges, writes
from app.table.db import ConditionFailed, Table
from app.table.writes import Write

REMOVED_AT_ONCE = 200
"""Items that the request removes itself. The sweep removes the others, so that no request takes
long because it hides much."""


def due(partition: str, session_ulid: str, now: str) -> Write:
    """The item by which the sweep finds a session's cut. The session's own entry in GSI2 may be for
    its expiry."""
    key = keys.cut(partition, session_ulid)
    return writes.put(key, keys.by_due_time(session_ulid, now))


def begin_removing(table: Table, partition: str, session_ulid: str) -> None:
    """Removes the first items of a new cut, and the cut itself if these are all."""
    with suppress(Unavailable):  # the sweep goes on
        _remove(table, partition, session_ulid, REMOVED_AT_ONCE)


def finish(table: Table, partition: str, session_ulid: str) -> bool:
    """Removes a session's cut. Returns whether nothing remains of it.

    Costs 1 get, 1 query per MB, ⌈items/25⌉ batch writes and 1 transaction.
    """
    try:
        return _remove(table, partition, session_ulid)
    except Unavailable:
        return False


def _remove(table: Table, partition: str, session_ulid: str, most: int | None = None) -> bool:
    session_key = keys.session(partition, session_ulid)
    head = table.get(session_key)
    if not head or "deleted_at" in head:
        if not head:
            absent = writes.delete(session_key, "attribute_not_exists(PK)")
            left = writes.delete(keys.cut(partition, session_ulid))
            with suppress(ConditionFailed):  # its key has been used again meanwhile
                table.transact({"session": absent, "cut": left})
        return True
    cut = bounds_of(head).cut
    if not cut:
        return True
    between = ranges.messages_through(session_ulid, *cut)
    pages = table.query(partition, between, only="PK, SK, sources, given", limit=most)
    for items in budget.while_time_allows(pages):
        # Edges go first, because only the message tells which they are.
        edges = [edge for item in items for edge in edges_beside(item)]
        if "session_key" not in head:
            table.delete_many(edges)
            table.delete_many(items)
        elif not delete_while(table, head, ("cut_hi", "cut_lo", "born"), [*edges, *items]):
            return False  # deleted meanwhile, or a wider cut made
        if len(items) == most:
            return False
    seen = {":lo": cut[0], ":hi": cut[1]}
    uncut = "REMOVE cut_lo, cut_hi"
    with suppress(ConditionFailed):  # a wider cut has been made meanwhile
        table.transact(
            {
                "session": writes.update(session_key, uncut, seen, "cut_lo = :lo AND cut_hi = :hi"),
                "cut": writes.delete(keys.cut(partition, session_ulid)),
            }
        )
        return True
    return False
