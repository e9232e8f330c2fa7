"""The check of the values of one session, user or tenant.

It shares the keys and the form of a value with the stores, but none of their code. It holds one
value at a time, and a key for each value that is divided.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from app.operations import content, mends
from app.operations.mends import Mend
from app.table import ids, keys
from app.table.definition import BY_DUE_TIME
from app.table.ranges import Range
from app.table.writes import Item, Value

MOST_PARTS = 99
"""The number of a part has two digits."""

SAME = ("epoch", "written")
"""Attributes that all items of one write have alike."""


class Report(Protocol):
    """Called with an item, the kind of damage, its values, and how it can be mended."""

    def __call__(
        self, item: Item, problem: str, detail: str = "", mend: Mend | None = None
    ) -> None: ...


Read = Callable[[Range], Iterable[Item]]
"""Reads a range of the partition."""


class ValueCheck:
    """Give it each item for which `takes` is true, in the order of their keys. It needs the head,
    the item of the session, user or tenant, before the first value. Call `end` once."""

    def __init__(
        self, partition: str, report: Report, read: Read, now: int, session: str = ""
    ) -> None:
        self.values = 0
        self.pending = 0
        """Values that a delete or an erasure has hidden, and that the sweep will remove."""
        self.head: Item | None = None
        self._partition = partition
        self._session = session
        self._report = report
        self._read = read
        self._now = now
        self._stale: Item | None = None
        self._divided: dict[str, int] = {}  # the key of a value's parts, and how many items it has
        self._doubtful: set[str] = set()  # the keys of parts that may be all that is left
        self._has_current = False

    def takes(self, item: Item) -> bool:
        """Checks an item that is a value, a part of one, or tells of values put too late. Returns
        false for any other item."""
        sk = str(item["SK"])
        if keys.is_value(sk):
            self._value(item)
        elif keys.is_value_part(sk):
            self._part(item)
        elif keys.is_stale(sk):
            self._note(item)
        else:
            return False
        return True

    @property
    def has_note(self) -> bool:
        return self._stale is not None

    def end(self) -> None:
        if self._stale:
            self._check_note(self._stale)
        if self.head and self._has_current and "has_values" not in self.head:
            self._report(self.head, "has_values is missing", "", mends.set_to({"has_values": 1}))

    @property
    def _epoch(self) -> str:
        """What the head says. Values of an earlier epoch are shown to nobody."""
        head: Mapping[str, Value] = self.head or {}
        return str(head.get("epoch", head.get("born", self._session or ids.LEAST)))

    def _note(self, item: Item) -> None:
        """It has a right to be there after its session is gone, until the sweep has seen it."""
        self._stale = item

    def _check_note(self, item: Item) -> None:
        """At the end, because a user's item comes after it."""
        epoch, since = str(item.get("epoch")), item.get(f"{BY_DUE_TIME}SK")
        # With a later epoch, the sweep would remove the present values.
        is_sound = ids.is_ulid(epoch) and (self.head is None or epoch < self._epoch)
        found = {name: item.get(name) for name in (f"{BY_DUE_TIME}PK", f"{BY_DUE_TIME}SK")}
        owner = self._session or self._partition
        if found != keys.by_due_time(owner, str(since)):
            right = mends.index_keys(BY_DUE_TIME, mends.due(owner, since, self._now))
            problem = f"its keys in {BY_DUE_TIME} are wrong"
            self._report(item, problem, str(found), right if is_sound else None)
        if not is_sound:
            self._report(item, "its epoch is wrong", epoch)

    def _value(self, item: Item) -> None:
        self.values += 1
        epoch = str(item.get("epoch", ""))
        if self._is_current(epoch):
            self._has_current = True
            parts = self._parts_of(item)
            if parts is None:
                self._fault(item, "its parts are not whole", f"of {item.get('parts', 1)!r}")
            elif fault := content.value_fault([item, *parts]):
                self._fault(item, "its content is damaged", fault)
        elif self._is_removed(epoch):
            self.pending += 1
        elif self.head is None:
            self._fault(item, f"belongs to no {self._kind}", epoch, self._removal())
        else:
            is_earlier = epoch < self._epoch
            # Nobody sees it again, because epochs only rise. Without an epoch it may be present.
            mend = self._removal() if is_earlier and ids.is_ulid(epoch) else None
            when = "an earlier" if is_earlier else "a later"
            self._fault(item, f"is of {when} epoch", f"{epoch}, not {self._epoch}", mend)

    def _fault(self, item: Item, problem: str, detail: str, mend: Mend | None = None) -> None:
        if not mend:
            part = keys.value_part("", self._session, keys.name_of(str(item["SK"])), 1)["SK"]
            self._doubtful.add(_without_number(part))
        self._report(item, problem, detail, mend)

    def _removal(self) -> Mend | None:
        """Of a value, or a part, that nobody can see. The values of a user or a tenant whose item
        is lost may be all that is left of them."""
        if self.head:
            return mends.delete(unchanged=(self.head,))
        if not self._session:
            return None
        there = keys.session(self._partition, self._session)
        return mends.delete(absent=(there, keys.stale(self._partition, self._session)))

    def _is_current(self, epoch: str) -> bool:
        return self.head is not None and epoch == self._epoch

    def _is_removed(self, epoch: str) -> bool:
        """Whether the sweep will remove what is of this epoch."""
        return self._stale is not None and epoch <= str(self._stale.get("epoch", ""))

    def _parts_of(self, first: Item) -> list[Item] | None:
        """The further items of a value; None if they are not whole, or not of the same write."""
        count = first.get("parts", 1)
        if not isinstance(count, int) or not 1 <= count <= MOST_PARTS:
            return None
        if count == 1:
            return []
        name = keys.name_of(str(first["SK"]))
        expected = [
            keys.value_part("", self._session, name, part)["SK"] for part in range(1, count)
        ]
        self._divided[_without_number(expected[0])] = count
        parts = list(self._read((expected[0], expected[-1])))
        same = all(part.get(told) == first.get(told) for part in parts for told in SAME)
        return parts if same and [part["SK"] for part in parts] == expected else None

    def _part(self, item: Item) -> None:
        """A part that belongs to a value has been checked with it."""
        sk = str(item["SK"])
        number = sk.rpartition("#")[2]
        count = self._divided.get(_without_number(sk), 0)
        belongs = number.isdecimal() and 1 <= int(number) < count
        if not belongs and not self._is_removed(str(item.get("epoch", ""))):
            is_left_over = _without_number(sk) not in self._doubtful
            mend = self._removal() if is_left_over else None
            self._report(item, "belongs to no value", "", mend)

    @property
    def _kind(self) -> str:
        if self._session:
            return "session"
        return "tenant" if keys.is_tenant(self._partition) else "user"


def _without_number(sk: str) -> str:
    return sk.rpartition("#")[0]
