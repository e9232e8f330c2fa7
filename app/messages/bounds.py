"""Which messages of a session are shown, by its own item."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.messages.model import MAX_BATCH
from app.table import ids, keys
from app.table.writes import Item


@dataclass(frozen=True, slots=True)
class Bounds:
    """Other messages that a query finds are newer than the session's item, or are being removed."""

    session_ulid: str
    last: str
    """The last message; empty if there is none. If it is damaged, an id after every other, so that
    the messages can still be listed."""
    newest: tuple[str, ...]
    """The messages of the latest append. A query may not see all items of a transaction yet
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html)."""
    cut: tuple[str, str] | None
    """The first and last id of messages that are hidden and being removed."""
    changed: str | None
    """The id of the last change that was not an append."""
    born: str = ""
    """Older messages are of an earlier session with the same key. Empty if there may be older ones,
    because the session is a fork or was imported."""

    def hides(self, ulid: str) -> bool:
        return self.cut is not None and self.cut[0] <= ulid <= self.cut[1]

    def shows(self, ulid: str) -> bool:
        return self.born < ulid <= self.last and not self.hides(ulid)

    def spans(self, low: str = "", high: str = "") -> Iterator[tuple[str, str]]:
        """The parts of the list after `low` and before `high` that may have visible messages, as
        pairs of ids, neither included. Empty means no bound.

        >>> bounds = Bounds("01S", "01Z", (), ("01C", "01F"), None)
        >>> list(bounds.spans()), list(bounds.spans("01D", "01E")), list(bounds.spans("01A", "01B"))
        ([('', '01C'), ('01F', '')], [], [('01A', '01B')])
        """
        low = max(low, self.born)
        spans = [(low, high)]
        if self.cut:
            first, last = self.cut
            spans = [(low, min(high or first, first)), (max(low, last), high)]
        for after, before in spans:
            if after < self.last and (not before or after < before):
                yield after, before


def bounds_of(head: Item) -> Bounds:
    """Reads a session's item, which may be damaged."""
    last = str(head.get("last_message", ""))
    count = head.get("last_count", 0)
    newest: list[str] = []
    if last and not ids.is_ulid(last):
        last = ids.GREATEST
    elif last and isinstance(count, int):
        newest = ids.series_until(last, min(count, MAX_BATCH))
    cut = str(head.get("cut_lo", "")), str(head.get("cut_hi", ""))
    return Bounds(
        session_ulid=keys.session_of(str(head["SK"])),
        last=last,
        newest=tuple(newest),
        cut=cut if all(map(ids.is_ulid, cut)) else None,
        changed=str(head["changed"]) if "changed" in head else None,
        born="" if head.keys() & {"forked_from", "imported"} else str(head.get("born", "")),
    )
