"""Appends messages (access pattern 5). `app.messages.reader` reads them.

Works without Flask, so that other programs can use it with a table and a caller. It is over 250
lines because an append may also have to create its session.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.errors import (
    GoneSince,
    NotTheLastMessage,
    PreconditionFailed,
    SessionDamaged,
    SessionNotFound,
    ValidationFailed,
)
from app.identity.caller import Caller
from app.messages import edges, head_writes, rules, sizes
from app.messages.edges import Found, Indexed
from app.messages.head_writes import NONE
from app.messages.items import items_of
from app.messages.model import Message, NewMessage
from app.messages.reader import MessageReader
from app.sessions.creation import NewSession, make_room
from app.sessions.model import is_live, ulid_of
from app.sessions.write_ids import WriteIds
from app.table import idempotency, ids, keys, writes
from app.table.db import ConditionFailed, Table
from app.table.idempotency import IdempotencyKey
from app.table.versions import IfMatch
from app.table.writes import Item, Write
from app.values.beside import Beside
from app.values.changes import Change, Done
from app.values.places import Place
from app.values.store import ValueStore


@dataclass(frozen=True, slots=True)
class Appended:
    """`version` is the session's, for its ETag. `values` are those of each place. `unindexed` is
    how many sources there was no room for in the index."""

    messages: list[Message]
    version: str
    replayed: bool = False
    unindexed: int = 0
    values: Mapping[str, Sequence[Done]] = field(default_factory=dict)


class MessageStore:
    def __init__(
        self, table: Table, ulids: ids.UlidSource | None = None, *, web_sources: bool = False
    ) -> None:
        """With `web_sources`, web pages are indexed, too (`app.messages.edges`)."""
        self.table = table
        self.ulids = ulids or ids.UlidSource()
        self.web_sources = web_sources
        self.reader = MessageReader(table, self.ulids.clock)
        self.values = ValueStore(table, self.ulids)

    def append(
        self,
        caller: Caller,
        session_id: str,
        messages: Sequence[NewMessage],
        *,
        if_match: IfMatch | None = None,
        idempotency_key: IdempotencyKey | None = None,
        after: str | None = None,
        session: NewSession | None = None,
        values: Mapping[str, tuple[Place, Sequence[Change]]] | None = None,
        checked: bool = False,
        answered_whole: bool = False,
    ) -> Appended:
        """Pattern 5: appends all messages or none, in order, in one transaction. If this repeats an
        earlier request, its messages are read, and returned as they are now.

        The write's condition is that the session's `last_ulid` is less than the first new id. It
        fails if another writer was first, or if this clock is behind. The failed condition returns
        the last id, and the write is repeated with the ids that follow. So there is no read before
        the write and no lock, and neither writer gets an error.

        Args:
            after: the id that the session's last message must have, or the session's own id if it
                must have no messages.
            session: what the session is to be if there is none. It is then created in the same
                transaction, which costs 2 calls. Its key must give `session_id`.
            values: changes of values in the same transaction, by names of their places. That of the
                session itself is `session`. Each place costs 1 get.
            checked: the messages have passed the HTTP schema and are not checked again.
            answered_whole: one response must have room for all of the messages.

        Raises:
            ValidationFailed, TooLarge, SessionNotFound, SessionDamaged, PreconditionFailed,
            NotTheLastMessage, IdempotencyKeyReused
            ValuesNotWritten: a precondition of the values does not hold.
            GoneSince: an earlier request's messages have been removed.
        """
        rules.check(messages, only_count=checked)
        session_ulid = ulid_of(session_id)
        previous = None if after is None else _previous(session_ulid, after)
        bodies = sizes.bodies(messages, caller, answered_whole=answered_whole)
        _check_key(session, session_ulid)
        beside = Beside(self.values, values or {})
        beside.check(parsed=checked)
        beside.open(may_create=bool(session))
        found = edges.find(messages, web=self.web_sources)
        write_ids = WriteIds(self.table, self.ulids, caller)
        while True:
            ulids = write_ids.take(len(bodies))
            placed = beside.writes(ulids[0])
            indexed, unindexed = edges.choose(found, caller.partition, bodies, placed, beside.size)
            appended = messages_of(session_ulid, ulids, messages, bodies, indexed, caller.writer)
            advance = head_writes.append(
                caller.partition,
                session_ulid,
                ulids,
                messages[-1],
                write_ids.now,
                if_match,
                previous,
                beside,
            )
            others = self._others(caller, appended, idempotency_key, may_create=bool(session))
            parts = {"session": advance, **others, **placed}
            beside.check_size(len(parts), bodies)
            try:
                self.table.transact(parts)
                done = beside.done(ulids[0])
                return Appended(appended, ulids[-1], values=done, unindexed=unindexed)
            except ConditionFailed as error:
                failed = error
            head = failed.found.get("session")
            record = failed.found.get("record") or failed.found.get("create record")
            is_gone = head is not None and not is_live(head, write_ids.now)
            if idempotency_key and record and (session or not is_gone):
                replay = self._replay(caller, session_ulid, record, idempotency_key, len(bodies))
                return replace(replay, values=beside.done(ulids[0]))
            if head is not None and is_gone:
                new = _to_make(session, if_match, previous)
                made = self._make(
                    caller, new, head, messages, bodies, found, idempotency_key, beside
                )
                if made:
                    return made
                beside.open(may_create=True)
                continue
            if head is not None:
                _check_unchanged(head, if_match, previous)
            if beside.follow(failed, head, ulids[0], may_create=bool(session)):
                continue
            if head is None:
                raise SessionDamaged  # an id of ours is taken, which the condition rules out
            write_ids.follow(head, ulids[0])

    def _make(
        self,
        caller: Caller,
        session: NewSession,
        old: Item,
        messages: Sequence[NewMessage],
        bodies: Sequence[str],
        found: Sequence[Found],
        idempotency_key: IdempotencyKey | None,
        beside: Beside,
    ) -> Appended | None:
        """Creates a session with its first messages, in one transaction. Returns None if somebody
        else has created it in the meantime.

        Args:
            old: the item of an old session with the same key, which is removed first; or an empty
                one.
            found: the messages' sources.
        """
        write_ids = WriteIds(self.table, self.ulids, caller)
        while True:
            born, *ulids = write_ids.take(len(bodies) + 1)
            if old:
                make_room(self.table, caller.partition, old, write_ids.now)
            made = session.made(born)
            beside.open_session({"born": made.born})
            placed = beside.writes(ulids[0])
            indexed, unindexed = edges.choose(found, caller.partition, bodies, placed, beside.size)
            appended = messages_of(made.ulid, ulids, messages, bodies, indexed, caller.writer)
            parts = head_writes.create(caller.partition, made, ulids, messages, beside)
            parts |= self._others(caller, appended, idempotency_key, may_create=True)
            parts |= placed
            beside.check_size(len(parts), bodies)
            try:
                self.table.transact(parts)
                done = beside.done(ulids[0])
                return Appended(appended, ulids[-1], values=done, unindexed=unindexed)
            except ConditionFailed as error:
                failed = error
            user, old = failed.found.get("user"), failed.found.get("session", {})
            record = failed.found.get("create record")
            if is_live(old, write_ids.now):
                return None
            if idempotency_key and record:
                replay = self._replay(caller, made.ulid, record, idempotency_key, len(bodies))
                return replace(replay, values=beside.done(ulids[0]))
            beside.judge(failed, ulids[0])
            if user:
                write_ids.follow(user, born)

    def _replay(
        self,
        caller: Caller,
        session_ulid: str,
        record: Item,
        idempotency_key: IdempotencyKey,
        count: int,
    ) -> Appended:
        """What an earlier request appended, as it is now.

        Raises:
            IdempotencyKeyReused, GoneSince
        """
        ulids = ids.series(idempotency.first_id_of(record, idempotency_key), count)
        try:
            version, present = self.reader.made(caller, session_ulid, ulids)
        except SessionNotFound:
            raise GoneSince(*(ids.MESSAGE_PREFIX + ulid for ulid in ulids)) from None
        unindexed = edges.unindexed(present, web=self.web_sources)
        return Appended(present, version, replayed=True, unindexed=unindexed)

    def _others(
        self,
        caller: Caller,
        messages: Sequence[Message],
        idempotency_key: IdempotencyKey | None,
        *,
        may_create: bool,
    ) -> dict[str, Write]:
        """The writes of an append, but for that of the session's item.

        A request that may create the session has a record like that of a create, too. It remains if
        the session is deleted, so that a late retry does not create a second one.
        """
        parts: dict[str, Write] = {}
        if idempotency_key:
            first = messages[0]
            name = idempotency.within(idempotency_key, first.session_ulid).name
            places = {
                "record": keys.append_record(
                    caller.partition, first.session_ulid, idempotency_key.name
                )
            }
            if may_create:
                places["create record"] = keys.create_record(caller.partition, name)
            for place, key in places.items():
                parts[place] = idempotency.put_record(
                    key, idempotency_key, first.ulid, self.ulids.clock
                )
        for message in messages:
            parts |= puts(caller, message)
        return parts


def _check_key(session: NewSession | None, session_ulid: str) -> None:
    """
    Raises:
        ValidationFailed: the session to create is invalid, or has another id.
    """
    if not session:
        return
    session.check()
    if not session.key or ids.from_key(session.key) != session_ulid:
        fault = "Does not give the session_id of the path."
        raise ValidationFailed.of_json([("session.key", fault)])


def _to_make(
    session: NewSession | None, if_match: IfMatch | None, previous: str | None
) -> NewSession:
    """What a session that does not exist is to be.

    Raises:
        SessionNotFound: nobody has said.
        PreconditionFailed, NotTheLastMessage
    """
    if not session:
        raise SessionNotFound
    if if_match is not None:
        raise PreconditionFailed
    _check_previous({}, previous)
    return session


def _check_unchanged(session: Item, if_match: IfMatch | None, previous: str | None) -> None:
    """
    Raises:
        PreconditionFailed, NotTheLastMessage
    """
    if if_match is not None and session.get("last_ulid") not in if_match:
        raise PreconditionFailed
    _check_previous(session, previous)


def _check_previous(session: Item, previous: str | None) -> None:
    """
    Raises:
        NotTheLastMessage
    """
    last = session.get("last_message")
    if previous is not None and previous != (last or NONE):
        raise NotTheLastMessage(ids.MESSAGE_PREFIX + str(last) if last else None) from None


def _previous(session_ulid: str, after: str) -> str:
    """The `last_message` that the session must have, `NONE` if it must have none. If `after` is the
    id of another session, it is a value that no session has."""
    if message_ulid := ids.parse(ids.MESSAGE_PREFIX, after):
        return message_ulid
    return NONE if after == ids.SESSION_PREFIX + session_ulid else "-"


def messages_of(
    session_ulid: str,
    ulids: Sequence[str],
    new: Sequence[NewMessage],
    bodies: Sequence[str],
    indexed: Sequence[Indexed],
    created_by: str,
) -> list[Message]:
    """`indexed` are the sources of each."""
    return [
        Message(
            session_ulid,
            ulid,
            body,
            role=str(message.spoken_role),
            created_by=created_by,
            name=message.name,
            status=message.status,
            sources=of.sources,
            given=of.given,
        )
        for ulid, message, body, of in zip(ulids, new, bodies, indexed, strict=True)
    ]


def puts(caller: Caller, message: Message) -> dict[str, Write]:
    """The writes of a message's items and of its edges, by their sort keys."""
    partition = caller.partition
    items = [*items_of(partition, message), *edges.edges_of(partition, message)]
    return {str(item["SK"]): writes.put({}, item) for item in items}
