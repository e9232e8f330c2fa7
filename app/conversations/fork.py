"""Copies a session up to a message into a session of its own (access pattern 18).

The messages keep their ids. Feedback is not copied. Values are, each as it is at that moment. If a
request's time is up, the next one goes on where it stopped.
"""

from dataclasses import dataclass, replace
from itertools import chain

from app.conversations import filling
from app.conversations.copying import Copier, Source
from app.errors import Contended, SessionNotFound, Unavailable
from app.identity.caller import Caller
from app.literals import Literal, read_value
from app.messages.bounds import bounds_of
from app.messages.excerpts import excerpt
from app.messages.reader import MessageReader
from app.sessions import removal, staging
from app.sessions.creation import NewSession
from app.sessions.model import LIVE, Session, is_live, ulid_of
from app.sessions.reading import whole_session
from app.table import ids, keys, ranges, writes
from app.table.database_time import checked_time
from app.table.db import Table
from app.table.idempotency import IdempotencyKey
from app.table.writes import Write


@dataclass(frozen=True, slots=True)
class Forked:
    """`session` is None if the copy is not finished yet."""

    session_id: str
    session: Session | None
    replayed: bool = False


class SessionForker:
    def __init__(self, table: Table, ulids: ids.UlidSource | None = None) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()
        self.reader = MessageReader(table, self.ulids.clock)
        self.copier = Copier(table, self.ulids.clock)

    def fork(
        self,
        caller: Caller,
        session_id: str,
        *,
        until: str | None = None,
        key: str | None = None,
        title: str | None = None,
        idempotency_key: IdempotencyKey | None = None,
    ) -> Forked:
        """Nobody sees the new session before it is whole. It is whole as of one moment: if the
        source is edited or cut back while it is copied, the copy is dropped. Changes of values do
        not count.

        Costs 4 to 6 reads and 2 writes, 1 query per MB and ⌈items/25⌉ batch writes; with values
        1 query and 1 get for each 50.

        Args:
            until: the id of the last message to copy; None for all.

        Raises:
            ValidationFailed, SessionNotFound, MessageNotFound, SessionExists, IdempotencyKeyReused,
            GoneSince
            Contended: the source was changed meanwhile.
            Unavailable: time is up, and without a key or Idempotency-Key nobody can go on; or
                another request is making the same fork.
        """
        now = checked_time(self.table, self.ulids.clock, caller.partition)
        replay = filling.earlier(self.table, caller, idempotency_key, now)
        if replay:
            return Forked(replay.session_id, replay, replayed=True)
        source = self._choose(caller, session_id, until, ids.iso_time(now))
        new = NewSession(
            domain_id=source.session.domain_id,
            title=source.session.title if title is None else title,
            metadata=Literal(
                str(source.session.metadata), read_value(str(source.session.metadata))
            ),
            key=key,
        )
        new.check()
        last = source.last.ulid if source.last else ""
        [staged] = self.ulids.new(now=now)
        name = key or ""
        if not key and idempotency_key:  # no client's key has a control character
            name = f"\0{source.session.ulid} {last} {idempotency_key.name}"
        session_ulid = ids.from_key(name) if name else staged
        about = {
            "staged_from": source.session.ulid,
            "staged_last": last,
            "staged_seen": source.session.changed,
        }
        stage = filling.stage(
            self.table, caller, session_ulid, staged, now, about, name or session_ulid
        )
        copied = self.copier.copy(caller, source, stage)
        if copied is not None:
            staging.give_back(self.table, stage, copied or stage.values_after)
            if not name:
                raise Unavailable("The session is too large to be copied without Idempotency-Key.")
            return Forked(ids.SESSION_PREFIX + session_ulid, None)
        count = self._count(caller.partition, session_ulid)

        def make(born: str) -> Session:
            return replace(
                new.made(born),
                ulid=session_ulid,
                message_count=count,
                last_message=last or None,
                last_role=source.last.role if source.last else None,
                excerpt=excerpt(source.last) if source.last else None,
                expires_at=source.session.expires_at,
                forked_from=f"{source.session.ulid}#{last}",
            )

        unchanged = {"source": self._still_so(caller, source.session)}
        session = filling.show(
            self.table,
            self.ulids,
            caller,
            stage,
            make,
            unchanged,
            idempotency_key,
            with_values=source.has_values,
        )
        if not session:
            removal.remove(self.table, caller.partition, session_ulid)
            self._choose(caller, session_id, until, ids.iso_time(self.ulids.clock()))
            raise Contended
        return Forked(session.session_id, session)

    def _choose(self, caller: Caller, session_id: str, until: str | None, now: str) -> Source:
        """
        Raises:
            SessionNotFound, SessionDamaged, MessageNotFound
        """
        head = self.table.get(keys.session(caller.partition, ulid_of(session_id)))
        if not is_live(head, now):
            raise SessionNotFound
        source, bounds = whole_session(self.table, head, now), bounds_of(head)
        last = None
        if until:
            last = self.reader.get(caller, session_id, until)
        elif bounds.last:
            last = self.reader.get(caller, session_id, ids.MESSAGE_PREFIX + bounds.last)
        return Source(source, bounds, last, "has_values" in head)

    def _count(self, partition: str, session_ulid: str) -> int:
        pages = self.table.query(partition, ranges.messages_between(session_ulid), only="SK")
        return sum(keys.is_message(str(item["SK"])) for item in chain.from_iterable(pages))

    def _still_so(self, caller: Caller, source: Session) -> Write:
        """A condition on the source, in a write, because a transaction's check of a condition needs
        a permission of its own."""
        return writes.change(
            keys.session(caller.partition, source.ulid),
            {},
            {":seen": source.changed, ":now": ids.iso_time(self.ulids.clock())},
            f"{LIVE} AND changed = :seen",
            {"fork_count": 1},
        )
