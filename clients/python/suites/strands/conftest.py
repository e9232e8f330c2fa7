"""What Strands' own tests miss. Each test has a tenant of its own, on a real server."""

from collections.abc import AsyncIterator, Iterator

import pytest

from session_store import AsyncClient, Client
from session_store.adapters.strands import SessionStoreRepository, SessionStoreStorage
from suites import world
from suites.lossy import Lossy


@pytest.fixture
def network() -> Lossy:
    return Lossy()


@pytest.fixture
def client(network: Lossy) -> Iterator[Client]:
    world.use()
    with Client(world.URL, world.token("alice"), transport=network) as client:
        yield client


@pytest.fixture
def repository(client: Client) -> SessionStoreRepository:
    return SessionStoreRepository(client=client)


@pytest.fixture
async def storage(network: Lossy) -> AsyncIterator[SessionStoreStorage]:
    world.use()
    async with AsyncClient(world.URL, world.token("alice"), transport=network) as client:
        yield SessionStoreStorage(client=client)
