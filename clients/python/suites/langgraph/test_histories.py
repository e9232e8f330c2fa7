"""Delta channels: our saver rebuilds what LangGraph's own walk and its in-memory saver rebuild."""

import random
from typing import Any

import pytest
from langgraph.checkpoint import memory
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from wire import Wire

CHANNELS = ["messages", "files", "never"]


def config_of(id_: str | None = None, namespace: str = "") -> Any:
    configurable = {"thread_id": "thread", "checkpoint_ns": namespace}
    return {"configurable": configurable | ({"checkpoint_id": id_} if id_ else {})}


def tree(seed: int, size: int, savers: list[Any]) -> list[str]:
    """The same checkpoints in each saver, with forks, snapshots, and ids that may fall."""
    chance = random.Random(seed)
    ids: list[str] = []
    for number in range(size):
        id_ = empty_checkpoint()["id"]
        if chance.random() < 0.15:
            id_ = f"0{id_[1:]}"  # made by a process whose clock is slow
        parent = None
        if ids:
            parent = ids[-1] if chance.random() < 0.7 else chance.choice(ids)
        state = {
            name: _DeltaSnapshot([f"{name} {number}"])
            for name in CHANNELS[:2]
            if chance.random() < 0.15
        }
        versions = dict.fromkeys(CHANNELS[:2], number + 1)
        checkpoint: Any = {
            **empty_checkpoint(),
            "id": id_,
            "channel_values": state,
            "channel_versions": versions,
        }
        written = [
            (f"task {chance.random()}", f"~{chance.randrange(3)}", name)
            for name in chance.choices(CHANNELS[:2], k=chance.randrange(4))
        ]
        for saver in savers:
            put = saver.put(config_of(parent), checkpoint, {"step": number}, versions)
            for task, path, name in written:
                saver.put_writes(put, [(name, [number, task]), ("other", 1)], task, path)
        ids.append(id_)
    return ids


@pytest.mark.parametrize("seed", range(4))
def test_histories_are_those_of_the_in_memory_saver(wire: Wire, seed: int) -> None:
    saver, in_memory = wire.saver(), memory.InMemorySaver()
    ids = tree(seed, 40, [saver, in_memory])
    for id_ in ids[::3] + ids[-1:]:
        wanted = in_memory.get_delta_channel_history(config=config_of(id_), channels=CHANNELS)
        found = saver.get_delta_channel_history(config=config_of(id_), channels=CHANNELS)
        assert found == wanted
    assert found == BaseCheckpointSaver.get_delta_channel_history(
        saver, config=config_of(id_), channels=CHANNELS
    )


async def test_the_latest_checkpoint_is_found_without_an_id(wire: Wire) -> None:
    saver, in_memory = wire.saver(), memory.InMemorySaver()
    nothing = await saver.aget_delta_channel_history(config=config_of(), channels=CHANNELS)
    assert nothing == {name: {"writes": []} for name in CHANNELS}
    tree(7, 20, [saver, in_memory])
    assert await saver.aget_delta_channel_history(
        config=config_of(), channels=CHANNELS
    ) == in_memory.get_delta_channel_history(config=config_of(), channels=CHANNELS)
    assert await saver.aget_delta_channel_history(config=config_of(), channels=[]) == {}


def test_a_missing_target_has_no_history(wire: Wire) -> None:
    saver = wire.saver()
    tree(1, 3, [saver])
    missing = config_of(empty_checkpoint()["id"])
    assert saver.get_delta_channel_history(config=missing, channels=["messages"]) == {
        "messages": {"writes": []}
    }


def test_a_walk_ends_where_checkpoints_are_their_own_ancestors(wire: Wire) -> None:
    """A put replaces a checkpoint of the same id, with another parent."""
    saver = wire.saver()
    ids = tree(2, 2, [saver])
    again: Any = {**empty_checkpoint(), "id": ids[0]}
    saver.put(config_of(ids[1]), again, {}, {})
    saver.get_delta_channel_history(config=config_of(ids[1]), channels=["never"])


def test_a_long_walk_takes_few_requests(wire: Wire) -> None:
    saver = wire.saver()
    config = config_of()
    for number in range(120):
        config = saver.put(config, {**empty_checkpoint()}, {}, {})
        saver.put_writes(config, [("messages", number)], "task")
    wire.count()
    [history] = saver.get_delta_channel_history(config=config, channels=["messages"]).values()
    assert [value for _, _, value in history["writes"]] == list(range(119))
    assert wire.count() == 3
