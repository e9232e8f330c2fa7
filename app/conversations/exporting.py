"""All that is kept of a user or a tenant, as lines of JSON (access pattern 26).

A line is `{"type": …}` and the members of an answer of the API, with what a restore needs besides:

    user      the lines after it are of this user
    tenant    the lines after it are of the tenant
    session   the lines after it, up to the next session, are of this session
    message   with its feedback
    value     of the session, if it has a `session_id`, and otherwise of the user or the tenant
    verdict   what the tenant says of a source
    damaged   something cannot be read, and is left out
    gone      the session before it was deleted while it was read, and is to be left out

A line whose JSON has line breaks between its tokens is `{"type": …, "base64": …}`.
Request records are not exported. `app.conversations.restoring` reads the lines.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

from app.conversations.export_lines import end_of_message
from app.conversations.walk import Walk
from app.errors import SessionDamaged, SessionNotFound, ValueDamaged
from app.http.answers import JsonText, json_object
from app.messages.bounds import Bounds, bounds_of
from app.messages.items import assemble
from app.messages.model import Message
from app.sessions.answers import session_members
from app.sessions.leftovers import epoch_of
from app.sessions.model import Session, is_live
from app.sessions.reading import whole_session
from app.table import ids, keys, ranges
from app.table.db import Table
from app.table.retries import READS_OF_A_TRANSACTION
from app.table.writes import Item
from app.values.answers import value_members
from app.values.model import StoredValue
from app.values.places import Place
from app.values.reader import ValueReader
from app.verdicts import model as verdicts
from app.verdicts.answers import verdict_members


@dataclass(frozen=True, slots=True)
class Line:
    """`position` is a sort key after which the next line is to be found."""

    position: str
    text: str


class Exporter:
    def __init__(self, table: Table, clock: ids.Clock = ids.system_clock) -> None:
        self.table = table
        self.clock = clock
        self.values = ValueReader(table, clock)

    def lines(self, partition: str, after: str = "", session_ulid: str = "") -> Iterator[Line]:
        """All lines of a user's or a tenant's partition, in the order of their keys, but for the
        one that names the user or the tenant. With `session_ulid` only those of that session. Holds
        at most a page of items (1 MB), one value and the messages of one append.

        Costs 1 query per MB, 1 query for each divided value, and 1 get for each session that has
        values or was not read at once.
        """
        if keys.is_sources(partition):
            yield from self._verdicts(partition, after)
            return
        walk = Walk(self.table, partition, after, session_ulid)
        for ulid, items in groupby(walk, key=_session_of):
            if ulid:
                yield from self._session(partition, ulid, items, walk)
            else:
                yield from self._own_values(partition, items)

    def _session(
        self, partition: str, session_ulid: str, items: Iterator[Item], walk: Walk
    ) -> Iterator[Line]:
        key, session_id = keys.session(partition, session_ulid), ids.SESSION_PREFIX + session_ulid
        end = ranges.all_of_session(session_ulid)[1]
        first, page = next(items), walk.page
        begins = keys.is_session(str(first["SK"]))
        head = first if begins else self.table.get(key)
        if not is_live(head, self._now()):
            return
        if begins:
            try:
                session = whole_session(self.table, head, self._now())
            except SessionNotFound:
                return
            except SessionDamaged:
                yield _damaged(end, {"session_id": session_id})
                return
            yield Line(key["SK"], _line("session", _about(session)))
        messages = 0
        for line in self._under(partition, head, items if begins else chain([first], items), walk):
            messages += keys.is_under_message(line.position)
            yield line
        read_at_once = walk.page == page and messages == head.get("message_count")
        if (not read_at_once or "has_values" in head) and not is_live(
            self.table.get(key), self._now()
        ):
            yield Line(end, _line("gone", {"session_id": session_id}))

    def _under(
        self, partition: str, head: Item, items: Iterator[Item], walk: Walk
    ) -> Iterator[Line]:
        bounds, epoch = bounds_of(head), epoch_of(head, keys.session_of(str(head["SK"])))
        place = Place(partition, {"PK": partition, "SK": str(head["SK"])}, bounds.session_ulid)
        for is_message, some in groupby(items, key=_is_under_message):
            if is_message:
                yield from self._messages(partition, bounds, some, walk)
                continue
            for item in some:
                if keys.is_value(str(item["SK"])) and item.get("epoch") == epoch:
                    yield from self._value(place, item)

    def _messages(
        self, partition: str, bounds: Bounds, items: Iterator[Item], walk: Walk
    ) -> Iterator[Line]:
        """The newest ones are held back until all of them are visible."""
        damaged: set[str] = set()
        newest: dict[str, Message] = {}
        low = walk.after_message(bounds.session_ulid)
        wanted = [ulid for ulid in bounds.newest if ulid > low]
        shown = (item for item in items if bounds.shows(keys.message_of(str(item["SK"]))))
        for message in assemble(bounds.session_ulid, shown, damaged):
            if message.ulid in wanted:
                newest[message.ulid] = message
            else:
                yield self._message(message)
        for _ in range(READS_OF_A_TRANSACTION - 1):
            if newest.keys() | damaged >= set(wanted):
                break
            through = ranges.messages_through(bounds.session_ulid, wanted[0], wanted[-1])
            again = chain.from_iterable(self.table.query(partition, through))
            newest = {m.ulid: m for m in assemble(bounds.session_ulid, again, damaged)}
        for message in newest.values():
            yield self._message(message)
        for ulid in sorted(damaged):
            of = {
                "session_id": ids.SESSION_PREFIX + bounds.session_ulid,
                "message_id": ids.MESSAGE_PREFIX + ulid,
            }
            yield _damaged(end_of_message(bounds.session_ulid, ulid), of)

    def _message(self, message: Message) -> Line:
        edited = f'"edited":"{message.edited}",' if message.edited else ""
        text = f'{{"type":"message",{edited}{message.json[1:]}'
        end = end_of_message(message.session_ulid, message.ulid)
        return Line(end, _one_line("message", text))

    def _own_values(self, partition: str, items: Iterator[Item]) -> Iterator[Line]:
        head_key = keys.tenant(partition) if keys.is_tenant(partition) else keys.user(partition)
        place = Place(partition, head_key)
        epoch = epoch_of(self.table.get(head_key))
        for item in items:
            if keys.is_value(str(item["SK"])) and item.get("epoch") == epoch:
                yield from self._value(place, item)

    def _value(self, place: Place, item: Item) -> Iterator[Line]:
        name = keys.name_of(str(item["SK"]))
        session_id = ids.SESSION_PREFIX + place.session_ulid if place.session_ulid else None
        of = {"session_id": session_id} if session_id else {}
        try:
            value = self.values.whole(place, name, item, str(item["epoch"]))
        except ValueDamaged:
            yield _damaged(str(item["SK"]), {**of, "name": name})
            return
        if value:
            yield Line(str(item["SK"]), _line("value", {**of, **_members(value)}))

    def _verdicts(self, partition: str, after: str) -> Iterator[Line]:
        pages = self.table.query(partition, ranges.verdicts(), after=after or None)
        for item in chain.from_iterable(pages):
            sk, verdict = str(item["SK"]), verdicts.from_item(item)
            if verdict:
                members = {**verdict_members(verdict), "etag": verdict.written}
                yield Line(sk, _line("verdict", members))
            else:
                yield _damaged(sk, {"hash": keys.source_of(sk)})

    def _now(self) -> str:
        return ids.iso_time(self.clock())


def first_line(kind: str, name: str) -> str:
    """The line before those of a user or a tenant."""
    return _line(kind, {kind: name})


def _about(session: Session) -> dict[str, Any]:
    internal = {"born": session.born, "etag": session.last_ulid, "changed": session.changed}
    return {**session_members(session), **internal}


def _members(value: StoredValue) -> dict[str, Any]:
    """JSON comes as base64 if a line could not have it as it is."""
    members = value_members(value)
    data = value.content.data if value.content else ""
    if isinstance(data, str) and (data.strip(" \t\n\r") != data or _has_breaks(data)):
        del members["json"]
        members["base64"] = base64.b64encode(data.encode()).decode()
    return members


def _line(kind: str, members: dict[str, Any]) -> str:
    return _one_line(kind, str(json_object({"type": kind, **members})))


def _damaged(position: str, members: dict[str, Any]) -> Line:
    return Line(position, _line("damaged", members))


def _one_line(kind: str, text: str) -> str:
    if not _has_breaks(text):
        return text
    encoded = base64.b64encode(text.encode()).decode()
    return str(json_object({"type": kind, "base64": JsonText(f'"{encoded}"')}))


def _has_breaks(text: str) -> bool:
    return "\n" in text or "\r" in text


def _session_of(item: Item) -> str:
    sk = str(item["SK"])
    return keys.session_of(sk) if sk.startswith(keys.SESSION_PREFIX) else ""


def _is_under_message(item: Item) -> bool:
    return keys.is_under_message(str(item["SK"]))
