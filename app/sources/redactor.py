"""Removes what a source says from all messages that hold it (access pattern 32).

Like a deletion, it goes on where it was cut off: by the same request again, or by the sweep. One
item notes how far it has come, and each message is changed in a transaction of its own, so a kill
leaves nothing half done.

It finds the messages by the index. It may miss one that is written while it works, or that was
written in the last moments before. So a later request looks at all of them again.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from app.errors import MessageChanged, MessageNotFound, SessionNotFound, Unavailable
from app.identity.caller import Caller
from app.messages.editor import MessageEditor
from app.messages.reader import MessageReader
from app.messages.redaction import redact
from app.sources.listing import Answer, checked, read_entry
from app.table import ids, keys, writes
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
            is_repeated = found and name and found.get("request_name") == name
            if found and ("finished_at" not in found or is_repeated):
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
            if found:
                condition, seen = "started = :seen", {":seen": found["started"]}
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
        entries, reached = self._next(item)
        source = keys.redacted_source(str(item["SK"]))
        done = Counter(self._redact(entry, source) for entry in entries)
        now = self.ulids.clock()
        sets: dict[str, Value | None] = {"reached": reached}
        if not entries and "unfinished" in item:
            sets |= {"unfinished": None, "checked": None, "GSI2SK": ids.iso_time(now + WAIT)}
        elif not entries:
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
                    {**counts, "checked": len(entries)},
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

    def _next(self, item: Item) -> tuple[list[Answer], str]:
        """The next messages, and how far it has come with them; none at the end. `reached` is the
        number of a place with the key of an edge in it."""
        tenant = keys.tenant_of(str(item["PK"]))
        source = keys.redacted_source(str(item["SK"]))
        place, _, edge = str(item["reached"]).partition(" ")
        for number in range(int(place or 0), PLACES):
            cited = number < keys.SOURCE_SHARDS
            shard = number % keys.SOURCE_SHARDS
            after = None
            if edge:
                partition, _, sk = edge.partition(" ")
                _, ulid = keys.ends_of(sk)
                after = {
                    "PK": partition,
                    "SK": sk,
                    **keys.by_source(partition, source, ulid, cited=cited),
                }
                edge = ""
            where = keys.source_partition(tenant, source, shard, cited=cited)
            page = next(self.table.query_index(BY_SOURCE, where, limit=ENTRIES, after=after))
            if page:
                last = page[-1]
                reached = f"{number} {str(last['PK'])} {str(last['SK'])}"
                return [answer for entry in page if (answer := read_entry(entry))], reached
        return [], ""

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


def _receipt(item: Item) -> Receipt:
    finished = item.get("finished_at")
    return Receipt(
        keys.redacted_source(str(item["SK"])),
        ids.timestamp(str(item["started"])),
        str(finished) if finished else None,
        int(item.get("checked", 0)),
        int(item.get("redacted", 0)),
    )
