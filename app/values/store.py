"""The store of values, with one method per access pattern, numbered as in `app.table.keys`.

Works without Flask. A value's place tells its session, user or tenant (`app.values.places`).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from app.errors import Contended, Unavailable, ValueChanged, ValueNotJson
from app.merge_patch import merge_patch
from app.table import budget, idempotency, ids, keys, ranges
from app.table.database_time import checked_time
from app.table.db import ConditionFailed, Table
from app.table.idempotency import IdempotencyKey
from app.table.writes import Item
from app.values import places, rules
from app.values.changes import ANY, Change, Done, IfMatch, Reopen
from app.values.model import Content
from app.values.opened import Opened
from app.values.places import TRIES, Place
from app.values.reader import ValueReader


@dataclass(frozen=True, slots=True)
class Removed:
    """If not `finished`, the same request removes the rest."""

    deleted_values: int
    finished: bool


class ValueStore:
    def __init__(self, table: Table, ulids: ids.UlidSource | None = None) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()
        self.reader = ValueReader(table, self.ulids.clock)

    def put(
        self,
        place: Place,
        name: str,
        content: Content,
        *,
        if_match: IfMatch | None = None,
        only_new: bool = False,
        idempotency_key: IdempotencyKey | None = None,
        parsed: bool = False,
    ) -> Done:
        """Pattern 23: creates or replaces a value. Costs 1 get and 1 put; for the first value of
        its place 1 update more, for a divided one 1 get more. With `parsed`, JSON text is known to
        be JSON. A repeated request is recognised by its key, as long as nobody else has written the
        value since.

        Raises:
            ValidationFailed, SessionNotFound, TooLarge
            ValueChanged: the precondition does not hold.
        """
        rules.check_name(name)
        rules.check_content(content, parsed=parsed)
        mark = idempotency.mark_of(idempotency_key, content.etag) if idempotency_key else None
        return self._carry_out(place, Change(name, content, if_match, only_new, mark=mark))

    def delete(self, place: Place, name: str, *, if_match: IfMatch | None = None) -> None:
        """Pattern 23.

        Raises:
            SessionNotFound, ValueNotFound, ValueChanged
        """
        self._carry_out(place, Change(name, None, if_match, must_exist=True))

    def patch(
        self, place: Place, name: str, patch: str, *, if_match: IfMatch | None = None
    ) -> tuple[Done, Content]:
        """Merges JSON text into a JSON value (RFC 7396). Returns the new content, too.

        Costs 1 batch get, 1 get and 1 put.

        Raises:
            SessionNotFound, ValueNotFound, ValueDamaged, ValueNotJson, ValueChanged, TooLarge
            Contended: others changed the value at the same time, five times in a row.
        """
        for _ in range(TRIES):
            value = self.reader.get(place, name)
            if if_match is not None and ANY not in if_match and value.etag not in if_match:
                raise ValueChanged(value.etag)
            old = value.content.data if value.content else b""
            if not isinstance(old, str):
                raise ValueNotJson
            merged = Content(value.content_type, merge_patch(old, patch))
            rules.check_content(merged, parsed=True)
            with suppress(ValueChanged):
                return self._carry_out(place, Change(name, merged, (value.etag,))), merged
        raise Contended

    def delete_many(self, place: Place, prefix: str) -> Removed:
        """Pattern 25: deletes all values whose names begin with `prefix`, as far as time allows.
        Each is deleted on condition that nobody has made the session again meanwhile.

        Raises:
            SessionNotFound
        """
        _, epoch = places.open_for_reading(self.table, place, self.now())
        end = ranges.values(place.session_ulid, prefix)[1]
        pages = self.table.query(
            place.partition,
            ranges.values(place.session_ulid, prefix),
            only="PK, SK, epoch, written, parts",
        )
        deleted = 0
        try:
            for page in budget.while_time_allows(pages):
                old = [item for item in page if item["SK"] != end]
                done = self.table.in_parallel(
                    [partial(self._remove, place, epoch, item) for item in old]
                )
                deleted += sum(done)
        except Unavailable:
            return Removed(deleted, finished=False)
        return Removed(deleted, finished=True)

    def _remove(self, place: Place, epoch: str, item: Item) -> bool:
        """Returns whether it was a value that somebody could see."""
        change = Change(keys.name_of(str(item["SK"])), None)
        if "parts" in item:
            change.see(item)
        try:
            self.write(place, epoch, change)
        except Reopen:
            return False
        return item.get("epoch") == epoch

    def open(self, place: Place, changes: Sequence[Change]) -> Opened:
        """Reads the head of a place, for changes there.

        Raises:
            SessionNotFound
        """
        opening = (
            places.open_for_writing
            if any(change.content for change in changes)
            else places.open_for_reading
        )
        head, epoch = opening(self.table, place, self.now())
        return Opened(place, head or {}, epoch, changes)

    def _carry_out(self, place: Place, change: Change) -> Done:
        for _ in range(TRIES):
            opened = self.open(place, [change])
            with suppress(Reopen):
                return self.write(place, opened.epoch, change)
        raise Contended

    def write(self, place: Place, epoch: str, change: Change) -> Done:
        """Carries out one change.

        Raises:
            ValueNotFound, ValueChanged
            Reopen: the place has got a new epoch since.
            Contended
        """
        if change.is_divided:
            change.see(self.table.get(place.value_key(change.name)))
        for _ in range(TRIES):
            written = self.take(place, change.mark)
            first, *further = parts = change.writes(place, epoch, written)
            try:
                if not further:
                    old = self.table.execute(parts[first], show_old=change.content is not None)
                    return change.done(written, old, epoch)
                self.table.transact(parts)
                return change.done(written)
            except ConditionFailed as failed:
                found = failed.found.get(first, failed.found.get("item", {}))
                done = change.judge(found, epoch, written, repeated=failed.repeated)
            if done:
                return done
        raise Contended

    def take(self, place: Place, mark: bytes | None = None) -> str:
        """The id of a write. With a mark, everything but its time is that.

        Raises:
            ClockDisagrees
        """
        now = checked_time(self.table, self.ulids.clock, place.partition)
        return ids.marked(now, mark) if mark else self.ulids.new(now=now)[0]

    def now(self) -> str:
        return ids.iso_time(self.ulids.clock())
