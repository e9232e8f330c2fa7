"""What ADK's own tests miss. Each test has a tenant of its own, on a real server."""

from collections.abc import AsyncIterator

import pytest

from session_store import AsyncClient
from session_store.adapters.adk import SessionStoreArtifactService, SessionStoreSessionService
from suites import world
from suites.lossy import Lossy


@pytest.fixture
def network() -> Lossy:
    return Lossy()


@pytest.fixture
async def client(network: Lossy) -> AsyncIterator[AsyncClient]:
    """An agent that acts for users."""
    world.use()
    async with AsyncClient(world.URL, world.token("agent"), transport=network) as client:
        yield client


@pytest.fixture
def service(client: AsyncClient) -> SessionStoreSessionService:
    return SessionStoreSessionService(client)


@pytest.fixture
def artifacts(client: AsyncClient) -> SessionStoreArtifactService:
    return SessionStoreArtifactService(client)
