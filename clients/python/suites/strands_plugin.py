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

NOT_APPLICABLE: dict[str, tuple[str, ...]] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from tests.fixtures.mock_session_repository import MockedSessionRepository

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
        def __init__(self, user: str | None = None) -> None:
            world.use()
            super().__init__(client=AsyncClient(world.URL, world.token(user or uuid4().hex)))

    class Directory(Memory):
        def __init__(self, base_path: str, **_: Any) -> None:
            super().__init__(f"directory {base_path}")

    return Manager, Repository, Memory, Directory
