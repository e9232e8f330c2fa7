"""A turn of a chat as Chainlit carries it out: the user's message, a run in which a tool is called,
and the answer. Six writes: four steps are created, two are updated in the end."""

import asyncio
import uuid
from typing import Any

import chainlit as cl
from chainlit import data
from chainlit.context import ChainlitContext, context_var
from chainlit.session import HTTPSession

QUESTION = "Which potholes near Main St are still open, and since when? " * 4
FOUND = "inc_abc123 pothole, Main St 12, open since 3 May. " * 8
ANSWER = "I found 5 pothole reports near Main St. Two of them are open. " * 4


async def setup(base_url: str, token: str) -> Any:
    from session_store import AsyncClient
    from session_store.adapters.chainlit import SessionStoreDataLayer

    return await opened(SessionStoreDataLayer(AsyncClient(base_url, token)))


async def opened(layer: Any) -> Any:
    """The layer, and a thread of a user in it."""
    data._data_layer, data._data_layer_initialized = layer, True
    user = await layer.create_user(cl.User(identifier="alice"))
    thread_id = str(uuid.uuid4())
    await layer.update_thread(thread_id, name=QUESTION, user_id=user.id)
    return layer, thread_id, user


@cl.step(type="tool")
async def find_reports(near: str) -> str:
    return FOUND


async def turn(state: Any) -> None:
    """Ends when everything is stored, which Chainlit does not wait for."""
    _, thread_id, user = state
    session = HTTPSession(
        id=str(uuid.uuid4()), client_type="webapp", thread_id=thread_id, user=user, token=None,
        user_env=None,
    )  # fmt: skip
    context_var.set(ChainlitContext(session))
    before = asyncio.all_tasks()
    said = await cl.Message(QUESTION, type="user_message").send()
    async with cl.Step(name="on_message", type="run", parent_id=said.id):
        await find_reports("Main St")
        await cl.Message(ANSWER).send()
    await asyncio.gather(*asyncio.all_tasks() - before)
