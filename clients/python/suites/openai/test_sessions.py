"""Sessions of OpenAI Agents: what the SDK's own tests miss. Over 250 lines, because they share
their items and models."""

import asyncio
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from agents import Agent, RunConfig, Runner, SessionSettings
from agents.memory import OpenAIResponsesCompactionSession
from agents.testing import ScriptedModel
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from session_store import AsyncClient, ConnectionFailed, TooLarge, session_id_of
from session_store.adapters.openai_agents import SessionStoreSession
from suites import world

ODD_IDS = ["a/b#c é 😀", "x" * 500, "..", ".", "a?b=c&d", "%2F", " "]


def user(text):
    return {"role": "user", "content": text}


def call(number):
    return {"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": "{}"}


def output(number):
    return {"type": "function_call_output", "call_id": f"c{number}", "output": "18 °C"}


def reasoning(number):
    return {"id": f"rs_{number}", "type": "reasoning", "summary": []}


def said(text):
    content = ResponseOutputText(text=text, type="output_text", annotations=[])
    return ResponseOutputMessage(
        id="m", type="message", role="assistant", content=[content], status="completed"
    )


def calls(name, number=1):
    return ResponseFunctionToolCall(
        id=f"fc{number}", call_id=f"c{number}", type="function_call", name=name, arguments="{}"
    )


ITEMS = [
    user("é 😀 \ud800 \u0000 \\ud83d \"'"),
    {
        "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}],
        "role": "user",
    },
    {"type": "message", "role": "assistant", "content": [], "id": None, "status": "completed"},
    {**reasoning(1), "encrypted_content": "x" * 10_000},
    {**call(1), "arguments": '{"a": 1E5}'},
    {
        "type": "function_call_output",
        "call_id": "c1",
        "output": [{"type": "input_text", "text": ""}],
    },
    {"type": "compaction", "id": "cmp", "encrypted_content": "…"},
    {"type": "something_new", "role": "", "z": [1.0, -0.0, 1e300, 2**70, True, None], "a": {}},
    {"__enc__": 1, "payload": "…"},
    {"role": "two words", "content": {"not": "known"}},
    {"role": "developer", "content": "…", "type": "message"},
]


async def test_items_come_back_as_they_were(open_session):
    await open_session().add_items(ITEMS)
    found = await open_session().get_items()
    assert found == ITEMS
    assert json.dumps(found) == json.dumps(ITEMS)  # the order of members and 1.0, too


async def test_numbers_that_json_does_not_have_come_back(open_session):
    item = {
        "type": "function_call_output",
        "call_id": "c",
        "output": [math.nan, math.inf, -math.inf],
    }
    await open_session().add_items([user("a"), item])
    [_, found] = await open_session().get_items()
    assert json.dumps(found) == json.dumps(item)
    assert json.dumps(await open_session().pop_item()) == json.dumps(item)


@pytest.mark.parametrize("session_id", ODD_IDS)
async def test_any_id(open_session, session_id):
    await open_session(session_id).add_items([user("a")])
    assert await open_session(session_id).get_items() == [user("a")]
    assert await open_session(session_id + "?").get_items() == []


async def test_each_operation_is_one_request(open_session, network):
    session = open_session()
    assert (await session.get_items(), network.count()) == ([], 1)
    await session.add_items([user("a"), call(1), output(1)])
    assert network.count() == 1
    await session.add_items([user("b")])
    assert network.count() == 1
    assert (len(await session.get_items(2)), network.count()) == (2, 1)
    assert (await session.get_items(0), network.count()) == ([], 0)
    assert (await session.pop_item(), network.count()) == (user("b"), 1)
    await session.clear_session()
    assert network.count() == 1
    assert await session.get_items() == []


async def test_the_service_knows_the_items(open_session, client):
    await open_session().add_items([user("Hello"), call(1)])
    found = await client.sessions.get(session_id_of("thread"))
    assert (found.key, found.domain_id) == ("thread", "openai-agents")
    assert [(each.role, each.format) for each in found.messages] == [
        ("user", "openai.responses"),
        ("assistant", "openai.responses"),
    ]
    checked = await client.sessions.check(found.session_id)
    assert "c1" in json.dumps(checked)


async def test_messages_of_another_program_are_items(open_session, client):
    await open_session().add_items([user("a")])
    session = session_id_of("thread")
    await client.messages.append(session, role="user", content="By hand")
    await client.messages.append(session, role="critic", content={"score": 1})
    assert (await open_session().get_items())[1:] == [
        user("By hand"),
        {"role": "assistant", "content": '{"score": 1}'},
    ]


