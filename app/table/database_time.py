"""What time it is for DynamoDB, by the `Date` of its answers: the one clock that all hosts share.

A host whose own clock is far from it must not write: it would give out ids and expiry times that
are wrong for everybody.
"""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from app import logs
from app.errors import ClockDisagrees, Unavailable
from app.table import budget, keys
from app.table.ids import Clock

if TYPE_CHECKING:
    from app.table.db import Table

MAX_AHEAD = 60_000
"""Milliseconds. Whoever writes after a host that is ahead takes ids after its own, so everybody is
ahead with it. Its sweep would remove sessions that have time left."""

MAX_BEHIND = 24 * 60 * 60 * 1000
"""A host that lags harms nobody's order. A day is the shortest time that a session is kept: one
made by a host that lags more would have expired already. (DynamoDB itself refuses signatures that
are five minutes off.)"""


class DatabaseTime:
    """Called, it gives milliseconds since 1970, right to about a second, or None before the first
    answer. The time since the last answer is measured here, so a process that was frozen believes
    that it is earlier than it is."""

    def __init__(self) -> None:
        self._header = ""
        self._offset: float | None = None  # from the monotonic clock, milliseconds

    def note(self, answer: Mapping[str, Any]) -> None:
        """Learns from an answer of DynamoDB's, errors included. Costs a comparison unless the
        second has changed."""
        header = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        if header and header != self._header:
            try:
                moment = parsedate_to_datetime(header).timestamp()
            except (ValueError, OverflowError):  # no date: of something in between
                return
            self._header, self._offset = header, (moment - time.monotonic()) * 1000

    def __call__(self) -> int | None:
        return None if self._offset is None else int(time.monotonic() * 1000 + self._offset)


def checked_time(table: "Table", clock: Clock, partition: str, *, behind: int = MAX_BEHIND) -> int:
    """What `clock` says, for a write, provided that DynamoDB's clock more or less agrees.

    Costs 1 get, in `partition`, if that is not known, since the process has not called DynamoDB
    yet, or in doubt, since it may have been frozen. Otherwise no call.

    Raises:
        ClockDisagrees
    """
    now = clock()
    if not _agrees(table, now, behind):
        try:
            table.get(keys.user(partition))
        except Unavailable:
            if table.database_time() is None:  # no answer at all
                raise
        now = clock()
        if _agrees(table, now, behind) is False:
            told = {"ahead_seconds": (now - (table.database_time() or 0)) // 1000}
            logs.log.error("the clock disagrees with DynamoDB's", extra={"fields": told})
            budget.current().failure = ClockDisagrees.__name__
            raise ClockDisagrees
    return now


def _agrees(table: "Table", now: int, behind: int) -> bool | None:
    """None if DynamoDB's time is not known."""
    theirs = table.database_time()
    return None if theirs is None else -behind <= now - theirs <= MAX_AHEAD
