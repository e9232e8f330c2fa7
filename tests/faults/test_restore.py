"""A session or a user comes back from another table: whole, once, and never over what is live."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest

from app.config import Config
from app.factory import create_app
from app.identity.caller import Caller
from app.operations import cli, transfer
from app.sessions import staging
from app.table import db, ids
from tests.faults.test_kills import Request, kill_at  # noqa: F401  a fixture
from tests.faults.test_transfer import write_file
from tests.people import SECRET, Client, make_token

LEASE_IS_OVER = staging.LEASE + 10_000
ALICE = Caller("acme", "alice")


@pytest.fixture
def backup(make_table: Callable[[], db.Table]) -> db.Table:
    return make_table()


@pytest.fixture
def then(backup: db.Table, clock: Any) -> Client:
    """Alice, as what she does is kept in the backup."""
    config = Config(sessions_table=backup.name, jwt_secret=SECRET)
    return Client(
        create_app(config, table=backup, ulids=ids.UlidSource(clock)), make_token("acme", "alice")
    )


@pytest.fixture
def run(app: flask.Flask, table: db.Table, backup: db.Table) -> Callable[..., Any]:
    cli.init_app(app, Config(sessions_table=table.name, jwt_secret=SECRET))

    def run(*args: str, source: str = backup.name, tenant: str = "acme") -> Any:
        named = ["--from-table", source, "--tenant", tenant, "--user", "alice"]
        return app.test_cli_runner().invoke(args=["restore", *named, *args])

    return run


def exported(table: db.Table, session_ulid: str = "") -> list[str]:
    lines = transfer.lines(table, "acme", "alice")
    return [line for line in lines if session_ulid in line]


def fill(alice: Client, **body: Any) -> str:
    """A session with all that can be in one."""
    session_id: str = alice.create_session(title="Kept", metadata={"a": "x" * 500}, **body)[
        "session_id"
    ]
    first, *_ = alice.fill(session_id, 60)
    alice.append(session_id, "x" * 900_000)
    alice.put(f"/sessions/{session_id}/messages/{first}/feedback", {"rating": "up"})
    alice.put(f"/sessions/{session_id}/messages/{first}", {"content": "edited"})
    alice.put(f"/sessions/{session_id}/values/state", {"step": 1})
    alice.put(f"/sessions/{session_id}/values/large", "y" * 900_000)
    return session_id


@pytest.mark.parametrize("key", [None, "mine"])
def test_one_session_comes_back_as_it_was(then, alice, run, table, backup, key, assert_sound):
    session_id = fill(then, **({"key": key} if key else {}))
    fill(then)
    then.put("/values/theme", "dark")
    kept = alice.create_session()["session_id"]
    done = run("--session", session_id)
    assert done.exit_code == 0, done.output
    assert done.output == (
        "restored 1 sessions, 61 messages, 2 values; 0 were there, 0 have expired,"
        f" 0 are damaged in {backup.name}\n"
    )
    listed = {row["session_id"] for row in alice.get("/sessions").json["sessions"]}
    assert listed == {session_id, kept}
    assert alice.get("/values/theme").status_code == 404
    path = f"/sessions/{session_id}"
    now, before = alice.get(path), then.get(path)
    assert now.json == before.json
    assert now.headers["ETag"] == before.headers["ETag"]
    assert exported(table, session_id[5:]) == exported(backup, session_id[5:])
    assert_sound()
    again = run("--session", session_id)
    assert again.exit_code == 0
    assert "restored 0 sessions, 0 messages, 0 values; 1 were there" in again.output


def test_a_user_comes_back_with_all_sessions_and_values(
    then, run, table, backup, alice, bob, assert_sound
):
    for _ in range(2):
        fill(then)
    then.put("/values/theme", "dark")
    Client(then.app, bob.token).create_session()
    done = run()
    assert done.exit_code == 0, done.output
    assert "restored 2 sessions, 122 messages, 5 values" in done.output
    assert exported(table) == exported(backup)
    assert bob.get("/sessions").json["sessions"] == []
    assert_sound()


def test_what_is_live_stays_as_it_is(then, alice, run, table, make_table, assert_sound):
    """The backup has older states of a session and a value that are in use."""
    session_id = then.create_session(key="mine", title="Old")["session_id"]
    then.append(session_id, "then")
    then.put("/values/theme", "dark")
    assert run().exit_code == 0
    alice.put(f"/sessions/{session_id}", {"title": "New"})
    alice.append(session_id, "now")
    alice.put("/values/theme", "light")
    before = exported(table)
    done = run()
    assert done.exit_code == 0
    assert "restored 0 sessions, 0 messages, 0 values; 2 were there" in done.output
    assert exported(table) == before
    assert_sound()


@pytest.mark.parametrize("key", [None, "mine"])
def test_a_deleted_session_comes_back_also_while_it_is_removed(
    then, alice, run, table, key, assert_sound
):
    session_id = fill(then, **({"key": key} if key else {}))
    assert run().exit_code == 0
    assert alice.delete(f"/sessions/{session_id}").status_code == 200
    assert alice.get(f"/sessions/{session_id}").status_code == 404
    assert run("--session", session_id).exit_code == 0
    assert len(alice.get(f"/sessions/{session_id}").json["messages"]) == 61
    assert_sound()


def test_what_cannot_be_restored_is_told(then, alice, run, raw, backup, table):
    nothing = "sess_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for args, text in [
        (("--session", nothing), f"has nothing of session {nothing}"),
        ((), "has nothing of user alice of tenant acme"),
        (("--session", "mine"), "must be the id of a session"),
    ]:
        done = run(*args)
        assert done.exit_code in (1, 2)
        assert text in done.output
    assert "is the table to restore into" in run(source=table.name).output
    assert "no such table" in run(source="nowhere").output
    session_id = then.create_session()["session_id"]
    lost = then.append(session_id, "lost")["message_id"]
    kept = then.append(session_id, "kept")["message_id"]
    key = {"PK": {"S": "acme#alice"}, "SK": {"S": f"SESSION#{session_id[5:]}#MSG#{lost[4:]}"}}
    raw.update_item(TableName=backup.name, Key=key, UpdateExpression="REMOVE body")
    done = run("--session", session_id)
    assert done.exit_code == 1
    assert "restored 1 sessions, 1 messages" in done.output
    assert done.output.endswith(f"1 are damaged in {backup.name}\n")
    assert [m["message_id"] for m in alice.get(f"/sessions/{session_id}").json["messages"]] == [
        kept
    ]


def test_nobody_elses_data_is_reached(then, run, alice, charlie):
    session_id = then.create_session()["session_id"]
    assert run("--session", session_id, tenant="globex").exit_code == 1
    assert charlie.get("/sessions").json["sessions"] == []


@pytest.mark.parametrize("acts", [False, True], ids=["before_it_acts", "after_it_acted"])
def test_a_restore_killed_at_any_call_is_run_again(
    acts: bool,
    kill_at: Callable[..., bool],  # noqa: F811
    table: db.Table,
    then: Client,
    backup: db.Table,
    assert_sound: Callable[[], None],
) -> None:
    session_id = then.create_session()["session_id"]
    then.fill(session_id, 2)
    then.put(f"/sessions/{session_id}/values/a", {"b": 1})
    then.put("/values/theme", "dark")
    number = 0
    while True:
        number += 1
        ended = not kill_at(number, acts, Request("RESTORE", backup.name), "alice", 0)
        assert_sound()
        assert kill_at(0, acts, Request("RESTORE", backup.name), "alice", LEASE_IS_OVER) is False
        assert exported(table) == exported(backup), number
        assert_sound()
        if ended:
            break
        for page in table.scan(only="PK, SK"):
            table.delete_many(page)
    assert number > 8


def test_memory_is_flat(make_table, table, backup, tmp_path: Path, full: bool) -> None:
    """Of 20 sessions and of many more."""
    peaks = []
    for sessions in (20, 2000 if full else 100):
        source, target = make_table(), make_table()
        path = tmp_path / str(sessions)
        write_file(path, users=1, sessions=sessions)
        list(transfer.restore(source, "acme", path))
        tracemalloc.start()
        list(transfer.restore_from(source, target, Caller("acme", "user-0")))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 3 * peaks[0] + 10_000_000
