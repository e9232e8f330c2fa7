"""Writes what `app.conversations.exporting` has read, with ids, dates, counts and ETags.

A session is filled before anybody sees it, like an import. If a restore is interrupted, it is
repeated with the same lines: what is there already is left as it is.

This module is over 250 lines because what a line means depends on the ones before it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from app.conversations.export_lines import (
    content_in,
    feedback_in,
    message_in,
    milliseconds_in,
    read_line,
    session_in,
)
from app.errors import ApiError, ValueChanged
from app.identity.caller import Caller, NotACaller
from app.literals import Sent
from app.messages.excerpts import excerpt
from app.messages.items import items_of
from app.messages.model import Message
from app.sessions import erasure, model, removal, staging
from app.sessions.creation import make_room
from app.sessions.model import Session
from app.sessions.staging import Busy, Stage
from app.table import budget, ids, keys
from app.table.database_time import MAX_AHEAD, checked_time
from app.table.db import ConditionFailed, Table
from app.table.item_sizes import size_of
from app.table.writes import Item
from app.values import places
from app.values import rules as value_rules
from app.values.changes import Change
from app.values.model import Content
from app.values.model import items_of as items_of_value
from app.values.places import Place
from app.values.store import ValueStore

ROUND_ITEMS, ROUND_BYTES = 200, 4_000_000
"""What is written at a time."""


class BadLine(ValueError):
    """The line with this number cannot be restored."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")


@dataclass(slots=True)
class Restored:
    """What was written. `existing` are sessions and values that were there before; `expired`
    sessions whose time is over; `damaged` what could not be read when it was exported."""

    sessions: int = 0
    messages: int = 0
    values: int = 0
    existing: int = 0
    expired: int = 0
    damaged: int = 0


@dataclass(slots=True)
class _Filling:
    """A session that is being filled. Without a `stage`, its lines are passed over."""

    session: Session
    stage: Stage | None
    place: Place
    pending: list[Item] = field(default_factory=list)
    size: int = 0
    messages: int = 0
    feedback: int = 0
    values: int = 0
    last: Message | None = None


