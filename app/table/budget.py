"""How much of DynamoDB's time a request may use, and what it has used: for retries and the log."""

import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from app.errors import Unavailable

DEFAULT_SECONDS = 20.0
"""For programs that set no budget. API Gateway gives up after 29."""

OUT_OF_TIME = "OutOfTime"


@dataclass(slots=True)
class Budget:
    """The time of one request, and the calls made in it."""

    deadline: float
    calls: int = 0
    retries: int = 0
    throttles: int = 0
    seconds: float = 0.0
    units: float = 0.0
    failure: str | None = None
    """Why a call was given up, if one was: DynamoDB's code, or a word of ours. For the log."""

    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def remaining(self) -> float:
        """Seconds; negative when the time is used up."""
        return self.deadline - time.monotonic()

    def check(self) -> None:
        """
        Raises:
            Unavailable: the time is used up.
        """
        if self.remaining() <= 0:
            self.failure = OUT_OF_TIME
            raise Unavailable

    def count(self, seconds: float, answer: Mapping[str, Any]) -> None:
        consumed = answer.get("ConsumedCapacity") or ()
        tables = [consumed] if isinstance(consumed, dict) else consumed
        with self._lock:  # the batches of a delete run in threads
            self.calls += 1
            self.seconds += seconds
            self.units += sum(table.get("CapacityUnits", 0.0) for table in tables)


_current: ContextVar[Budget | None] = ContextVar("budget", default=None)


def begin(seconds: float = DEFAULT_SECONDS) -> Budget:
    """All calls from here on share this time and are counted together, until the next `begin` or
    `end`."""
    started = Budget(time.monotonic() + seconds)
    _current.set(started)
    return started


def end() -> None:
    """What follows belongs to no request."""
    _current.set(None)


def current() -> Budget:
    """The budget in force. A program that has begun none gets a new one for each call."""
    return _current.get() or Budget(time.monotonic() + DEFAULT_SECONDS)
