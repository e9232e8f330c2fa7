"""Lists a user's sessions by last activity, from GSI1 (access pattern 2)."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice

from app.errors import InvalidCursor, SessionDamaged
from app.identity.caller import Caller
from app.sessions import model
from app.sessions.model import Session
from app.table import ids, keys
from app.table.cursors import make_cursor, read_cursor
from app.table.db import Table
from app.table.definition import BY_ACTIVITY
from app.table.writes import Item

_POSITION = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z#[0-9A-Z]{26}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SessionPage:
    """One page. `page` is its number, or None if a cursor was used. `total` is the number of all
    sessions of the caller."""

    sessions: list[Session]
    page: int | None
    limit: int
    total: int
    next_cursor: str | None


class SessionLister:
    def __init__(self, table: Table, clock: ids.Clock = ids.system_clock) -> None:
        self.table = table
        self.clock = clock

    def by_page(self, caller: Caller, page: int, limit: int) -> SessionPage:
        """A page by its number, from 1. Reads page × limit entries of the index, so later pages
        cost more than a cursor does. A page past the end costs only one get."""
        total = self._count(caller)
        skip = (page - 1) * limit
        if skip >= total:
            return SessionPage([], page, limit, total, None)
        return self._list(caller, page, limit, total, skip=skip)

    def after(self, caller: Caller, cursor: str, limit: int) -> SessionPage:
        """The page at a cursor. Every page costs the same.

        Raises:
            InvalidCursor: the cursor is not from this list.
        """
        position = read_cursor(_scope(caller), cursor)
        if not _POSITION.fullmatch(position):
            raise InvalidCursor
        return self._list(caller, None, limit, self._count(caller), before=position)

    def _list(
        self,
        caller: Caller,
        page: int | None,
        limit: int,
        total: int,
        *,
        skip: int = 0,
        before: str | None = None,
    ) -> SessionPage:
        end = skip + limit
        pages = self.table.query_index(
            BY_ACTIVITY,
            caller.partition,
            before=before,
            backwards=True,
            limit=end + 1,
            unless=(model.EXPIRED, {":now": ids.iso_time(self.clock())}),
        )
        items = list(islice(chain.from_iterable(pages), skip, end + 1))
        shown, more = items[:limit], len(items) > limit
        return SessionPage(
            list(_readable(shown)),
            page,
            limit,
            total,
            make_cursor(_scope(caller), str(shown[-1]["GSI1SK"])) if more else None,
        )

    def _count(self, caller: Caller) -> int:
        user = self.table.get(keys.user(caller.partition))
        return int(user["session_count"]) if user else 0


def _readable(items: Iterable[Item]) -> Iterator[Session]:
    """Leaves out damaged sessions, which `from_item` logs, so that the others can be listed."""
    for item in items:
        with suppress(SessionDamaged):
            yield model.from_item(item)


def _scope(caller: Caller) -> str:
    return f"{caller.partition} sessions"