class Restorer:
    def __init__(self, table: Table, ulids: ids.UlidSource | None = None) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()
        self.values = ValueStore(table, self.ulids)
        self.restored = Restored()
        self._caller: Caller | None = None
        self._place: Place | None = None
        self._filling: _Filling | None = None

    def restore(self, lines: Iterable[str], tenant: str) -> Iterator[Restored]:
        """Restores lines into a tenant. Yields what was written so far, after each session.

        Costs 1 write, ⌈items/25⌉ batch writes and 1 transaction for each session, and 1 get and
        1 put for each value of a user or a tenant.

        Raises:
            BadLine, Unavailable
        """
        for number, text in enumerate(lines, 1):
            budget.begin()
            try:
                if self._line(read_line(text), tenant):
                    yield self.restored
            except (ApiError, NotACaller, KeyError, ValueError, TypeError, AttributeError) as error:
                if isinstance(error, ApiError) and error.status >= 500:
                    raise
                raise BadLine(number, _reason(error)) from error
            finally:
                budget.end()
        budget.begin()
        self._finish()
        budget.end()
        yield self.restored

    def _line(self, sent: Sent, tenant: str) -> bool:
        """Returns whether a session has been finished."""
        kind = sent["type"]
        ends = kind in ("user", "tenant", "session")
        if ends:
            self._finish()
        if kind == "user":
            self._caller = Caller(tenant, sent["user"])
            self._place = places.of_user(self._caller)
        elif kind == "tenant":
            self._caller = Caller(tenant, tenant)
            self._place = places.of_tenant(self._caller)
        elif kind == "session":
            self._begin(sent)
        elif kind == "message":
            self._message(sent)
        elif kind == "value":
            self._value(sent)
        elif kind == "gone":
            self._drop()
        elif kind == "damaged":
            self.restored.damaged += 1
        elif kind != "page":
            raise ValueError(f"unknown type {str(kind)[:40]}")
        return ends

    def _begin(self, sent: Sent) -> None:
        caller = self._of()
        now = checked_time(self.table, self.ulids.clock, caller.partition)
        session = session_in(sent)
        if ids.milliseconds(session.last_ulid) > now + MAX_AHEAD:
            raise ValueError("the session is from the future")
        key = keys.session(caller.partition, session.ulid)
        stage = None
        if session.expires_at and session.expires_at <= ids.iso_time(now):
            self.restored.expired += 1
        else:
            stage = self._stage(key, session, now)
        self._filling = _Filling(session, stage, Place(caller.partition, key, session.ulid))

    def _stage(self, key: keys.Key, session: Session, now: int) -> Stage | None:
        """Returns None if the session is there already."""
        about = {"staged_from": session.ulid, "staged_last": session.born}
        while True:
            [staged] = self.ulids.new(now=now)
            try:
                name = session.session_key or session.ulid
                return staging.begin(self.table, key, staged, now, about, name=name)
            except ConditionFailed as failed:
                found = failed.item
            except Busy:  # an interrupted restore, whose lease ends by itself
                self.table.pause(1.0)
                budget.begin()
                now = checked_time(self.table, self.ulids.clock, key["PK"])
                continue
            if model.is_live(found, ids.iso_time(now)):
                if found.get("born", session.ulid) != session.born:
                    raise ValueError("there is another session with this id")
                self.restored.existing += 1
                return None
            make_room(self.table, key["PK"], found, ids.iso_time(now))

    def _message(self, sent: Sent) -> None:
        filling = self._current()
        message = message_in(filling.session.ulid, sent)
        if filling.last and message.ulid <= filling.last.ulid:
            raise ValueError("the messages' ids do not rise")
        items = items_of(filling.place.partition, message)
        given = list(feedback_in(filling.place.partition, message, sent.get("feedback") or ()))
        if given:
            items[0]["raters"] = len(given)
        filling.messages += 1
        filling.feedback += len(given)
        filling.last = message
        self._add(filling, [*items, *given])

    def _value(self, sent: Sent) -> None:
        name, content = sent["name"], content_in(sent)
        value_rules.check_name(name)
        value_rules.check_content(content)
        if sent.get("etag", content.etag) != content.etag:
            raise ValueError("the value is not that of its etag")
        [written] = self.ulids.new(now=milliseconds_in(sent["updated_at"]))
        if "session_id" not in sent:
            self._own_value(name, content, written)
            return
        filling = self._current()
        if filling.stage:
            epoch = filling.stage.epoch
            self._add(filling, items_of_value(filling.place, epoch, name, content, written))
        filling.values += 1

    def _own_value(self, name: str, content: Content, written: str) -> None:
        """A value of the user or the tenant, unless there is one."""
        self._finish()
        if not self._place:
            raise ValueError("there is no user or tenant before it")
        change = Change(name, content, only_new=True)
        opened = self.values.open(self._place, [change])
        try:
            self.table.transact(change.writes(self._place, opened.epoch, written))
            self.restored.values += 1
        except ConditionFailed as failed:
            found = failed.found.get(self._place.value_key(name)["SK"], {})
            try:
                change.judge(found, opened.epoch, written, repeated=failed.repeated)
            except ValueChanged:
                self.restored.existing += 1

    def _add(self, filling: _Filling, items: list[Item]) -> None:
        filling.pending += items
        filling.size += sum(map(size_of, items))
        if len(filling.pending) >= ROUND_ITEMS or filling.size >= ROUND_BYTES:
            self._flush(filling)

    def _flush(self, filling: _Filling) -> None:
        if filling.stage:
            self.table.put_many(filling.pending)
        filling.pending, filling.size = [], 0

    def _finish(self) -> None:
        """Shows the session, in one transaction."""
        filling, self._filling = self._filling, None
        if not filling or not filling.stage:
            return
        self._flush(filling)
        last = filling.last
        session = replace(
            filling.session,
            message_count=filling.messages,
            feedback_count=filling.feedback,
            last_message=last.ulid if last else None,
            last_role=last.role if last else None,
            excerpt=excerpt(last) if last else None,
        )
        partition, born = filling.place.partition, session.born
        with_values = bool(filling.values)
        parts = staging.publish(partition, filling.stage, session, with_values=with_values)
        try:
            self.table.transact(parts)
        except ConditionFailed as failed:
            if "session" in failed.found:
                raise ValueError("the session was removed while it was filled") from failed
            parts["user"] = erasure.publish_older_session(partition, born)
            self.table.transact(parts)
        self.restored.sessions += 1
        self.restored.messages += filling.messages
        self.restored.values += filling.values

    def _drop(self) -> None:
        filling, self._filling = self._filling, None
        if filling and filling.stage:
            removal.remove(self.table, filling.place.partition, filling.session.ulid)

    def _of(self) -> Caller:
        if not self._caller:
            raise ValueError("there is no user before it")
        return self._caller

    def _current(self) -> _Filling:
        if not self._filling:
            raise ValueError("there is no session before it")
        return self._filling


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"without {error.args[0]}"
    faults = [f"{fault['field']}: {fault['message']}" for fault in getattr(error, "errors", ())]
    return "; ".join(faults) or str(error)
