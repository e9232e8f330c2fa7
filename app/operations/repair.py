"""Mends what the check has found, where that needs no guess (`app.operations.mends`).

A finding is mended only if two readings of the partition, one after the other, had the same result.
Then the items that it follows from belong together: the count of a session's messages, for example,
is that of the state which the session's item shows. The write has the condition that nothing has
changed since. So in a table that is in use some mends fail, and the next run makes them.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby

from app.operations.check import NAMES, Finding
from app.operations.mends import Mend
from app.table import budget, writes
from app.table.db import ConditionFailed, Table
from app.table.writes import Item, Value, Write

LARGE = {"body", "metadata"}
"""Not compared, because every write of these also changes another attribute."""

CANNOT_BE_TOLD = "left as it is: the table does not tell what is right"
IN_USE = "left as it is: it changes; run this again"


def repair(
    table: Table, findings: Iterable[Finding], *, apply: bool
) -> Iterator[tuple[Finding, str, bool]]:
    """Yields each finding, what was or would be done about it, and whether it was done."""
    for _, group in groupby(findings, key=lambda finding: finding.partition):
        yield from _repair_partition(table, list(group), apply=apply)


def _repair_partition(
    table: Table, findings: list[Finding], *, apply: bool
) -> Iterator[tuple[Finding, str, bool]]:
    """Mends all findings of one item in one write."""
    together: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.mend and finding.is_settled:
            together.setdefault(_target(finding), []).append(finding)
    done: dict[str, bool] = {}
    for finding in findings:
        if not finding.mend:
            yield finding, CANNOT_BE_TOLD, False
        elif not finding.is_settled:
            yield finding, IN_USE, False
        elif not apply:
            yield finding, f"would {finding.mend.text}", False
        else:
            target = _target(finding)
            if target not in done:
                done[target] = _carry_out(table, together[target])
            yield finding, finding.mend.text if done[target] else IN_USE, done[target]


def _target(finding: Finding) -> str:
    """The sort key of the item that is written."""
    creates = finding.mend and finding.mend.creates
    return str(creates["SK"]) if creates else finding.sk


def _carry_out(table: Table, findings: list[Finding]) -> bool:
    """Returns false if anything has changed since it was read."""
    mends = [finding.mend for finding in findings if finding.mend]
    parts = {"item": _write(findings[0].item, mends)}
    needed = [item for mend in mends for item in mend.unchanged]
    if mends[0].creates:
        needed.append(findings[0].item)
    for item in needed:
        parts[str(item["SK"])] = writes.check(_key(item), *_as_read(item))
    for key in (key for mend in mends for key in mend.absent):
        parts[key["SK"]] = writes.check(key, "attribute_not_exists(PK)")
    budget.begin()
    with suppress(ConditionFailed):
        table.transact(parts)
        return True
    return False


def _write(item: Item, mends: list[Mend]) -> Write:
    for mend in mends:
        if mend.creates:
            attributes = {n: v for n, v in mend.creates.items() if n not in ("PK", "SK")}
            return writes.put(_key(mend.creates), attributes, "attribute_not_exists(PK)")
        if mend.sets is None:
            condition, values = _as_read(item)
            return writes.delete(_key(item), condition, values)
    sets = {name: value for mend in mends for name, value in (mend.sets or {}).items()}
    changed = {name: value for name, value in sets.items() if item.get(name) != value}
    condition, values = _as_read(item)
    return writes.change(_key(item), changed, values, condition)


def _key(item: Item) -> dict[str, str]:
    return {"PK": str(item["PK"]), "SK": str(item["SK"])}


def _as_read(item: Item) -> tuple[str, dict[str, Value]]:
    """The condition that an item is still as it was read. An item with nothing but a key did not
    exist."""
    if item.keys() <= {"PK", "SK"}:
        return "attribute_not_exists(PK)", {}
    names = [name for name in NAMES if name not in LARGE | {"PK", "SK"}]
    values = {f":was_{name}": item[name] for name in names if name in item}
    clauses = [
        f"{name} = :was_{name}" if name in item else f"attribute_not_exists({name})"
        for name in names
    ]
    return " AND ".join(["attribute_exists(PK)", *clauses]), values
