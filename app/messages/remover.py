"""Removes messages: one, the last ones, or all from one on, which may be replaced in the same step.

Each reads the session, then what is to go, and writes on the condition that nobody has written to
the session since. If somebody has, the failed condition returns the session, and it begins again.
This module is over 250 lines because four operations share that loop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from app.errors import (
    Contended,
    PreconditionFailed,
    SessionDamaged,
    SessionNotFound,
    Unavailable,
)
from app.identity.caller import Caller
from app.logs import log_damaged
from app.messages import cuts, edges, head_writes, rules, sizes, tails
from app.messages.bounds import Bounds, bounds_of
from app.messages.edges import Indexed
from app.messages.model import MAX_POP, Message, NewMessage
from app.messages.reader import MessageReader
from app.messages.store import messages_of, puts
from app.messages.tail_reader import TailReader
from app.messages.tails import Start, Tail
from app.sessions.model import is_live, ulid_of
from app.table import idempotency, ids, keys, writes
from app.table.database_time import checked_time
from app.table.db import ConditionFailed, Table
from app.table.idempotency import IdempotencyKey
from app.table.versions import IfMatch
from app.table.writes import Item, Write

TRIES = 5
"""How often a removal begins again because another writer was first."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal did. `version` is the session's new one, for its ETag.

    `ulids` and `messages` are what a pop took away, or what a replacement added. `messages` is None
    for a repeated pop, because they are gone.
    """

    count: int
    version: str
    ulids: Sequence[str] = ()
    messages: Sequence[Message] | None = ()
    replayed: bool = False
    unindexed: int = 0
    """How many sources of the added messages there was no room for in the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """`choose` reads what is to be removed from a session with these bounds."""

    choose: Callable[[Caller, Bounds], Tail]
    new: Sequence[NewMessage] = ()
    bodies: Sequence[str] = ()
    indexed: Sequence[Indexed] = ()
    unindexed: int = 0
    if_match: IfMatch | None = None
    idempotency_key: IdempotencyKey | None = None


