"""What the SDK's own tests miss. Each test has a tenant of its own, on a real server."""

from collections.abc import AsyncIterator, Callable

import pytest

from session_store import AsyncClient
from session_store.adapters.openai_agents import SessionStoreSession
from suites import world
from suites.lossy import Lossy


@pytest.fixture
def network() -> Lossy:
    return Lossy()


@pytest.fixture
async def client(network: Lossy) -> AsyncIterator[AsyncClient]:
    world.use()
    async with AsyncClient(world.URL, world.token("alice"), transport=network) as client:
        yield client


@pytest.fixture
def open_session(client: AsyncClient) -> Callable[..., SessionStoreSession]:
    def open_session(session_id: str = "thread", **options: object) -> SessionStoreSession:
        return SessionStoreSession(session_id, client=client, **options)

    return open_session
