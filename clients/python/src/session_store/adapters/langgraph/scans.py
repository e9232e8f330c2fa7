"""Positions in lists of checkpoints, latest first."""

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import get_checkpoint_id

from session_store.adapters._langgraph.checkpoints import (
    CHECKPOINT,
    ROOT,
    Stored,
    checkpoint_id,
    namespace_prefix,
)
from session_store.models import ValuePage

PENDING = 2
"""Values that are read to find one checkpoint: it, and the pending writes of one task. If there are
more, a second request reads them. With a greater limit, a thread that is not interrupted would read
more of the checkpoint before."""

PAGE = 100
"""Values of a page, which has 4.5 MB at most."""


class Scan:
    """The checkpoints of a thread whose names begin with `prefix`. `take` is given page by page."""

    def __init__(
        self, thread: Any, prefix: str, *, after: str | None = None, limit: int = PAGE
    ) -> None:
        self.thread, self.prefix, self.after, self.limit = thread, prefix, after, limit
        self.cursor: str | None = None
        self.done = False
        self.last = Stored("", "")

    def take(self, page: ValuePage) -> list[Stored]:
        """The checkpoints that this page completes."""
        complete = []
        for value in page.values:
            _, namespace, id_, name = value.name.split("/", 3)
            if (namespace, id_) != (self.last.namespace, self.last.id):
                self.last = Stored(namespace, id_)
            self.last.values[name] = value
            if name == CHECKPOINT:
                complete.append(self.last)
        self.cursor, self.done = page.next_cursor, page.next_cursor is None
        return complete


class Listing:
    """What `list` is asked for, and how far it is. Without a config, the threads are added to it
    page by page."""

    def __init__(
        self,
        config: RunnableConfig | None,
        filter_: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> None:
        self.filter, self.limit = filter_ or {}, limit
        self.namespace = config["configurable"].get("checkpoint_ns") if config else None
        self.threads = [config["configurable"]["thread_id"]] if config else []
        self.all_threads = config is not None
        """Whether no more threads are to come, after `cursor`."""
        self.cursor: str | None = None
        self._scan: Scan | None = None
        self._id, self._before = _id_in(config), _id_in(before)

    @property
    def done(self) -> bool:
        if self.limit is not None and self.limit <= 0:
            return True
        return self.all_threads and not self.threads and (not self._scan or self._scan.done)

    def scan(self) -> Scan | None:
        """Of the present thread; None if the next threads must be added first."""
        if not self._scan or self._scan.done:
            self._scan = self._scan_of(self.threads.pop(0)) if self.threads else None
        return self._scan

    def _scan_of(self, thread: Any) -> Scan:
        if self.namespace is None:
            return Scan(thread, ROOT)
        prefix = namespace_prefix(self.namespace)
        if self._id is not None:
            return Scan(thread, f"{prefix}{self._id}/")
        after = None if self._before is None else f"{prefix}{self._before}/"
        few = self.limit is not None and not self.filter
        return Scan(
            thread,
            prefix,
            after=after,
            limit=min(PAGE, PENDING * (self.limit or 1)) if few else PAGE,
        )

    def includes(self, stored: Stored) -> bool:
        return self._id in (None, stored.id) and (self._before is None or stored.id < self._before)


def _id_in(config: RunnableConfig | None) -> str | None:
    """As it is in names."""
    id_ = get_checkpoint_id(config) if config else None
    return checkpoint_id(id_) if id_ else None
