"""Lists a user's sessions by last activity, from GSI1 (access pattern 2)."""

import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from app.errors import InvalidCursor, SessionDamaged
from app.identity.caller import Caller
from app.sessions import model
from app.sessions.filters import Filter
from app.sessions.model import Session
from app.table import ids, keys
from app.table.cursors import make_cursor, read_cursor
from app.table.db import ENTRIES_BEHIND_A_FILTER, Table
from app.table.definition import BY_ACTIVITY
from app.table.writes import Item

_POSITION = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z#[0-9A-Z]{26}", re.ASCII)


MAX_QUERIES = 4
"""Queries of one request, so that a filter which matches little does not read a whole list."""


@dataclass(frozen=True, slots=True)
class SessionPage:
    """One page. `page` is its number, or None if a cursor or a filter was used. `total` is the
    number of all sessions of the caller, or None with a filter."""

    sessions: list[Session]
    page: int | None
    limit: int
    total: int | None
    next_cursor: str | None


class SessionLister:
    def __init__(self, table: Table, clock: ids.Clock = ids.system_clock) -> None:
        self.table = table
        self.clock = clock

    def read(
        self,
        caller: Caller,
        *,
        page: int | None = None,
        cursor: str | None = None,
        limit: int = 20,
        active_from: str | None = None,
        active_to: str | None = None,
        **chosen: Any,
    ) -> SessionPage:
        """A page by its number, from 1, or at a cursor. The other arguments are those of `Filter`.

        Raises:
            InvalidCursor: the cursor is not from this list.
        """
        wanted = Filter(**chosen)
        scope = f"{caller.partition} sessions {wanted.tag} {active_from} {active_to}"
        before = active_to
        if cursor:
            before = read_cursor(scope, cursor)
            if not _POSITION.fullmatch(before):
                raise InvalidCursor
        if page and page > 1:
            return self._by_number(caller, page, limit, scope)
        is_filtered = bool(wanted.tag or active_from or active_to)
        total = None if is_filtered else self._count(caller)
        number = None if cursor or is_filtered else 1
        is_empty = before is not None and (active_from or "") >= before
        if total == 0 or is_empty:
            return SessionPage([], number, limit, total, None)
        sessions, position = self._look(caller, wanted, limit, active_from or "", before)
        next_cursor = make_cursor(scope, position) if position else None
        return SessionPage(sessions, number, limit, total, next_cursor)

    def _look(
        self, caller: Caller, wanted: Filter, limit: int, since: str, before: str | None
    ) -> tuple[list[Session], str | None]:
        """Up to `limit` sessions, and the position after which there may be more.

        Costs 1 query if there is no filter, and at most `MAX_QUERIES`.
        """
        pages = self.table.query_index(
            BY_ACTIVITY,
            caller.partition,
            since=since,
            before=before,
            backwards=True,
            limit=ENTRIES_BEHIND_A_FILTER if wanted.tag else limit + 1,
            later_limit=ENTRIES_BEHIND_A_FILTER,
        )
        now = ids.iso_time(self.clock())
        found: list[Session] = []
        position, queries = None, 0
        for items in islice(pages, MAX_QUERIES):
            queries += 1
            for item in items:
                is_expired = str(item.get("expires_at", "~")) <= now
                session = None if is_expired else _readable(item)
                if session and wanted.matches(session):
                    if len(found) == limit:
                        return found, position
                    found.append(session)
                position = str(item["GSI1SK"])
        return found, position if queries == MAX_QUERIES else None

    def _by_number(self, caller: Caller, page: int, limit: int, scope: str) -> SessionPage:
        """Reads page × limit entries of the index, so later pages cost more than a cursor does. A
        page past the end costs only one get."""
        total = self._count(caller)
        skip = (page - 1) * limit
        if skip >= total:
            return SessionPage([], page, limit, total, None)
        end = skip + limit
        pages = self.table.query_index(
            BY_ACTIVITY,
            caller.partition,
            backwards=True,
            limit=end + 1,
            unless=(model.EXPIRED, {":now": ids.iso_time(self.clock())}),
        )
        items = list(islice(chain.from_iterable(pages), skip, end + 1))
        shown, more = items[:limit], len(items) > limit
        return SessionPage(
            [session for item in shown if (session := _readable(item))],
            page,
            limit,
            total,
            make_cursor(scope, str(shown[-1]["GSI1SK"])) if more else None,
        )

    def _count(self, caller: Caller) -> int:
        user = self.table.get(keys.user(caller.partition))
        return int((user or {}).get("session_count", 0))  # a user may have only values


def _readable(item: Item) -> Session | None:
    """None for a damaged session, which `from_item` logs, so that the others can be listed."""
    with suppress(SessionDamaged):
        return model.from_item(item)
    return None
