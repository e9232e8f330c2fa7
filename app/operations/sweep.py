"""The sweep: finishes interrupted deletes and removes expired sessions.

It is idempotent and bounded in time, and several runs at once do no harm. On Lambda, a schedule
calls `app.operations.sweep.handler`. Elsewhere, run `flask sweep`.
"""

import os
import random
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from app import logs
from app.config import Config
from app.errors import Unavailable
from app.messages import cuts
from app.sessions import erasure, leftovers, model, removal
from app.sources.redactor import SourceRedactor
from app.table import budget, client, ids, keys
from app.table.database_time import MAX_AHEAD, checked_time
from app.table.db import ConditionFailed, Table
from app.table.definition import BY_DUE_TIME
from app.table.writes import Item

SLICE = 5.0
"""Maximum seconds of work on one session or erasure before the next user's turn."""

LEAST_TIME = 0.5
"""Seconds that must remain in order to begin a turn."""

ENTRIES = 1_000
"""Entries read from each shard at a time. The users of all entries read then take turns."""

RUNS_IN_A_ROW = 10
"""Maximum runs in a row on Lambda. A run that could not finish starts the next one at once, but
Lambda stops a function that calls itself about 16 times in a row.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html"""

METRICS = {"sweep_failed": "Count", "sweep_backlog_seconds": "Seconds"}


class SweepFailed(Exception):
    """No shard could be read. The message is DynamoDB's code, or a word of ours."""


@dataclass(slots=True)
class SweepReport:
    """The result of one run.

    `finished` is false if anything remains. `failed` counts the items given up in this run, and
    `failure` is the reason of the last one: DynamoDB's code, or an exception's class.
    `backlog_seconds` is how long the oldest remaining item has been due.
    """

    sessions: int = 0
    messages: int = 0
    failed: int = 0
    failure: str | None = None
    backlog_seconds: int = 0
    finished: bool = True


def sweep(table: Table, clock: ids.Clock = ids.system_clock, seconds: float = 20.0) -> SweepReport:
    """Pattern 11: one run. An entry of the index may be out of date, so each mark has a condition.

    Raises:
        ClockDisagrees: this clock differs from DynamoDB's by over a minute. Nothing was removed.
        SweepFailed: no shard could be read.
    """
    run = budget.begin(seconds)
    try:
        now = checked_time(table, clock, keys.sweep_partition(0), behind=MAX_AHEAD)
        return _Sweep(table, now, run).carry_out()
    finally:
        budget.end()


class _Sweep:
    """One run. Users take turns. A turn handles one session or erasure and takes at most `SLICE`,
    so that neither a large backlog nor a throttled partition delays other users."""

    def __init__(self, table: Table, now: int, run: budget.Budget) -> None:
        self.table = table
        self.now = now
        self.run = run
        self.report = SweepReport()
        self.failed_partitions: set[str] = set()
        self.unread_shards = 0
        self.read_error: Exception | None = None

    def carry_out(self) -> SweepReport:
        until = f"{ids.iso_time(self.now)}~"  # sorts after all entries of this millisecond
        shards = [
            self.table.query_index(
                BY_DUE_TIME, keys.sweep_partition(shard), before=until, limit=ENTRIES
            )
            for shard in range(keys.SWEEP_SHARDS)
        ]
        while shards:
            if self.run.remaining() < LEAST_TIME:
                self.report.finished = False
                break
            due: list[Item] = []
            shards = [shard for shard in shards if self._read(shard, due)]
            # Random, so that items which always fail are not first in every run.
            random.shuffle(due)
            self._take_turns(due)
        if self.unread_shards == keys.SWEEP_SHARDS:
            raise SweepFailed(self.report.failure) from self.read_error
        return self.report

    def _read(self, shard: Iterator[list[Item]], due: list[Item]) -> bool:
        """Adds the shard's next entries to `due`. Returns whether there may be more."""
        turn = self._begin_turn()
        try:
            page = next(shard, None)
        except Unavailable as error:
            self.report.finished = False
            self.read_error = error
            self.unread_shards += self._count_failure(turn)
            return False
        due += page or ()
        return page is not None

    def _take_turns(self, due: list[Item]) -> None:
        entries: dict[str, deque[Item]] = {}
        for item in due:
            entries.setdefault(str(item["PK"]), deque()).append(item)
        turns = deque(entries)
        while turns:
            partition = turns.popleft()
            waiting = entries[partition]
            if self.run.remaining() < LEAST_TIME or partition in self.failed_partitions:
                self._leave_for_next_run(waiting)
                continue
            if self._remove(waiting[0]):
                waiting.popleft()
            if waiting:
                turns.append(partition)

    def _remove(self, item: Item) -> bool:
        """One turn. Returns whether the item is done. If DynamoDB refused a call, the user's other
        items are left for the next run, because it would refuse those too."""
        turn = self._begin_turn()
        try:
            receipt = _remove(self.table, item, ids.iso_time(self.now))
            self.report.sessions += receipt.deleted_sessions
            self.report.messages += receipt.deleted_messages if receipt.deleted_sessions else 0
            finished = receipt.finished
        except Unavailable:
            finished = False
        except Exception as error:  # a damaged item must not stop the run
            logs.log_exception(error)
            turn.failure = type(error).__name__
            self._count_failure(turn)
            self._leave_for_next_run([item])
            return True
        if not finished and self._count_failure(turn):
            self.failed_partitions.add(str(item["PK"]))
        return finished

    def _begin_turn(self) -> budget.Budget:
        """Starts the budget of one turn: at most half of the remaining time, so that another turn
        can follow."""
        return budget.begin(min(SLICE, self.run.remaining() / 2))

    def _count_failure(self, turn: budget.Budget) -> bool:
        """Counts an unfinished turn as failed, unless it only ran out of time. Returns whether it
        did."""
        if turn.failure in (None, budget.OUT_OF_TIME):
            return False
        self.report.failed += 1
        self.report.failure = turn.failure
        return True

    def _leave_for_next_run(self, waiting: Collection[Item]) -> None:
        self.report.finished = False
        oldest = min(str(item["GSI2SK"]) for item in waiting)
        with suppress(ValueError):  # the entry is not a time, so another program wrote it
            due = datetime.fromisoformat(oldest).timestamp()
            age = self.now // 1000 - int(due)
            self.report.backlog_seconds = max(self.report.backlog_seconds, age)


