"""How checkpoints of LangGraph and their pending writes are kept as values of a session.

    cp/<namespace>/<checkpoint id>/c                      a checkpoint
    cp/<namespace>/<checkpoint id>/w/<task id>            the pending writes of a task
    cp/<namespace>/<checkpoint id>/w/<task id>/<index>    its write to a special channel
    …/part/<hash>/<number>                                a part of one that is too large

All that belongs to a checkpoint stands together in the order of the names, and in descending order
the checkpoint comes last. A value is a line of JSON, and then the bytes which that describes.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from session_store.adapters._langgraph.names import HASHED, escaped
from session_store.errors import SessionStoreError
from session_store.models import SessionToCreate, Value

ROOT = "cp/"
CHECKPOINT = "c"

MAX_VALUE = 3 * 1024 * 1024
"""Bytes, see README "Limits"."""

CHECKPOINT_TYPE = "application/vnd.langgraph.checkpoint"
WRITES_TYPE = "application/vnd.langgraph.writes"

PART = 2_500_000
"""Bytes of a part."""


MAX_KEY = 512
"""Characters of the key of a session."""

_NO_KEY = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""What no key contains."""


@dataclass(frozen=True)
class Write:
    """A pending write. `type` and `data` are what the serializer has made of its value."""

    path: str
    task: str
    index: int
    channel: str
    type: str
    data: bytes


@dataclass
class Stored:
    """The values of one checkpoint by the last part of their names. `namespace` and `id` are as in
    the names."""

    namespace: str
    id: str
    values: dict[str, Value] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """In ascending order."""
        return sorted(value.name for value in self.values.values())

    def read(self, name: str) -> tuple[Any, bytes]:
        head, _, data = self.values[name].content.partition(b"\n")
        header = json.loads(head)
        if "parts" in header:
            parts = [f"{name}/{part}" for part in header["parts"]]
            if not self.values.keys() >= set(parts):
                raise SessionStoreError(f"Checkpoint {self.id} is incomplete in the store.")
            data = b"".join(self.values[part].content for part in parts)
        return header, data

    def writes_of(self, name: str) -> list[Write]:
        header, data = self.read(name)
        writes = []
        for index, channel, kind, size in header["writes"]:
            write = Write(header["path"], header["task"], index, channel, kind, data[:size])
            writes.append(write)
            data = data[size:]
        return writes

    def writes(self) -> list[Write]:
        """All pending writes, in the order of LangGraph's `writes_sort_key`."""
        names = (name for name in self.values if name.startswith("w/"))
        found = [
            write
            for name in names
            if "part" not in name.split("/")[2:]
            for write in self.writes_of(name)
        ]
        return sorted(found, key=lambda each: (each.path, each.task, each.index))


def namespace_prefix(namespace: str) -> str:
    return f"{ROOT}{escaped(namespace, 300)}/"


def checkpoint_id(id_: str) -> str:
    return escaped(id_, 100)


def task_name(task: str) -> str:
    return f"w/{escaped(task, 100)}"


def checkpoint_value(
    namespace: str, parent: str | None, metadata: tuple[str, bytes], state: tuple[str, bytes]
) -> tuple[Any, bytes]:
    """The header and the bytes of a checkpoint. `metadata` and `state` are what the serializer has
    made of them, each with its type."""
    header = {
        "ns": namespace,
        "parent": parent,
        "metadata": [metadata[0], len(metadata[1])],
        "checkpoint": state[0],
    }
    return header, metadata[1] + state[1]


def writes_value(task: str, path: str, writes: Iterable[Write]) -> tuple[Any, bytes]:
    """The header and the bytes of the writes of a task."""
    kept = sorted(writes, key=lambda write: write.index)
    rows = [[each.index, each.channel, each.type, len(each.data)] for each in kept]
    header = {"task": task, "path": path, "writes": rows}
    return header, b"".join(each.data for each in kept)


def pieces(name: str, header: Any, data: bytes) -> Iterator[tuple[str, bytes]]:
    """The values to write, with their names. If there are several, the last one makes the others
    count. Parts are named after their content, so an earlier one of the same name stays whole."""
    whole = json.dumps(header, separators=(",", ":")).encode() + b"\n" + data
    if len(whole) <= MAX_VALUE:
        yield name, whole
        return
    digest = hashlib.sha256(data).hexdigest()[:32]
    parts = []
    for number, start in enumerate(range(0, len(data), PART)):
        parts.append(f"part/{digest}/{number:04}")
        yield f"{name}/{parts[-1]}", data[start : start + PART]
    yield name, json.dumps({**header, "parts": parts}, separators=(",", ":")).encode() + b"\n"


def key_of(thread: Any) -> str:
    """The key of its session: the thread's id, or a hash of it if that cannot be a key.

    >>> key_of("user 7"), key_of("")[:10]
    ('user 7', '%-e3b0c442')
    """
    text = str(thread)
    if 1 <= len(text) <= MAX_KEY and not text.startswith(HASHED) and not _NO_KEY.search(text):
        return text
    return HASHED + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def session_of(thread: Any, domain_id: str) -> SessionToCreate:
    session: SessionToCreate = {"key": key_of(thread), "domain_id": domain_id}
    if session["key"] != str(thread):
        session["metadata"] = {"thread_id": str(thread)}
    return session
