"""Values that were put while what they belong to was deleted or erased.

A put of a value reads its head first (the item of its session, user or tenant), then writes without
a transaction. In between, the head may be deleted. So a removal leaves an item that is due for the
sweep after the longest request, and the sweep removes the values once more. Until then nobody sees
them, because they carry the *epoch* of the old head, and a new one has a later epoch.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from app.table import budget, ids, keys, ranges, writes
from app.table.db import ConditionFailed, Table
from app.table.writes import Item, Value, Write

SETTLED = 2 * 60 * 1000
"""Milliseconds after which no put that began before is still on its way. A request has 29 seconds,
and a program that uses the stores has 20 for each call."""

NEEDED = "PK, SK, epoch"


def epoch_of(head: Mapping[str, Value] | None, session_ulid: str = "") -> str:
    """The epoch of the values of a session, a user or a tenant. Its head may not exist.

    >>> epoch_of({"born": "01B"}, "01S"), epoch_of({}, "01S"), epoch_of(None)
    ('01B', '01S', '00000000000000000000000000')
    """
    head = head or {}
    return str(head.get("epoch") or head.get("born") or session_ulid or ids.LEAST)


def new_epoch(table: Table, partition: str, now: int, session_ulid: str = "") -> str:
    """An epoch after all earlier ones whose values may still be on their way. Costs 1 get."""
    left = table.get(keys.stale(partition, session_ulid)) or {}
    latest = str(left.get("epoch", ids.LEAST))
    return max(ids.greatest_of(now), _next(latest))


def _next(epoch: str) -> str:
    return ids.series(epoch, 2)[1] if ids.is_ulid(epoch) else ids.LEAST


def note(partition: str, session_ulid: str, epoch: str, now: int) -> Write:
    """The write of the item by which the sweep finds values of `epoch` and before."""
    key = keys.stale(partition, session_ulid)
    due = keys.by_due_time(session_ulid or partition, ids.iso_time(now + SETTLED))
    return writes.put(key, {"epoch": epoch, **due})


def remove_values(table: Table, partition: str, session_ulid: str, epoch: str) -> None:
    """Removes all values of `epoch` and before. A later one may have the same name, so each is
    removed on condition of its epoch.

    Costs 1 query per MB and 1 delete each.

    Raises:
        Unavailable: time is up.
    """
    pages = table.query(partition, ranges.all_values(session_ulid), only=NEEDED)
    for page in budget.while_time_allows(pages):
        old = [item for item in page if str(item.get("epoch", "")) <= epoch]
        table.in_parallel([partial(_remove, table, item, epoch) for item in old])


def _remove(table: Table, item: Item, epoch: str) -> None:
    key = {"PK": str(item["PK"]), "SK": str(item["SK"])}
    condition = "epoch <= :epoch OR attribute_not_exists(epoch)"
    with suppress(ConditionFailed):
        table.execute(writes.delete(key, condition, {":epoch": epoch}))


def finish(table: Table, partition: str, sk: str) -> None:
    """Looks once more, for the sweep, and removes the item that told of it. If nothing is left of a
    user or a tenant, the head goes too.

    Raises:
        Unavailable: time is up.
    """
    session_ulid = keys.session_of(sk) if sk.startswith(keys.SESSION_PREFIX) else ""
    key = keys.stale(partition, session_ulid)
    left = table.get(key)
    if not left:
        return
    remove_values(table, partition, session_ulid, str(left.get("epoch", "")))
    if not session_ulid:
        empty = " AND ".join(
            [
                "attribute_not_exists(has_values)",
                "attribute_not_exists(erase_until)",
                "(attribute_not_exists(session_count) OR session_count = :none)",
            ]
        )
        try:
            table.execute(writes.delete(_head(partition), empty, {":none": 0}))
        except ConditionFailed as failed:
            if "erase_until" in failed.item:  # the erasure ends first
                return
    with suppress(ConditionFailed):  # noted again since
        table.execute(writes.delete(key, "GSI2SK = :due", {":due": left["GSI2SK"]}))


def end_epoch(table: Table, partition: str, now: int) -> bool:
    """Hides all values of a user or a tenant at once, and notes that they are to be removed. Later
    ones have a later epoch. Returns False if there are none.

    Costs 1 get, and 1 transaction if there are any.
    """
    key = _head(partition)
    while True:
        budget.current().check()
        head = table.get(key)
        if not head or "has_values" not in head:
            return False
        old = epoch_of(head)
        new = max(ids.greatest_of(now), _next(old))
        same = "epoch = :old" if "epoch" in head else "attribute_not_exists(epoch)"
        ended = writes.change(
            key, {"epoch": new, "has_values": None}, {":old": old} if "epoch" in head else {}, same
        )
        with suppress(ConditionFailed):
            table.transact({"head": ended, "stale": note(partition, "", old, now)})
            return True


def _head(partition: str) -> dict[str, str]:
    return keys.tenant(partition) if keys.is_tenant(partition) else keys.user(partition)
