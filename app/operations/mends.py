"""How a finding of the check can be mended, where the right value follows from the table.

`app.operations.repair` carries mends out. A mend is written on the condition that every item that
it follows from is still as it was read, so it never overwrites a later write.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.table import ids, keys
from app.table.writes import Item, Value

Attributes = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Mend:
    """`text` says what is done. The finding's item gets the attributes in `sets`, and loses those
    that are None there; without `sets` it is deleted. With `creates`, that item is created instead,
    and the finding's own must be unchanged. `absent` are the keys of items that must not exist.
    `unchanged` are other items that must be as they were read."""

    text: str
    sets: Attributes | None = None
    creates: Item | None = None
    absent: tuple[keys.Key, ...] = ()
    unchanged: tuple[Item, ...] = ()


def delete(*, absent: tuple[keys.Key, ...] = (), unchanged: tuple[Item, ...] = ()) -> Mend:
    return Mend("remove it", absent=absent, unchanged=unchanged)


def set_to(attributes: Attributes, unchanged: Item | None = None) -> Mend:
    """
    >>> set_to({"raters": 2}).text, set_to({"GSI3PK": None, "GSI3SK": None}).text
    ('set raters to 2', 'remove GSI3PK and GSI3SK')
    """
    present = [f"{name} to {value}" for name, value in attributes.items() if value is not None]
    gone = [name for name, value in attributes.items() if value is None]
    said = [f"set {' and '.join(present)}"] if present else []
    said += [f"remove {' and '.join(gone)}"] if gone else []
    return Mend("; ".join(said), attributes, unchanged=(unchanged,) if unchanged else ())


def index_keys(index: str, right: Mapping[str, str]) -> Mend:
    """The keys of an item in an index; none if it must not be in it."""
    names = f"{index}PK", f"{index}SK"
    return set_to({name: right.get(name) for name in names})


def due(owner: str, since: Value | None, now: int) -> dict[str, str]:
    """The keys by which the sweep finds an item: due at `since` if that is a time, or else now."""
    try:
        datetime.fromisoformat(str(since))
    except ValueError:
        since = ids.iso_time(now)
    return keys.by_due_time(owner, str(since))
