"""The ids of writes to one session, and of a user's new sessions. They only rise."""

from app.errors import SessionDamaged
from app.identity.caller import Caller
from app.logs import log_damaged
from app.table import budget, ids
from app.table.database_time import checked_time
from app.table.db import Table
from app.table.writes import Item


class WriteIds:
    """Ids for the tries of one write, whose condition is that the `last_ulid` of the session (or of
    the user, for a new session) is less than the write's first id. If the condition fails, another
    writer was first, or this host's clock is behind. `follow` the item that was found, then take
    the next ids.

    So there is no read before the write and no lock, and neither writer gets an error.
    """

    def __init__(
        self, table: Table, ulids: ids.UlidSource, caller: Caller, *, after: str = ""
    ) -> None:
        self.now = ""
        """The time of the last try, ISO 8601."""
        self._table = table
        self._ulids = ulids
        self._caller = caller
        self._last = after
        # A program that has begun no budget gets a new one for each call. This one bounds the loop.
        self._budget = budget.current()

    def take(self, count: int = 1) -> list[str]:
        """`count` consecutive ids for the next try.

        Raises:
            Unavailable: the request's time is used up.
            ClockDisagrees
        """
        self._budget.check()
        written_at = checked_time(self._table, self._ulids.clock, self._caller.partition)
        self.now = ids.iso_time(written_at)
        return self._ulids.new(count, after=self._last, now=written_at)

    def follow(self, found: Item, first: str) -> None:
        """Makes the next ids greater than the last id of an item that did not accept `first`.

        Raises:
            SessionDamaged: nothing can be seen that stood in the way of `first`, so trying again
                would not end.
        """
        last_ulid = str(found.get("last_ulid"))
        if not ids.is_ulid(last_ulid) or last_ulid < first:
            log_damaged(str(found["PK"]), str(found["SK"]))
            raise SessionDamaged from None
        self._last = last_ulid
