"""The sweep: finishes deletes that were begun and removes expired sessions.

Idempotent, bounded in time, and safe to run twice at once: every removal is conditional. On Lambda
a schedule calls `app.operations.sweep.handler`; elsewhere `flask sweep` runs it.
"""

import os
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from app import logs
from app.config import Config
from app.sessions import erasure, model, removal
from app.table import budget, ids, keys
from app.table.db import ConditionFailed, Table
from app.table.definition import BY_DUE_TIME
from app.table.writes import Item


@dataclass(slots=True)
class SweepReport:
    """What one run removed. `finished` is false if time ran out before the work did."""

    sessions: int = 0
    messages: int = 0
    finished: bool = True

    def add(self, receipt: removal.Receipt) -> None:
        self.sessions += receipt.deleted_sessions
        self.messages += receipt.deleted_messages if receipt.deleted_sessions else 0
        self.finished &= receipt.finished


def sweep(table: Table, clock: ids.Clock = ids.system_clock, seconds: float = 20.0) -> SweepReport:
    """Pattern 11. An entry of the index may be out of date; the condition of the mark decides."""
    report = SweepReport()
    now = ids.iso_time(clock())
    until = f"{now}~"  # sorts right after now, so that what is due this millisecond is included
    time_left = budget.begin(seconds)
    for shard in range(keys.SWEEP_SHARDS):
        for items in table.query_index(BY_DUE_TIME, keys.sweep_partition(shard), before=until):
            for item in items:
                if time_left.remaining() < removal.TIME_FOR_A_PAGE:
                    report.finished = False
                    return report
                _remove(table, item, now, report)
    return report


def _remove(table: Table, item: Item, now: str, report: SweepReport) -> None:
    partition, sk = str(item["PK"]), str(item["SK"])
    if not keys.is_session(sk):  # a user who is being erased, and since when
        report.add(erasure.continue_erasing(table, partition, now, str(item["GSI2SK"])))
        return
    session_ulid = keys.session_of(sk)
    unmarked = f"attribute_exists(PK) AND attribute_not_exists(deleted_at) AND {model.EXPIRED}"
    try:
        removal.mark(table, partition, session_ulid, now, unmarked)
    except ConditionFailed as failed:
        if "deleted_at" not in failed.found["session"]:
            return  # gone, or kept for longer by now
    report.add(removal.remove(table, partition, session_ulid))


def handler(event: object, context: Any) -> dict[str, Any]:  # noqa: ARG001  Lambda's two arguments
    """Called by the schedule. What time does not allow is left for the next run.

    A failure is logged and raised again, so that Lambda counts it and the alarm sees it.
    """
    started = time.perf_counter()
    report = SweepReport(finished=False)
    failure = None
    config, table = _set_up()
    try:
        report = sweep(table, seconds=context.get_remaining_time_in_millis() / 1000 - 1)
    except Exception as error:
        failure = type(error).__name__
        raise
    finally:
        result = {
            **asdict(report),
            "sweep_failed": int(failure is not None),
            "ms": round((time.perf_counter() - started) * 1000, 2),
        }
        metrics = logs.embedded_metrics(config.metrics_namespace, {"sweep_failed": "Count"})
        logs.log_event("sweep", {**result, "failure": failure, **metrics()})
    return result


@lru_cache(maxsize=1)
def _set_up() -> tuple[Config, Table]:
    config = Config.from_env(os.environ)
    logs.configure(config.log_level)
    return config, Table(config.sessions_table)
