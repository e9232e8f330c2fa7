"""Each test has a tenant of its own, on a real server."""

from collections.abc import AsyncIterator

import pytest
from pydantic_ai.conversation_store import ConversationStore, InMemoryConversationStore

from session_store import AsyncClient
from session_store.adapters.pydantic_ai import SessionStoreConversationStore
from suites import world
from suites.frameworks import OURS
from suites.lossy import Lossy


@pytest.fixture
def network() -> Lossy:
    return Lossy()


@pytest.fixture
async def client(network: Lossy) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(world.URL, world.token("alice"), transport=network) as client:
        yield client


@pytest.fixture
def store(client: AsyncClient) -> ConversationStore:
    world.use()
    if world.BACKEND == OURS:
        return SessionStoreConversationStore(client)
    return InMemoryConversationStore()