async def test_more_items_than_a_batch_takes(open_session, network):
    items = [user(str(number)) for number in range(120)]
    await open_session().add_items(items)
    assert network.count() == 3
    assert await open_session().get_items() == items
    assert await open_session().get_items(70) == items[-70:]


async def test_more_bytes_than_a_batch_takes(open_session):
    items = [user(f"{number}" + "x" * 1_500_000) for number in range(5)]
    await open_session().add_items(items)
    assert await open_session().get_items() == items


async def test_an_item_that_is_too_large_is_refused(open_session):
    for size in (3_300_000, 7_000_000):
        with pytest.raises(TooLarge):
            await open_session().add_items([user("a"), user("x" * size)])
    assert await open_session().get_items() == []


async def test_what_is_no_json_is_refused_before_anything_is_sent(open_session, network):
    with pytest.raises(TypeError):
        await open_session().add_items([user("a"), {"role": "user", "content": object()}])
    assert network.count() == 0


async def test_a_history_limit_does_not_part_a_turn(open_session):
    turn = [user("a"), reasoning(1), call(1), call(2), output(1), output(2), reasoning(2)]
    answer = [{"type": "message", "role": "assistant", "content": "It is sunny."}]
    await open_session().add_items([*turn, *answer] * 3)
    for limit in range(1, 9):
        assert await open_session(history_limit=limit).get_items() == [*turn, *answer]
    assert await open_session(history_limit=9).get_items() == [*turn, *answer] * 2
    assert len(await open_session(history_limit=1000).get_items()) == 24
    # What the runner asks for is exact: it compares it with what it has written.
    assert await open_session(history_limit=9).get_items(2) == [reasoning(2), *answer]


async def test_a_history_limit_takes_one_request_and_more_for_a_long_turn(open_session, network):
    await open_session().add_items([user("a")] * 100)
    network.count()
    assert len(await open_session(history_limit=10).get_items()) == 10
    assert network.count() == 1
    await open_session().add_items([call(number) for number in range(100)])
    network.count()
    assert len(await open_session(history_limit=10).get_items()) == 101
    assert network.count() == 2


async def test_the_runner_does_not_see_an_output_without_its_call(open_session):
    await open_session().add_items([user("a"), call(1), output(1), user("b")])
    model = ScriptedModel(steps=[[said("c")]])
    config = RunConfig(session_settings=SessionSettings(limit=2))
    await Runner.run(Agent(name="a", model=model), "d", session=open_session(), run_config=config)
    assert model.calls[-1].input == [user("b"), user("d")]


async def test_four_pops_at_once_never_get_the_same(open_session):
    items = [user(str(number)) for number in range(12)]
    await open_session().add_items(items)
    sessions = [open_session() for _ in range(4)]

    async def pop_three(session):
        return [await session.pop_item() for _ in range(3)]

    popped = sum(await asyncio.gather(*map(pop_three, sessions)), [])
    assert sorted(int(each["content"]) for each in popped) == list(range(12))
    assert await open_session().pop_item() is None


@pytest.mark.parametrize("lost", [1, 2])
async def test_after_lost_answers_nothing_is_there_twice_or_missing(open_session, network, lost):
    session = open_session()
    network.lose = lost
    await session.add_items([user("a"), user("b"), user("c")])
    network.lose = lost
    assert len(await session.get_items()) == 3
    network.count()
    network.sent.clear()
    assert await session.pop_item() == user("c")
    network.lose = lost
    with pytest.raises(ConnectionFailed, match="removed"):
        await open_session().pop_item()
    assert await open_session().get_items() == [user("a")]
    network.lose = lost
    await open_session().clear_session()
    assert await open_session().get_items() == []


async def test_two_writers_lose_nothing(open_session):
    async def write(name):
        for number in range(10):
            await open_session().add_items([user(f"{name}{number}"), call(number), output(number)])

    await asyncio.gather(write("a"), write("b"))
    items = await open_session().get_items()
    asked = [item["content"] for item in items[::3]]
    assert sorted(asked) == sorted(f"{name}{number}" for name in "ab" for number in range(10))
    assert items[1::3] == [call(int(name[1:])) for name in asked]  # batches stay together


async def test_an_add_that_is_cancelled_is_settled(open_session):
    session = open_session()
    adding = asyncio.create_task(session.add_items([user("a")]))
    await asyncio.sleep(0)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert await session.get_items() == [user("a")]


def test_a_session_works_in_any_event_loop():
    world.use()
    client = AsyncClient(world.URL, world.token("alice"))
    session = SessionStoreSession("thread", client=client)
    asyncio.run(session.add_items([user("a")]))
    found = []
    reader = threading.Thread(target=lambda: found.extend(asyncio.run(session.get_items())))
    reader.start()
    reader.join()
    assert found == [user("a")]


