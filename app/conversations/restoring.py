"""Writes what `app.conversations.exporting` has read, with ids, dates, counts and ETags.

A session is filled before anybody sees it, like an import. If a restore is interrupted, it is
repeated with the same lines: what is there already is left as it is.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from app.conversations import refilling
from app.conversations.export_lines import (
    content_in,
    feedback_in,
    message_in,
    milliseconds_in,
    read_line,
    session_in,
    verdict_in,
)
from app.conversations.refilling import Refill
from app.errors import ApiError, ValueChanged
from app.identity.caller import Caller, NotACaller
from app.literals import Sent
from app.table import budget, ids, keys
from app.table.database_time import MAX_AHEAD, checked_time
from app.table.db import ConditionFailed, Table
from app.values import places
from app.values import rules as value_rules
from app.values.changes import Change
from app.values.model import Content
from app.values.places import Place
from app.values.store import ValueStore
from app.verdicts.store import VerdictStore


class BadLine(ValueError):
    """The line with this number cannot be restored."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")


@dataclass(slots=True)
class Restored:
    """What was written. `existing` is what was there before; `expired` are sessions whose time is
    over; `damaged` what could not be read when it was exported."""

    sessions: int = 0
    messages: int = 0
    values: int = 0
    verdicts: int = 0
    existing: int = 0
    expired: int = 0
    damaged: int = 0


class Restorer:
    """What a line means depends on the ones before it: a user, a session, what is in it."""

    def __init__(
        self, table: Table, ulids: ids.UlidSource | None = None, *, web_sources: bool = False
    ) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()
        self.web_sources = web_sources
        self.values = ValueStore(table, self.ulids)
        self.verdicts = VerdictStore(table, self.ulids)
        self.restored = Restored()
        self._caller: Caller | None = None
        self._place: Place | None = None
        self._session: Refill | None = None

    def restore(self, lines: Iterable[str], tenant: str) -> Iterator[Restored]:
        """Restores lines into a tenant. Yields what was written so far, after each line.

        Costs 2 gets, 1 write, ⌈items/25⌉ batch writes and 1 or 2 transactions for each session, and
        1 get and 1 transaction for each value of a user or a tenant, and 1 transaction for each
        verdict.

        Raises:
            BadLine, Unavailable
        """
        number = 0
        for number, text in enumerate(lines, 1):
            self._carry_out(number, partial(self._line, text, tenant))
            yield self.restored
        self._carry_out(number, self._end_session)
        yield self.restored

    def _carry_out(self, number: int, step: Callable[[], None]) -> None:
        """In the time budget of a request."""
        budget.begin()
        try:
            step()
        except (ApiError, NotACaller, KeyError, ValueError, TypeError, AttributeError) as error:
            if isinstance(error, ApiError) and error.status >= 500:
                raise
            raise BadLine(number, _reason(error)) from error
        finally:
            budget.end()

    def _line(self, text: str, tenant: str) -> None:
        sent = read_line(text)
        kinds: dict[str, Callable[[], None]] = {
            "user": partial(self._begin_user, sent, tenant),
            "tenant": partial(self._begin_tenant, tenant),
            "session": partial(self._begin_session, sent),
            "message": partial(self._message, sent),
            "value": partial(self._value, sent),
            "verdict": partial(self._verdict, sent, tenant),
            "gone": self._drop_session,
            "damaged": self._count_damage,
            "page": lambda: None,
        }
        if sent["type"] not in kinds:
            raise ValueError(f"unknown type {str(sent['type'])[:40]}")
        kinds[sent["type"]]()

    def _begin_user(self, sent: Sent, tenant: str) -> None:
        self._end_session()
        self._caller = Caller(tenant, sent["user"])
        self._place = places.of_user(self._caller)

    def _begin_tenant(self, tenant: str) -> None:
        self._end_session()
        self._caller = Caller(tenant, tenant)
        self._place = places.of_tenant(self._caller)

    def _begin_session(self, sent: Sent) -> None:
        self._end_session()
        if not self._caller:
            raise ValueError("there is no user before it")
        partition = self._caller.partition
        now = checked_time(self.table, self.ulids.clock, partition)
        session = session_in(sent)
        if ids.milliseconds(session.last_ulid) > now + MAX_AHEAD:
            raise ValueError("the session is from the future")
        stage = None
        if session.expires_at and session.expires_at <= ids.iso_time(now):
            self.restored.expired += 1
        else:
            key = keys.session(partition, session.ulid)
            stage = refilling.begin(self.table, self.ulids, key, session, now)
            self.restored.existing += stage is None
        self._session = Refill(self.table, partition, session, stage)

    def _message(self, sent: Sent) -> None:
        session = self._current()
        message = message_in(
            session.session.ulid, sent, session.partition, web_sources=self.web_sources
        )
        given = feedback_in(session.partition, message, sent.get("feedback") or ())
        session.add_message(message, list(given))

    def _value(self, sent: Sent) -> None:
        name, content = sent["name"], content_in(sent)
        value_rules.check_name(name)
        value_rules.check_content(content)
        if sent.get("etag", content.etag) != content.etag:
            raise ValueError("the value is not that of its etag")
        [written] = self.ulids.new(now=milliseconds_in(sent["updated_at"]))
        if "session_id" in sent:
            self._current().add_value(name, content, written)
        else:
            self._end_session()
            self._own_value(name, content, written)

    def _own_value(self, name: str, content: Content, written: str) -> None:
        """A value of the user or the tenant, unless there is one."""
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

    def _verdict(self, sent: Sent, tenant: str) -> None:
        self._end_session()
        is_new = self.verdicts.restore(Caller(tenant, tenant), verdict_in(sent))
        self.restored.verdicts += is_new
        self.restored.existing += not is_new

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session and session.show():
            self.restored.sessions += 1
            self.restored.messages += session.messages
            self.restored.values += session.values

    def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session:
            session.drop()

    def _count_damage(self) -> None:
        self.restored.damaged += 1

    def _current(self) -> Refill:
        if not self._session:
            raise ValueError("there is no session before it")
        return self._session


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"without {error.args[0]}"
    faults = [f"{fault['field']}: {fault['message']}" for fault in getattr(error, "errors", ())]
    return "; ".join(faults) or str(error)
