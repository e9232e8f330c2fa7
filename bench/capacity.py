"""Amazon's published rules for write units, applied to items. No I/O here.

DynamoDB Local reports single writes as AWS does, but doubles the units of transactions. Those are
calculated here:

- A write takes 1 unit per KB of the item, rounded up; in a transaction, 2 units per KB.
  An update counts the larger of the old and the new item. A delete counts the old item.
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
- An index takes, per KB of its entry (keys and projected attributes): 1 unit to put, remove or
  change the entry; 2 if its key changes (a delete and a put); none if nothing in it changes.
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
- Indexes are updated after the transaction, so their writes count once, not twice. This is our
  reading; the price lists don't say otherwise.
- An item's size is the bytes of its names and values in UTF-8. A number takes one byte per two
  digits, plus one. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

Item = Mapping[str, Mapping[str, Any]]

RULE = "2 units per KB of each item, and 1 + 1 for an index entry whose key changes"


@dataclass(frozen=True)
class Index:
    """`attributes` is None if all attributes are projected."""

    name: str
    key: tuple[str, ...]
    attributes: frozenset[str] | None


@dataclass(frozen=True)
class Write:
    """An item before and after a write. None means that the item does not exist."""

    before: Item | None
    after: Item | None


def indexes(description: Mapping[str, Any]) -> list[Index]:
    """A table's indexes, from the answer of DescribeTable."""
    base = {part["AttributeName"] for part in description["KeySchema"]}
    found = []
    for index in description.get("GlobalSecondaryIndexes", ()):
        key = tuple(part["AttributeName"] for part in index["KeySchema"])
        projection = index["Projection"]
        everything = projection["ProjectionType"] == "ALL"
        named = {*base, *key, *projection.get("NonKeyAttributes", ())}
        found.append(Index(index["IndexName"], key, None if everything else frozenset(named)))
    return found


def transaction(writes: Iterable[Write], indexes: Iterable[Index]) -> float:
    indexes = list(indexes)
    return float(
        sum(
            2 * _kilobytes(max(item_size(write.before), item_size(write.after)))
            + sum(_index_units(write, index) for index in indexes)
            for write in writes
        )
    )


def _index_units(write: Write, index: Index) -> int:
    before, after = _entry(write.before, index), _entry(write.after, index)
    if before == after:
        return 0
    if before and after and all(before[name] == after[name] for name in index.key):
        return _kilobytes(max(item_size(before), item_size(after)))
    return sum(_kilobytes(item_size(entry)) for entry in (before, after) if entry)


def _entry(item: Item | None, index: Index) -> Item | None:
    if not item or not all(name in item for name in index.key):
        return None
    if index.attributes is None:
        return item
    return {name: value for name, value in item.items() if name in index.attributes}


def _kilobytes(size: int) -> int:
    return max(1, ceil(size / 1024))


def item_size(item: Item | None) -> int:
    """
    >>> item_size({"PK": {"S": "añb"}, "n": {"N": "1234"}})
    10
    """
    return sum(len(name.encode()) + _size(value) for name, value in (item or {}).items())


def _size(value: Mapping[str, Any]) -> int:
    [(kind, content)] = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return len(content.strip("-0.").replace(".", "")) // 2 + 1 + content.startswith("-")
    if kind == "B":
        return len(content)
    if kind == "L":
        return 3 + sum(1 + _size(element) for element in content)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _size(v) for name, v in content.items())
    return 1  # NULL, BOOL