CRASHES = """
import asyncio, os
from agents import Agent, Runner, function_tool
from agents.testing import ScriptedModel
from session_store import AsyncClient
from session_store.adapters.openai_agents import SessionStoreSession
from test_sessions import calls

@function_tool
def look_up() -> str:
    os._exit(9)

model = ScriptedModel(steps=[[calls("look_up")]])
client = AsyncClient(os.environ["SESSION_STORE_URL"], os.environ["SESSION_STORE_TOKEN"])
session = SessionStoreSession("thread", client=client)
agent = Agent(name="a", model=model, tools=[look_up])
asyncio.run(Runner.run(agent, "How warm is it?", session=session))
"""


async def test_a_process_that_dies_in_the_middle_of_a_turn(open_session):
    environment = {**os.environ, "SESSION_STORE_TOKEN": world.token("alice")}
    command = [sys.executable, "-c", CRASHES]
    ended = await asyncio.to_thread(
        subprocess.run, command, env=environment, cwd=Path(__file__).parent, timeout=60
    )
    assert ended.returncode == 9
    before = await open_session().get_items()
    assert before[0] == user("How warm is it?")
    model = ScriptedModel(steps=[[said("18 °C.")]])
    result = await Runner.run(Agent(name="a", model=model), "And now?", session=open_session())
    assert result.final_output == "18 °C."
    items = await open_session().get_items()
    assert items[: len(before)] == before
    assert items[-2]["content"] == "And now?"


class Summary:
    """A client of OpenAI that compacts everything to one item."""

    def __init__(self, *items):
        self.responses = self
        self.items = items

    async def compact(self, **_):
        return SimpleNamespace(output=list(self.items))


SUMMARY = {"type": "compaction", "id": "cmp", "encrypted_content": "…"}


def compacting(session, *items):
    return OpenAIResponsesCompactionSession(
        session.session_id,
        session,
        client=Summary(*items),
        should_trigger_compaction=lambda _: True,
    )


async def test_a_compaction_is_one_step(open_session, network):
    session = compacting(open_session(), SUMMARY)
    await session.add_items([user("a"), {"role": "assistant", "content": "b"}])
    network.count()
    await session.run_compaction({"force": True, "compaction_mode": "input"})
    assert [line.rpartition("/")[2] for line in network.sent if line.startswith("POST")] == [
        "replace"
    ]
    assert await open_session().get_items() == [SUMMARY]


async def test_a_compaction_keeps_what_another_writer_added_meanwhile(open_session):
    await open_session().add_items([user("a"), {"role": "assistant", "content": "b"}])
    snapshot = await open_session()._get_compaction_snapshot(10)
    assert (snapshot.complete, len(snapshot.items)) == (True, 2)
    await open_session().add_items([user("c")])
    assert not await snapshot.replace_suffix(0, [SUMMARY])
    assert len(await open_session().get_items()) == 3
    snapshot = await open_session()._get_compaction_snapshot(2)
    assert not snapshot.complete
    assert await snapshot.replace_suffix(1, [SUMMARY])
    items = await open_session().get_items()
    assert items == [user("a"), {"role": "assistant", "content": "b"}, SUMMARY]


async def test_expired_items_are_deleted_once_although_answers_get_lost(open_session, network):
    await open_session().add_items([user("old"), user("old"), user("a"), user("old"), user("b")])

    def is_expired(item):
        network.lose = 1  # of the deletion that follows
        return item == user("old")

    snapshot = await open_session()._get_compaction_snapshot(1, prune_prefix=is_expired)
    assert await snapshot.replace_suffix(0, [SUMMARY])
    network.lose = 0
    assert await open_session().get_items() == [user("a"), user("old"), SUMMARY]


async def test_a_compaction_that_is_too_large_for_one_step_is_left_to_the_sdk(open_session):
    items = [user(str(number)) for number in range(60)]
    session = compacting(open_session(), *items)
    await session.add_items([user("a"), user("b")])
    await session.run_compaction({"force": True, "compaction_mode": "input"})
    assert await open_session().get_items() == items


async def test_clearing_keeps_the_session_and_what_else_is_in_it(open_session, client):
    await open_session().add_items([user("a")])
    session = session_id_of("thread")
    await client.sessions.update(session, title="Weather")
    await open_session().clear_session()
    found = await client.sessions.get(session)
    assert (found.title, found.message_count) == ("Weather", 0)
    await open_session("never used").clear_session()
