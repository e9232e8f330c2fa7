"""SqliteSaver and AsyncSqliteSaver of LangGraph. Needs `session-store-client[langgraph]`.

Checkpoints and writes are taken over as they were serialized. A store's items are not in them.
"""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any
from uuid import UUID

from session_store.adapters.langgraph.threads import session_of
from session_store.adapters.langgraph.values import (
    CHECKPOINT,
    Write,
    checkpoint_id,
    namespace_prefix,
    pieces,
    task_name,
    writes_value,
)
from session_store.adapters.langgraph.writing import CHECKPOINT_TYPE, WRITES_TYPE
from session_store.migrations import Conversation, open_sqlite
from session_store.models import Write as Put

DOMAIN = "langgraph"

GREGORIAN = datetime(1582, 10, 15, tzinfo=UTC)
"""Where the time of a UUID begins."""


def read(path: Path) -> Iterator[Conversation]:
    """The time of a session is that of its last checkpoint."""
    with open_sqlite(path, "checkpoints", "writes") as database:
        query = "SELECT thread_id, max(checkpoint_id) FROM checkpoints GROUP BY thread_id"
        for thread, latest in database.execute(f"{query} ORDER BY max(checkpoint_id)"):
            yield Conversation(
                session=session_of(thread, DOMAIN),
                values=_values(database, thread),
                created_at=_time_of(latest),
            )


def _values(database: Connection, thread: str) -> Iterator[Put]:
    query = "SELECT * FROM checkpoints WHERE thread_id = ? ORDER BY checkpoint_ns, checkpoint_id"
    for row in database.execute(query, (thread,)):
        prefix = f"{namespace_prefix(row['checkpoint_ns'])}{checkpoint_id(row['checkpoint_id'])}/"
        metadata = row["metadata"] or b"{}"
        if isinstance(metadata, str):
            metadata = metadata.encode()
        header = {
            "ns": row["checkpoint_ns"],
            "parent": row["parent_checkpoint_id"],
            "metadata": ["json", len(metadata)],
            "checkpoint": row["type"],
        }
        data = metadata + (row["checkpoint"] or b"")
        for name, piece in pieces(prefix + CHECKPOINT, header, data):
            yield _put(name, piece, CHECKPOINT_TYPE)
        yield from _writes(database, row, prefix)


def _writes(database: Connection, checkpoint: Any, prefix: str) -> Iterator[Put]:
    """Those of a task together, but for those to special channels, as the adapter keeps them."""
    found = database.execute(
        "SELECT * FROM writes WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ? "
        "ORDER BY task_id, idx",
        (checkpoint["thread_id"], checkpoint["checkpoint_ns"], checkpoint["checkpoint_id"]),
    )
    values: dict[str, list[Write]] = {}
    for row in found:
        index, task = row["idx"], row["task_id"]
        path = row["task_path"] if "task_path" in row.keys() else ""  # noqa: SIM118 - of a Row
        write = Write(path, task, index, row["channel"], row["type"], row["value"] or b"")
        name = task_name(task) if index >= 0 else f"{task_name(task)}/{index}"
        values.setdefault(name, []).append(write)
    for name, writes in values.items():
        header, data = writes_value(writes[0].task, writes[0].path, writes)
        for piece, part in pieces(prefix + name, header, data):
            yield _put(piece, part, WRITES_TYPE)


def _put(name: str, data: bytes, content_type: str) -> Put:
    text = base64.b64encode(data).decode()
    return {"put": name, "base64": text, "content_type": content_type}


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
