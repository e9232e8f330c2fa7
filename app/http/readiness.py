"""Whether the service can answer requests: its database answers, and it can verify tokens.

Anybody may ask, without a token and as often as they like. So one thread at a time checks each
part, at most once a second, however many requests wait for it.
"""

import threading
import time
from collections.abc import Callable, Mapping

from app.logs import log, log_exception
from app.table import budget, keys
from app.table.db import Table

FRESH = 1.0
"""Seconds for which a result is used again, good or bad."""

PATIENCE = 3.0
"""Seconds that a request waits. A part that takes longer is not ready. Its thread ends on its own,
because a call to DynamoDB has a timeout of 8 seconds."""


class Readiness:
    """`parts` are functions that return whether a part is ready, by the name that clients see."""

    def __init__(
        self,
        parts: Mapping[str, Callable[[], bool]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parts = {name: _Part(look, clock) for name, look in parts.items()}

    def missing(self) -> list[str]:
        """The names of the parts that are not ready. Waits for `PATIENCE` at most."""
        for part in self._parts.values():
            part.begin()
        until = time.monotonic() + PATIENCE
        return [name for name, part in self._parts.items() if not part.is_ready(until)]


class _Part:
    def __init__(self, look: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._look = look
        self._clock = clock
        self._lock = threading.Lock()
        self._looking: threading.Thread | None = None
        self._looked_at = float("-inf")
        self._ready = False

    def begin(self) -> None:
        """Starts a check, unless one is under way or the last result is fresh."""
        with self._lock:
            under_way = self._looking and self._looking.is_alive()
            if under_way or self._clock() - self._looked_at < FRESH:
                return
            self._looking = threading.Thread(target=self._run, daemon=True)
            self._looking.start()

    def is_ready(self, until: float) -> bool:
        looking = self._looking
        if looking:
            looking.join(max(0.0, until - time.monotonic()))
            if looking.is_alive():
                return False
        return self._ready

    def _run(self) -> None:
        try:
            self._ready = self._look()
        except Exception as error:  # in a thread, nobody else would see it
            self._ready = False
            log_exception(error)
        self._looked_at = self._clock()


def answers(table: Table) -> bool:
    """Whether the table answers. Costs 1 get of an item that does not exist."""
    spent = budget.begin(PATIENCE)
    try:
        table.get(keys.probe())
    except Exception as error:
        reason = spent.failure or type(error).__name__
        log.warning("table does not answer", extra={"fields": {"reason": reason}})
        return False
    finally:
        budget.end()
    return True
