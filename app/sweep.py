"""The sweep: removes what a delete has begun and what is past its time.

Idempotent, bounded in time, and safe to run twice at once: what it does is conditional. It is a
scheduled function on Lambda (`app.sweep.handler`) and `flask --app app.wsgi sweep` elsewhere.
"""

import os
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from app import db, ids, keys, logs, work
from app.config import Config
from app.db import Item, Table
from app.sessions import model, removal


@dataclass(slots=True)
class Swept:
    """What one run removed; `finished` unless time ran out before the work did."""

    sessions: int = 0
    messages: int = 0
    finished: bool = True

    def add(self, receipt: removal.Receipt) -> None:
        self.sessions += receipt.deleted_sessions
        self.messages += receipt.deleted_messages if receipt.deleted_sessions else 0
        self.finished &= receipt.finished


def sweep(table: Table, clock: ids.Clock = ids.system_clock, budget: float = 20.0) -> Swept:
    """Pattern 11. An entry of the index may be out of date; the mark's condition decides."""
    swept = Swept()
    now = ids.iso_time(clock())
    until = f"{now}~"  # sorts right after now: what is due this very millisecond is due
    under_way = work.begin(budget)
    for shard in range(keys.SWEEP_SHARDS):
        for items in table.query_index(keys.DUE, keys.sweep_partition(shard), before=until):
            for item in items:
                if under_way.remaining() < removal.TIME_FOR_A_PAGE:
                    swept.finished = False
                    return swept
                _remove(table, item, now, swept)
    return swept


def _remove(table: Table, item: Item, now: str, swept: Swept) -> None:
    partition, sk = str(item["PK"]), str(item["SK"])
    if not keys.is_session(sk):  # a user who has asked for everything to be erased, and when
        receipt = removal.go_on_erasing(table, partition, now, str(item["GSI2SK"]))
        swept.add(receipt)
        return
    session = keys.session_of(sk)
    unmarked = f"attribute_exists(PK) AND attribute_not_exists(deleted_at) AND {model.EXPIRED}"
    try:
        removal.mark(table, partition, session, now, unmarked)
    except db.ConditionFailed as failed:
        if "deleted_at" not in (failed.found[0] or {}):
            return  # gone, or kept for longer by now
    receipt = removal.remove(table, partition, session)
    swept.add(receipt)


def handler(event: object, context: Any) -> dict[str, Any]:  # noqa: ARG001  Lambda's two arguments
    """The schedule's way in. What time does not allow is left for the next run.

    A failure is raised after it was logged, so that Lambda counts it and the alarm sees it.
    """
    started = time.perf_counter()
    swept = Swept(finished=False)
    failure = None
    config, table = _set_up()
    try:
        swept = sweep(table, budget=context.get_remaining_time_in_millis() / 1000 - 1)
    except Exception as error:
        failure = type(error).__name__
        raise
    finally:
        done = {
            **asdict(swept),
            "sweep_failed": int(failure is not None),
            "ms": round((time.perf_counter() - started) * 1000, 2),
        }
        metrics = logs.embedded_metrics(config.metrics_namespace, {"sweep_failed": "Count"})
        logs.log_event("sweep", {**done, "failure": failure, **metrics()})
    return done


@lru_cache(maxsize=1)
def _set_up() -> tuple[Config, Table]:
    config = Config.from_env(os.environ)
    logs.configure(config.log_level)
    return config, Table(config.sessions_table)
