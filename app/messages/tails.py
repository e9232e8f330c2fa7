"""What a removal takes away: messages with their items, and what remains before them."""

from dataclasses import dataclass, field

from app.errors import MessageNotFound
from app.messages.edges import edges_beside
from app.messages.items import assemble
from app.messages.model import Message
from app.table import ids, keys
from app.table.item_sizes import size_of
from app.table.writes import Item

MAX_ITEMS = 90
"""Items that are removed in one transaction. It takes 100, with the session and its record."""

MAX_BYTES = 3_500_000
"""Bytes of the items that are removed in one transaction. It takes 4 MB."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a tail begins: after `low`, which is no bound if it is empty. `message` must be in the
    session. It is the tail's first message, or with `kept` the last one before it."""

    low: str
    message: str | None = None
    kept: bool = False


ALL = Start("")


def start_at(message_id: str) -> Start:
    """
    Raises:
        MessageNotFound: the value is not a message id.
    """
    ulid = _parse(message_id)
    return Start(ids.series_until(ulid, 2)[0], ulid)


def start_after(message_id: str) -> Start:
    """
    Raises:
        MessageNotFound: the value is not a message id.
    """
    ulid = _parse(message_id)
    return Start(ulid, ulid, kept=True)


def _parse(message_id: str) -> str:
    ulid = ids.parse(ids.MESSAGE_PREFIX, message_id)
    if not ulid or ulid in (ids.LEAST, ids.GREATEST):
        raise MessageNotFound
    return ulid


@dataclass(slots=True)
class Tail:
    """Messages to remove, with their items. `first` is the least id of them.

    `before` is the message that becomes the session's last one. With `inner` the last one stays.
    Without `known` the tail is too long for a transaction, and has only been counted.
    """

    first: str = ids.LEAST
    count: int = 0
    feedback: int = 0
    size: int = 0
    items: list[Item] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    before: str | None = None
    before_message: Message | None = None
    """None also if it is damaged."""
    inner: bool = False
    known: bool = True

    def take(self, ulid: str, items: list[Item]) -> None:
        """Adds a message in front, with its edges."""
        self.first = ulid
        self.count += 1
        for item in items:
            self.items += [item, *edges_beside(item)]
        self.size += sum(map(size_of, items))
        self.feedback += sum(keys.is_feedback(str(item["SK"])) for item in items)

    def end_at(self, session_ulid: str, ulid: str, items: list[Item]) -> None:
        self.before = ulid
        self.before_message = next(assemble(session_ulid, items), None)

    def fits(self, items: int = 0, size: int = 0) -> bool:
        """Whether one transaction can remove it, with so many other items and bytes."""
        within = len(self.items) + items <= MAX_ITEMS and self.size + size <= MAX_BYTES
        return self.known and within


def key_of(item: Item) -> dict[str, str]:
    return {name: str(item[name]) for name in ("PK", "SK")}
