"""What langchain-core's own tests miss. Each test has a tenant of its own, on a real server."""

from collections.abc import AsyncIterator

import pytest

from session_store import AsyncClient, Client
from session_store.adapters.langchain import SessionStoreChatMessageHistory
from suites import world
from suites.lossy import Lossy


@pytest.fixture
def network() -> Lossy:
    return Lossy()


@pytest.fixture(params=["async client", "sync client"])
async def make(request, network: Lossy) -> AsyncIterator:
    """Makes histories. Their methods with `a` have a client of their own, or use a thread."""
    world.use()
    client = Client(world.URL, world.token("alice"), transport=network)
    async_client = AsyncClient(world.URL, world.token("alice"), transport=network)

    def make(session_id: str = "thread") -> SessionStoreChatMessageHistory:
        own = async_client if request.param == "async client" else None
        return SessionStoreChatMessageHistory(session_id, client=client, async_client=own)

    yield make
    client.close()
    await async_client.aclose()
