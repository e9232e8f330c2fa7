"""Removes what a source says from all messages that hold it (access pattern 32).

Like a deletion, it goes on where it was cut off: by the same request again, or by the sweep. One
item notes how far it has come, and each message is changed in a transaction of its own, so a kill
leaves nothing half done.

It finds the messages by the index. It may miss one that is written while it works, or that was
written in the last moments before. So a later request looks at all of them again.

It is over 250 lines because the note, and what makes it damaged, belong to its steps.
"""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from app.errors import MessageChanged, MessageNotFound, SessionNotFound, Unavailable
from app.identity.caller import Caller
from app.logs import log_damaged
from app.messages.editor import MessageEditor
from app.messages.reader import MessageReader
from app.messages.redaction import redact
from app.sources.listing import Answer, checked, read_entry
from app.table import budget, ids, keys, writes
from app.table.database_time import checked_time
from app.table.db import ConditionFailed, Table
from app.table.definition import BY_SOURCE
from app.table.idempotency import IdempotencyKey
from app.table.writes import Item, Value

ENTRIES = 25
"""Messages between two notes of how far it has come."""

TRIES = 5
"""How often a message is read again because somebody else has changed it."""

WAIT = 60 * 1000
"""Milliseconds after which the sweep goes on with what was cut off, or looks again for sessions
that were being made."""

