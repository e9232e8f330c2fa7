"""Reads what a removal takes away."""

from collections.abc import Iterator
from itertools import groupby

from app.errors import MessageNotFound, PreconditionFailed, TooLarge
from app.identity.caller import Caller
from app.messages import sizes
from app.messages.bounds import Bounds
from app.messages.items import assemble
from app.messages.reader import MessageReader, Order
from app.messages.tails import MAX_ITEMS, Start, Tail
from app.table import ids, keys
from app.table.versions import IfMatch
from app.table.writes import Item
from app.wire import MAX_WIRE_BYTES, wire_size


class TailReader:
    def __init__(self, reader: MessageReader) -> None:
        self.reader = reader

    def last(self, count: int, caller: Caller, bounds: Bounds) -> Tail:
        """The last messages, or all if there are fewer. Costs 1 query per MB.

        Raises:
            TooLarge: one response has no room for them.
        """
        tail, wire = Tail(), 0
        # One more for the message that remains, and one to see where that ends.
        for ulid, items in self._messages(caller, bounds, limit=count + 2):
            if tail.count == count:
                tail.end_at(bounds.session_ulid, ulid, items)
                break
            tail.take(ulid, items)
            for message in assemble(bounds.session_ulid, items):
                wire += wire_size(message.json)
                tail.messages.insert(0, message)
            if wire > MAX_WIRE_BYTES - sizes.MAX_IDS_WIRE:
                raise TooLarge(
                    "A response has no room for so many messages. Pop fewer at a time. "
                    "Nothing was removed."
                )
        return tail

    def start(self, start: Start, caller: Caller, bounds: Bounds) -> Tail:
        """All messages from a point on. Costs 1 query per MB; those of a long tail are only
        counted, for which all of it is read.

        Raises:
            MessageNotFound: the message of `start` is not in the session.
        """
        if start.message and not bounds.shows(start.message):
            raise MessageNotFound
        tail = Tail()
        for ulid, items in self._messages(caller, bounds, limit=MAX_ITEMS):
            if ulid <= start.low:
                tail.end_at(bounds.session_ulid, ulid, items)
                break
            tail.take(ulid, items)
            if not tail.fits():
                tail = self._count(start, caller, bounds)
                break
        first = tail.first if tail.count else None
        if start.message and start.message != (tail.before if start.kept else first):
            raise MessageNotFound
        return tail

    def _count(self, start: Start, caller: Caller, bounds: Bounds) -> Tail:
        tail = Tail(known=False)
        counted = self._messages(caller, bounds, low=start.low, order="asc", only="SK")
        for ulid, items in counted:
            tail.first = tail.first if tail.count else ulid
            tail.count += 1
            tail.feedback += sum(keys.is_feedback(str(item["SK"])) for item in items)
        if start.message is None:
            return tail
        for ulid, items in self._messages(caller, bounds, high=tail.first, limit=1):
            tail.end_at(bounds.session_ulid, ulid, items)
            break
        return tail

    def one(self, start: Start, if_match: IfMatch | None, caller: Caller, bounds: Bounds) -> Tail:
        """One message. Costs 1 query.

        Raises:
            MessageNotFound, PreconditionFailed
        """
        ulid = str(start.message)
        if ulid == bounds.last:
            tail = self.last(1, caller, bounds)
        else:
            tail = Tail(inner=True)
            if bounds.shows(ulid):
                high = ids.series(ulid, 2)[1]
                for found, items in self._messages(caller, bounds, low=start.low, high=high):
                    tail.take(found, items)
        if tail.first != ulid:
            raise MessageNotFound
        version = next((item["edited"] for item in tail.items if "edited" in item), ulid)
        if if_match is not None and version not in if_match:
            raise PreconditionFailed
        return tail

    def _messages(
        self,
        caller: Caller,
        bounds: Bounds,
        *,
        low: str = "",
        high: str = "",
        order: Order = "desc",
        limit: int | None = None,
        only: str | None = None,
    ) -> Iterator[tuple[str, list[Item]]]:
        """Each visible message with its items."""
        items = self.reader.items(caller, bounds, low, high, order=order, limit=limit, only=only)
        for ulid, group in groupby(items, key=lambda item: keys.message_of(str(item["SK"]))):
            yield ulid, list(group)
