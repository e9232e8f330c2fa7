"""Writes, deletes and copies checkpoints, once for synchronous and asynchronous methods.

This module is over 250 lines because copies, deletes and pruning use what writes a checkpoint.
"""

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    Checkpoint,
    CheckpointMetadata,
    get_checkpoint_id,
    get_checkpoint_metadata,
)

from session_store.adapters._langgraph.checkpoints import (
    CHECKPOINT,
    CHECKPOINT_TYPE,
    ROOT,
    WRITES_TYPE,
    Stored,
    Write,
    checkpoint_id,
    checkpoint_value,
    key_of,
    pieces,
    session_of,
    task_name,
    writes_value,
)
from session_store.adapters.langgraph.reading import Reading
from session_store.adapters.langgraph.scans import Listing, Scan
from session_store.adapters.langgraph.steps import Steps
from session_store.adapters.langgraph.threads import (
    config_of,
    place_of,
    session_id,
    values_of,
)
from session_store.errors import Conflict, NotFound, PreconditionFailed, error_of
from session_store.models import Operation

NAMES, DELETES = 1000, 100
"""Names of a page without contents, and operations of a batch."""

TOGETHER = 2_000_000
"""Bytes of writes in a batch."""

TRIES = 5
"""How often writes are merged again because another writer was first."""

Call = Callable[[Any], Any]


