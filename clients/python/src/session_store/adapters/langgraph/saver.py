"""LangGraph's checkpoints in the session store."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from session_store.adapters.langgraph.scans import Listing
from session_store.adapters.langgraph.writing import Writing


class SessionStoreSaver(Writing):
    """Keeps each thread in the session whose key is the thread's id. The first checkpoint creates
    the session. Synchronous methods need a `Client`, asynchronous ones an `AsyncClient`.

    Checkpoints and writes over 3 MB are divided. They are seen when the last part is written. A
    list with no `checkpoint_ns` goes namespace by namespace, each latest first. One with no config
    goes over all sessions of this `domain_id`, as `delete_for_runs` does; the newest may be missing
    for a moment (README "Limits").
    """

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._clients.run(self._get(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await self._clients.arun(self._get(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        listing = Listing(config, filter, before, limit)
        while not listing.done:
            yield from self._clients.run(self._more(listing))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        listing = Listing(config, filter, before, limit)
        while not listing.done:
            for found in await self._clients.arun(self._more(listing)):
                yield found

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,  # noqa: ARG002
    ) -> RunnableConfig:
        return self._clients.run(self._put(config, checkpoint, metadata))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,  # noqa: ARG002
    ) -> RunnableConfig:
        return await self._clients.arun(self._put(config, checkpoint, metadata))

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        self._clients.run(self._put_writes(config, writes, task_id, task_path))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        await self._clients.arun(self._put_writes(config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """Deletes the whole session if this adapter has created it and it has no messages, else
        only the checkpoints in it."""
        self._clients.run(self._delete_thread(thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        await self._clients.arun(self._delete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Reads all checkpoints of all threads."""
        self._clients.run(self._delete_for_runs(run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self._clients.arun(self._delete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Forks the session, with its messages. If the target is there already, the checkpoints are
        copied into it one by one."""
        self._clients.run(self._copy_thread(source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._clients.arun(self._copy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """With `keep_latest`, also keeps the checkpoints from which delta channels of the latest
        are rebuilt."""
        self._clients.run(self._prune(thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        await self._clients.arun(self._prune(thread_ids, strategy))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return self._clients.run(self._history(config, channels))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return await self._clients.arun(self._history(config, channels))
