"""One value to put or to delete: the writes of it, and what a failed condition says about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.errors import ValueChanged, ValueNotFound
from app.table import writes
from app.table.item_sizes import PART_BYTES
from app.table.writes import Item, Value, Write
from app.values.model import Content, items_of, parts_of
from app.values.places import Place

ANY = "*"

IfMatch = tuple[str, ...]
"""The ETags that a write accepts. `(ANY,)` accepts any value that is there; empty accepts none."""

NOTHING = "-"


class Reopen(Exception):
    """The head has changed since it was read, so that the write has to begin again."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a value. `etag` is None if it was deleted. `is_new` is true if there was no
    value of this name; None if that is not known."""

    name: str
    etag: str | None
    written: str
    is_new: bool | None = None


@dataclass(slots=True)
class Change:
    """A value to put, or to delete if `content` is None.

    A value that is there may have further parts, which must go in the same transaction. Without a
    read nobody knows, so the write's condition is that there are none. If it fails, it shows the
    item, and the next try deletes the parts on condition that the item is still the same.
    """

    name: str
    content: Content | None
    if_match: IfMatch | None = None
    only_new: bool = False
    must_exist: bool = False
    """A delete fails if there is nothing to delete."""
    mark: bytes | None = None
    """Ten bytes that recognise this write if the request is repeated."""

    _seen: Item | None = field(default=None, init=False)
    """The item that is there, as far as it was read; empty if there is none."""

    def see(self, item: Item | None) -> None:
        """Takes note of the value's item as it was read."""
        self._seen = item or {}

    @property
    def is_divided(self) -> bool:
        return self.content is not None and len(self.content.raw) > PART_BYTES

    @property
    def size(self) -> int:
        """Bytes of the name, twice, and the content."""
        content = self.content.raw if self.content else b""
        return 2 * len(self.name.encode()) + len(content)

    def writes(self, place: Place, epoch: str, written: str) -> dict[str, Write]:
        """The writes by the sort keys of their items, that of the first item first."""
        condition, values = self._condition(epoch)
        key = place.value_key(self.name)
        parts: dict[str, Write] = {}
        if self.content is None:
            parts[key["SK"]] = writes.delete(key, condition, values)
        else:
            first, *further = items_of(place, epoch, self.name, self.content, written)
            parts[key["SK"]] = writes.put({}, first, condition, values)
            parts |= {str(item["SK"]): writes.put({}, item) for item in further}
        for number in range(max(1, len(parts)), parts_of(self._seen or {})):
            surplus = place.part_key(self.name, number)
            parts[surplus["SK"]] = writes.delete(surplus)
        return parts

    def _condition(self, epoch: str) -> tuple[str, dict[str, Value]]:
        values: dict[str, Value] = {":epoch": epoch}
        wanted = []
        if self.if_match is not None:
            wanted.append("epoch = :epoch")
            if ANY not in self.if_match:
                tags = {f":tag{n}": tag for n, tag in enumerate(self.if_match or (NOTHING,))}
                wanted.append(f"etag IN ({', '.join(tags)})")
                values |= tags
        elif self.must_exist:
            wanted.append("epoch = :epoch")
        if self.only_new or not wanted:
            earlier = "<" if self.only_new else "<="
            wanted.append(f"(attribute_not_exists(epoch) OR epoch {earlier} :epoch)")
        if self._seen is None:
            wanted.append("attribute_not_exists(parts)")
        elif "written" in self._seen:
            wanted.append("written = :seen")
            values[":seen"] = self._seen["written"]
        elif self._seen:  # damaged
            wanted.append("NOT attribute_type(written, :text)")
            values[":text"] = "S"
        else:
            wanted.append("attribute_not_exists(PK)")
        return " AND ".join(wanted), values

    def judge(self, found: Item, epoch: str, written: str, *, repeated: bool) -> Done | None:
        """What a failed condition means. Returns None if the write is to be tried again.

        Raises:
            ValueNotFound
            ValueChanged: the precondition does not hold.
            Reopen: the value is of a later epoch.
        """
        there = str(found.get("epoch", ""))
        if there > epoch:
            raise Reopen
        is_own = _mark_of(found.get("written")) == _mark_of(written)
        if self.content is not None and is_own and there == epoch:
            return self.done(str(found["written"]))  # the response to an earlier try was lost
        etag = str(found.get("etag")) if found and there == epoch else None
        if self.only_new and etag is not None:
            raise ValueChanged(etag)
        if self.if_match is not None:
            if self.content is None and etag is None and repeated:
                return self.done(written)
            matches = etag is not None and (ANY in self.if_match or etag in self.if_match)
            if not matches:
                raise ValueChanged(etag)
        elif self.must_exist and etag is None:
            if repeated:
                return self.done(written)
            raise ValueNotFound
        self._seen = found
        return None

    def done(self, written: str, old: Mapping[str, Value] | None = None, epoch: str = "") -> Done:
        """`old` is what was there before, if the write has told it."""
        if old is None:
            is_new = None if self._seen is None else not self._seen
        else:
            is_new = str(old.get("epoch", "")) < epoch if old else True
        if self.only_new:
            is_new = True
        return Done(self.name, self.content.etag if self.content else None, written, is_new)


def _mark_of(written: Any) -> str:
    """What an id has besides its time. It is random, or that of an Idempotency-Key."""
    return str(written)[10:]
