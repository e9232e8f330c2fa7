"""DynamoDB's time, from the `Date` header of its responses. It is the one clock all hosts share.

A host whose own clock is far from it must not write. Its ids and expiry times would be wrong for
everyone.
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
"""Milliseconds. Ids continue after the greatest one, so a single host that is ahead puts the ids of
all hosts ahead. Its sweep would also remove sessions before they expire."""

MAX_BEHIND = 24 * 60 * 60 * 1000
"""Milliseconds. A host that is behind does not disturb the order of ids. The shortest retention is
one day, so a session made by a host further behind would expire at once. (DynamoDB itself refuses
signatures that are five minutes off.)"""


class DatabaseTime:
    """Calling it returns milliseconds since 1970, accurate to about a second, or None before the
    first response. It measures the time since the last response on this host, so after a freeze of
    the process it is too early."""

    def __init__(self) -> None:
        self._header = ""
        self._offset: float | None = None  # from the monotonic clock, milliseconds

    def note(self, answer: Mapping[str, Any]) -> None:
        """Takes the time from a response of DynamoDB, which may be an error. Parses the header only
        when its second has changed."""
        header = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        if header and header != self._header:
            try:
                moment = parsedate_to_datetime(header).timestamp()
            except (ValueError, OverflowError):  # a proxy sent something that is not a date
                return
            self._header, self._offset = header, (moment - time.monotonic()) * 1000

    def __call__(self) -> int | None:
        return None if self._offset is None else int(time.monotonic() * 1000 + self._offset)


def checked_time(table: "Table", clock: Clock, partition: str, *, behind: int = MAX_BEHIND) -> int:
    """The time of `clock`, for a write, once DynamoDB's time has confirmed it.

    Costs 1 get in `partition` if DynamoDB's time is unknown (the process has made no call yet) or
    seems to differ (the process may have been frozen). Otherwise it makes no call.

    Raises:
        ClockDisagrees: `clock` is more than `MAX_AHEAD` ahead or `behind` behind.
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
            difference = {"ahead_seconds": (now - (table.database_time() or 0)) // 1000}
            logs.log.error("the clock disagrees with DynamoDB's", extra={"fields": difference})
            budget.current().failure = ClockDisagrees.__name__
            raise ClockDisagrees
    return now


def _agrees(table: "Table", now: int, behind: int) -> bool | None:
    """None if DynamoDB's time is not known."""
    theirs = table.database_time()
    return None if theirs is None else -behind <= now - theirs <= MAX_AHEAD
