"""What values belong to: a session, a user or a tenant.

Each has an item of its own, its *head*, which names the *epoch* of its values and notes that there
are any. Deleting or erasing ends the epoch. Values carry the epoch in which they were put, and no
reader sees those of an earlier one. So a put that was on its way meanwhile does no harm, and needs
no transaction. What it leaves is removed by the sweep (`app.sessions.leftovers`).
"""

from dataclasses import dataclass

from app.errors import Contended, SessionNotFound
from app.identity.caller import Caller
from app.sessions import leftovers
from app.sessions.leftovers import epoch_of
from app.sessions.model import LIVE, is_live, ulid_of
from app.table import ids, keys, writes
from app.table.db import ConditionFailed, Table
from app.table.keys import Key
from app.table.writes import Item, Value

TRIES = 5
"""How often a write begins again because another writer was first."""


@dataclass(frozen=True, slots=True)
class Place:
    """`session_ulid` is empty for values of a user or a tenant."""

    partition: str
    head_key: Key
    session_ulid: str = ""

    def value_key(self, name: str) -> Key:
        return keys.value(self.partition, self.session_ulid, name)

    def part_key(self, name: str, part: int) -> Key:
        return keys.value_part(self.partition, self.session_ulid, name, part)


def of_session(caller: Caller, session_id: str) -> Place:
    """
    Raises:
        SessionNotFound: not a session id.
    """
    ulid = ulid_of(session_id)
    return Place(caller.partition, keys.session(caller.partition, ulid), ulid)


def of_user(caller: Caller) -> Place:
    return Place(caller.partition, keys.user(caller.partition))


def of_tenant(caller: Caller) -> Place:
    partition = keys.tenant_partition(caller.tenant)
    return Place(partition, keys.tenant(partition))


def current_epoch(place: Place, head: Item | None, now: str) -> str:
    """The epoch of the values that a reader sees.

    Raises:
        SessionNotFound
    """
    if place.session_ulid and not is_live(head, now):
        raise SessionNotFound
    return epoch_of(head, place.session_ulid)


def open_for_reading(table: Table, place: Place, now: str) -> tuple[Item | None, str]:
    """Reads the head. Returns it with the epoch. Costs 1 get.

    Raises:
        SessionNotFound
    """
    head = table.get(place.head_key)
    return head, current_epoch(place, head, now)


def open_for_writing(table: Table, place: Place, now: str) -> tuple[Item, str]:
    """Reads the head, and makes sure that it notes its values. Returns it with the epoch. Costs 1
    get; before the first value 1 update more, and for a user or a tenant another get.

    Raises:
        SessionNotFound
        Contended: the head is deleted and made again all the time.
    """
    for _ in range(TRIES):
        head, epoch = open_for_reading(table, place, now)
        if head and "has_values" in head:
            return head, epoch
        conditions = [LIVE] if place.session_ulid else []
        values: dict[str, Value] = {":now": now} if place.session_ulid else {}
        for name in ("born", "epoch"):  # of the same session, and nothing was erased meanwhile
            if head and name in head:
                conditions.append(f"{name} = :seen_{name}")
                values[f":seen_{name}"] = head[name]
            else:
                conditions.append(f"attribute_not_exists({name})")
        sets: dict[str, Value | None] = {"has_values": 1}
        if epoch == ids.LEAST:  # a user's or tenant's first one
            sets["epoch"] = epoch = leftovers.new_epoch(
                table, place.partition, ids.milliseconds_of(now)
            )
        if not place.session_ulid and not keys.is_tenant(place.partition):
            sets |= keys.by_tenant(place.partition)
        note = writes.change(place.head_key, sets, values, " AND ".join(conditions))
        try:
            return table.execute(note), epoch
        except ConditionFailed:
            continue
    raise Contended
