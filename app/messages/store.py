"""Messages in the table: one method an access pattern (numbered as in `app.keys`).

Works without Flask: another program gives it a table and a caller, and appends.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from app import db, idempotency, ids, keys, work
from app.caller import Caller
from app.errors import InvalidCursor, MessageNotFound, PreconditionFailed, SessionNotFound
from app.messages import model
from app.messages.model import Message, NewMessage
from app.pagination import make_cursor, read_cursor
from app.sessions.model import LIVE, IfMatch, Session, from_item, is_live, match_version, ulid_of

Order = Literal["asc", "desc"]

READS_OF_ONE_VERSION = 3
"""A transaction is visible whole after milliseconds; a count that never fits would be damage that
`check` reports, and no reason to withhold the messages."""

MAX_ANSWER = 4_500_000
"""Bytes of messages in one answer. Lambda takes 6 MB with the body escaped inside a JSON string;
counted as the strictest runtime escapes it, all that is not ASCII too."""


@dataclass(frozen=True, slots=True)
class MessagePage:
    """`next_cursor` is None where nothing follows."""

    messages: list[Message]
    next_cursor: str | None


class MessageStore:
    def __init__(self, table: db.Table, ulids: ids.UlidSource | None = None) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()

    def append(
        self,
        caller: Caller,
        session_id: str,
        messages: Sequence[NewMessage],
        *,
        if_match: IfMatch | None = None,
        request: idempotency.Request | None = None,
    ) -> tuple[list[Message], bool]:
        """Pattern 5: all of the messages or none, in order, in one transaction. Also says whether
        it replays an earlier, same request.

        The session's `last_ulid` must be smaller than the first new id. Where it is not (another
        writer was first, or this clock lags), the failed condition tells the last id and the write
        is tried again with the next ones: no read before the write, no lock, no error to anyone.

        Raises:
            SessionNotFound, PreconditionFailed, IdempotencyKeyReused, TooLarge
        """
        session = ulid_of(session_id)
        bodies = model.bodies(messages, caller.writer)
        record_key = request and keys.append_record(caller.partition, session, request.name)
        last = ""
        under_way = work.current()
        while True:
            under_way.check()
            now = ids.iso_time(self.ulids.clock())
            ulids = self.ulids.take(len(bodies), after=last)
            appended = [Message(session, *pair) for pair in zip(ulids, bodies, strict=True)]
            writes = [self._advance(caller, session, ulids, now, if_match)]
            if request and record_key:
                record = idempotency.record(record_key, request, ulids[0], self.ulids.clock)
                writes.append(record)
            for message in appended:
                writes += _puts(caller, message)
            try:
                self.table.transact(*writes)
                return appended, False
            except db.ConditionFailed as failed:
                found = failed.found[0]
                if found is not None and not is_live(found, now):
                    raise SessionNotFound from None
                if request and failed.found[1]:
                    first = idempotency.first_id_of(failed.found[1], request)
                    ulids = ids.series(first, len(bodies))
                    return [Message(session, *p) for p in zip(ulids, bodies, strict=True)], True
                assert found is not None  # noqa: S101  one of the two has failed
                if if_match is not None and found["version"] not in if_match:
                    raise PreconditionFailed from None
                last = str(found["last_ulid"])

    def _advance(
        self, caller: Caller, session: str, ulids: Sequence[str], now: str, if_match: IfMatch | None
    ) -> dict[str, object]:
        condition, versions = match_version(if_match)
        activity = ids.timestamp(ulids[-1])
        return db.update(
            keys.session(caller.partition, session),
            "SET last_ulid = :last, updated_at = :activity, GSI1SK = :gsi1sk"
            " ADD message_count :count, version :one",
            {
                ":first": ulids[0],
                ":last": ulids[-1],
                ":activity": activity,
                ":gsi1sk": keys.by_activity(caller.partition, session, activity)["GSI1SK"],
                ":count": len(ulids),
                ":one": 1,
                ":now": now,
                **versions,
            },
            f"{LIVE} AND last_ulid < :first{condition}",
        )

    def read(self, caller: Caller, session_id: str) -> tuple[Session, MessagePage]:
        """Pattern 3: the session and its messages, oldest first, as they were at one version.

        A query does not see a transaction's items all at once
        (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html),
        so messages later than the session's own state are left out, and where one that it counts
        is not there yet the query is made again.

        Raises:
            SessionNotFound
        """
        ulid = ulid_of(session_id)
        now = ids.iso_time(self.ulids.clock())
        for _ in range(READS_OF_ONE_VERSION):
            pages = self.table.query(caller.partition, keys.session_with_messages(ulid))
            items = chain.from_iterable(pages)
            head = next(items, None)
            if not is_live(head, now):
                raise SessionNotFound
            session = from_item(head)
            _, last = keys.message_with_parts(ulid, session.last_ulid)
            counted = (item for item in items if str(item["SK"]) <= last)
            page = _fill(ulid, counted, None, _scope(caller, ulid, "asc"))
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
        """Pattern 7: up to `limit` messages either way, from a cursor on, or later than the
        message `after`. Ends early, with a cursor, where the answer would grow too large.

        Raises:
            SessionNotFound, MessageNotFound (`after` is no message id), InvalidCursor
        """
        session = ulid_of(session_id)
        head = self.table.get(keys.session(caller.partition, session))
        if not is_live(head, ids.iso_time(self.ulids.clock())):
            raise SessionNotFound
        low = (ids.parse(ids.MESSAGE_PREFIX, after) if after else "") or ""
        if after and not low:
            raise MessageNotFound
        high = ""
        scope = _scope(caller, session, order)
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
                keys.messages_between(session, low, high),
                backwards=order == "desc",
                limit=limit + 1,
            )
        )
        return _fill(session, items, limit, scope)

    def get(self, caller: Caller, session_id: str, message_id: str) -> Message:
        """Pattern 9.

        Raises:
            SessionNotFound, MessageNotFound
        """
        session = ulid_of(session_id)
        message = ids.parse(ids.MESSAGE_PREFIX, message_id)
        wanted = [keys.session(caller.partition, session)]
        if message:
            wanted.append(keys.message(caller.partition, session, message))
        found = self.table.get_many(wanted)
        if not is_live(found.get(wanted[0]["SK"]), ids.iso_time(self.ulids.clock())):
            raise SessionNotFound
        first = found.get(wanted[-1]["SK"])
        if not message or not first:
            raise MessageNotFound
        items = [first]
        if "parts" in first:
            pages = self.table.query(caller.partition, keys.message_with_parts(session, message))
            items = list(chain.from_iterable(pages))
        return next(model.assemble(session, items))


def _puts(caller: Caller, message: Message) -> list[dict[str, object]]:
    parts = model.split(message.body)
    return [
        db.put(
            keys.message(caller.partition, message.session, message.ulid, part),
            {"body": body, "parts": len(parts) if len(parts) > 1 else None},
        )
        for part, body in enumerate(parts)
    ]


def _fill(session: str, items: Iterable[db.Item], limit: int | None, scope: str) -> MessagePage:
    """As many messages as `limit` and the size of an answer allow. A cursor follows exactly where
    another message does. One message always fits, whatever its size."""
    messages: list[Message] = []
    size = 0
    for message in model.assemble(session, items):
        size += model.wire_size(message.body)
        if messages and (len(messages) == limit or size > MAX_ANSWER):
            return MessagePage(messages, make_cursor(scope, messages[-1].ulid))
        messages.append(message)
    return MessagePage(messages, None)


def _scope(caller: Caller, session: str, order: Order) -> str:
    return f"{caller.partition} messages {session} {order}"
