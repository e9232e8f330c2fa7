"""Many operations on the values of one place, in order (access pattern 24).

Together, they are one transaction of writes. One by one, DynamoDB writes at half the units, and
each has an outcome of its own.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.errors import (
    ApiError,
    Contended,
    TooLarge,
    ValueNotFound,
    ValuesNotWritten,
)
from app.table import idempotency
from app.table.db import ConditionFailed
from app.table.idempotency import IdempotencyKey
from app.values.changes import Change, Done, Reopen
from app.values.model import StoredValue
from app.values.opened import Opened, check_together
from app.values.operations import Get, Operation, Page, check, check_once
from app.values.pages import ValuePage, wire_of
from app.values.places import TRIES, Place
from app.values.records import Record
from app.values.store import ValueStore
from app.wire import MAX_WIRE_BYTES

GETS_AT_ONCE = 25
"""Values read in one call: at most 10 MB."""

ROOM = MAX_WIRE_BYTES - 200_000
"""Bytes of all outcomes in an answer."""

MAX_OUTCOME = 10_000
"""Bytes of an outcome that is no value: it has a name, or says what is wrong."""


Outcome = Done | StoredValue | ValuePage | ApiError


@dataclass(frozen=True, slots=True)
class Outcomes:
    """In the order of the operations. `replayed` is true if an earlier request has written them."""

    outcomes: Sequence[Outcome]
    replayed: bool = False


class ValueBatches:
    def __init__(self, store: ValueStore) -> None:
        self.store = store

    def one_by_one(
        self,
        place: Place,
        operations: Sequence[Operation],
        *,
        idempotency_key: IdempotencyKey | None = None,
        parsed: bool = False,
    ) -> Outcomes:
        """Carries out operations in order. Neighbours that write to different names are carried out
        at the same time. An error is the outcome of its operation, and the next ones are still
        carried out.

        Costs 1 get, and then what each operation costs. With an Idempotency-Key 1 get more, and
        1 put if all writes have succeeded; if not, a repeated request carries them out again. If
        all operations read, the key has no effect.

        Raises:
            ValidationFailed, TooLarge, SessionNotFound, IdempotencyKeyReused, GoneSince
        """
        check(operations, parsed=parsed)
        changes = [o for o in operations if isinstance(o, Change)]
        if not changes:
            idempotency_key = None
        opened = self.store.open(place, changes)
        record = Record(place, opened.epoch, idempotency_key, self.store.ulids.clock)
        replayed = record.is_there(self.store.table)
        outcomes: list[Outcome] = []
        for run in _runs(operations):
            room = ROOM - sum(map(_wire, outcomes))
            if not isinstance(run[0], Change):
                outcomes += self._read(place, run, room)
            elif replayed:
                written = self.store.take(place)
                outcomes += [change.done(written) for change in run if isinstance(change, Change)]
            else:
                _mark(run, idempotency_key, len(outcomes))
                calls = [partial(self._write, opened, change) for change in run]
                outcomes += self.store.table.in_parallel(calls)
        failed = any(
            isinstance(operation, Change) and isinstance(outcome, ApiError)
            for operation, outcome in zip(operations, outcomes, strict=True)
        )
        if idempotency_key and not replayed and not failed:
            with suppress(ConditionFailed):
                self.store.table.execute(record.write(self.store.take(place))["record"])
        return Outcomes(outcomes, replayed)

    def together(
        self,
        place: Place,
        changes: Sequence[Any],
        *,
        idempotency_key: IdempotencyKey | None = None,
        parsed: bool = False,
    ) -> Outcomes:
        """Carries out all changes or none, in one transaction. Costs 1 get and 1 transaction; for
        the first value of the place 1 update more.

        Raises:
            ValidationFailed, SessionNotFound, TooLarge, Contended, IdempotencyKeyReused, GoneSince
            ValuesNotWritten: at least one precondition does not hold. Has an outcome for each.
        """
        check(changes, parsed=parsed)
        check_once(changes)
        for _ in range(TRIES):
            opened = self.store.open(place, changes)
            with suppress(Reopen):
                return self._transact(opened, idempotency_key)
        raise Contended

    def _transact(self, opened: Opened, idempotency_key: IdempotencyKey | None) -> Outcomes:
        record = Record(opened.place, opened.epoch, idempotency_key, self.store.ulids.clock)
        for _ in range(TRIES):
            written = self.store.take(opened.place)
            # Also of parts that the last try has found.
            writes = opened.writes(written) | record.write(written)
            check_together(len(writes), opened.size, opened.place.partition)
            try:
                self.store.table.transact(writes)
                return Outcomes(opened.done(written))
            except ConditionFailed as failed:
                if earlier := failed.found.get("record"):
                    record.check(earlier)
                    return Outcomes(opened.done(written), replayed=True)
                outcomes = opened.judge(failed, written)
            if any(isinstance(outcome, ApiError) for outcome in outcomes):
                raise ValuesNotWritten(outcomes)
            if any(isinstance(done, Done) and done.written == written for done in outcomes):
                # The response to an earlier try was lost.
                return Outcomes(opened.done(written))
        raise Contended

    def _write(self, opened: Opened, change: Any) -> Outcome:
        try:
            return self.store.write(opened.place, opened.epoch, change)
        except Reopen:
            return Contended()
        except ApiError as error:
            return error

    def _read(self, place: Place, run: Sequence[Any], room: int) -> list[Outcome]:
        if isinstance(run[0], Page):
            return [self._page(place, run[0], room)]
        try:
            names = [get.name for get in run]
            found = self.store.reader.find(place, names, room=room)
            return [_found(value) for value in found]
        except ApiError as error:
            return [error for _ in run]

    def _page(self, place: Place, page: Page, room: int) -> Outcome:
        try:
            return self.store.reader.page(
                place,
                page.prefix,
                limit=page.limit,
                order=page.order,
                cursor=page.cursor,
                names_only=page.names_only,
            ).within(room)
        except ApiError as error:
            return error


def _mark(run: Sequence[Any], key: IdempotencyKey | None, start: int) -> None:
    """So that a repeated request recognises its writes, even if it has no record yet."""
    for number, change in enumerate(run, start):
        change.mark = idempotency.mark_of(key, number) if key else None


def _runs(operations: Sequence[Operation]) -> Iterator[Sequence[Operation]]:
    """Neighbours that can be carried out at once: changes of different names, or gets."""
    run: list[Operation] = []
    names: set[str] = set()
    for operation in operations:
        together = bool(run) and type(run[0]) is type(operation) and not isinstance(operation, Page)
        if together and isinstance(operation, Change):
            together = operation.name not in names
        if isinstance(operation, Get):
            together = together and len(run) < GETS_AT_ONCE
        if run and not together:
            yield run
            run, names = [], set()
        run.append(operation)
        if isinstance(operation, Change):
            names.add(operation.name)
    yield run


def _found(value: StoredValue | ApiError | None) -> Outcome:
    if value is None:
        return ValueNotFound()
    if isinstance(value, ApiError):
        return value
    return value if value.content else TooLarge("There is no room for it. Ask for it alone.")


def _wire(outcome: Outcome) -> int:
    if isinstance(outcome, StoredValue):
        return wire_of(outcome)
    if isinstance(outcome, ValuePage):
        return MAX_OUTCOME + sum(map(wire_of, outcome.values))
    return MAX_OUTCOME