PLACES = 2 * keys.SOURCE_SHARDS
"""Partitions of the index: of messages that cite the source, then of those only given it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """`checked` messages were looked at, and `redacted` of them changed. Unless it is `finished`,
    another request or the sweep goes on."""

    source: str
    started_at: str
    finished_at: str | None
    checked: int
    redacted: int

    @property
    def finished(self) -> bool:
        return self.finished_at is not None


class SourceRedactor:
    def __init__(self, table: Table, ulids: ids.UlidSource | None = None) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()
        self.reader = MessageReader(table, self.ulids.clock)
        self.editor = MessageEditor(table, self.ulids)

    def redact(
        self, caller: Caller, source: str, idempotency_key: IdempotencyKey | None = None
    ) -> Receipt:
        """Goes on with a redaction of the source that is not finished, or begins one.

        Costs 1 get, 1 put, 1 query and 1 update for each 25 messages and at least 20 queries; each
        message costs a batch get, and a transaction if it holds words of the source.

        Raises:
            SourceNotFound: not a hash.
        """
        key = keys.redaction(keys.tenant_sources(caller.tenant), checked(source))
        now = checked_time(self.table, self.ulids.clock, key["PK"])
        name = idempotency_key.name if idempotency_key else None
        found = self.table.get(key)
        while True:
            is_sound = found is not None and _is_sound(found)
            is_repeated = found and name and found.get("request_name") == name
            if found and is_sound and ("finished_at" not in found or is_repeated):
                return self._go_on(found)
            [started] = self.ulids.new(now=now)
            attributes = {
                "started": started,
                "requested_by": caller.writer,
                "request_name": name,
                "reached": "",
                **keys.by_due_time(source, ids.iso_time(now + WAIT)),
            }
            condition, seen = "attribute_not_exists(PK)", {}
            if found and is_sound:
                condition, seen = "started = :seen", {":seen": found["started"]}
            elif found:
                log_damaged(key["PK"], key["SK"])
                condition = "attribute_exists(PK)"
            try:
                self.table.execute(writes.put(key, attributes, condition, seen))
                return self._go_on({**key, "started": started, "reached": ""})
            except ConditionFailed as failed:
                found = failed.item

    def go_on(self, partition: str, source: str) -> bool:
        """Goes on for the sweep. Returns whether nothing is left to do."""
        found = self.table.get(keys.redaction(partition, source))
        return not found or self._go_on(found).finished

    def _go_on(self, item: Item) -> Receipt:
        with suppress(Unavailable):  # time is up, or DynamoDB refuses
            while "finished_at" not in item:
                item = self._step(item)
                if not item["reached"]:  # at the end
                    break
        return _receipt(item)

    def _step(self, item: Item) -> Item:
        """Looks at the next messages, and notes how far it has come. Returns that note, which may
        have been written by another request."""
        done, reached = self._redact_next(item)
        now = self.ulids.clock()
        sets: dict[str, Value | None] = {"reached": reached}
        if not reached and "unfinished" in item:
            sets |= {"unfinished": None, "checked": None, "GSI2SK": ids.iso_time(now + WAIT)}
        elif not reached:
            sets |= {"finished_at": ids.iso_time(now), "GSI2PK": None, "GSI2SK": None}
        key = {"PK": str(item["PK"]), "SK": str(item["SK"])}
        same, seen = "started = :same", {":same": item["started"]}
        counts = {"redacted": done["redacted"], "unfinished": done["unfinished"]}
        try:
            return self.table.execute(
                writes.change(
                    key,
                    sets,
                    {**seen, ":before": item["reached"]},
                    f"{same} AND reached = :before",
                    {**counts, "checked": done.total()},
                )
            )
        except ConditionFailed as failed:
            found, is_own = failed.item, failed.repeated and failed.item.get("reached") == reached
        if is_own:
            return found
        if not found:  # the tenant has been erased
            return {**item, "reached": "", "finished_at": ids.iso_time(now)}
        if any(counts.values()) and found["started"] == item["started"]:
            with suppress(ConditionFailed):
                self.table.execute(writes.change(key, {}, seen, same, counts))
        return found

    def _redact_next(self, item: Item) -> tuple[Counter[str], str]:
        """What was done with the next messages, and how far it has come with them. At least one is
        looked at, so that every step makes progress; the others while there is time."""
        source = keys.redacted_source(str(item["SK"]))
        done: Counter[str] = Counter()
        reached = ""
        for entry in self._next(item):
            if reached and budget.is_time_up():
                break
            if answer := read_entry(entry.item):
                try:
                    done[self._redact(answer, source)] += 1
                except Unavailable:
                    if not reached:
                        raise
                    break
            reached = entry.reached
        return done, reached

    def _next(self, item: Item) -> list["_Entry"]:
        """The next messages; none at the end."""
        tenant = keys.tenant_of(str(item["PK"]))
        source = keys.redacted_source(str(item["SK"]))
        place, after = _place(item) or _BEGINNING
        for number in range(place, PLACES):
            cited = number < keys.SOURCE_SHARDS
            shard = number % keys.SOURCE_SHARDS
            where = keys.source_partition(tenant, source, shard, cited=cited)
            page = next(self.table.query_index(BY_SOURCE, where, limit=ENTRIES, after=after))
            if page:
                return [_Entry(each, f"{number} {each['PK']!s} {each['SK']!s}") for each in page]
            after = None
        return []

    def _redact(self, answer: Answer, source: str) -> str:
        """Says what was done: `redacted`, `nothing`, or `unfinished` if the message is of a session
        that is still being made."""
        caller = Caller(keys.tenant_name(answer.partition), answer.user_id)
        for _ in range(TRIES):
            try:
                message = self.reader.get(caller, answer.session_id, answer.message_id)
                redacted = redact(message.body, source)
                if not redacted.places:
                    return "nothing"
                self.editor.rewrite(caller, message, redacted.body)
                return "redacted"
            except MessageChanged:
                continue
            except MessageNotFound:
                return "nothing"
            except SessionNotFound:
                key = keys.session(caller.partition, answer.session_ulid)
                head = self.table.get(key) or {}
                return "unfinished" if "staged" in head and "claimed" not in head else "nothing"
        raise Unavailable


class _Entry(NamedTuple):
    """Of the index. `reached` notes that the redaction has come so far: the number of a place, and
    the key of an edge in it."""

    item: Item
    reached: str


_BEGINNING: tuple[int, keys.Key | None] = (0, None)


def _place(item: Item) -> tuple[int, keys.Key | None] | None:
    """Where to go on: a place, and the last entry in it; None if the note is damaged."""
    if item.get("reached") == "":
        return _BEGINNING
    match = _REACHED.fullmatch(str(item.get("reached")))
    source = keys.redacted_source(str(item["SK"]))
    if not match or int(match[1]) >= PLACES or not keys.is_edge(match[3]):
        return None
    number, partition, sk = int(match[1]), match[2], match[3]
    named, ulid = keys.ends_of(sk)
    is_there = keys.source_shard(partition) == number % keys.SOURCE_SHARDS
    is_own = keys.tenant_of(partition) == keys.tenant_of(str(item["PK"])) and named == source
    if not is_there or not is_own:
        return None
    cited = number < keys.SOURCE_SHARDS
    index = keys.by_source(partition, source, ulid, cited=cited)
    return number, {"PK": partition, "SK": sk, **index}


_REACHED = re.compile(r"([0-9]{1,3}) ([^ ]+#[^ ]+) ([^ ]+)")


def _is_sound(item: Item) -> bool:
    """Whether a redaction can go on. One that is damaged begins anew."""
    started = str(item.get("started"))
    counts = (item.get(name, 0) for name in ("checked", "redacted", "unfinished"))
    is_counted = all(isinstance(count, int) for count in counts)
    return ids.is_ulid(started) and started < ids.END_OF_TIME and is_counted and bool(_place(item))


def _receipt(item: Item) -> Receipt:
    finished = item.get("finished_at")
    return Receipt(
        keys.redacted_source(str(item["SK"])),
        ids.timestamp(str(item["started"])),
        str(finished) if finished else None,
        int(item.get("checked", 0)),
        int(item.get("redacted", 0)),
    )
