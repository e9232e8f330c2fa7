"""Erases one user, or a whole tenant: its users, then its own values, its verdicts, and what was
counted of their use.

It may be killed at any moment and be run again. What it has erased is erased, and what it has begun
is noted in the table, so that the sweep finishes it, too.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from app.errors import Unavailable
from app.identity.caller import Caller
from app.sessions import erasure, leftovers
from app.sessions.users import users_of
from app.table import budget, ids, keys, ranges, writes
from app.table.database_time import MAX_AHEAD, checked_time
from app.table.db import ConditionFailed, Table
from app.table.ranges import Range

PASSES = 10
"""How often the users are looked for. The last time, none must be left."""

SETTLES = 2.0
"""Seconds between two looks. The index usually lags by less than one."""

VERDICTS_AT_ONCE = 500
"""Verdicts removed in the time budget of a request."""


class StillInUse(Exception):
    """Users were found again and again."""


@dataclass(slots=True)
class Erased:
    """`messages` are those of sessions that had not been deleted before."""

    users: int = 0
    sessions: int = 0
    messages: int = 0
    tenant_values: bool = False
    verdicts: int = 0


def erase_user(table: Table, tenant: str, user: str, clock: ids.Clock = ids.system_clock) -> Erased:
    """
    Raises:
        NotACaller: not the id of a tenant or a user.
        ClockDisagrees: this clock differs from DynamoDB's by over a minute. Nothing was erased.
        Unavailable: DynamoDB refuses the calls. Run it again.
    """
    partition = Caller(tenant, user).partition
    erased = Erased()
    try:
        now = _time(table, clock, partition)
        erased.users = int(_has_something(table, partition))
        _erase(table, partition, now, erased)
        _remove(table, partition, ranges.days_of_user())
    finally:
        budget.end()
    return erased


def erase_tenant(table: Table, tenant: str, clock: ids.Clock = ids.system_clock) -> Erased:
    """
    Raises:
        NotACaller: not the id of a tenant.
        ClockDisagrees: this clock differs from DynamoDB's by over a minute. Nothing was erased.
        Unavailable: DynamoDB refuses the calls. Run it again.
        StillInUse: the tenant's users are still writing.
    """
    tenant = Caller(tenant, "any").tenant  # checks it
    partition = keys.tenant_partition(tenant)
    erased = Erased()
    try:
        _time(table, clock, partition)
        for number in range(PASSES):
            if number:
                table.pause(SETTLES)
            found = 0
            for user in _each(users_of(table, tenant)):
                has_something = _has_something(table, user)
                if has_something or not number:  # an erasure may have been killed
                    _erase(table, user, _time(table, clock, user), erased)
                    _remove(table, user, ranges.days_of_user())
                found += has_something
            erased.users += found
            if not found:
                break
        else:
            raise StillInUse(
                f"in each of {PASSES} passes there were users to erase: tokens of the tenant are "
                "still in use, or an item is damaged (flask check); run it again"
            )
        _erase_values(table, partition, _time(table, clock, partition), erased)
        _erase_verdicts(table, keys.tenant_sources(tenant), erased)
        for shard in range(keys.USAGE_SHARDS):
            _remove(table, keys.tenant_usage(tenant, shard, "")["PK"], ranges.all_days())
    finally:
        budget.end()
    return erased


def _each(users: Iterator[str]) -> Iterator[str]:
    """Each user, with a budget for the query and for what is done to the user."""
    while True:
        budget.begin()
        user = next(users, None)
        if user is None:
            return
        yield user


def _time(table: Table, clock: ids.Clock, partition: str) -> int:
    return checked_time(table, clock, partition, behind=MAX_AHEAD)


def _has_something(table: Table, partition: str) -> bool:
    """Whether there is anything to erase. If not, the user's item is gone, though the index may
    still show it, or it waits for the sweep to look for late values."""
    user = table.get(keys.user(partition))
    if not user:
        return False
    holds = user.get("session_count", 0) or user.keys() & {"has_values", "erase_until"}
    return bool(holds) or not table.get(keys.stale(partition))


def _erase(table: Table, partition: str, now: int, erased: Erased) -> None:
    finished = False
    while not finished:
        turn = budget.begin()
        receipt = erasure.erase(table, partition, now)
        erased.sessions += receipt.deleted_sessions
        erased.messages += receipt.deleted_messages
        finished = receipt.finished
        if not finished and turn.failure not in (None, budget.OUT_OF_TIME):
            raise Unavailable(f"{turn.failure}. What was erased is erased; run it again.")


def _remove(table: Table, partition: str, days: Range) -> None:
    """What was counted. A process that goes on counting for them writes it again, until TTL."""
    budget.begin()
    for items in table.query(partition, days, only="PK, SK"):
        table.delete_many(items)


def _erase_values(table: Table, partition: str, now: int, erased: Erased) -> None:
    """The sweep looks once more, and then removes the tenant's item."""
    finished = False
    while not finished:
        turn = budget.begin()
        leftovers.end_epoch(table, partition, now)
        left = table.get(keys.stale(partition))
        if not left:
            return
        erased.tenant_values = True
        try:
            leftovers.remove_values(table, partition, "", str(left.get("epoch", "")))
            finished = True
        except Unavailable:
            if turn.failure not in (None, budget.OUT_OF_TIME):
                raise


def _erase_verdicts(table: Table, partition: str, erased: Erased) -> None:
    """The revision goes last, and only as it was read, so that each verdict has one. If somebody
    writes a verdict meanwhile, that goes, too."""
    revision = keys.revision(partition)
    while True:
        budget.begin()
        only = "PK, SK, written"
        pages = table.query(partition, ranges.EVERYTHING, limit=VERDICTS_AT_ONCE, only=only)
        page = next(pages)
        if not page:
            return
        others = [item for item in page if item["SK"] != revision["SK"]]
        if others:
            table.delete_many(others)
            erased.verdicts += sum(1 for item in others if keys.source_of(str(item["SK"])))
            continue
        seen = page[0].get("written")
        condition = "written = :seen" if seen else "attribute_not_exists(written)"
        with suppress(ConditionFailed):
            table.execute(writes.delete(revision, condition, {":seen": seen} if seen else None))
