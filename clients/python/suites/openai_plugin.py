"""OpenAI Agents: our session takes the place of the SDK's SQLite and SQLAlchemy sessions in the
modules of the tests. The SDK itself is left alone.

A database of the test is a user of ours: two sessions on one file share what they keep, two in
memory do not.
"""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from agents.extensions.memory import AsyncSQLiteSession
from agents.extensions.memory.sqlalchemy_session import SQLAlchemySession
from agents.memory import SQLiteSession

from suites import world
from suites.frameworks import OURS

BUILT_IN = (SQLiteSession, AsyncSQLiteSession, SQLAlchemySession)

NOT_APPLICABLE: dict[str, tuple[str, ...]] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if world.BACKEND != OURS:
        for session in BUILT_IN:
            _watch(session)
        return
    ours = _ours()
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        for name, value in list(vars(module).items()):
            if value in BUILT_IN:
                setattr(module, name, ours[value])


def _watch(session: type) -> None:
    """Makes the sessions note that a test has used one. Compaction asks for the exact classes, so a
    subclass will not do."""
    initialise = session.__init__

    def __init__(self: Any, *args: Any, **options: Any) -> None:
        world.use()
        initialise(self, *args, **options)

    session.__init__ = __init__


def _ours() -> dict[type, type]:
    from session_store import AsyncClient
    from session_store.adapters.openai_agents import SessionStoreSession

    class Stored(SessionStoreSession):
        def __init__(self, session_id: str, database: str, settings: Any) -> None:
            world.use()
            client = AsyncClient(world.URL, world.token(database))
            super().__init__(session_id, client=client, session_settings=settings)

    class StoredSQLite(Stored):
        def __init__(
            self,
            session_id: str,
            db_path: str | Path = ":memory:",
            sessions_table: str = "",
            messages_table: str = "",
            session_settings: Any = None,
        ) -> None:
            super().__init__(session_id, _user(db_path), session_settings)

        def close(self) -> None:
            pass

    class StoredAsyncSQLite(StoredSQLite):
        async def close(self) -> None:  # type: ignore[override]
            pass

    class StoredSQLAlchemy(Stored):
        def __init__(
            self, session_id: str, *, engine: Any, session_settings: Any = None, **_: Any
        ) -> None:
            in_memory = engine.url.database in (None, "", ":memory:")
            database = f"engine-{id(engine)}" if in_memory else _user(engine.url.database)
            super().__init__(session_id, database, session_settings)
            self.engine = engine

        @classmethod
        def from_url(
            cls, session_id: str, *, url: str, engine_kwargs: Any = None, **options: Any
        ) -> Any:
            from sqlalchemy.ext.asyncio import create_async_engine

            return cls(
                session_id, engine=create_async_engine(url, **(engine_kwargs or {})), **options
            )

    return {
        SQLiteSession: StoredSQLite,
        AsyncSQLiteSession: StoredAsyncSQLite,
        SQLAlchemySession: StoredSQLAlchemy,
    }


def _user(path: str | Path) -> str:
    return f"memory-{uuid4().hex}" if str(path) == ":memory:" else f"file {path}"
