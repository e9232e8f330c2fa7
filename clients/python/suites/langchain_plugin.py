"""langchain-core: our history takes the place of InMemoryChatMessageHistory.

The suite names no session when it makes a history, so each is a session of its own.
"""

from typing import Any
from uuid import uuid4

import pytest
from langchain_core.chat_history import InMemoryChatMessageHistory

from suites import world
from suites.frameworks import OURS

NOT_APPLICABLE: dict[str, tuple[str, ...]] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    stand_in = _ours() if world.BACKEND == OURS else _watched()
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        for name, value in list(vars(module).items()):
            if value is InMemoryChatMessageHistory:
                setattr(module, name, stand_in)


def _watched() -> type:
    """Notes that a test has used one."""

    class Watched(InMemoryChatMessageHistory):
        def __init__(self, **options: Any) -> None:
            world.use()
            super().__init__(**options)

    return Watched


def _ours() -> type:
    from session_store import AsyncClient, Client
    from session_store.adapters.langchain import SessionStoreChatMessageHistory

    class Stored(SessionStoreChatMessageHistory):
        def __init__(self, messages: Any = ()) -> None:
            world.use()
            token = world.token(uuid4().hex)
            super().__init__(
                "session",
                client=Client(world.URL, token),
                async_client=AsyncClient(world.URL, token),
            )
            if messages:
                self.add_messages(list(messages))

    return Stored