class Writing(Reading):
    def get_next_version(self, current: Any, channel: None) -> Any:
        """An integer. Threads from another saver may have text such as `00…03.0.72`."""
        if isinstance(current, str):
            return f"{int(current.partition('.')[0]) + 1:032}"
        return super().get_next_version(current, channel)

    def _put(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> Steps[RunnableConfig]:
        thread, prefix = place_of(config)
        parent = get_checkpoint_id(config)
        namespace = config["configurable"].get("checkpoint_ns", "")
        header, data = checkpoint_value(
            namespace,
            parent,
            self.serde.dumps_typed(get_checkpoint_metadata(config, metadata)),
            self.serde.dumps_typed(checkpoint),
        )
        name = f"{prefix}{checkpoint_id(checkpoint['id'])}/{CHECKPOINT}"
        if parent is None and not namespace:
            yield from self._create(thread)
        for piece, part in pieces(name, header, data):
            yield from self._upload(thread, piece, part, CHECKPOINT_TYPE)
        return config_of(thread, namespace, checkpoint["id"])

    def _put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task: str,
        path: str,
    ) -> Steps[None]:
        thread, prefix = place_of(config)
        base = f"{prefix}{checkpoint_id(config['configurable']['checkpoint_id'])}/"
        kept: dict[str, dict[int, Write]] = {}
        for number, (channel, value) in enumerate(writes):
            index = WRITES_IDX_MAP.get(channel, number)
            name = task_name(task) if index >= 0 else f"{task_name(task)}/{index}"
            write = Write(path, task, index, channel, *self.serde.dumps_typed(value))
            kept.setdefault(name, {})[index] = write
        values = [
            (name, piece, data)
            for name, rows in kept.items()
            for piece, data in pieces(base + name, *writes_value(task, path, rows.values()))
        ]
        taken = []
        if len(values) > 1 and sum(len(data) for _, _, data in values) <= TOGETHER:
            operations = [_operation(base, name, data) for name, _, data in values]
            results = yield from self._sent(thread, _batch(thread, operations))
            for (name, _, _), result in zip(values, results, strict=True):
                if result.status == 412:
                    taken.append(name)
                elif not result.ok:
                    raise error_of(result.status, result.problem)
        else:
            for name, piece, data in values:
                only_new = piece == base + task_name(task)
                try:
                    yield from self._upload(thread, piece, data, WRITES_TYPE, only_new=only_new)
                except PreconditionFailed:
                    taken.append(name)
        for name in taken:
            yield from self._merge(thread, base, name, kept[name].values())

    def _merge(self, thread: Any, base: str, name: str, writes: Iterable[Write]) -> Steps[None]:
        """Adds the writes whose indexes are new to those that the task has already."""
        for _ in range(TRIES):
            stored = yield from self._read(thread, base + name)
            present = stored.writes_of(name) if name in stored.values else []
            new = [each for each in writes if each.index not in {old.index for old in present}]
            if not new:
                return
            merged = [*present, *new]
            header, data = writes_value(new[0].task, new[0].path, merged)
            etag = stored.values[name].etag if present else None
            try:
                for piece, part in pieces(base + name, header, data):
                    final = piece == base + name
                    yield from self._upload(
                        thread,
                        piece,
                        part,
                        WRITES_TYPE,
                        only_new=final and etag is None,
                        if_match=etag if final else None,
                    )
                return
            except PreconditionFailed as error:
                failure = error
        raise failure

    def _delete_thread(self, thread: Any) -> Steps[None]:
        id_ = session_id(thread)
        try:
            session = yield lambda c: c.sessions.get(id_, messages=0)
            if session.domain_id == self._domain and not session.message_count:
                yield lambda c: c.sessions.delete(id_, if_match=session.etag)
            else:
                yield lambda c: values_of(c, thread).delete_all(ROOT)
        except NotFound:
            return
        except PreconditionFailed:  # a message has come
            yield from self._delete_thread(thread)

    def _delete_for_runs(self, run_ids: Sequence[str]) -> Steps[None]:
        listing = Listing(None, None, None, None)
        while run_ids and not listing.done:
            scan = listing.scan()
            if scan is None:
                yield from self._threads(listing)
                continue
            for stored in scan.take((yield from self._page(scan))):
                if self._metadata(stored).get("run_id") in run_ids:
                    yield from self._delete(scan.thread, stored.names)

    def _copy_thread(self, source: Any, target: Any) -> Steps[None]:
        try:
            fork = yield lambda c: c.sessions.fork(session_id(source), key=key_of(target))
        except NotFound:
            return
        except Conflict as error:
            if error.code != "SESSION_EXISTS":
                raise
        else:
            about = session_of(target, self._domain).get("metadata")
            if about:
                yield lambda c: c.sessions.update(fork.session_id, metadata=about)
            return
        scan = Scan(source, ROOT)
        while not scan.done:
            for stored in scan.take((yield from self._page(scan))):
                for name in reversed(stored.names):
                    value = stored.values[name.split("/", 3)[3]]
                    yield from self._upload(target, name, value.content, value.content_type)

    def _prune(self, threads: Sequence[Any], strategy: str) -> Steps[None]:
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"Unknown strategy: {strategy}")
        for thread in threads:
            if strategy == "delete":
                yield from self._delete_thread(thread)
            else:
                yield from self._keep_latest(thread)

    def _keep_latest(self, thread: Any) -> Steps[None]:
        scan = Scan(thread, ROOT, limit=NAMES)
        latest, kept = "", set[str]()
        while not scan.done:
            old = []
            page = yield from self._page(scan, names_only=True)
            scan.take(page)
            for value in page.values:
                _, namespace, id_, name = value.name.split("/", 3)
                if namespace != latest and name == CHECKPOINT:
                    latest = namespace
                    kept = yield from self._needed(thread, f"{ROOT}{namespace}/", id_)
                elif namespace == latest and id_ not in kept:
                    old.append(value.name)
            yield from self._delete(thread, old[::-1])

    def _needed(self, thread: Any, prefix: str, id_: str) -> Steps[set[str]]:
        """The ids of this checkpoint, and of those from which its delta channels are rebuilt."""
        kept = {id_}
        stored = yield from self._stored(thread, f"{prefix}{id_}/")
        missing = (
            set(self._metadata(stored).get("counters_since_delta_snapshot") or ())
            if stored
            else set()
        )

        def visit(ancestor: Stored) -> bool:
            kept.add(ancestor.id)
            missing.difference_update(self._checkpoint(ancestor)["channel_values"])
            return bool(missing)

        if missing:
            yield from self._ancestors(thread, prefix, id_, visit)
        return kept

    def _create(self, thread: Any) -> Steps[None]:
        yield lambda c: c.sessions.create(**session_of(thread, self._domain))

    def _sent(self, thread: Any, call: Call) -> Steps[Any]:
        """Creates the session if there is none."""
        try:
            return (yield call)
        except NotFound:
            yield from self._create(thread)
            return (yield call)

    def _upload(
        self, thread: Any, name: str, data: bytes, content_type: str, **conditions: Any
    ) -> Steps[None]:
        yield from self._sent(
            thread,
            lambda c: values_of(c, thread).upload(
                name, data, content_type=content_type, **conditions
            ),
        )

    def _delete(self, thread: Any, names: Sequence[str]) -> Steps[None]:
        for start in range(0, len(names), DELETES):
            operations: list[Operation] = [{"delete": n} for n in names[start : start + DELETES]]
            for result in (yield _batch(thread, operations)):
                if not result.ok:
                    raise error_of(result.status, result.problem)


def _batch(thread: Any, operations: Sequence[Operation]) -> Call:
    return lambda client: values_of(client, thread).batch(operations)


def _operation(base: str, name: str, data: bytes) -> Operation:
    operation: Operation = {
        "put": base + name,
        "base64": base64.b64encode(data).decode(),
        "content_type": WRITES_TYPE,
    }
    if name.count("/") == 1:  # of regular channels
        operation["if_none_match"] = "*"
    return operation
