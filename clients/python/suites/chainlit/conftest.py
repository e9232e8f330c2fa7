"""What Chainlit's own tests miss. Each test has a tenant of its own, on a real server."""

import uuid
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from chainlit.context import ChainlitContext, context_var
from chainlit.session import HTTPSession
from chainlit.user import PersistedUser, User

from session_store import AsyncClient
from session_store.adapters.chainlit import SessionStoreDataLayer
from suites import world


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    async with AsyncClient(world.URL, world.token("chainlit-app")) as client:
        yield client


@pytest.fixture
def layer(client: AsyncClient) -> SessionStoreDataLayer:
    world.use()
    return SessionStoreDataLayer(client)


@pytest.fixture
async def other(layer: SessionStoreDataLayer) -> AsyncIterator[SessionStoreDataLayer]:
    """The same data in another process."""
    async with AsyncClient(world.URL, world.token("chainlit-app")) as client:
        yield SessionStoreDataLayer(client)


@pytest.fixture
async def alice(layer: SessionStoreDataLayer) -> PersistedUser:
    return await layer.create_user(User(identifier="alice", metadata={"role": "admin"}))


@pytest.fixture
async def bob(layer: SessionStoreDataLayer) -> PersistedUser:
    return await layer.create_user(User(identifier="bob@example.com"))


@pytest.fixture
def enter() -> Callable[..., None]:
    """Begins Chainlit's context, without which it calls no writes: `enter("thread", user)`."""

    def enter(thread_id: str = "thread", user: PersistedUser | None = None) -> None:
        session = HTTPSession(
            id=str(uuid.uuid4()),
            client_type="webapp",
            thread_id=thread_id,
            user=user,
            token=None,
            user_env=None,
        )
        context_var.set(ChainlitContext(session, emitter=SimpleNamespace()))

    return enter


def step(step_id: str, thread_id: str = "thread", **more: Any) -> dict[str, Any]:
    return {
        "id": step_id,
        "threadId": thread_id,
        "parentId": None,
        "name": "alice",
        "type": "user_message",
        "input": "",
        "output": f"This is {step_id}",
        "createdAt": f"2026-11-30T10:00:{len(step_id):02}Z",
        "metadata": {},
        "streaming": False,
        **more,
    }
