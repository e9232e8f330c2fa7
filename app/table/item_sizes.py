"""How large items are, and how text that is too long for one is divided."""

from app.table.writes import Item, Value

MAX_ITEMS = 100
"""Items of a transaction."""

MAX_TRANSACTION = 4 * 1024 * 1024
"""Bytes of a transaction."""

MAX_TOGETHER = MAX_TRANSACTION - 192 * 1024
"""Bytes of what clients send in one transaction. Keys, the session and the record of the request
need the rest.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

PART_BYTES = 400_000
"""Maximum bytes of text in one item. A whole item may have 409,600, with keys and names."""


def most_together(items: int, *ids: str) -> int:
    """`MAX_TOGETHER`, or less if the ids of the tenant, the user and the agent, which each item may
    have, are so long that a transaction of so many items has less room.

    >>> most_together(60, "acme#alice", "agent") == MAX_TOGETHER
    True
    >>> MAX_TOGETHER - most_together(60, "x" * 2_000, "y" * 2_000)
    153392
    """
    of_an_item = sum(len(each.encode()) for each in ids) + 1_000
    return min(MAX_TOGETHER, MAX_TRANSACTION - (items + 10) * of_an_item)


def split(body: str, size: int = PART_BYTES) -> list[str]:
    """Divides text into pieces of at most `size` bytes, without splitting a character.

    >>> split("añb", size=2)
    ['a', 'ñ', 'b']
    """
    raw = body.encode()
    if len(raw) <= size:
        return [body]
    pieces = []
    start = 0
    while start < len(raw):
        end = min(start + size, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:  # inside a UTF-8 sequence
            end -= 1
        pieces.append(raw[start:end].decode())
        start = end
    return pieces


def size_of(item: Item) -> int:
    """About as many bytes as DynamoDB counts for an item.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name) + _length(value) for name, value in item.items())


def _length(value: Value) -> int:
    if isinstance(value, str):
        return len(value.encode())
    return len(value) if isinstance(value, bytes) else 21
