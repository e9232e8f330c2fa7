"""LangGraph's SqliteSaver and AsyncSqliteSaver (tables `checkpoints` and `writes`), and its
SqliteStore (table `store`). One file may have both.

Checkpoints keep their ids, parents, metadata and pending writes. Items of the store get the time of
the import. Those whose TTL is over are left out. A session has the time of its last checkpoint.
"""

import base64
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

from session_store.adapters._langgraph.checkpoints import (
    CHECKPOINT,
    CHECKPOINT_TYPE,
    WRITES_TYPE,
    checkpoint_id,
    checkpoint_value,
    namespace_prefix,
    pieces,
    session_of,
    task_name,
    writes_value,
)
from session_store.adapters._langgraph.checkpoints import Write as PendingWrite
from session_store.adapters._langgraph.items import body_of, name_of
from session_store.migrations import (
    Conversation,
    Record,
    SourceUnreadable,
    Values,
    open_sqlite,
    parse_json,
)
from session_store.models import Write

DOMAIN = "langgraph"

GREGORIAN = datetime(1582, 10, 15, tzinfo=UTC)
"""Where the time of a UUID begins."""


def read(path: Path) -> Iterator[Record]:
    """A session for each thread, and then the items of the store."""
    with open_sqlite(path) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if not tables & {"checkpoints", "store"}:
            raise SourceUnreadable(f"{path}: has no table checkpoints and no table store")
        if "checkpoints" in tables:
            for thread, latest in database.execute(
                "SELECT thread_id, max(checkpoint_id) FROM (SELECT thread_id, checkpoint_id "
                "FROM checkpoints UNION SELECT thread_id, checkpoint_id FROM writes) "
                "GROUP BY 1 ORDER BY 2"
            ):
                yield Conversation(
                    session=session_of(thread, DOMAIN),
                    values=_values(database, thread),
                    created_at=_time_of(latest),
                )
        if "store" in tables:
            yield Values(place="user", values=_items(database, str(path)))


def _values(database: sqlite3.Connection, thread: str) -> Iterator[Write]:
    query = "SELECT * FROM checkpoints WHERE thread_id = ? ORDER BY checkpoint_ns, checkpoint_id"
    for row in database.execute(query, (thread,)):
        header, data = checkpoint_value(
            row["checkpoint_ns"],
            row["parent_checkpoint_id"],
            ("json", _bytes(row["metadata"] or "{}")),
            (row["type"], row["checkpoint"]),
        )
        yield from _pieces(_base(row) + CHECKPOINT, header, data, CHECKPOINT_TYPE)
    query = (
        "SELECT * FROM writes WHERE thread_id = ? "
        "ORDER BY checkpoint_ns, checkpoint_id, task_id, idx"
    )
    rows = database.execute(query, (thread,))
    for (base, task, special), group in groupby(rows, _value_of_write):
        writes = [_write(row) for row in group]
        name = f"{base}{task_name(task)}" + (f"/{special}" if special else "")
        header, data = writes_value(task, writes[0].path, writes)
        yield from _pieces(name, header, data, WRITES_TYPE)


def _base(row: sqlite3.Row) -> str:
    return f"{namespace_prefix(row['checkpoint_ns'])}{checkpoint_id(row['checkpoint_id'])}/"


def _value_of_write(row: sqlite3.Row) -> tuple[str, str, int]:
    """Those of special channels, whose index is below 0, are values of their own."""
    return _base(row), row["task_id"], min(row["idx"], 0)


def _write(row: sqlite3.Row) -> PendingWrite:
    # Files of langgraph-checkpoint-sqlite before 3.1 have no paths.
    path = row["task_path"] if "task_path" in row.keys() else ""  # noqa: SIM118 - rows have values
    return PendingWrite(
        path, row["task_id"], row["idx"], row["channel"], row["type"], _bytes(row["value"])
    )


def _bytes(column: Any) -> bytes:
    """Metadata of old files is text."""
    return column.encode() if isinstance(column, str) else bytes(column or b"")


def _time_of(id_: str) -> str | None:
    """LangGraph's ids are UUIDs of version 6, which begin with their time."""
    try:
        found = UUID(id_)
    except ValueError:
        return None
    if found.version != 6:
        return None
    ticks = found.int >> 80 << 12 | found.int >> 64 & 0xFFF
    return (GREGORIAN + timedelta(microseconds=ticks // 10)).isoformat()


def _pieces(name: str, header: Any, data: bytes, content_type: str) -> Iterator[Write]:
    for piece, part in pieces(name, header, data):
        yield _put(piece, part, content_type)


def _items(database: sqlite3.Connection, where: str) -> Iterator[Write]:
    columns = {row["name"] for row in database.execute("PRAGMA table_info(store)")}
    alive = " WHERE expires_at IS NULL OR expires_at > CURRENT_TIMESTAMP" * (
        "expires_at" in columns
    )
    query = f"SELECT prefix, key, value FROM store{alive} ORDER BY prefix, key"  # noqa: S608
    for row in database.execute(query):
        namespace = tuple(row["prefix"].split("."))
        value = parse_json(row["value"], f"{where}: item {row['key']} of {row['prefix']}")
        data, content_type = body_of(namespace, row["key"], value)
        yield _put(name_of(namespace, row["key"]), data, content_type)


def _put(name: str, data: bytes, content_type: str) -> Write:
    return {
        "put": name,
        "base64": base64.b64encode(data).decode(),
        "content_type": content_type,
    }
