"""Real graphs, beside the same graphs over LangGraph's in-memory saver."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from agents import Delta, Plain, config_of, fan_out
from langgraph.checkpoint import memory
from langgraph.types import Command
from wire import Wire

from suites import world

SCHEMAS = {"plain": Plain, "delta": Delta}
DURABILITIES = ["sync", "async", "exit"]


def conversation(graph: Any, durability: str) -> list[Any]:
    """Two rounds with two questions each. Returns what is seen after each step."""
    seen = []
    for _ in range(2):
        for given in ({"said": ["hello"]}, Command(resume="yes"), Command(resume="really")):
            graph.invoke(given, config_of("thread"), durability=durability)
            state = graph.get_state(config_of("thread"), subgraphs=True)
            seen.append((state.values, state.next, [each.value for each in state.interrupts]))
    history = list(graph.get_state_history(config_of("thread")))
    return [*seen, *((each.values, each.next, each.metadata["step"]) for each in history)]


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_conversation_is_as_in_memory(wire: Wire, schema: str, durability: str) -> None:
    found = conversation(fan_out(wire.saver(), SCHEMAS[schema]), durability)
    wanted = conversation(fan_out(memory.InMemorySaver(), SCHEMAS[schema]), durability)
    assert found == wanted
    assert found[2][0]["said"][-2:] == ["answer yes really", "done"]


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_async_methods_do_the_same(wire: Wire, schema: str) -> None:
    graph = fan_out(wire.saver(), SCHEMAS[schema])
    reference = fan_out(memory.InMemorySaver(), SCHEMAS[schema])
    for given in ({"said": ["hello"]}, Command(resume="yes"), Command(resume="really")):
        for each in (graph, reference):
            await each.ainvoke(given, config_of("thread"), durability="sync")
        found, wanted = [await each.aget_state(config_of("thread")) for each in (graph, reference)]
        assert (found.values, found.next) == (wanted.values, wanted.next)
    count = [
        len([state async for state in each.aget_state_history(config_of("thread"))])
        for each in (graph, reference)
    ]
    assert count[0] == count[1]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_time_travel_and_forks(wire: Wire, schema: str) -> None:
    seen = []
    for saver in (wire.saver(), memory.InMemorySaver()):
        graph = fan_out(saver, SCHEMAS[schema])
        conversation(graph, "sync")
        history = list(graph.get_state_history(config_of("thread")))
        earlier = next(each for each in history[4:] if each.next == ("inside",))
        forked = graph.update_state(earlier.config, {"said": ["changed"]})
        graph.invoke(None, forked, durability="sync")
        graph.invoke(Command(resume="no"), config_of("thread"), durability="sync")
        graph.invoke(Command(resume="never"), config_of("thread"), durability="sync")
        graph.update_state(config_of("thread"), {"said": ["afterwards"]})
        state = graph.get_state(config_of("thread"))
        replayed = graph.get_state(earlier.config)
        seen.append(
            (
                state.values,
                state.next,
                replayed.values,
                [each.values for each in graph.get_state_history(config_of("thread"))],
            )
        )
    assert seen[0] == seen[1]
    assert seen[0][0]["said"][-1] == "afterwards"


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_pruned_and_a_copied_thread_go_on(wire: Wire, schema: str) -> None:
    saver = wire.saver()
    graph = fan_out(saver, SCHEMAS[schema])
    conversation(graph, "sync")
    graph.invoke({"said": ["hello"]}, config_of("thread"), durability="sync")
    graph.invoke(Command(resume="yes"), config_of("thread"), durability="sync")
    saver.copy_thread("thread", "copy")
    before = len(list(saver.list(config_of("copy"))))
    saver.prune(["copy"])
    assert len(list(saver.list(config_of("copy")))) < before
    for thread in ("copy", "thread"):
        graph.invoke(Command(resume="really"), config_of(thread), durability="sync")
    said = [graph.get_state(config_of(thread)).values for thread in ("copy", "thread")]
    assert said[0] == said[1]
    assert said[0]["said"][0] == "hello"
    assert said[0]["said"][-1] == "done"


def test_a_conversation_outlives_its_processes() -> None:
    world.use()
    environment = {
        **os.environ,
        "SESSION_STORE_TOKEN": world.token(),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def process(*arguments: str, code: int = 0) -> Any:
        script = str(Path(__file__).with_name("agents.py"))
        ended = subprocess.run(
            [sys.executable, script, "thread", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == code, ended.stderr
        return json.loads(ended.stdout) if code == 0 else None

    process("run", "worker 2", code=3)
    found = process("state")
    assert found["said"] == ["hello", "plan 0"]
    assert found["next"][0] == "worker"
    process("continue", "before", code=3)
    found = process("continue")
    assert sorted(found["said"][2:]) == ["worker 0", "worker 1", "worker 2"]
    assert found["next"] == ["inside"]
    process("resume")
    process("resume", "done", code=0)
    found = process("state")
    assert found["said"][5:] == ["inner: 2", "answer yes yes", "done"]
    assert found["next"] == []
