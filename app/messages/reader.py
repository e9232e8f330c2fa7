"""Reading messages: with their session, by page, one (access patterns 3, 7 and 9)."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from app.errors import InvalidCursor, MessageNotFound, SessionNotFound
from app.identity.caller import Caller
from app.messages import model, sizes
from app.messages.model import Message
from app.sessions.model import Session, from_item, is_live, ulid_of
from app.table import ids, keys, ranges
from app.table.cursors import make_cursor, read_cursor
from app.table.db import Table
from app.table.writes import Item

Order = Literal["asc", "desc"]

READS_OF_ONE_VERSION = 3
"""A transaction becomes visible as a whole within milliseconds. A count that never matches is
damage that `check` reports, and no reason to withhold the messages."""

MAX_ANSWER = 4_500_000
"""Bytes of messages in one answer as Lambda sends it (`sizes.wire_size`). Only a single message may
be larger, up to `sizes.MAX_MESSAGE_WIRE`."""

MAX_MESSAGES = 5_000
"""Messages in one answer: short ones cost time rather than bytes."""


@dataclass(frozen=True, slots=True)
class MessagePage:
    """`next_cursor` is None if nothing follows."""

    messages: list[Message]
    next_cursor: str | None


class MessageReader:
    def __init__(self, table: Table, clock: ids.Clock = ids.system_clock) -> None:
        self.table = table
        self.clock = clock

    def read(self, caller: Caller, session_id: str) -> tuple[Session, MessagePage]:
        """Pattern 3: the session and its messages, oldest first, as they were at one version.

        A query does not see a transaction's items all at once
        (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html).
        So messages later than the session's own state are left out, and the query is repeated if a
        message that the session counts is not there yet.

        Raises:
            SessionNotFound, SessionDamaged
        """
        session_ulid = ulid_of(session_id)
        now = ids.iso_time(self.clock())
        for _ in range(READS_OF_ONE_VERSION):
            pages = self.table.query(caller.partition, ranges.session_with_messages(session_ulid))
            items = chain.from_iterable(pages)
            head = next(items, None)
            if not is_live(head, now) or not keys.is_session(str(head["SK"])):
                raise SessionNotFound
            session = from_item(Session, head)
            _, last = ranges.message_with_parts(session_ulid, session.last_ulid)
            counted = (item for item in items if str(item["SK"]) <= last)
            page = _fill(session_ulid, counted, MAX_MESSAGES, _scope(caller, session_ulid, "asc"))
            if page.next_cursor or len(page.messages) == session.message_count:
                break
        return session, page

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
        """Pattern 7: up to `limit` messages in either order, from a cursor on, or later than the
        message `after`. Ends early, with a cursor, if the answer would grow too large.

        Raises:
            SessionNotFound, MessageNotFound (`after` is not a message id), InvalidCursor
        """
        session_ulid = ulid_of(session_id)
        head = self.table.get(keys.session(caller.partition, session_ulid))
        if not is_live(head, ids.iso_time(self.clock())):
            raise SessionNotFound
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
        if high and low >= high:
            return MessagePage([], None)
        items = chain.from_iterable(
            self.table.query(
                caller.partition,
                ranges.messages_between(session_ulid, low, high),
                backwards=order == "desc",
                limit=limit + 1,
            )
        )
        return _fill(session_ulid, items, limit, scope)

    def get(self, caller: Caller, session_id: str, message_id: str) -> Message:
        """Pattern 9.

        Raises:
            SessionNotFound, MessageNotFound
        """
        session_ulid = ulid_of(session_id)
        message_ulid = ids.parse(ids.MESSAGE_PREFIX, message_id)
        wanted = [keys.session(caller.partition, session_ulid)]
        if message_ulid:
            wanted.append(keys.message(caller.partition, session_ulid, message_ulid))
        found = self.table.get_many(wanted)
        if not is_live(found.get(wanted[0]["SK"]), ids.iso_time(self.clock())):
            raise SessionNotFound
        first = found.get(wanted[-1]["SK"])
        if not message_ulid or not first:
            raise MessageNotFound
        items = [first]
        if "parts" in first:
            parts = ranges.message_with_parts(session_ulid, message_ulid)
            items = list(chain.from_iterable(self.table.query(caller.partition, parts)))
        message = next(model.assemble(session_ulid, items), None)
        if message is None:  # damaged
            raise MessageNotFound
        return message


def _fill(session_ulid: str, items: Iterable[Item], limit: int, scope: str) -> MessagePage:
    """As many messages as `limit` and the size of an answer allow, at least one, and a cursor if
    another message follows."""
    messages: list[Message] = []
    size = 0
    for message in model.assemble(session_ulid, items):
        size += sizes.wire_size(message.body) + sizes.WIRE_OF_IDS
        if messages and (len(messages) == limit or size > MAX_ANSWER):
            return MessagePage(messages, make_cursor(scope, messages[-1].ulid))
        messages.append(message)
    return MessagePage(messages, None)


def _scope(caller: Caller, session_ulid: str, order: Order) -> str:
    return f"{caller.partition} messages {session_ulid} {order}"
