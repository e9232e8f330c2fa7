"""Reads values: one, or many by the beginning of their names (access patterns 21 and 22)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from app.errors import (
    ApiError,
    InvalidCursor,
    Unavailable,
    ValueDamaged,
    ValueNotFound,
)
from app.logs import log_damaged
from app.table import ids, keys, ranges
from app.table.cursors import read_cursor
from app.table.db import Table
from app.table.retries import READS_OF_A_TRANSACTION
from app.table.writes import Item, Value
from app.values.model import MAX_VALUES, Order, StoredValue, assemble, describe, parts_of
from app.values.pages import ValuePage, wire_of
from app.values.places import Place, current_epoch
from app.wire import MAX_ANSWER

MAX_READ = 8
"""Pages of 1 MB that DynamoDB reads for one page of ours. It reads whole items, also for names."""

NAMES = "PK, SK, epoch, written, etag, content_type, parts, total_bytes"


class _Found(NamedTuple):
    """A value as it was listed, None if it is damaged or is just being removed."""

    epoch: str
    name: str
    value: StoredValue | None


class ValueReader:
    def __init__(self, table: Table, clock: ids.Clock = ids.system_clock) -> None:
        self.table = table
        self.clock = clock

    def get(
        self,
        place: Place,
        name: str,
        *,
        with_content: bool = True,
        known: Callable[[str], bool] | None = None,
    ) -> StoredValue:
        """Pattern 21: one value. If its ETag is `known`, further parts are not read, and it comes
        without content.

        Raises:
            SessionNotFound, ValueNotFound, ValueDamaged
        """
        [value] = self.find(place, [name], with_content=with_content, known=known)
        if not value:
            raise ValueNotFound
        if isinstance(value, ApiError):
            raise value
        return value

    def find(
        self,
        place: Place,
        names: Sequence[str],
        *,
        with_content: bool = True,
        known: Callable[[str], bool] | None = None,
        room: int | None = None,
    ) -> list[StoredValue | ApiError | None]:
        """Some values, in this order; None for those that are not there, and an error for those
        that cannot be read. At most 99. If they have more than `room` bytes in an answer, the last
        ones come without content.

        Costs 1 batch get, and 1 query for each value that is divided.

        Raises:
            SessionNotFound
        """
        wanted = {name: place.value_key(name) for name in names}
        found = self.table.get_many([place.head_key, *wanted.values()])
        head = found.get(place.head_key["SK"])
        epoch = current_epoch(place, head, self._now())
        values: list[StoredValue | ApiError | None] = []
        for name in names:
            first = found.get(wanted[name]["SK"])
            is_known = known is not None and first is not None and known(str(first.get("etag")))
            wants = with_content and not is_known
            value = self._value(place, name, first, epoch, with_content=wants)
            if isinstance(value, StoredValue) and room is not None:
                room -= wire_of(value)
                if room < 0:
                    value, with_content = replace(value, content=None), False
            values.append(value)
        return values

    def _value(
        self, place: Place, name: str, first: Item | None, epoch: str, *, with_content: bool
    ) -> StoredValue | ApiError | None:
        try:
            return self.whole(place, name, first, epoch, with_content=with_content)
        except Unavailable as error:
            return error
        except ValueDamaged as error:
            # A removal takes the items one by one, after the head has told of it.
            head = self.table.get(place.head_key)
            if current_epoch(place, head, self._now()) != epoch:
                return None
            _log(place, name)
            return error

    def whole(
        self, place: Place, name: str, first: Item | None, epoch: str, *, with_content: bool = True
    ) -> StoredValue | None:
        """The value of this first item. If its parts are of another write, it is read again.

        Raises:
            ValueDamaged
            Unavailable: it was replaced each time.
        """
        seen: list[Value | None] = []
        for _ in range(READS_OF_A_TRANSACTION):
            if not first or first.get("epoch") != epoch:
                return None
            seen.append(first.get("written"))
            if not with_content:
                value = describe(name, first)
            else:
                items = [first, *self._parts(place, name, first)]
                if any(item.get("written") != first.get("written") for item in items) or (
                    len(items) != parts_of(first)
                ):
                    first = self.table.get(place.value_key(name))
                    continue
                value = assemble(name, items)
            if value:
                return value
            break
        if len(set(seen)) == READS_OF_A_TRANSACTION:
            raise Unavailable("The value was replaced while it was read.")
        raise ValueDamaged

    def _parts(self, place: Place, name: str, first: Item) -> list[Item]:
        if parts_of(first) == 1:
            return []
        parts = ranges.value_parts(place.session_ulid, name, parts_of(first))
        return list(chain.from_iterable(self.table.query(place.partition, parts)))

    def page(
        self,
        place: Place,
        prefix: str = "",
        *,
        limit: int = MAX_VALUES,
        order: Order = "asc",
        cursor: str | None = None,
        after: str = "",
        names_only: bool = False,
    ) -> ValuePage:
        """Pattern 22: up to `limit` values whose names begin with `prefix`, in the order of their
        names' UTF-8, from a cursor or after the name `after`. The page ends early, with a cursor,
        if the response would become too large.

        The head is read last. If it is still the same, nothing was removed while the values were
        read. A damaged value is left out and logged.

        Raises:
            SessionNotFound, InvalidCursor
        """
        scope = f"{place.partition} values {place.session_ulid} {order} {prefix}"
        between = ranges.values(place.session_ulid, prefix)
        start = read_cursor(scope, cursor) if cursor else after
        begin = place.value_key(start)["SK"] if start else None
        if begin is not None and not between[0] <= begin < between[1]:
            raise InvalidCursor
        for _ in range(READS_OF_A_TRANSACTION):
            pages = self.table.query(
                place.partition,
                between,
                backwards=order == "desc",
                limit=limit + 1,
                only=NAMES if names_only else None,
                after=begin,
            )
            found, end = self._fill(place, between[1], pages, limit, names_only=names_only)
            head = self.table.get(place.head_key)
            epoch = current_epoch(place, head, self._now())
            if all(each.epoch == epoch for each in found):  # else it was made again meanwhile
                break
        present = [each for each in found if each.epoch == epoch]
        for each in present:
            if not each.value:
                _log(place, each.name)
        return ValuePage([each.value for each in present if each.value], end, scope, start)

    def _now(self) -> str:
        return ids.iso_time(self.clock())

    def _fill(
        self,
        place: Place,
        end: str,
        pages: Iterator[list[Item]],
        limit: int,
        *,
        names_only: bool,
    ) -> tuple[list[_Found], str | None]:
        """What was found, and the name after which the next page begins."""
        found: list[_Found] = []
        count, size, last = 0, 0, ""
        for number, items in enumerate(pages):
            if number == MAX_READ:
                return found, last
            for item in items:
                if item["SK"] == end:
                    continue
                name, epoch = keys.name_of(str(item["SK"])), str(item.get("epoch"))
                if count == limit:
                    return found, last
                value = self._read(place, name, item, epoch, with_content=not names_only)
                size += wire_of(value) if value else 0
                if count and size > MAX_ANSWER:
                    return found, last
                found.append(_Found(epoch, name, value))
                count += value is not None
                last = name
        return found, None

    def _read(
        self, place: Place, name: str, item: Item, epoch: str, *, with_content: bool
    ) -> StoredValue | None:
        try:
            return self.whole(place, name, item, epoch, with_content=with_content)
        except ValueDamaged:
            return None


def _log(place: Place, name: str) -> None:
    """Logs that a value is damaged. Not its name, which is a user's text."""
    log_damaged(place.partition, place.part_key(name, 0)["SK"])
