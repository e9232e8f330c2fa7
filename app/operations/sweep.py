"""The sweep: finishes deletes that were begun and removes expired sessions.

Idempotent, bounded in time, and safe to run twice at once: every removal is conditional. On Lambda
a schedule calls `app.operations.sweep.handler`; elsewhere `flask sweep` runs it.
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
from app.sessions import erasure, model, removal
from app.table import budget, client, ids, keys
from app.table.database_time import MAX_AHEAD, checked_time
from app.table.db import ConditionFailed, Table
from app.table.definition import BY_DUE_TIME
from app.table.writes import Item

SLICE = 5.0
"""Seconds of work on one session or erasure before it is the next user's turn."""

LEAST_TIME = 0.5
"""Seconds that must be left to begin anything."""

ENTRIES = 1_000
"""Entries of each shard that are looked at together, so that their users take turns."""

RUNS_IN_A_ROW = 10
"""How often a run on Lambda that could not finish is followed by another at once. Lambda stops a
function that calls itself about 16 times in a row.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html"""

METRICS = {"sweep_failed": "Count", "sweep_backlog_seconds": "Seconds"}


class SweepFailed(Exception):
    """Nothing that is due could be read. The message is DynamoDB's code, or a word of ours."""


@dataclass(slots=True)
class SweepReport:
    """What one run removed, and how long what it left behind has been due.

    `finished` is false if anything was left. `failed` counts what was given up for this run,
    `failure` says why that was the last time: DynamoDB's code, or an exception's class.
    """

    sessions: int = 0
    messages: int = 0
    failed: int = 0
    failure: str | None = None
    backlog_seconds: int = 0
    finished: bool = True


def sweep(table: Table, clock: ids.Clock = ids.system_clock, seconds: float = 20.0) -> SweepReport:
    """Pattern 11. An entry of the index may be out of date; the condition of the mark decides.

    Raises:
        ClockDisagrees: with DynamoDB's time, by a minute. Nothing was removed.
        SweepFailed
    """
    run = budget.begin(seconds)
    try:
        now = checked_time(table, clock, keys.sweep_partition(0), behind=MAX_AHEAD)
        return _Sweep(table, now, run).carry_out()
    finally:
        budget.end()


class _Sweep:
    """One run. Users take turns, and a turn is one session or erasure and at most `SLICE` long, so
    that neither a large backlog nor a throttled partition keeps the others waiting."""

    def __init__(self, table: Table, now: int, run: budget.Budget) -> None:
        self.table = table
        self.now = now
        self.run = run
        self.report = SweepReport()
        self.failed_partitions: set[str] = set()
        self.unread_shards = 0
        self.read_error: Exception | None = None

    def carry_out(self) -> SweepReport:
        until = f"{ids.iso_time(self.now)}~"  # after this millisecond, which is included
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
            # In any order: if the first ones always fail, others come first in another run.
            random.shuffle(due)
            self._take_turns(due)
        if self.unread_shards == keys.SWEEP_SHARDS:
            raise SweepFailed(self.report.failure) from self.read_error
        return self.report

    def _read(self, shard: Iterator[list[Item]], due: list[Item]) -> bool:
        """Adds the shard's next entries; whether the shard may have more."""
        share = self._share()
        try:
            page = next(shard, None)
        except Unavailable as error:
            self.report.finished = False
            self.read_error = error
            self.unread_shards += self._failed(share)
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
                self._leave(waiting)
                continue
            if self._remove(waiting[0]):
                waiting.popleft()
            if waiting:
                turns.append(partition)

    def _remove(self, item: Item) -> bool:
        """One turn; whether the item is done with. If DynamoDB refuses, it will refuse the user's
        others as well."""
        share = self._share()
        try:
            receipt = _remove(self.table, item, ids.iso_time(self.now))
            self.report.sessions += receipt.deleted_sessions
            self.report.messages += receipt.deleted_messages if receipt.deleted_sessions else 0
            finished = receipt.finished
        except Unavailable:
            finished = False
        except Exception as error:  # a damaged item, which spoils nothing else
            logs.log_exception(error)
            share.failure = type(error).__name__
            self._failed(share)
            self._leave([item])
            return True
        if not finished and self._failed(share):
            self.failed_partitions.add(str(item["PK"]))
        return finished

    def _share(self) -> budget.Budget:
        """The time of one turn: also the last turns of a short run are shared out."""
        return budget.begin(min(SLICE, self.run.remaining() / 2))

    def _failed(self, share: budget.Budget) -> bool:
        """Whether what was not finished has failed, rather than run out of its time."""
        if share.failure in (None, budget.OUT_OF_TIME):
            return False
        self.report.failed += 1
        self.report.failure = share.failure
        return True

    def _leave(self, waiting: Collection[Item]) -> None:
        self.report.finished = False
        oldest = min(str(item["GSI2SK"]) for item in waiting)
        with suppress(ValueError):  # somebody else writes here
            due = datetime.fromisoformat(oldest).timestamp()
            age = self.now // 1000 - int(due)
            self.report.backlog_seconds = max(self.report.backlog_seconds, age)


def _remove(table: Table, item: Item, now: str) -> removal.Receipt:
    partition, sk = str(item["PK"]), str(item["SK"])
    if not keys.is_session(sk):  # a user who is being erased
        return erasure.continue_erasing(table, partition, now)
    session_ulid = keys.session_of(sk)
    unmarked = f"attribute_exists(PK) AND attribute_not_exists(deleted_at) AND {model.EXPIRED}"
    try:
        removal.mark(table, partition, session_ulid, now, unmarked)
    except ConditionFailed as failed:
        if "deleted_at" not in failed.found["session"]:  # gone, or kept for longer by now
            return removal.Receipt(0, 0, finished=True)
    return removal.remove(table, partition, session_ulid)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Called by the schedule, and by itself: what time does not allow is left for another run,
    which follows at once.

    What could not be removed is counted, and is no reason to stop. A run that fails as a whole is
    logged and raised again, so that Lambda counts it. The alarm sees both.
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
        told = {
            **result,
            "sweep_failed": int(report.failure is not None),
            "sweep_backlog_seconds": report.backlog_seconds,
        }
        metrics = logs.embedded_metrics(config.metrics_namespace, METRICS)
        logs.log_event("sweep", told | metrics())
    runs = event.get("runs", 1)
    if not report.finished and isinstance(runs, int) and 1 <= runs < RUNS_IN_A_ROW:
        client.invoke(context.invoked_function_arn, {**event, "runs": runs + 1})
    return result


@lru_cache(maxsize=1)
def _set_up() -> tuple[Config, Table]:
    config = Config.from_env(os.environ)
    logs.configure(config.log_level)
    return config, Table(config.sessions_table)
