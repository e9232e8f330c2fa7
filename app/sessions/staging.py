"""Sessions that are filled before anybody sees them: forks and imports.

A staged session is marked for deletion from the beginning, so that no answer shows it and nobody
writes to it. It is due for the sweep an hour later. `publish` puts the real session in its place,
in one transaction. Whoever removes a staged session claims it first (`app.sessions.removal`), and
then it cannot be published any more.

One request at a time fills a staged session. It holds a lease, which it gives back if its time is
up. After a kill, the lease ends by itself, and another request goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import Unavailable
from app.sessions import creation, erasure, leftovers
from app.sessions.model import Session
from app.table import ids, keys, writes
from app.table.db import ConditionFailed, Table
from app.table.writes import Value, Write

KEPT = 60 * 60 * 1000
"""Milliseconds until the sweep removes a staged session."""

LEASE = 90 * 1000
"""Milliseconds. A request has 29 seconds, and its last call may take a little longer."""

MINE = "staged = :staged AND attribute_not_exists(claimed)"


class Busy(Unavailable):
    detail = "Another request is making this session. Try again."


@dataclass(frozen=True, slots=True)
class Stage:
    """`staged` is the id of this attempt to fill it. `is_new` is false if an earlier one began.
    `epoch` is that of the values it is filled with, the same for all attempts. `values_after` is
    the name of a value up to which an earlier attempt has copied all; empty for none."""

    key: Mapping[str, str]
    staged: str
    is_new: bool
    epoch: str
    values_after: str = ""


def begin(
    table: Table,
    key: Mapping[str, str],
    staged: str,
    now: int,
    about: Mapping[str, Value | None],
    *,
    name: str,
) -> Stage:
    """Stages a session, or goes on with one that an earlier request left. `about` tells what it is
    to be. Only an attempt at the same can go on.

    Args:
        name: the client's key of the session, or another text if it has none.

    Raises:
        ConditionFailed: there is something else with this key. Its `item` is that.
        Busy: another request fills it.
    """
    epoch = leftovers.new_epoch(table, key["PK"], now, keys.session_of(key["SK"]))
    due = keys.by_due_time(keys.session_of(key["SK"]), ids.iso_time(now + KEPT))
    state: dict[str, Value | None] = {
        "deleted_at": due["GSI2SK"],
        "staged": staged,
        "staged_until": ids.iso_time(now + LEASE),
        "last_ulid": staged,
        **due,
    }
    attributes = {**state, **about, "session_key": name, "epoch": epoch}
    try:
        table.execute(writes.put(key, attributes, "attribute_not_exists(PK)"))
        return Stage(key, staged, is_new=True, epoch=epoch)
    except ConditionFailed as error:
        failed, found = error, error.item
        if "staged" not in found or "claimed" in found:
            raise
        if found.get("staged") == staged:  # the response to an earlier try was lost
            return Stage(key, staged, is_new=True, epoch=epoch)
    if str(found["staged_until"]) > ids.iso_time(now):
        raise Busy
    if any(found.get(attribute) != value for attribute, value in about.items() if value):
        raise failed
    free = "staged = :old AND attribute_not_exists(claimed)"
    try:
        table.execute(writes.change(key, state, {":old": found["staged"]}, free))
    except ConditionFailed:
        raise Busy from None
    return Stage(
        key,
        staged,
        is_new=False,
        epoch=str(found.get("epoch", found["staged"])),
        values_after=str(found.get("staged_values", "")),
    )


def give_back(table: Table, stage: Stage, values_after: str) -> None:
    """Ends the lease, so that the next request can go on at once, and where this one ended."""
    ended: dict[str, Value | None] = {"staged_until": "", "staged_values": values_after or None}
    with_id = {":staged": stage.staged}
    try:
        table.execute(writes.change(stage.key, ended, with_id, MINE))
    except (ConditionFailed, Unavailable):
        return


def publish(
    partition: str, stage: Stage, session: Session, *, with_values: bool = False
) -> dict[str, Write]:
    """The writes that show a staged session: `session`, `user` and, if its metadata is long,
    `info`."""
    also: dict[str, Value] = {"epoch": stage.epoch, **({"has_values": 1} if with_values else {})}
    parts = creation.creation(partition, session, also)
    put = parts["session"]["Put"]
    put["ConditionExpression"] = MINE
    put["ExpressionAttributeValues"] = writes.encode({":staged": stage.staged})
    return {**parts, "user": erasure.publish_session(partition, session.born)}
