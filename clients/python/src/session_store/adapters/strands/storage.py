"""Strands' storage: bytes under keys."""

import builtins
import gzip
from copy import copy
from typing import Any

from strands.storage.search.keyword import KeywordSearchStrategy
from strands.storage.search.types import SearchStrategy
from strands.storage.storage import (
    _NAMESPACED,
    StorageSearchResult,
    _normalize_key,
    _normalize_prefix,
)
from strands.types.exceptions import StorageError

from session_store import AsyncClient, NotFound, SessionStoreError
from session_store._bodies import OCTETS

STORAGE = "strands/storage/"

MAX_PAGE = 1000

COMPRESSED_FROM = 1_000_000
"""Bytes. A value may have 3 MB, and snapshots are text that repeats itself."""


class SessionStoreStorage:
    """Storage for SnapshotSessionManager and all else in Strands that takes one. One request for
    each operation; `search` reads everything.

    The entries are values of the user whose names begin with `strands/storage/`. From 1 MB on they
    are compressed.
    """

    def __init__(
        self,
        *,
        client: AsyncClient,
        prefix: str = STORAGE,
        search_strategy: SearchStrategy[Any] | None = None,
    ) -> None:
        """`search_strategy` is told of each write, as the storages of Strands do it."""
        self._values, self._prefix, self._search_strategy = client.values, prefix, search_strategy

    async def write(self, key: str, data: bytes) -> None:
        name, content, content_type = self._of(key), bytes(data), OCTETS
        if len(content) >= COMPRESSED_FROM:
            content, content_type = gzip.compress(content), "application/gzip"
        try:
            await self._values.upload(name, content, content_type=content_type)
        except SessionStoreError as error:
            raise StorageError(f"Failed to write '{key}': {error}") from error
        if self._search_strategy is not None:
            try:
                await self._search_strategy.index(self, _normalize_key(key), data)
            except Exception as error:
                raise StorageError(f"Wrote '{key}' but indexing failed") from error

    async def read(self, key: str) -> bytes | None:
        name = self._of(key)
        try:
            value = await self._values.find(name)
        except SessionStoreError as error:
            raise StorageError(f"Failed to read '{key}': {error}") from error
        if value is None:
            return None
        content: bytes = value.content
        return gzip.decompress(content) if value.content_type == "application/gzip" else content

    async def delete(self, key: str) -> None:
        name = self._of(key)
        try:
            await self._values.delete(name)
        except NotFound:
            pass
        except SessionStoreError as error:
            raise StorageError(f"Failed to delete '{key}': {error}") from error

    async def list(self, query: str = "") -> builtins.list[str]:
        prefix = f"{self._prefix}{_normalize_prefix(query)}"
        try:
            return [
                value.name.removeprefix(self._prefix)
                async for value in self._values.list(prefix, names_only=True, limit=MAX_PAGE)
            ]
        except SessionStoreError as error:
            raise StorageError(f"Failed to list '{query}': {error}") from error

    async def search(self, query: str) -> builtins.list[StorageSearchResult]:
        return await (self._search_strategy or KeywordSearchStrategy()).search(self, query)

    def namespace(self, prefix: str) -> "SessionStoreStorage":
        """The entries whose keys begin with `prefix`."""
        scoped = copy(self)
        scoped._prefix = f"{self._prefix}{_normalize_prefix(prefix).rstrip('/')}/"
        scoped._namespaced = _NAMESPACED  # type: ignore[attr-defined]
        return scoped

    def _of(self, key: str) -> str:
        return f"{self._prefix}{_normalize_key(key)}"
