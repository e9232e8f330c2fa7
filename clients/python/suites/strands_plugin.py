"""Strands: our repository takes the place of FileSessionManager's files and of the repository that
the suite keeps in memory, our storage that of InMemoryStorage and LocalFileStorage.

A directory of the test is a user of ours. Each storage in memory is a user of its own.
"""

from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
import strands.storage
from strands.session.file_session_manager import FileSessionManager
from strands.session.repository_session_manager import RepositorySessionManager
from strands.storage import InMemoryStorage, LocalFileStorage

from suites import world
from suites.frameworks import OURS

FILE = "tests/strands/session/test_file_session_manager.py::test_"
STASH = (
    "tests/strands/session/test_snapshot_session_manager.py::TestSnapshotStashIntegration::test_"
)
MEMORY = "tests/strands/storage/test_in_memory_storage.py::TestInMemoryStorage::test_"
LOCAL = "tests/strands/storage/test_local_file_storage.py::TestLocalFileStorage::test_"

NOT_APPLICABLE: dict[str, tuple[str, ...]] = {
    "looks into the files and folders": (
        f"{FILE}create_session",
        f"{FILE}delete_session",
        f"{FILE}create_agent",
        f"{FILE}create_message",
        f"{FILE}message_durable_id_persists",
        f"{FILE}corrupted_json_file",
        f"{FILE}create_multi_agent",
        f"{FILE}create_session_multi_agent_directory_structure",
        f"{LOCAL}write_creates_directories",
        f"{LOCAL}write_error_raises_storage_error",
        f"{LOCAL}read_error_raises_storage_error",
        f"{LOCAL}delete_error_raises_storage_error",
        f"{LOCAL}list_error_raises_storage_error",
        f"{LOCAL}write_atomic_cleanup_on_replace_failure",
        f"{LOCAL}namespace_returns_local_file_storage",
        f"{LOCAL}normpath_prevents_trailing_slash_in_namespace",
    ),
    "wants ids refused that would lead out of a folder: ours may be any text": (
        f"{FILE}_get_session_path_invalid_session_id",
        f"{FILE}_get_agent_path_invalid_agent_id",
        f"{FILE}_get_message_path_invalid_message_id",
    ),
    "puts the files into a sandbox": (
        f"{LOCAL}for_sandbox_returns_self_if_same",
        f"{LOCAL}for_sandbox_returns_new_if_different",
        f"{LOCAL}for_sandbox_preserves_search_strategy",
        f"{LOCAL}for_sandbox_drops_host_fs_strategy_with_warning",
        f"{LOCAL}namespace_preserves_for_sandbox",
        f"{LOCAL}rejects_host_fs_strategy_with_sandbox",
        f"{LOCAL}sandbox_binary_round_trip",
        f"{LOCAL}sandbox_delete",
        f"{LOCAL}sandbox_delete_missing_is_noop",
        f"{LOCAL}sandbox_write_skips_indexing",
        f"{LOCAL}sandbox_list",
        f"{LOCAL}sandbox_list_nested",
    ),
    "needs storage that does not outlive the process": (
        f"{STASH}save_includes_inline_stash_for_ephemeral_storage",
        f"{STASH}save_omits_stash_when_empty",
        f"{STASH}immutable_snapshot_includes_stash",
        f"{STASH}ephemeral_detection_survives_namespacing",
    ),
    "writes into the dict of the storage in memory": (
        "tests/strands/storage/search/test_keyword.py"
        "::TestKeywordSearch::test_skips_keys_where_read_returns_none",
    ),
    "compares the name of the class": (f"{STASH}save_writes_external_ref_for_durable_storage",),
    "empties the storage, which only the one in memory can": (
        f"{MEMORY}clear",
        f"{MEMORY}namespace_clear_only_clears_prefix",
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    try:
        from tests.fixtures.mock_session_repository import MockedSessionRepository
    except ModuleNotFoundError:  # our own tests, which use our classes as they are
        return

    built_in = (FileSessionManager, MockedSessionRepository, InMemoryStorage, LocalFileStorage)
    if world.BACKEND != OURS:
        for backend in built_in:
            _watch(backend)
        return
    stand_ins = dict(zip(built_in, _ours(), strict=True))
    # Some tests import from strands.storage when they run.
    modules = {item.module for item in items if isinstance(item, pytest.Function)}
    for module in modules | {strands.storage}:
        _replace(module, stand_ins)


def _replace(module: ModuleType, stand_ins: dict[type, type]) -> None:
    for name, value in list(vars(module).items()):
        if isinstance(value, type) and value in stand_ins:
            setattr(module, name, stand_ins[value])


def _watch(backend: type) -> None:
    """Makes the backends note that a test has used one."""
    initialise = backend.__init__

    def __init__(self: Any, *args: Any, **options: Any) -> None:
        world.use()
        initialise(self, *args, **options)

    backend.__init__ = __init__


def _ours() -> tuple[type, ...]:
    from session_store import AsyncClient, Client
    from session_store.adapters.strands import SessionStoreRepository, SessionStoreStorage

    class Repository(SessionStoreRepository):
        """In place of MockedSessionRepository, which takes no arguments."""

        def __init__(self, user: str | None = None) -> None:
            world.use()
            super().__init__(client=Client(world.URL, world.token(user or uuid4().hex)))

    class Manager(RepositorySessionManager):
        """FileSessionManager is a manager and its own repository."""

        def __init__(self, session_id: str, storage_dir: str | None = None) -> None:
            repository = Repository(f"directory {storage_dir}")
            super().__init__(session_id=session_id, session_repository=repository)

        def __getattr__(self, name: str) -> Any:
            if name == "session_repository":
                raise AttributeError(name)
            return getattr(self.session_repository, name)

    class Memory(SessionStoreStorage):
        def __init__(self, user: str | None = None, search_strategy: Any = None) -> None:
            world.use()
            client = AsyncClient(world.URL, world.token(user or uuid4().hex))
            super().__init__(client=client, search_strategy=search_strategy)

    class Directory(Memory):
        def __init__(self, base_path: str, search_strategy: Any = None) -> None:
            super().__init__(f"directory {base_path}", search_strategy)

    return Manager, Repository, Memory, Directory
