"""What a request may take of DynamoDB's time, and what it has taken: for retries and the log."""

import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from app.errors import Unavailable

DEFAULT_BUDGET = 20.0
"""Seconds that a request may spend here. API Gateway gives up after 29."""


@dataclass(slots=True)
class Work:
    """What one request may take of DynamoDB's time, and what it has taken."""

    deadline: float
    calls: int = 0
    retries: int = 0
    throttles: int = 0
    seconds: float = 0.0
    units: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def remaining(self) -> float:
        return self.deadline - time.monotonic()

    def check(self) -> None:
        """For loops that make progress only when nobody else does.

        Raises:
            Unavailable: the time is used up.
        """
        if self.remaining() <= 0:
            raise Unavailable

    def count(self, seconds: float, answer: Mapping[str, Any]) -> None:
        consumed = answer.get("ConsumedCapacity") or ()
        tables = [consumed] if isinstance(consumed, dict) else consumed
        with self._lock:  # the batches of a delete run in threads
            self.calls += 1
            self.seconds += seconds
            self.units += sum(table.get("CapacityUnits", 0.0) for table in tables)


_work: ContextVar[Work | None] = ContextVar("work", default=None)


def begin(budget: float = DEFAULT_BUDGET) -> Work:
    """All calls from here on share `budget` seconds and are counted together, until the next."""
    current = Work(time.monotonic() + budget)
    _work.set(current)
    return current


def current() -> Work:
    """The work under way, or, for a program that has begun none, a budget for the call at hand."""
    return _work.get() or Work(time.monotonic() + DEFAULT_BUDGET)
