"""Exports and imports of a tenant: interrupted at any call, under change, and large."""

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.conversations.exporting import Exporter
from app.operations import transfer
from app.sessions import staging
from app.table import db, ids
from tests.faults.test_kills import Request, kill_at  # noqa: F401  a fixture
from tests.people import Client

LEASE_IS_OVER = staging.LEASE + 10_000


def exported(table: db.Table, folder: Path) -> bytes:
    path = folder / ids.UlidSource().new()[0]
    assert transfer.export(table, "acme", None, path, resume=False) == 0
    return path.read_bytes()


def write_file(path: Path, users: int, sessions: int, messages: int = 10) -> None:
    """The lines of an export that nobody has made: every session has a value, and every tenth a
    large one; so has every user."""
    source = ids.UlidSource(lambda: ids.system_clock() - 3_600_000)
    with path.open("w") as file:
        for user in range(users):
            tell(file, type="user", user=f"user-{user}")
            for number in range(sessions):
                [session, *told] = source.new(1 + messages)
                at = ids.timestamp(told[-1])
                tell(
                    file,
                    type="session",
                    session_id=f"sess_{session}",
                    born=session,
                    etag=told[-1],
                    changed=session,
                    title=f"Session {number}",
                    domain_id="d",
                    metadata={"n": number},
                    last_activity=at,
                    version=1 + messages,
                    settings_version=1,
                )
                for each in told:
                    tell(
                        file,
                        type="message",
                        message_id=f"msg_{each}",
                        role="user",
                        created_by="alice",
                        content="What was said. " * 10,
                        metadata={},
                    )
                size = 5000 if number % 10 == 0 else 50
                value = {"name": "agent/state", "json": "x" * size, "updated_at": at}
                tell(file, type="value", session_id=f"sess_{session}", **value)
            tell(file, type="value", **value)


def tell(file: Any, **members: Any) -> None:
    file.write(json.dumps(members) + "\n")


@pytest.mark.parametrize("acts", [False, True], ids=["before_it_acts", "after_it_acted"])
def test_an_import_killed_at_any_call_is_run_again(
    acts: bool,
    kill_at: Callable[..., bool],  # noqa: F811
    proxy: Any,
    table: db.Table,
    make_table: Callable[[], db.Table],
    assert_sound: Callable[[], None],
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    write_file(path, users=1, sessions=2, messages=3)
    whole = make_table()
    list(transfer.restore(whole, "acme", path))
    expected = exported(whole, tmp_path)
    number = 0
    while True:
        number += 1
        ended = not kill_at(number, acts, Request("IMPORT", str(path)), "alice", 0)
        assert kill_at(0, acts, Request("IMPORT", str(path)), "alice", LEASE_IS_OVER) is False
        assert exported(table, tmp_path) == expected, number
        assert_sound()
        if ended:
            break
        _empty(table)
    assert number > 8


def _empty(table: db.Table) -> None:
    for page in table.scan(only="PK, SK"):
        table.delete_many(page)


def test_a_session_deleted_while_it_is_exported_is_told_to_be_gone(
    alice: Client, table: db.Table, tmp_path: Path, make_table: Callable[[], db.Table]
) -> None:
    session_id = alice.create_session()["session_id"]
    kept = alice.create_session()["session_id"]
    for _ in range(4):
        alice.append(session_id, "x" * 900_000)
    path = tmp_path / "file"
    with path.open("w") as file:
        tell(file, type="user", user="alice")
        for line in Exporter(table).lines("acme#alice"):
            file.write(line.text + "\n")
            if '"message"' in line.text:
                assert alice.delete(f"/sessions/{session_id}").status_code in (200, 404)
    types = [json.loads(line)["type"] for line in path.read_text().splitlines()]
    assert "gone" in types
    there = make_table()
    list(transfer.restore(there, "acme", path))
    assert [
        json.loads(line)["session_id"]
        for line in exported(there, tmp_path).decode().splitlines()
        if '"session"' in line
    ] == [kept]


def test_an_import_leaves_what_is_there(
    alice: Client, table: db.Table, tmp_path: Path, assert_sound: Callable[[], None]
) -> None:
    """Into a table that is in use: with sessions of the same user, and values of the same name."""
    old = alice.create_session(title="Old")["session_id"]
    assert alice.put("/values/theme", "dark").status_code == 201
    path = tmp_path / "file"
    transfer.export(table, "acme", None, path, resume=False)
    assert alice.delete(f"/sessions/{old}").status_code == 200
    newer = alice.create_session(title="Newer")["session_id"]
    assert alice.put("/values/theme", "light").status_code == 200
    [*_, restored] = transfer.restore(table, "acme", path)
    assert (restored.sessions, restored.existing) == (1, 1)
    listed = alice.get("/sessions").json
    assert {row["session_id"] for row in listed["sessions"]} == {old, newer}
    assert listed["pagination"]["total"] == 2
    assert alice.get("/values/theme").json == "light"
    assert_sound()
    assert alice.delete("/sessions?confirm=all").json["deleted_sessions"] == 2


def test_the_same_bytes_in_flat_memory(
    make_table: Callable[[], db.Table], tmp_path: Path, full: bool, record_figures: Any
) -> None:
    users, sessions = (40, 500) if full else (2, 50)
    small, large = tmp_path / "small", tmp_path / "large"
    write_file(small, users=1, sessions=20)
    write_file(large, users=users, sessions=sessions)
    peaks, seconds = [], []
    for path in (small, large):
        first, second = make_table(), make_table()
        tracemalloc.start()
        started = time.perf_counter()
        list(transfer.restore(first, "acme", path))
        one = tmp_path / f"{path.name}-1"
        seconds.append(time.perf_counter() - started)
        transfer.export(first, "acme", None, one, resume=False)
        seconds.append(time.perf_counter() - started - seconds[-1])
        list(transfer.restore(second, "acme", one))
        two = tmp_path / f"{path.name}-2"
        transfer.export(second, "acme", None, two, resume=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert one.read_bytes() == two.read_bytes()
        assert one.read_text().count('"type":"message"') == path.read_text().count('"message"')
    record_figures(
        sessions=users * sessions,
        messages=users * sessions * 10,
        import_seconds=round(seconds[2], 1),
        export_seconds=round(seconds[3], 1),
        bytes=one.stat().st_size,
        peak_of_20_sessions=peaks[0],
        peak=peaks[1],
    )
    assert peaks[1] < 3 * peaks[0] + 10_000_000
