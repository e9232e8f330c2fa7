"""Reads checkpoints, once for synchronous and asynchronous methods."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
    get_checkpoint_id,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from session_store import AsyncClient, Client
from session_store.adapters._langgraph.checkpoints import CHECKPOINT, Stored, Write, checkpoint_id
from session_store.adapters._langgraph.names import HASHED
from session_store.adapters.langgraph.scans import PENDING, Listing, Scan
from session_store.adapters.langgraph.steps import Steps, TwoClients
from session_store.adapters.langgraph.threads import config_of, place_of, values_of
from session_store.errors import NotFound
from session_store.models import Session, ValuePage

Visit = Callable[[Stored], bool]
"""Is given an ancestor, and says whether its own ancestors are wanted."""


class Reading(BaseCheckpointSaver[Any]):
    def __init__(
        self,
        client: Client | AsyncClient,
        async_client: AsyncClient | None = None,
        *,
        domain_id: str = "langgraph",
        serde: SerializerProtocol | None = None,
    ) -> None:
        """`domain_id` is that of the sessions which are created."""
        super().__init__(serde=serde)
        self._clients = TwoClients(client, async_client)
        self._domain = domain_id

    def _get(self, config: RunnableConfig) -> Steps[CheckpointTuple | None]:
        thread, prefix = place_of(config)
        if id_ := get_checkpoint_id(config):
            stored = yield from self._stored(thread, f"{prefix}{checkpoint_id(id_)}/")
            return self._tuple(thread, stored) if stored else None
        after = None
        while True:
            scan = Scan(thread, prefix, after=after, limit=PENDING)
            page = yield from self._page(scan)
            if not page.values:
                return None
            after = f"{prefix}{page.values[0].name.split('/')[2]}/"
            complete = scan.take(page)
            if complete and after == f"{prefix}{complete[0].id}/":
                return self._tuple(thread, complete[0])
            if stored := (yield from self._stored(thread, after)):
                return self._tuple(thread, stored)

    def _more(self, listing: Listing) -> Steps[list[CheckpointTuple]]:
        """Sends one request, and returns what it has brought."""
        scan = listing.scan()
        if scan is None:
            yield from self._threads(listing)
            return []
        found = []
        for stored in scan.take((yield from self._page(scan))):
            if listing.limit is not None and listing.limit <= 0:
                break
            if listing.includes(stored) and self._matches(stored, listing.filter):
                found.append(self._tuple(scan.thread, stored))
                listing.limit = None if listing.limit is None else listing.limit - 1
        return found

    def _history(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> Steps[Mapping[str, DeltaChannelHistory]]:
        latest_first: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
        seeds: dict[str, Any] = {}

        def visit(ancestor: Stored) -> bool:
            wanted = latest_first.keys() - seeds.keys()
            for write in reversed(ancestor.writes()):
                if write.channel in wanted:
                    latest_first[write.channel].append(self._pending(write))
            state = self._checkpoint(ancestor)["channel_values"]
            seeds.update({channel: state[channel] for channel in wanted if channel in state})
            return len(seeds) < len(latest_first)

        if channels:
            thread, prefix = place_of(config)
            id_ = get_checkpoint_id(config)
            yield from self._ancestors(thread, prefix, checkpoint_id(id_) if id_ else None, visit)
        histories: dict[str, DeltaChannelHistory] = {}
        for channel, writes in latest_first.items():
            histories[channel] = {"writes": writes[::-1]}
            if channel in seeds:
                histories[channel]["seed"] = seeds[channel]
        return histories

    def _ancestors(self, thread: Any, prefix: str, wanted: str | None, visit: Visit) -> Steps[None]:
        """Visits the parent of a checkpoint, its parent and so on. Most stand one after the other
        in the list; those of other branches are left out. An id that is greater than its child's,
        because two clocks differ, is read by itself."""
        after = f"{prefix}{wanted}/w" if wanted else None  # so without its pending writes
        scan = Scan(thread, prefix, after=after)
        ahead: list[Stored] = []
        seen = set[str]()
        while True:
            while not scan.done and (not ahead or wanted and ahead[-1].id > wanted):
                ahead = scan.take((yield from self._page(scan)))
            ahead = [each for each in ahead if not wanted or each.id <= wanted]
            stored: Stored | None
            if ahead and wanted in (None, ahead[0].id):
                stored = ahead.pop(0)
            elif wanted:
                stored = yield from self._stored(thread, f"{prefix}{wanted}/")
            else:
                return
            if not stored or (seen and not visit(stored)):
                return
            parent = stored.read(CHECKPOINT)[0]["parent"]
            seen.add(stored.id)
            wanted = checkpoint_id(parent) if parent else None
            if wanted is None or wanted in seen:
                return

    def _threads(self, listing: Listing) -> Steps[None]:
        """Adds the threads of the next page of sessions."""
        page = yield lambda c: c.sessions.page(domain_id=self._domain, cursor=listing.cursor)
        for session in page.sessions:
            if session.key:
                listing.threads.append((yield from self._thread_of(session)))
        listing.cursor, listing.all_threads = page.next_cursor, page.next_cursor is None

    def _thread_of(self, session: Session) -> Steps[str]:
        if not str(session.key).startswith(HASHED):
            return str(session.key)
        opened = yield lambda c: c.sessions.get(session.session_id, messages=0)
        return str((opened.metadata or {}).get("thread_id", session.key))

    def _page(self, scan: Scan, *, names_only: bool = False) -> Steps[ValuePage]:
        """Empty if there is no such session."""
        try:
            page: ValuePage = yield lambda c: values_of(c, scan.thread).page(
                scan.prefix,
                order="desc",
                names_only=names_only,
                limit=scan.limit,
                cursor=scan.cursor,
                after=None if scan.cursor else scan.after,
            )
        except NotFound:
            return ValuePage(values=(), next_cursor=None)
        return page

    def _read(self, thread: Any, prefix: str) -> Steps[Stored]:
        """The values of one checkpoint whose names begin with `prefix`."""
        scan = Scan(thread, prefix)
        while not scan.done:
            scan.take((yield from self._page(scan)))
        return scan.last

    def _stored(self, thread: Any, prefix: str) -> Steps[Stored | None]:
        """The checkpoint with all its values. None if there are pending writes alone: the process
        that was to put the checkpoint has ended."""
        stored = yield from self._read(thread, prefix)
        return stored if CHECKPOINT in stored.values else None

    def _tuple(self, thread: Any, stored: Stored) -> CheckpointTuple:
        header, _ = stored.read(CHECKPOINT)
        checkpoint = self._checkpoint(stored)
        parent = header["parent"]
        return CheckpointTuple(
            config=config_of(thread, header["ns"], checkpoint["id"]),
            checkpoint=checkpoint,
            metadata=self._metadata(stored),
            parent_config=config_of(thread, header["ns"], parent) if parent else None,
            pending_writes=[self._pending(write) for write in stored.writes()],
        )

    def _metadata(self, stored: Stored) -> CheckpointMetadata:
        header, data = stored.read(CHECKPOINT)
        kind, size = header["metadata"]
        metadata: CheckpointMetadata = self.serde.loads_typed((kind, data[:size]))
        return metadata

    def _checkpoint(self, stored: Stored) -> Checkpoint:
        header, data = stored.read(CHECKPOINT)
        state = header["checkpoint"], data[header["metadata"][1] :]
        checkpoint: Checkpoint = self.serde.loads_typed(state)
        return checkpoint

    def _pending(self, write: Write) -> PendingWrite:
        return write.task, write.channel, self.serde.loads_typed((write.type, write.data))

    def _matches(self, stored: Stored, wanted: Mapping[str, Any]) -> bool:
        if not wanted:
            return True
        metadata: Mapping[str, Any] = self._metadata(stored)
        return all(metadata.get(name) == value for name, value in wanted.items())
