"""`session-store import --from langgraph`: our saver and store then give what LangGraph's SQLite
ones gave, and conversations go on."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import jwt
import pytest
from agents import config_of, fan_out
from langgraph.checkpoint.serde.types import INTERRUPT, RESUME
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.store.sqlite import SqliteStore
from langgraph.types import Command
from test_graphs import SCHEMAS, conversation
from test_saver import TEXTS, put
from test_saver import config_of as place
from wire import Wire

from suites import world


def imported(wire: Wire, path: Path) -> str:
    command = [sys.executable, "-m", "session_store", "import", "--from", "langgraph", str(path)]
    environment = {**os.environ, "SESSION_STORE_TOKEN": wire.token}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture
def wire() -> Any:
    world.use()
    scope = f"{world.SCOPES} sessions:import"
    claims = {"tenant_id": world.tenant(), "sub": "tester", "exp": world.EXPIRES, "scope": scope}
    with Wire(jwt.encode(claims, world.SECRET, algorithm="HS256")) as wire:
        yield wire


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_conversation_goes_on(wire: Wire, schema: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as theirs:
        graph = fan_out(theirs, SCHEMAS[schema])
        conversation(graph, "sync")
        graph.invoke({"said": ["hello"]}, config_of("thread"), durability="sync")
        graph.invoke(Command(resume="yes"), config_of("thread"), durability="sync")
        imported(wire, path)
        found, wanted = [
            sorted(saver.list(None), key=lambda each: str(each.config))
            for saver in (wire.saver(), theirs)
        ]
        assert len(found) == len(wanted) > 20
        for ours, other in zip(found, wanted, strict=True):
            assert ours == other
        ends = []
        for each in (graph, fan_out(wire.saver(), SCHEMAS[schema])):
            each.invoke(Command(resume="really"), config_of("thread"), durability="sync")
            each.invoke({"said": ["again"]}, config_of("thread"), durability="sync")
            state = each.get_state(config_of("thread"))
            ends.append((state.values, state.next))
        assert ends[0] == ends[1]
        assert "skipped" in imported(wire, path)


def test_any_text_large_states_and_pending_writes(wire: Wire, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.sqlite"
    texts = [text for text in TEXTS if text != "\ud800"]  # SQLite has no half a pair
    with SqliteSaver.from_conn_string(str(path)) as theirs:
        for text in texts:
            config = put(theirs, place(text, text), {"source": text}, text=text, nan=[1])
            theirs.put_writes(config, [(text, 1), ("b", 2)], text, text)
            theirs.put_writes(config, [(INTERRUPT, "?"), (RESUME, "!")], text, text)
        put(theirs, place("large"), text="x" * 7 * 1024 * 1024)
        imported(wire, path)
        saver = wire.saver()
        for text in texts:
            assert saver.get_tuple(place(text, text)) == theirs.get_tuple(place(text, text))
        assert saver.get_tuple(place("large")) == theirs.get_tuple(place("large"))


def test_files_without_task_paths(wire: Wire, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as theirs:
        theirs.put_writes(put(theirs, text="one"), [("a", 1)], "task")
        wanted = theirs.get_tuple(place())
    database = sqlite3.connect(path)
    database.execute("ALTER TABLE writes DROP COLUMN task_path")
    database.commit()
    database.close()
    imported(wire, path)
    assert wire.saver().get_tuple(place()) == wanted


def test_items_of_the_store(wire: Wire, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with SqliteStore.from_conn_string(str(path)) as theirs:
        theirs.setup()
        for number in range(30):
            value = {"n": number, "text": "é 😀", "deep": {"list": [1, 2.5, None]}}
            theirs.put(("users", f"{number % 3}", "x" * 200), f"key {number}/{'y' * number}", value)
        imported(wire, path)
        items = [(each.namespace, each.key, each.value) for each in theirs.search((), limit=100)]
    found = [(each.namespace, each.key, each.value) for each in wire.store().search((), limit=100)]
    assert sorted(found, key=str) == sorted(items, key=str)
    assert len(found) == 30


def test_another_file_is_refused(wire: Wire, tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    sqlite3.connect(path).execute("CREATE TABLE other (id)").connection.commit()
    command = [sys.executable, "-m", "session_store", "import", "--from", "langgraph", str(path)]
    done = subprocess.run(
        command,
        env={**os.environ, "SESSION_STORE_TOKEN": wire.token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode
    assert "has no table checkpoints" in done.stderr + done.stdout