def _remove(table: Table, item: Item, now: str) -> removal.Receipt:
    partition, sk = str(item["PK"]), str(item["SK"])
    if keys.is_cut(sk):
        finished = cuts.finish(table, partition, keys.session_of(sk))
        return removal.Receipt(0, 0, finished=finished)
    if keys.is_stale(sk):
        leftovers.finish(table, partition, sk)
        return removal.Receipt(0, 0, finished=True)
    if source := keys.redacted_source(sk):
        finished = SourceRedactor(table).go_on(partition, source)
        return removal.Receipt(0, 0, finished=finished)
    if not keys.is_session(sk):  # a user who is being erased
        return erasure.continue_erasing(table, partition, now)
    session_ulid = keys.session_of(sk)
    unmarked = f"attribute_exists(PK) AND attribute_not_exists(deleted_at) AND {model.EXPIRED}"
    try:
        removal.mark(table, partition, session_ulid, now, unmarked)
    except ConditionFailed as failed:
        found = failed.found["session"]
        # Removed or extended in the meantime. A staged session has its due time as `deleted_at`.
        if not str(found.get("deleted_at", "~")) <= now:
            return removal.Receipt(0, 0, finished=True)
    return removal.remove(table, partition, session_ulid)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The Lambda function that the schedule calls. If a run does not finish in time, it calls
    itself.

    Items that could not be removed are counted and logged. If the whole run fails, the exception is
    raised again, so that Lambda counts it. The alarm reacts to both.
    """
    started = time.perf_counter()
    report = SweepReport(failure="unknown", finished=False)
    config, table = _set_up()
    try:
        report = sweep(table, seconds=context.get_remaining_time_in_millis() / 1000 - 1)
    except Exception as error:
        report.failure = type(error).__name__
        raise
    finally:
        result = {**asdict(report), "ms": round((time.perf_counter() - started) * 1000, 2)}
        line = {
            **result,
            "sweep_failed": int(report.failure is not None),
            "sweep_backlog_seconds": report.backlog_seconds,
        }
        metrics = logs.embedded_metrics(config.metrics_namespace, METRICS)
        logs.log_event("sweep", line | metrics())
    runs = event.get("runs", 1)
    if not report.finished and isinstance(runs, int) and 1 <= runs < RUNS_IN_A_ROW:
        client.invoke(context.invoked_function_arn, {**event, "runs": runs + 1})
    return result


@lru_cache(maxsize=1)
def _set_up() -> tuple[Config, Table]:
    config = Config.from_env(os.environ)
    logs.configure(config.log_level)
    return config, Table(config.sessions_table)