class MessageRemover:
    def __init__(
        self, table: Table, ulids: ids.UlidSource | None = None, *, web_sources: bool = False
    ) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()
        self.web_sources = web_sources
        self.tails = TailReader(MessageReader(table, self.ulids.clock))

    def remove(
        self, caller: Caller, session_id: str, start: Start, if_match: IfMatch | None = None
    ) -> Removal:
        """Pattern 13: removes all messages from a point on.

        Raises:
            SessionNotFound, MessageNotFound, PreconditionFailed, Contended
        """
        choose = partial(self.tails.start, start)
        return self._carry_out(caller, session_id, _Request(choose=choose, if_match=if_match))

    def remove_one(
        self, caller: Caller, session_id: str, message_id: str, if_match: IfMatch | None = None
    ) -> Removal:
        """Pattern 12: removes one message. `if_match` has ETags of the message.

        Raises:
            SessionNotFound, MessageNotFound, PreconditionFailed, Contended
        """
        choose = partial(self.tails.one, tails.start_at(message_id), if_match)
        return self._carry_out(caller, session_id, _Request(choose=choose))

    def pop(
        self,
        caller: Caller,
        session_id: str,
        count: int = 1,
        *,
        if_match: IfMatch | None = None,
        idempotency_key: IdempotencyKey | None = None,
    ) -> Removal:
        """Pattern 14: removes the last `count` messages, or all if there are fewer, and returns
        them in their order. Two callers at once never get the same message.

        Raises:
            ValidationFailed, SessionNotFound, PreconditionFailed, Contended, IdempotencyKeyReused
            TooLarge: one response has no room for them. Nothing was removed.
        """
        rules.check_count(count, MAX_POP)
        request = _Request(
            choose=partial(self.tails.last, count),
            if_match=if_match,
            idempotency_key=idempotency_key,
        )
        return self._carry_out(caller, session_id, request)

    def replace(
        self,
        caller: Caller,
        session_id: str,
        start: Start,
        messages: Sequence[NewMessage],
        *,
        if_match: IfMatch | None = None,
        idempotency_key: IdempotencyKey | None = None,
        checked: bool = False,
        answered_whole: bool = False,
    ) -> Removal:
        """Pattern 15: puts new messages in the place of all from a point on, in one step.

        Raises:
            ValidationFailed, TooLarge, SessionNotFound, MessageNotFound, PreconditionFailed,
            Contended, IdempotencyKeyReused
        """
        rules.check(messages, only_count=checked)
        bodies = sizes.bodies(messages, caller, answered_whole=answered_whole)
        found = edges.find(messages, web=self.web_sources)
        indexed, unindexed = edges.choose(found, caller.partition, bodies)
        request = _Request(
            choose=partial(self.tails.start, start),
            new=messages,
            bodies=bodies,
            indexed=indexed,
            unindexed=unindexed,
            if_match=if_match,
            idempotency_key=idempotency_key,
        )
        return self._carry_out(caller, session_id, request)

    def _carry_out(self, caller: Caller, session_id: str, request: _Request) -> Removal:
        session_ulid = ulid_of(session_id)
        session_key = keys.session(caller.partition, session_ulid)
        name = request.idempotency_key.name if request.idempotency_key else ""
        record_key = keys.append_record(caller.partition, session_ulid, name)
        found = self.table.get_many([session_key, record_key] if name else [session_key])
        head, record = found.get(session_key["SK"]), found.get(record_key["SK"])
        for _ in range(TRIES):
            written_at = checked_time(self.table, self.ulids.clock, caller.partition)
            now = ids.iso_time(written_at)
            if not is_live(head, now):
                raise SessionNotFound
            version = _version(head)
            key = request.idempotency_key
            if key and record and idempotency.is_current(record, written_at):
                return self._replay(caller, session_ulid, version, record, key, len(request.new))
            if request.if_match is not None and version not in request.if_match:
                raise PreconditionFailed
            tail = request.choose(caller, bounds_of(head))
            if not tail.count and not request.new:
                if found_since := self._changed_since(head, tail):
                    [head] = found_since
                    continue
                return Removal(0, version)
            ulids = self.ulids.new(len(request.new) or 1, after=version, now=written_at)
            added = messages_of(
                session_ulid,
                ulids[: len(request.new)],
                request.new,
                request.bodies,
                request.indexed,
                caller.writer,
            )
            parts = self._parts(caller, head, tail, request, added, ulids[-1], now)
            if key:
                removed = [message.ulid for message in tail.messages]
                parts["record"] = idempotency.put_record(
                    record_key,
                    key,
                    ulids[0],
                    self.ulids.clock,
                    removed=str(tail.count) if request.new else ",".join(removed),
                )
            try:
                self.table.transact(parts)
            except ConditionFailed as failed:
                head, record = failed.found.get("session", head), failed.found.get("record")
                continue
            if "cut" in parts:
                cuts.begin_removing(self.table, caller.partition, session_ulid)
            shown = added or tail.messages
            return Removal(
                tail.count,
                ulids[-1],
                [message.ulid for message in shown],
                shown,
                unindexed=request.unindexed,
            )
        raise Contended

    def _changed_since(self, head: Item, tail: Tail) -> list[Item]:
        """The session as it is now, if it was not empty but nothing of it could be found, because
        it has been changed or deleted since it was read. Costs 1 get then."""
        if tail.before or "last_message" not in head:
            return []
        found = self.table.get({"PK": str(head["PK"]), "SK": str(head["SK"])}) or {}
        names = ("last_ulid", "deleted_at")
        return [found] if any(found.get(name) != head.get(name) for name in names) else []

    def _parts(
        self,
        caller: Caller,
        head: Item,
        tail: Tail,
        request: _Request,
        added: Sequence[Message],
        change: str,
        now: str,
    ) -> dict[str, Write]:
        """The writes of one try.

        Raises:
            Unavailable: an older cut could not be finished in time.
        """
        partition, session_ulid = caller.partition, keys.session_of(str(head["SK"]))
        seen = str(head["last_ulid"])
        write = partial(
            head_writes.remove, partition, session_ulid, seen, tail, change, now, new=request.new
        )
        new: dict[str, Write] = {}
        for message in added:
            new |= puts(caller, message)
        if tail.fits(len(new), sum(len(body.encode()) for body in request.bodies)):
            old = {
                f"-{tails.key_of(item)['SK']}": writes.delete(tails.key_of(item))
                for item in tail.items
            }
            return {"session": write(), **old, **new}
        cut = bounds_of(head).cut
        # One that begins before the old cut covers it. Otherwise there would be two.
        if cut and cut[1] < tail.first and not cuts.finish(self.table, partition, session_ulid):
            raise Unavailable
        due = cuts.due(partition, session_ulid, now)
        return {"session": write(hide=True), "cut": due, **new}

    def _replay(
        self,
        caller: Caller,
        session_ulid: str,
        version: str,
        record: Item,
        idempotency_key: IdempotencyKey,
        new: int,
    ) -> Removal:
        first = idempotency.first_id_of(record, idempotency_key)
        removed = str(record.get("removed", ""))
        if new:
            version, messages = self.tails.reader.made(caller, session_ulid, ids.series(first, new))
            unindexed = edges.unindexed(messages, web=self.web_sources)
            return Removal(int(removed), version, [], messages, replayed=True, unindexed=unindexed)
        ulids = removed.split(",")
        return Removal(len(ulids), version, ulids, None, replayed=True)


def _version(head: Item) -> str:
    """
    Raises:
        SessionDamaged
    """
    version = str(head.get("last_ulid"))
    if not ids.is_ulid(version):
        log_damaged(str(head["PK"]), str(head["SK"]))
        raise SessionDamaged
    return version
