"""Lists the answers that cite a source, from the edges in GSI2 (access patterns 28 and 29).

An index entry says only that a message cites a source. The session says whether the message is
still shown.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from app.errors import InvalidCursor, SourceNotFound
from app.grounding.sources import is_hash
from app.identity.caller import Caller
from app.logs import log_damaged
from app.messages.bounds import Bounds, bounds_of
from app.sessions.model import is_live
from app.table import ids, keys
from app.table.cursors import make_cursor, read_cursor
from app.table.db import Table
from app.table.definition import BY_SOURCE
from app.table.writes import Item

_POSITION = re.compile(r"([\w.~%-]+#[\w.~%-]+)#([0-9A-Z]{26})#([0-9A-Z]{26})", re.ASCII)
"""A user's partition, a session and a message."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A message that cites a source."""

    partition: str
    session_ulid: str
    ulid: str

    @property
    def user_id(self) -> str:
        return keys.user_of(self.partition)

    @property
    def session_id(self) -> str:
        return ids.SESSION_PREFIX + self.session_ulid

    @property
    def message_id(self) -> str:
        return ids.MESSAGE_PREFIX + self.ulid

    @property
    def timestamp(self) -> str:
        return ids.timestamp(self.ulid)


@dataclass(frozen=True, slots=True)
class AnswerPage:
    answers: list[Answer]
    next_cursor: str | None


class AnswerLister:
    def __init__(self, table: Table, clock: ids.Clock = ids.system_clock) -> None:
        self.table = table
        self.clock = clock

    def of_caller(
        self, caller: Caller, source: str, *, limit: int = 50, cursor: str | None = None
    ) -> AnswerPage:
        """Pattern 28: the caller's answers that cite the source of this hash, latest first.

        Costs 1 query and 1 batch get. Messages that are not shown any more are left out after
        reading, so a page may have fewer than `limit`, or none, while more follow.

        Raises:
            SourceNotFound: not a hash.
            InvalidCursor: the cursor is not from this list.
        """
        scope = f"{caller.partition} answers {checked(source)}"
        after = _read_position(scope, cursor)
        if after and after.partition != caller.partition:
            raise InvalidCursor
        own = keys.by_source(caller.partition, source, "")
        found = self._cited(own["GSI2PK"], source, limit + 1, after, prefix=own["GSI2SK"])
        return self._page(scope, found, limit)

    def of_tenant(
        self, caller: Caller, source: str, *, limit: int = 50, cursor: str | None = None
    ) -> AnswerPage:
        """Pattern 29: the same for all users of the caller's tenant, shard by shard, and latest
        first within a user.

        Costs 1 query if the first shard fills the page, otherwise up to `SOURCE_SHARDS`, and 1
        batch get.

        Raises:
            SourceNotFound: not a hash.
            InvalidCursor: the cursor is not from this list.
        """
        scope = f"{keys.tenant_sources(caller.tenant)} answers {checked(source)}"
        after = _read_position(scope, cursor)
        tenant = keys.tenant_of(caller.partition)
        if after and keys.tenant_of(after.partition) != tenant:
            raise InvalidCursor
        found: list[Answer] = []
        for shard in range(keys.source_shard(after.partition) if after else 0, keys.SOURCE_SHARDS):
            partition = keys.source_partition(tenant, source, shard)
            found += self._cited(partition, source, limit + 1 - len(found), after)
            if len(found) > limit:
                break
            after = None
        return self._page(scope, found, limit)

    def _cited(
        self, shard: str, source: str, limit: int, after: Answer | None, *, prefix: str = ""
    ) -> list[Answer]:
        """Up to `limit` answers of one shard, or of the user whose entries begin with `prefix`. An
        entry has 6 KB at most, so 101 of them are one page of DynamoDB."""
        pages = self.table.query_index(
            BY_SOURCE,
            shard,
            since=prefix,
            before=f"{prefix}~" if prefix else None,
            backwards=True,
            limit=limit,
            after=_entry(source, after) if after else None,
        )
        cited = (answer for items in pages for item in items if (answer := read_entry(item)))
        return list(islice(cited, limit))

    def _page(self, scope: str, found: Sequence[Answer], limit: int) -> AnswerPage:
        """`found` has one more than the page if more follow."""
        read, more = found[:limit], len(found) > limit
        next_cursor = make_cursor(scope, _position(read[-1])) if more else None
        return AnswerPage(self._shown(read), next_cursor)

    def _shown(self, answers: Sequence[Answer]) -> list[Answer]:
        """Those whose session is live and shows the message. Costs 1 batch get."""
        sessions = {(each.partition, each.session_ulid) for each in answers}
        if not sessions:
            return []
        now = ids.iso_time(self.clock())
        bounds: dict[tuple[str, str], Bounds] = {}
        for head in self.table.get_all([keys.session(*session) for session in sessions]):
            if is_live(head, now):
                of_session = bounds_of(head)
                bounds[str(head["PK"]), of_session.session_ulid] = of_session
        return [
            each
            for each in answers
            if (found := bounds.get((each.partition, each.session_ulid))) and found.shows(each.ulid)
        ]


def checked(source: str) -> str:
    """
    Raises:
        SourceNotFound: not a hash.
    """
    if not is_hash(source):
        raise SourceNotFound
    return source


def read_entry(item: Item) -> Answer | None:
    """None for a damaged entry, which is logged, so that the others can be listed."""
    partition, sk = str(item["PK"]), str(item["SK"])
    if keys.is_edge(sk):
        session_ulid, (_, ulid) = keys.session_of(sk), keys.ends_of(sk)
        if ids.is_ulid(session_ulid) and ids.is_ulid(ulid) and ulid < ids.END_OF_TIME:
            return Answer(partition, session_ulid, ulid)
    log_damaged(partition, sk)
    return None


def _entry(source: str, answer: Answer) -> keys.Key:
    """The answer's entry in the index, where a query can go on even if it is gone."""
    return {
        **keys.edge(answer.partition, answer.session_ulid, source, answer.ulid),
        **keys.by_source(answer.partition, source, answer.ulid),
    }


def _position(answer: Answer) -> str:
    return f"{answer.partition}#{answer.session_ulid}#{answer.ulid}"


def _read_position(scope: str, cursor: str | None) -> Answer | None:
    """
    Raises:
        InvalidCursor: the cursor is not from this list.
    """
    if not cursor:
        return None
    match = _POSITION.fullmatch(read_cursor(scope, cursor))
    if not match or len(match[1]) > keys.MAX_PARTITION_BYTES:
        raise InvalidCursor
    return Answer(*match.groups())
