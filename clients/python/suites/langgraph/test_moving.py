"""`session-store import --from langgraph`: our saver reads what SqliteSaver gave."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from agents import Delta, Plain, config_of, fan_out
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from session_store import Client
from session_store._importing import write
from session_store.adapters.langgraph import SessionStoreSaver
from session_store.migrations.langgraph import read
from suites import world

THREADS = ("done", "waits", "a/b#c é 😀", "large")


@pytest.fixture(params=[Plain, Delta])
def schema(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def path(schema: Any, tmp_path: Path) -> Path:
    """A database with finished and interrupted threads, one of them with checkpoints over 3 MB."""
    path = tmp_path / "checkpoints.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as saver:
        graph = fan_out(saver, schema)
        for thread in THREADS:
            said = ["x" * 3_500_000 if thread == "large" else "hello"]
            graph.invoke({"said": said}, config_of(thread), durability="sync")
            if thread != "waits":
                graph.invoke(Command(resume="yes"), config_of(thread), durability="sync")
    return path


def known(found: CheckpointTuple) -> Any:
    """All that LangGraph reads of a checkpoint; SqliteSaver does not keep their config's order."""
    return (
        found.config["configurable"],
        found.checkpoint,
        found.metadata,
        found.parent_config and found.parent_config["configurable"],
        found.pending_writes,
    )


def test_a_database_of_checkpoints(path: Path, schema: Any) -> None:
    world.use()
    with Client(world.URL, world.token()) as client:
        assert [write(client, each).what for each in read(path)] == ["imported"] * len(THREADS)
        assert [write(client, each).what for each in read(path)] == ["skipped"] * len(THREADS)
        ours = SessionStoreSaver(client)
        with SqliteSaver.from_conn_string(str(path)) as theirs:
            for thread in THREADS:
                expected = [known(each) for each in theirs.list(config_of(thread))]
                found = [known(each) for each in ours.list(config_of(thread))]
                key = lambda each: (each[0]["checkpoint_ns"], each[0]["checkpoint_id"])  # noqa: E731
                assert sorted(found, key=key) == sorted(expected, key=key)
                assert found
            states = [
                fan_out(saver, schema).get_state(config_of("waits")) for saver in (theirs, ours)
            ]
        assert states[0].values == states[1].values
        assert states[0].interrupts == states[1].interrupts
        graph = fan_out(ours, schema)
        graph.invoke(Command(resume="yes"), config_of("waits"), durability="sync")
        after = graph.get_state(config_of("waits")).values["said"]
        assert after == graph.get_state(config_of("done")).values["said"]
        assert list(client.values.list()) == []


def test_a_database_before_task_paths(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE writes DROP COLUMN task_path")
        database.commit()
    assert [each.session["key"] for each in read(path)] == list(THREADS)
    assert all(list(each.values) for each in read(path))
