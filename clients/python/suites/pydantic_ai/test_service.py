"""What only a service has: answers that get lost, limits, what stays after a delete, the docs."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import ModelRequest, ModelResponse, ToolCallPart, UserPromptPart

from session_store import TooLarge
from suites import world

DOCS = Path(__file__).resolve().parents[4] / "docs" / "frameworks.md"


def conversation(*texts):
    messages = [ModelRequest(parts=[UserPromptPart(text)]) for text in texts]
    return Conversation(conversation_id="c", messages=messages)


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_lost_answer_saves_once(store, network, lost):
    made = conversation("1")
    await store.save(made)
    made.messages.append(ModelRequest(parts=[UserPromptPart("2")]))
    network.lose = lost
    await store.save(made)
    assert len((await store.load("c")).messages) == 2


async def test_nan_survives(store):
    made = conversation("1")
    made.messages.append(ModelResponse(parts=[ToolCallPart("f", {"x": [math.nan, math.inf]})]))
    await store.save(made)
    [nan, inf] = (await store.load("c")).messages[1].parts[0].args["x"]
    assert math.isnan(nan) and inf == math.inf


async def test_a_message_that_is_too_large_is_refused(store):
    with pytest.raises(TooLarge):
        await store.save(conversation("1", "x" * 3_500_000))
    assert await store.load("c") is None
    assert await store.list_conversations() == []


async def test_nothing_stays_after_the_last_fork_is_deleted(store, client):
    await store.save(conversation("1", "2"))
    await store.fork("c", at=1, new_conversation_id="f")
    await store.delete("c")
    assert [each.key async for each in client.sessions.list()] == ["c"]
    await store.delete("f")
    left = [line["type"] async for line in client.export()]
    assert left == ["user"]


async def test_requests_of_a_turn(store, network):
    await store.save(conversation("1", "2"))
    network.count()
    loaded = await store.load("c")
    assert network.count() == 3
    loaded.messages.append(ModelRequest(parts=[UserPromptPart("3")]))
    await store.save(loaded)
    assert network.count() == 3


def test_the_block_remembers_the_conversation() -> None:
    world.use()
    found = re.search(r"<!-- block: pydantic_ai -->\n```py\n(.*?)```", DOCS.read_text(), re.S)
    assert found
    model = (
        "from pydantic_ai.models.test import TestModel\n"
        "model = TestModel(custom_output_text='It is.')\n"
    )
    environment = {**os.environ, "SESSION_STORE_TOKEN": world.token()}
    for messages in (2, 4):
        ended = subprocess.run(
            [sys.executable, "-c", model + found[1]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.stdout == f"{messages} It is.\n", ended.stderr
