"""The time a request may spend on DynamoDB, and the calls it has made, for retries and the log."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.errors import Unavailable

DEFAULT_SECONDS = 20.0
"""For programs that set no budget. API Gateway times out after 29 seconds."""

OUT_OF_TIME = "OutOfTime"

TIME_FOR_A_PAGE = 3.0
"""Seconds that must remain in order to begin another page (1 MB)."""

Page = TypeVar("Page")


@dataclass(slots=True)
class Budget:
    """One request's deadline, and the calls made so far."""

    deadline: float
    calls: int = 0
    retries: int = 0
    throttles: int = 0
    seconds: float = 0.0
    units: float = 0.0
    write_units: float = 0.0
    failure: str | None = None
    """Why a call was given up, for the log: DynamoDB's code, or a word of ours."""

    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def remaining(self) -> float:
        """Seconds left. Negative after the deadline."""
        return self.deadline - time.monotonic()

    def check(self) -> None:
        """
        Raises:
            Unavailable: the time is used up.
        """
        if self.remaining() <= 0:
            self.failure = OUT_OF_TIME
            raise Unavailable

    @property
    def read_units(self) -> float:
        return self.units - self.write_units

    def count(self, seconds: float, answer: Mapping[str, Any], *, reads: bool = True) -> None:
        consumed = answer.get("ConsumedCapacity") or ()
        tables = [consumed] if isinstance(consumed, dict) else consumed
        with self._lock:  # the batches of a delete run in threads
            self.calls += 1
            self.seconds += seconds
            units = sum(table.get("CapacityUnits", 0.0) for table in tables)
            self.units += units
            self.write_units += 0.0 if reads else units


_current: ContextVar[Budget | None] = ContextVar("budget", default=None)


def begin(seconds: float = DEFAULT_SECONDS) -> Budget:
    """Starts a budget. All calls share it until the next `begin` or `end`."""
    started = Budget(time.monotonic() + seconds)
    _current.set(started)
    return started


def end() -> None:
    """Drops the budget. Calls after this belong to no request."""
    _current.set(None)


def current() -> Budget:
    """The budget in force. Without one, every call gets a new budget."""
    return _current.get() or Budget(time.monotonic() + DEFAULT_SECONDS)


def is_time_up() -> bool:
    """Whether there is too little time to begin another page."""
    return current().remaining() < TIME_FOR_A_PAGE


def while_time_allows(pages: Iterable[Page]) -> Iterator[Page]:
    """Yields pages while there is time. Always yields the first, so that every call makes progress.

    Raises:
        Unavailable: there is too little time for another page.
    """
    for number, page in enumerate(pages):
        if number and is_time_up():
            raise Unavailable
        yield page
