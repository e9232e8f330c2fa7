import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fake_model import REDACTED, FakeModel
from strands import Agent, tool
from strands.agent.conversation_manager import (
    NullConversationManager,
    SlidingWindowConversationManager,
)
from strands.session import RepositorySessionManager

from session_store import Client, ConnectionFailed, session_id_of
from session_store.adapters.strands import SessionStoreRepository, SessionStoreSessionManager
from suites import world


@tool
def look_up() -> str:
    """Looks up how warm it is."""
    return "18 °C"


CALL = {"tool": "look_up"}


def agent_of(client, *answers, session_id="s", **options):
    manager = SessionStoreSessionManager(session_id, client=client)
    options = {
        "tools": [look_up],
        "callback_handler": None,
        "model": FakeModel(*answers),
        **options,
    }
    return Agent(session_manager=manager, **options)


def told(agent):
    return [message["content"][0].get("text") for message in agent.messages]


def test_a_turn_is_a_request_for_each_message(client, network):
    agent = agent_of(client, CALL, "It is 18 °C.", CALL, "Still 18 °C.")
    assert network.count() == 1
    agent("How warm is it?")
    assert network.count() == 4
    agent("And now?")
    assert network.count() == 4
    again = agent_of(client)
    assert network.count() == 1
    assert again.messages == agent.messages


def test_the_state_is_written_with_the_message(client, network):
    @tool(context=True)
    def note(tool_context) -> str:
        """Takes a note."""
        tool_context.agent.state.set("noted", True)
        return "done"

    agent = agent_of(client, {"tool": "note"}, "Done.", tools=[note])
    network.count()
    agent("Note it")
    assert network.count() == 4
    assert agent_of(client).state.get("noted") is True


def test_strands_own_manager_reads_what_ours_has_written(client):
    agent = agent_of(client, CALL, "It is 18 °C.")
    agent.state.set("a", 1)
    agent("How warm is it?")
    manager = RepositorySessionManager("s", SessionStoreRepository(client=client))
    other = Agent(session_manager=manager, model=FakeModel(), callback_handler=None)
    assert (other.messages, other.state.get("a")) == (agent.messages, 1)
    other("And now?")
    assert agent_of(client).messages == other.messages


def test_a_window_is_restored_as_it_was(client, network):
    window = SlidingWindowConversationManager(window_size=6)
    agent = agent_of(client, *["Fine."] * 150, conversation_manager=window)
    for number in range(150):
        agent(f"Question {number}")
    assert len(agent.messages) == 6
    network.count()
    again = agent_of(client, conversation_manager=SlidingWindowConversationManager(window_size=6))
    assert network.count() == 1
    assert again.messages == agent.messages
    assert again.conversation_manager.removed_message_count == 294
    again("Go on")
    assert client.sessions.get(session_id_of("s"), messages=0).message_count == 302


def test_without_a_window_everything_is_restored(client):
    agent = agent_of(client, *["Fine."] * 130, conversation_manager=NullConversationManager())
    for number in range(130):
        agent(f"Question {number}")
    again = agent_of(client, conversation_manager=NullConversationManager())
    assert again.messages == agent.messages
    assert len(again.messages) == 260


def test_messages_that_an_agent_begins_with_are_kept(client, network):
    messages = [{"role": "user", "content": [{"text": "Hello"}]}] * 60
    agent = agent_of(client, messages=messages)
    assert network.count() == 3
    assert agent_of(client).messages == agent.messages
    assert len(agent.messages) == 60


def test_a_redaction_is_kept(client):
    agent_of(client, REDACTED)("My secret")
    assert told(agent_of(client)) == ["[removed]", "I cannot talk about that."]


@pytest.mark.parametrize("lost", [1, 2])
def test_after_lost_answers_nothing_is_there_twice_or_missing(client, network, lost):
    agent = agent_of(client, CALL, "It is 18 °C.")
    stream = agent.model.stream

    async def lossy(*arguments, **options):
        network.lose = lost
        async for event in stream(*arguments, **options):
            yield event

    agent.model.stream = lossy
    network.lose = lost
    agent("How warm is it?")
    assert agent_of(client).messages == agent.messages


def test_a_failed_write_does_not_lose_the_state(client, network):
    agent = agent_of(client, "a", "b")
    agent("1")
    agent.state.set("a", 1)
    network.lose = 100
    with pytest.raises(ConnectionFailed):
        agent("2")
    network.lose = 0
    agent("3")
    assert agent_of(client).state.get("a") == 1


def test_two_agents_in_a_session(client):
    manager = SessionStoreSessionManager("s", client=client)
    agents = [
        Agent(agent_id=name, session_manager=manager, model=FakeModel(), callback_handler=None)
        for name in ("ab", "a")
    ]
    for agent in agents:
        agent(f"Hello {agent.agent_id}")
    for agent in agents:
        again = agent_of(client, agent_id=agent.agent_id)
        assert again.messages == agent.messages


def test_two_processes_at_once_lose_nothing(client):
    agent_of(client, "Hello.")("Hello")
    token = world.token("alice")

    def talk(name):
        with Client(world.URL, token) as own:
            agent = agent_of(own, *["Fine."] * 5)
            for number in range(5):
                agent(f"{name}{number}")

    talkers = [threading.Thread(target=talk, args=(name,)) for name in "xy"]
    for talker in talkers:
        talker.start()
    for talker in talkers:
        talker.join()
    again = agent_of(client)
    assert len(again.messages) == 22
    asked = [text for text in told(again) if text and text[0] in "xy"]
    assert sorted(asked) == sorted(f"{name}{number}" for name in "xy" for number in range(5))


DIES = """
import os
from session_store import Client
from strands import tool
from test_manager import CALL, agent_of

@tool
def look_up() -> str:
    "Looks up how warm it is."
    os._exit(9)

client = Client(os.environ["SESSION_STORE_URL"], os.environ["SESSION_STORE_TOKEN"])
agent_of(client, CALL, tools=[look_up])("How warm is it?")
"""


def test_a_process_that_dies_in_the_middle_of_a_turn(client):
    environment = {**os.environ, "SESSION_STORE_TOKEN": world.token("alice")}
    ended = subprocess.run(
        [sys.executable, "-c", DIES], env=environment, cwd=Path(__file__).parent, timeout=60
    )
    assert ended.returncode == 9
    agent = agent_of(client, "18 °C, I think.")
    assert told(agent)[0] == "How warm is it?"
    assert "toolUse" in agent.messages[1]["content"][0]
    agent("And now?")
    assert told(agent_of(client))[-1] == "18 °C, I think."
