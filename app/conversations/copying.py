"""Copies what is under a session into another that nobody sees yet, for forks.

A copy that was interrupted goes on where it stopped. What is in the table tells where.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.identity.caller import Caller
from app.messages.bounds import Bounds
from app.messages.edges import edges_beside
from app.messages.model import Message
from app.messages.reader import MessageReader
from app.sessions.model import Session
from app.sessions.staging import Stage
from app.table import budget, ids, keys, ranges
from app.table.db import Table
from app.table.item_sizes import size_of
from app.table.writes import Item
from app.values import places
from app.values.model import items_of
from app.values.places import Place
from app.values.reader import ValueReader

ROUND_ITEMS, ROUND_BYTES = 200, 4_000_000
"""What is copied at a time. All rounds but the last are complete, whenever a request is cut off."""

ROUND_VALUES = 50

OVERLAP = ROUND_ITEMS + 10
"""Items at the end of an unfinished copy that are copied again. A message has up to 8 items."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is copied: a session as it was read, up to the message `last`."""

    session: Session
    bounds: Bounds
    last: Message | None
    has_values: bool


class Copier:
    def __init__(self, table: Table, clock: ids.Clock) -> None:
        self.table = table
        self.reader = MessageReader(table, clock)
        self.values = ValueReader(table, clock)

    def copy(self, caller: Caller, source: Source, stage: Stage) -> str | None:
        """Copies messages, then values. Returns None if all of it is copied, and otherwise the name
        of the last value that is copied; empty for none."""
        if not self._messages(caller, source, stage):
            return ""
        return self._values(caller, source, stage) if source.has_values else None

    def _messages(self, caller: Caller, source: Source, stage: Stage) -> bool:
        """Returns whether all of it is copied."""
        if not source.last:
            return True
        session_ulid = keys.session_of(stage.key["SK"])
        low = "" if stage.is_new else self._resume_after(caller.partition, session_ulid)
        high = ids.series(source.last.ulid, 2)[1]
        old, new = keys.session(caller.partition, source.session.ulid)["SK"], stage.key["SK"]
        items = self.reader.items(caller, source.bounds, low, high)
        for chunk in _rounds(item for item in items if not keys.is_feedback(str(item["SK"]))):
            if budget.is_time_up():
                return False
            copies: list[Item] = [
                {
                    **{name: value for name, value in item.items() if name != "raters"},
                    "SK": new + str(item["SK"]).removeprefix(old),
                }
                for item in chunk
            ]
            self.table.put_many(
                [*copies, *(edge for copy in copies for edge in edges_beside(copy))]
            )
        return True

    def _values(self, caller: Caller, source: Source, stage: Stage) -> str | None:
        old = places.of_session(caller, source.session.session_id)
        new = Place(caller.partition, dict(stage.key), keys.session_of(stage.key["SK"]))
        after = stage.values_after
        while True:
            page = self.values.page(old, limit=ROUND_VALUES, after=after)
            self.table.put_many(
                [
                    item
                    for value in page.values
                    if value.content
                    for item in items_of(new, stage.epoch, value.name, value.content, value.written)
                ]
            )
            if page.end is None:
                return None
            after = page.end
            if budget.is_time_up():
                return after

    def _resume_after(self, partition: str, session_ulid: str) -> str:
        """A message up to which an unfinished copy is complete; empty for none."""
        pages = self.table.query(
            partition,
            ranges.messages_between(session_ulid),
            backwards=True,
            limit=OVERLAP,
            only="SK",
        )
        latest = next(pages)
        return keys.message_of(str(latest[-1]["SK"])) if len(latest) == OVERLAP else ""


def _rounds(items: Iterator[Item]) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    size = 0
    for item in items:
        if chunk and (len(chunk) == ROUND_ITEMS or size + size_of(item) > ROUND_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += size_of(item)
    if chunk:
        yield chunk
