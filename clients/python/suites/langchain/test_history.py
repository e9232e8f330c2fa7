import asyncio
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from session_store import ConnectionFailed, TooLarge
from suites import world

DOCS = Path(__file__).resolve().parents[4] / "docs" / "frameworks.md"

MESSAGES = [
    SystemMessage("\u0000 é 😀", id="1"),
    HumanMessage(
        [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "x"}}]
    ),
    AIMessage(
        "",
        tool_calls=[{"name": "f", "args": {"z": None, "a": [1.0, 1]}, "id": "c"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"k": None},
    ),
    ToolMessage("18", tool_call_id="c", artifact={"big": 10**30}),
    ChatMessage(role="critic", content="No.", name="n"),
    RemoveMessage("1"),
]


async def test_messages_come_back_as_they_were(make):
    history = make()
    assert history.messages == await history.aget_messages() == []
    history.add_messages(MESSAGES[:3])
    await history.aadd_messages(MESSAGES[3:])
    assert history.messages == await make().aget_messages() == MESSAGES
    assert list(history.messages[2].tool_calls[0]["args"]) == ["z", "a"]


async def test_a_history_can_be_cleared_and_used_again(make):
    history = make()
    history.clear()
    await history.aclear()
    for clear in (lambda: asyncio.to_thread(history.clear), history.aclear):
        await history.aadd_messages(MESSAGES)
        await clear()
        assert history.messages == []


@pytest.mark.parametrize("session_id", ["a/b#c é 😀", "x" * 500, "..", ".", "%2F", " "])
async def test_ids_are_any_text(make, session_id):
    make(session_id).add_user_message("mine")
    assert [each.content for each in await make(session_id).aget_messages()] == ["mine"]
    assert make("another").messages == []


async def test_many_messages_take_few_requests(make, network):
    said = [HumanMessage(f"{n}") for n in range(1010)]
    await make().aadd_messages(said)
    assert network.count() == 21
    assert make().messages == said
    assert network.count() == 2


async def test_nan_survives(make):
    message = AIMessage("", response_metadata={"x": [math.nan, math.inf]})
    make().add_message(message)
    [nan, inf] = (await make().aget_messages())[0].response_metadata["x"]
    assert math.isnan(nan)
    assert inf == math.inf


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_a_lost_answer_adds_once(make, network, lost):
    network.lose = lost
    if lost == 3:
        with pytest.raises(ConnectionFailed):
            await make().aadd_messages([HumanMessage("once")])
    else:
        await make().aadd_messages([HumanMessage("once")])
    assert [each.content for each in make().messages] == ["once"]


async def test_writers_at_once_lose_nothing(make):
    pairs = [[HumanMessage(f"{n}"), AIMessage(f"{n}")] for n in range(8)]
    await asyncio.gather(*(make().aadd_messages(pair) for pair in pairs))
    found = [each.content for each in make().messages]
    assert found[::2] == found[1::2]
    assert sorted(found[::2]) == [f"{n}" for n in range(8)]


async def test_a_message_that_is_too_large_is_refused(make):
    with pytest.raises(TooLarge):
        await make().aadd_messages([HumanMessage("x" * 3_500_000)])
    assert make().messages == []


def test_the_block_remembers_the_conversation() -> None:
    world.use()
    found = re.search(r"<!-- block: langchain -->\n```py\n(.*?)```", DOCS.read_text(), re.S)
    assert found
    model = (
        "from langchain_core.language_models import FakeListChatModel\n"
        "model = FakeListChatModel(responses=['It is.'])\n"
    )
    environment = {**os.environ, "SESSION_STORE_TOKEN": world.token()}
    for messages in (2, 4):
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", model + found[1]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.stdout == f"{messages} It is.\n", ended.stderr
