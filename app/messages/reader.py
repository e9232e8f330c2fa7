"""Reads messages: with their session, by page, or one (access patterns 3, 7 and 9).

This module is over 250 lines because every way to read has to look for messages that are not
visible yet, or not any more, and shares how.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from app.errors import (
    GoneSince,
    InvalidCursor,
    MessageNotFound,
    SessionDamaged,
    SessionNotFound,
)
from app.identity.caller import Caller
from app.logs import log_damaged
from app.messages.bounds import Bounds, bounds_of
from app.messages.items import assemble
from app.messages.model import MAX_BATCH, Message
from app.sessions.model import Session, counted_messages, from_item, is_live, ulid_of, with_info
from app.sessions.reading import whole_session
from app.table import ids, keys, ranges
from app.table.cursors import make_cursor, read_cursor
from app.table.db import Table
from app.table.retries import READS_OF_A_TRANSACTION
from app.table.writes import Item, Value
from app.wire import MAX_ANSWER, wire_size

Order = Literal["asc", "desc"]

MAX_MESSAGES = 5_000
"""Maximum messages in one response. Many short messages take much time but few bytes."""


@dataclass(frozen=True, slots=True)
class MessagePage:
    """`next_cursor` is None if no messages follow. A new `changed` means that older messages have
    been edited or removed. `damaged` has the ULIDs of messages that were left out because they
    cannot be read."""

    messages: list[Message]
    next_cursor: str | None
    changed: str | None
    damaged: frozenset[str] = frozenset()

    @property
    def ulids(self) -> set[str]:
        """Of all messages that were found, whether or not they can be read."""
        return {message.ulid for message in self.messages} | self.damaged


class MessageReader:
    def __init__(self, table: Table, clock: ids.Clock = ids.system_clock) -> None:
        self.table = table
        self.clock = clock

    def read(self, caller: Caller, session_id: str) -> tuple[Session, MessagePage]:
        """Pattern 3: the session and its messages at the same version, oldest first.

        Messages newer than the session's item are left out. If a message that the session counts
        is not visible yet, the query is repeated. If an older message remains missing, the table is
        damaged. `check` reports that; the other messages are still returned.

        Raises:
            SessionNotFound, SessionDamaged
        """
        session_ulid = ulid_of(session_id)
        scope = _scope(caller, session_ulid, "asc")
        for _ in range(READS_OF_A_TRANSACTION):
            pages = self.table.query(caller.partition, ranges.session_with_messages(session_ulid))
            items = chain.from_iterable(pages)
            head = next(items, None)
            if not is_live(head, self._now()) or not keys.is_session(str(head["SK"])):
                raise SessionNotFound
            session, bounds = from_item(head), bounds_of(head)
            if session.info:
                whole = with_info(session, next(items, None))
                if not whole:  # somebody is changing the metadata
                    continue
                session = whole
            page = _fill(bounds, self._visible(caller, items, bounds), MAX_MESSAGES, scope)
            if not page.next_cursor and len(page.ulids) == session.message_count:
                return session, page
            missing = self._first_missing(caller, bounds, page, "asc")
            if page.next_cursor and not missing:
                break
        else:
            if session.info and session.metadata is None:
                log_damaged(caller.partition, keys.info(caller.partition, session_ulid)["SK"])
                raise SessionDamaged
        self._still_there(caller, session_ulid, session.born)
        return session, _end_before(missing, page, scope, session_ulid) if missing else page

    def _visible(self, caller: Caller, items: Iterator[Item], bounds: Bounds) -> Iterator[Item]:
        """The items of a session's messages up to its last one. Goes around messages that are
        being removed. Only the page on which they begin, of at most 1 MB, has been read with them.
        """
        for item in items:
            ulid = keys.message_of(str(item["SK"]))
            if ulid > bounds.last:
                return
            if bounds.cut and bounds.cut[0] <= ulid <= bounds.cut[1]:
                yield from self.items(caller, bounds, bounds.cut[1])
                return
            if bounds.shows(ulid):  # others are of an earlier session with the same key, or unknown
                yield item

    def items(
        self,
        caller: Caller,
        bounds: Bounds,
        low: str = "",
        high: str = "",
        *,
        order: Order = "asc",
        limit: int | None = None,
        only: str | None = None,
    ) -> Iterator[Item]:
        """The items of visible messages after `low` and before `high`. `limit` is of each page."""
        spans = list(bounds.spans(low, high))
        _, end_of_last = ranges.message_with_parts(bounds.session_ulid, bounds.last)
        for after, before in spans if order == "asc" else reversed(spans):
            start, end = ranges.messages_between(bounds.session_ulid, after, before)
            pages = self.table.query(
                caller.partition,
                (start, min(end, end_of_last)),
                backwards=order == "desc",
                limit=limit,
                only=only,
            )
            yield from chain.from_iterable(pages)

    def page(
        self,
        caller: Caller,
        session_id: str,
        *,
        limit: int,
        order: Order = "asc",
        cursor: str | None = None,
        after: str | None = None,
    ) -> MessagePage:
        """Pattern 7: up to `limit` messages in either order, from a cursor or after the message
        `after`. The page ends early, with a cursor, if the response would become too large.

        The session is read first, and the page ends at its last message. If one of its newest
        messages is not visible yet, the page ends before that, because a client that polls would
        otherwise skip it for good. The session is read again at the end: a removal marks the
        session first, so if it is still live, no message of the page was removed meanwhile.

        Raises:
            SessionNotFound, MessageNotFound (`after` is not a message id), InvalidCursor
        """
        head = self._live(caller, ulid_of(session_id))
        return self._page(caller, head, limit, order, cursor, after)

    def latest(self, caller: Caller, session_id: str, count: int) -> tuple[Session, MessagePage]:
        """The session and its last messages, oldest first. The cursor leads to earlier ones, in
        descending order. Costs 1 get and 1 query per MB, and as much more as a page.

        Raises:
            SessionNotFound, SessionDamaged
        """
        head = self._live(caller, ulid_of(session_id))
        session = whole_session(self.table, head, self._now())
        page = self._page(caller, head, count, "desc")
        return session, replace(page, messages=page.messages[::-1])

    def _page(
        self,
        caller: Caller,
        head: Item,
        limit: int,
        order: Order,
        cursor: str | None = None,
        after: str | None = None,
    ) -> MessagePage:
        session_ulid = keys.session_of(str(head["SK"]))
        bounds = bounds_of(head)
        low = (ids.parse(ids.MESSAGE_PREFIX, after) if after else "") or ""
        if after and not low:
            raise MessageNotFound
        high = ""
        scope = _scope(caller, session_ulid, order)
        if cursor:
            position = read_cursor(scope, cursor)
            if not ids.is_ulid(position):
                raise InvalidCursor
            low, high = (max(low, position), "") if order == "asc" else (low, position)
        if not list(bounds.spans(low, high)):
            return MessagePage([], None, bounds.changed)

        def fill(high: str) -> MessagePage:
            items = self.items(caller, bounds, low, high, order=order, limit=limit + 1)
            return _fill(bounds, items, limit, scope)

        for _ in range(READS_OF_A_TRANSACTION):
            page = fill(high)
            missing = self._first_missing(caller, bounds, page, order, low, high)
            if not missing:
                break
        if missing:
            page = _end_before(missing, page, scope) if order == "asc" else fill(missing)
        is_part = cursor or after or page.next_cursor
        if is_part or len(page.ulids) != counted_messages(head):
            self._still_there(caller, session_ulid, head.get("born", session_ulid))
        return page

    def get(self, caller: Caller, session_id: str, message_id: str) -> Message:
        """Pattern 9: one message. If it is incomplete, it may be only partly visible yet, or be
        being removed. So the message and its session are read again.

        Raises:
            SessionNotFound, MessageNotFound
        """
        session_ulid = ulid_of(session_id)
        message_ulid = ids.parse(ids.MESSAGE_PREFIX, message_id)
        session_key = keys.session(caller.partition, session_ulid)
        if not message_ulid:
            self._live(caller, session_ulid)
            raise MessageNotFound
        key = keys.message(caller.partition, session_ulid, message_ulid)
        for _ in range(READS_OF_A_TRANSACTION):
            found = self.table.get_many([session_key, key])
            head, item = found.get(session_key["SK"]), found.get(key["SK"])
            if not is_live(head, self._now()):
                raise SessionNotFound
            bounds = bounds_of(head)
            if not bounds.shows(message_ulid) or (not item and message_ulid not in bounds.newest):
                break
            for message in self._whole(caller, session_ulid, message_ulid, item) if item else ():
                return message
        raise MessageNotFound

    def made(
        self, caller: Caller, session_ulid: str, ulids: Sequence[str]
    ) -> tuple[str, list[Message]]:
        """What an earlier request made, as it is now, with the session's version. Costs 1 batch
        get, and 1 query for each message that is divided or has feedback.

        Raises:
            SessionNotFound
            GoneSince: some of the messages have been removed.
        """
        session_key = keys.session(caller.partition, session_ulid)
        wanted = [keys.message(caller.partition, session_ulid, ulid) for ulid in ulids]
        for _ in range(READS_OF_A_TRANSACTION):
            found = self.table.get_many([session_key, *wanted])
            head = found.get(session_key["SK"])
            if not is_live(head, self._now()):
                raise SessionNotFound
            bounds, version = bounds_of(head), str(head.get("last_ulid"))
            messages = [
                message
                for ulid, key in zip(ulids, wanted, strict=True)
                if bounds.shows(ulid) and key["SK"] in found
                for message in self._whole(caller, session_ulid, ulid, found[key["SK"]])
            ]
            missing = set(ulids) - {message.ulid for message in messages}
            if not missing & set(bounds.newest):
                break
        if missing:
            raise GoneSince(*(ids.MESSAGE_PREFIX + ulid for ulid in sorted(missing)))
        return version, messages

    def _whole(
        self, caller: Caller, session_ulid: str, ulid: str, first: Item
    ) -> Iterator[Message]:
        """The message with this first item; none if the others cannot be seen yet."""
        items = [first]
        if "parts" in first or "raters" in first:
            parts = ranges.message_with_parts(session_ulid, ulid)
            items = list(chain.from_iterable(self.table.query(caller.partition, parts)))
        return assemble(session_ulid, items)

    def _live(self, caller: Caller, session_ulid: str) -> Item:
        """The session's item.

        Raises:
            SessionNotFound: the session is absent, expired or being deleted.
        """
        head = self.table.get(keys.session(caller.partition, session_ulid))
        if not is_live(head, self._now()):
            raise SessionNotFound
        return head

    def _still_there(self, caller: Caller, session_ulid: str, born: Value) -> None:
        """
        Raises:
            SessionNotFound: the session has been deleted or has expired since it was read. There
                may be another one with the same key.
        """
        if self._live(caller, session_ulid).get("born", session_ulid) != born:
            raise SessionNotFound

    def _first_missing(
        self,
        caller: Caller,
        bounds: Bounds,
        page: MessagePage,
        order: Order,
        low: str = "",
        high: str = "",
    ) -> str | None:
        """The id of the first of the newest messages, between `low` and `high`, that is not visible
        yet, or None. For an ascending page, only messages within the page count. A descending page
        that ends among the newest messages costs another query, because messages above a gap must
        not be shown."""
        newest = [ulid for ulid in bounds.newest if low < ulid and (not high or ulid < high)]
        found = page.ulids
        if page.next_cursor:
            end = page.messages[-1].ulid
            if order == "asc":
                newest = [ulid for ulid in newest if ulid < end]
            elif below := [ulid for ulid in newest if ulid < end]:
                first, _ = ranges.message_with_parts(bounds.session_ulid, below[0])
                _, last = ranges.message_with_parts(bounds.session_ulid, below[-1])
                items = chain.from_iterable(self.table.query(caller.partition, (first, last)))
                found |= _fill(bounds, items, MAX_BATCH, "").ulids
        return next((ulid for ulid in newest if ulid not in found), None)

    def _now(self) -> str:
        return ids.iso_time(self.clock())


def first_of(
    caller: Caller, session_id: str, page: MessagePage, count: int, order: Order
) -> MessagePage:
    """The first messages of a page, with a cursor to go on after them."""
    messages = page.messages[:count]
    cursor = make_cursor(_scope(caller, ulid_of(session_id), order), messages[-1].ulid)
    return replace(page, messages=messages, next_cursor=cursor)


def _end_before(missing: str, page: MessagePage, scope: str, start: str = "") -> MessagePage:
    """An ascending page cut before the missing message, with a cursor. If the page is then empty,
    it has a cursor only if there is a `start`; a client that polls repeats the request anyway."""
    messages = [message for message in page.messages if message.ulid < missing]
    position = messages[-1].ulid if messages else start
    return MessagePage(messages, make_cursor(scope, position) if position else None, page.changed)


def _fill(bounds: Bounds, items: Iterable[Item], limit: int, scope: str) -> MessagePage:
    """As many messages as `limit` and the size of a response allow, but at least one. Has a cursor
    if another message follows."""
    messages: list[Message] = []
    damaged: set[str] = set()
    size = 0
    for message in assemble(bounds.session_ulid, items, damaged):
        size += wire_size(message.json) + 1
        if messages and (len(messages) == limit or size > MAX_ANSWER):
            next_cursor = make_cursor(scope, messages[-1].ulid)
            return MessagePage(messages, next_cursor, bounds.changed, frozenset(damaged))
        messages.append(message)
    return MessagePage(messages, None, bounds.changed, frozenset(damaged))


def _scope(caller: Caller, session_ulid: str, order: Order) -> str:
    return f"{caller.partition} messages {session_ulid} {order}"
