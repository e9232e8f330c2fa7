"""The check of the whole table, for operators and tests. Finds every state that the promises in
docs/reliability.md rule out. The rules are in `app.operations.partition_check`.

It only reads; `app.operations.repair` writes. This is the only module in `app/` that scans. The
service's own role may not scan, so run the check with your own credentials.
"""

from collections.abc import Iterable, Iterator

from app.operations.partition_check import Checked, Finding, PartitionCheck
from app.operations.verdict_check import VerdictCheck
from app.table import budget, ids, keys
from app.table.db import Table
from app.table.definition import TTL_ATTRIBUTE
from app.table.ranges import EVERYTHING, Range
from app.table.writes import Item

__all__ = ["Checked", "Finding", "check"]

NAMES = (
    f"""PK SK GSI1PK GSI1SK GSI2PK GSI2SK deleted_at expires_at message_count feedback_count
    version settings_version last_ulid last_message last_count changed born session_key info cut_lo
    cut_hi forked_from imported title domain_id metadata parts body message_role created_by
    message_status edited sources given raters rater rated session_count erase_until first_id
    fingerprint epoch has_values written etag content_type total_bytes source_key
    source_state governed_by started reached finished_at GSI3PK GSI3SK
    request_count refused_count read_halves write_halves {TTL_ATTRIBUTE}"""
).split()
ATTRIBUTES = ", ".join(NAMES)
"""The attributes that are checked. DynamoDB charges for whole items, so reading the texts as well
costs time and transfer, but no capacity."""

READINGS = 3
"""How often a partition is read before a finding is reported. While the table is in use, a change
between two pages can look like damage."""


def check(
    table: Table, clock: ids.Clock = ids.system_clock, checked: Checked | None = None
) -> Iterator[Finding]:
    """Yields each finding when it is found, and adds what was checked to `checked`."""
    try:
        for partition in _partitions(table):
            now = clock()  # the same for each reading, so that equal findings are equal
            findings, counted = _check_partition(table, partition, now)
            for _ in range(READINGS - 1):
                if not findings:
                    break
                again, counted = _check_partition(table, partition, now)
                findings = {
                    place: finding.after(findings[place])
                    for place, finding in again.items()
                    if place in findings
                }
            yield from findings.values()
            if checked:
                checked.add(counted)
    finally:
        budget.end()


def _partitions(table: Table) -> Iterator[str]:
    last = None
    for item in _items(table.scan(only="PK")):
        if item["PK"] != last:  # a scan returns one partition after another
            last = str(item["PK"])
            yield last


def _items(pages: Iterable[list[Item]]) -> Iterator[Item]:
    """The items of all pages. Each page has the time budget of a request."""
    remaining = iter(pages)
    while True:
        budget.begin()
        page = next(remaining, None)
        if page is None:
            return
        yield from page


def _check_partition(
    table: Table, partition: str, now: int
) -> tuple[dict[tuple[str, str], Finding], Checked]:
    def read(between: Range) -> Iterator[Item]:
        return _items(table.query(partition, between, only=ATTRIBUTES))

    if keys.is_sources(partition):
        verdict_check = VerdictCheck(partition)
        verdict_check.run(read(EVERYTHING))
        return verdict_check.findings, verdict_check.checked
    partition_check = PartitionCheck(partition, now, read)
    partition_check.run(read(EVERYTHING))
    return partition_check.findings, partition_check.checked
