"""Exports a tenant, or one of its users, to a file, and imports such a file. Restores a user, or
one session, from another table.

An export that was interrupted goes on after the last whole line of its file. The place of a line is
in the line itself (`app.conversations.exporting`).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from app.conversations.export_lines import position_of, read_line
from app.conversations.exporting import Exporter, first_line
from app.conversations.restoring import Restored, Restorer
from app.identity.caller import Caller
from app.sessions.users import users_of
from app.table import budget, ids, keys
from app.table.db import Table

LINES_AT_ONCE = 100
"""Lines read in the time budget of a request."""


@dataclass(frozen=True, slots=True)
class Position:
    """The partition of the last line, and the sort key after which to go on. Both are empty at the
    beginning."""

    partition: str = ""
    after: str = ""


BEGINNING = Position()


def export(table: Table, tenant: str, user: str | None, path: Path, *, resume: bool) -> int:
    """Writes the file. Returns the number of lines that tell of damage.

    Raises:
        FileExistsError: there is such a file, and `resume` is not set.
        ValueError: the file is not an export of this tenant.
    """
    begin = _cut_back(path, tenant) if resume and path.exists() else BEGINNING
    damaged = 0
    with path.open("a" if resume else "x", encoding="utf-8", newline="") as file:
        for line in lines(table, tenant, user, begin):
            damaged += line.startswith('{"type":"damaged"')
            file.write(line + "\n")
    return damaged


def lines(
    table: Table, tenant: str, user: str | None, begin: Position = BEGINNING
) -> Iterator[str]:
    """The lines of an export, from a position on."""
    exporter = Exporter(table)
    for partition in _partitions(table, tenant, user):
        if begin.partition and _order(partition) < _order(begin.partition):
            continue
        after = begin.after if partition == begin.partition else ""
        if partition != begin.partition and not keys.is_sources(partition):
            yield _first(partition, tenant)
        rest = exporter.lines(partition, after)
        while True:
            budget.begin()
            some = [line.text for line in islice(rest, LINES_AT_ONCE)]
            budget.end()
            yield from some
            if len(some) < LINES_AT_ONCE:
                break


def _partitions(table: Table, tenant: str, user: str | None) -> Iterator[str]:
    if user is not None:
        yield Caller(tenant, user).partition
        return
    yield from users_of(table, tenant)
    yield keys.tenant_partition(tenant)
    yield keys.tenant_sources(tenant)


def _order(partition: str) -> tuple[bool, bool, str, str]:
    """As `_partitions` yields them."""
    kind = keys.is_sources(partition), keys.is_tenant(partition)
    return *kind, keys.by_tenant(partition)["GSI3PK"], partition


def _first(partition: str, tenant: str) -> str:
    if keys.is_tenant(partition):
        return first_line("tenant", tenant)
    return first_line("user", keys.user_of(partition))


def _cut_back(path: Path, tenant: str) -> Position:
    """Removes a last line that is not whole. Returns where the file ends.

    Raises:
        ValueError
    """
    partition, after, end = "", "", 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            end += len(line)
            sent = read_line(line.decode())
            if sent["type"] == "user":
                partition, after = Caller(tenant, sent["user"]).partition, ""
            elif sent["type"] == "tenant":
                partition, after = keys.tenant_partition(tenant), ""
                if sent["tenant"] != tenant:
                    raise ValueError(f"the file is an export of the tenant {sent['tenant']}")
            else:
                after = position_of(sent)
                if "hash" in sent:  # of a verdict
                    partition = keys.tenant_sources(tenant)
    os.truncate(path, end)
    return Position(partition, after)


def restore(
    table: Table, tenant: str, path: Path, *, web_sources: bool = False
) -> Iterator[Restored]:
    """Imports the file. Yields what was written so far, now and then.

    Raises:
        BadLine: the file has a line that is not of an export.
    """
    with path.open(encoding="utf-8", newline="\n") as file:
        restorer = Restorer(table, ids.UlidSource(), web_sources=web_sources)
        yield from restorer.restore(file, tenant)


def restore_from(
    source: Table,
    table: Table,
    caller: Caller,
    session_ulid: str = "",
    clock: ids.Clock = ids.system_clock,
    *,
    web_sources: bool = False,
) -> Iterator[Restored]:
    """Writes what `source` has of a user, or of one session, and `table` has not. Yields what was
    written so far, after each line. Holds one line at a time.

    Raises:
        BadLine: what is read cannot be written; `check` on the source says more.
    """
    lines = Exporter(source, clock).lines(caller.partition, session_ulid=session_ulid)
    whole = chain([first_line("user", caller.user)], (line.text for line in lines))
    restorer = Restorer(table, ids.UlidSource(clock), web_sources=web_sources)
    yield from restorer.restore(whole, caller.tenant)
