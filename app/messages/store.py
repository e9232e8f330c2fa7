"""Appends messages (access pattern 5). `app.messages.reader` reads them.

Works without Flask, so that other programs can use it with a table and a caller.
"""

from collections.abc import Sequence

from app.errors import NotTheLastMessage, PreconditionFailed, SessionDamaged, SessionNotFound
from app.identity.caller import Caller
from app.logs import log_damaged
from app.messages import model, rules, sizes
from app.messages.model import Message, NewMessage
from app.sessions.model import LIVE, is_live, ulid_of
from app.table import budget, idempotency, ids, keys, writes
from app.table.database_time import checked_time
from app.table.db import ConditionFailed, Table
from app.table.idempotency import IdempotencyKey
from app.table.versions import IfMatch, match_version
from app.table.writes import Item, Write


class MessageStore:
    def __init__(self, table: Table, ulids: ids.UlidSource | None = None) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()

    def append(
        self,
        caller: Caller,
        session_id: str,
        messages: Sequence[NewMessage],
        *,
        if_match: IfMatch | None = None,
        idempotency_key: IdempotencyKey | None = None,
        after: str | None = None,
        checked: bool = False,
        answered_whole: bool = False,
    ) -> tuple[list[Message], bool]:
        """Pattern 5: appends all messages or none, in order, in one transaction. The second value
        of the result is true if this repeats an earlier request.

        The write's condition is that the session's `last_ulid` is less than the first new id. It
        fails if another writer was first, or if this clock is behind. The failed condition returns
        the last id, and the write is repeated with the ids that follow. So there is no read before
        the write and no lock, and neither writer gets an error.

        Args:
            after: the id that the session's last message must have, or the session's own id if it
                must have no messages.
            checked: the messages have passed the HTTP schema and are not checked again.
            answered_whole: one response must have room for all of the messages.

        Raises:
            ValidationFailed, TooLarge, SessionNotFound, SessionDamaged, PreconditionFailed,
            NotTheLastMessage, IdempotencyKeyReused
        """
        rules.check(messages, only_count=checked)
        session_ulid = ulid_of(session_id)
        previous = None if after is None else _previous(session_ulid, after)
        bodies = sizes.bodies(messages, caller.writer, answered_whole=answered_whole)
        last_ulid = ""
        # A program that has begun no budget gets a new one for each call. This one bounds the loop.
        request_budget = budget.current()
        while True:
            request_budget.check()
            written_at = checked_time(self.table, self.ulids.clock, caller.partition)
            now = ids.iso_time(written_at)
            ulids = self.ulids.new(len(bodies), after=last_ulid, now=written_at)
            appended = _messages(session_ulid, ulids, bodies)
            advance = self._advance(caller, session_ulid, ulids, now, if_match, previous)
            parts = {"session": advance}
            if idempotency_key:
                record_key = keys.append_record(
                    caller.partition, session_ulid, idempotency_key.name
                )
                parts["record"] = idempotency.put_record(
                    record_key, idempotency_key, ulids[0], self.ulids.clock
                )
            for message in appended:
                parts |= _puts(caller, message)
            try:
                self.table.transact(parts)
                return appended, False
            except ConditionFailed as failed:
                session, record = failed.found.get("session"), failed.found.get("record")
                if session is not None and not is_live(session, now):
                    raise SessionNotFound from None
                if idempotency_key and record:
                    first_ulid = idempotency.first_id_of(record, idempotency_key)
                    ulids = ids.series(first_ulid, len(bodies))
                    return _messages(session_ulid, ulids, bodies), True
                if session is None:
                    raise  # a message has this id already, which the session's condition rules out
                if if_match is not None and session.get("version") not in if_match:
                    raise PreconditionFailed from None
                last_ulid = _last_before(session, session_ulid, previous, ulids[0])

    def _advance(
        self,
        caller: Caller,
        session_ulid: str,
        ulids: Sequence[str],
        now: str,
        if_match: IfMatch | None,
        previous: str | None,
    ) -> Write:
        condition, values = match_version(if_match)
        if previous is not None:
            condition += " AND last_ulid = :previous"
            values = {**values, ":previous": previous}
        activity = ids.timestamp(ulids[-1])
        return writes.update(
            keys.session(caller.partition, session_ulid),
            "SET last_ulid = :last, last_count = :count, updated_at = :activity, GSI1SK = :gsi1sk"
            " ADD message_count :count, version :one",
            {
                ":first": ulids[0],
                ":last": ulids[-1],
                ":activity": activity,
                ":gsi1sk": keys.by_activity(caller.partition, session_ulid, activity)["GSI1SK"],
                ":count": len(ulids),
                ":one": 1,
                ":now": now,
                **values,
            },
            f"{LIVE} AND last_ulid < :first{condition}",
        )


def _last_before(session: Item, session_ulid: str, previous: str | None, first: str) -> str:
    """The last id of a live session that did not take `first`.

    Raises:
        NotTheLastMessage
        SessionDamaged: the last id is none; or nothing can be seen that stood in the way, so
            trying again would not end.
    """
    last_ulid = str(session.get("last_ulid"))
    sound = ids.is_ulid(last_ulid)
    if sound and previous not in (None, last_ulid):
        last = ids.MESSAGE_PREFIX + last_ulid if last_ulid != session_ulid else None
        raise NotTheLastMessage(last) from None
    if not sound or last_ulid < first:
        log_damaged(str(session["PK"]), str(session["SK"]))
        raise SessionDamaged from None
    return last_ulid


def _previous(session_ulid: str, after: str) -> str:
    """The `last_ulid` that the session must have. Empty, which no session has, if `after` is the id
    of something else."""
    message_ulid = ids.parse(ids.MESSAGE_PREFIX, after)
    if message_ulid and message_ulid != session_ulid:
        return message_ulid
    return session_ulid if after == ids.SESSION_PREFIX + session_ulid else ""


def _messages(session_ulid: str, ulids: Sequence[str], bodies: Sequence[str]) -> list[Message]:
    return [Message(session_ulid, ulid, body) for ulid, body in zip(ulids, bodies, strict=True)]


def _puts(caller: Caller, message: Message) -> dict[str, Write]:
    parts = model.split(message.body)
    puts = {}
    for part, body in enumerate(parts):
        key = keys.message(caller.partition, message.session_ulid, message.ulid, part)
        attributes = {"body": body, "parts": len(parts) if len(parts) > 1 else None}
        puts[key["SK"]] = writes.put(key, attributes)
    return puts
