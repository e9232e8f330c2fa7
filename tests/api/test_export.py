"""Exports of a user over HTTP, and of a tenant by operators; and imports of what they wrote."""

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from app.config import Config
from app.errors import Unavailable
from app.factory import create_app
from app.operations import cli, provision, transfer
from app.operations.sweep import sweep
from app.sessions import leftovers
from app.table import db, ids
from tests.people import SECRET, Client, make_token, problem


def lines_of(who: Client) -> list[dict[str, Any]]:
    """All lines, over all pages."""
    found: list[dict[str, Any]] = []
    path = "/export"
    while True:
        answer = who.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.content_type == "application/x-ndjson"
        assert answer.text.endswith("\n")
        *lines, page = [json.loads(line) for line in answer.text.splitlines()]
        assert page["type"] == "page"
        found += lines
        if not page["next_cursor"]:
            return found
        path = f"/export?cursor={page['next_cursor']}"


def fill(who: Client, others: Client) -> None:
    """Something of every kind."""
    plain = who.create_session(title="Plain")["session_id"]
    for n in range(3):
        who.append(plain, {"n": n})
    keyed = who.create_session(
        key="thread-1", metadata={"long": "x" * 500}, archived=True, expires_in_days=30
    )["session_id"]
    messages = [
        {"role": "user", "content": "añb", "name": "Ana", "metadata": {"a": 1}},
        {"format": "openai.chat", "native": {"role": "assistant", "content": "Hi"}},
        {"role": "assistant", "content": "y" * 900_000, "status": "in_progress"},
    ]
    assert who.post(f"/sessions/{keyed}/messages/batch", {"messages": messages}).status_code == 201
    spaced = '{"role": "user",\n "content": [1.0,\n 1E5, -0]}'
    assert who.post(f"/sessions/{keyed}/messages", data=spaced).status_code == 201
    told = who.read_all(keyed)
    path = f"/sessions/{keyed}/messages/{told[0]['message_id']}"
    assert who.put(path, {"content": "edited"}).status_code == 200
    assert who.put(f"{path}/feedback", {"rating": 1.50, "comment": "good"}).status_code in (
        200,
        201,
    )
    assert others.put(f"{path}/feedback", {"rating": "up"}).status_code in (200, 201)
    assert who.delete(f"/sessions/{keyed}/messages/{told[1]['message_id']}").status_code == 200
    for base in (f"/sessions/{keyed}/values", "/values"):
        assert who.put(f"{base}/state", data='{"b":1.0, "a":[]}').status_code == 201
        assert who.put(f"{base}/spaced", data='\n{"b":\n1}\n').status_code == 201
        raw = {"Content-Type": "image/png"}
        assert who.put(f"{base}/p%23/1", data=bytes(256) * 4000, headers=raw).status_code == 201
        assert who.put(f"{base}/empty", data=b"", headers=raw).status_code == 201
    assert who.post(f"/sessions/{keyed}/fork", {"key": "copy"}).status_code == 201


@pytest.fixture
def run(app, table):
    """`flask …`"""
    cli.init_app(app, Config(sessions_table=table.name, jwt_secret=SECRET))
    return app.test_cli_runner().invoke


@pytest.fixture
def agent(app) -> Client:
    """Alice's agent, who may also import."""
    scope = "sessions:read sessions:write sessions:import tenant-values:read tenant-values:write"
    return Client(app, make_token("acme", "alice", scope=scope, act={"sub": "the-agent"}))


@pytest.fixture
def filled(alice: Client, agent: Client) -> Client:
    fill(alice, agent)
    old = {
        "session": {"domain_id": "d", "created_at": "2024-05-01T09:30:00Z"},
        "messages": [{"role": "user", "content": 1, "created_at": "2024-05-01T09:30:01Z"}],
    }
    assert agent.post("/import", old).status_code == 201
    return alice


@pytest.fixture
def empty(client, clock):
    """Another table, and an app over it."""
    table = db.Table(f"test-{ids.UlidSource().new()[0]}", client, database_time=clock)
    list(provision.create(table))
    yield table
    client.update_table(TableName=table.name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=table.name)


def test_an_export_has_everything_as_the_api_shows_it(filled):
    lines = lines_of(filled)
    assert lines[0] == {"type": "user", "user": "alice"}
    sessions = {line["session_id"]: line for line in lines if line["type"] == "session"}
    listed = filled.get("/sessions").json["sessions"]
    assert sessions.keys() == {row["session_id"] for row in listed}
    for session_id, line in sessions.items():
        shown = filled.get(f"/sessions/{session_id}?messages=0").json
        assert {name: line[name] for name in shown.keys() & line.keys()} == {
            name: shown[name] for name in shown.keys() & line.keys()
        }
        told = [
            json.loads(base64.b64decode(each["base64"])) if "base64" in each else each
            for each in lines
            if each["type"] == "message"
        ]
        mine = [each for each in told if each["session_id"] == session_id]
        for each, real in zip(mine, filled.read_all(session_id), strict=True):
            assert {name: each[name] for name in real} == real
    values = [line for line in lines if line["type"] == "value" and "session_id" not in line]
    names = [value["name"] for value in filled.get("/values?names_only=true").json["values"]]
    assert [value["name"] for value in values] == names == ["empty", "p#/1", "spaced", "state"]


def test_pages_follow_each_other_without_gap_or_repetition(alice):
    session_id = alice.create_session()["session_id"]
    for n in range(7):
        alice.append(session_id, f"{n}" * 900_000)
    for n in range(7):
        assert alice.put(f"/values/{n}", "x" * 900_000).status_code == 201
    pages, path = [], "/export"
    while path:
        answer = alice.get(path)
        assert len(answer.get_data()) < 6_000_000
        pages.append([json.loads(line) for line in answer.text.splitlines()])
        cursor = pages[-1].pop()["next_cursor"]
        path = f"/export?cursor={quote(cursor)}" if cursor else ""
    assert len(pages) > 3
    lines = [line for page in pages for line in page]
    assert [line["content"][0] for line in lines if line["type"] == "message"] == list("0123456")
    assert [line["name"] for line in lines if line["type"] == "value"] == list("0123456")
    assert len(lines) == 1 + 1 + 7 + 7


def test_an_export_shows_nothing_of_others(filled, bob, charlie):
    for other in (bob, charlie):
        assert [line["type"] for line in lines_of(other)] == ["user"]
    problem(bob.get("/export?cursor=abc"), 422, "INVALID_CURSOR")


def test_deleted_and_expired_sessions_are_not_exported(alice, clock):
    gone = alice.create_session()["session_id"]
    alice.create_session(expires_in_days=1)
    assert alice.delete(f"/sessions/{gone}").status_code == 200
    clock.move(days=2)
    assert [line["type"] for line in lines_of(alice)] == ["user"]


def test_an_imported_export_exports_the_same_bytes(filled, agent, table, empty, tmp_path):
    assert agent.put("/tenant/values/app:limit", data="1.50").status_code == 201
    assert agent.put("/tenant/values/image", data=b"\0", headers={"Content-Type": "image/png"})
    first, second = tmp_path / "first", tmp_path / "second"
    assert transfer.export(table, "acme", None, first, resume=False) == 0
    assert first.read_text().count('{"type":"user"') == 1
    for _ in range(2):  # the second time, all is there
        [*_, restored] = transfer.restore(empty, "acme", first)
    assert (restored.sessions, restored.existing) == (0, 4 + 4 + 2)
    assert transfer.export(empty, "acme", None, second, resume=False) == 0
    assert second.read_bytes() == first.read_bytes()


def test_what_was_imported_works_as_before(filled, table, empty, tmp_path, clock):
    path = tmp_path / "file"
    transfer.export(table, "acme", None, path, resume=False)
    list(transfer.restore(empty, "acme", path))
    config = Config(sessions_table=empty.name, jwt_secret=SECRET)
    app = create_app(config, table=empty, ulids=ids.UlidSource(clock))
    there = Client(app, make_token("acme", "alice"))
    assert there.get("/sessions").json == filled.get("/sessions").json
    keyed = there.create_session(key="new")["session_id"]
    assert keyed
    found = there.post("/sessions", {"key": "thread-1", "domain_id": "x"})
    assert found.status_code == 200
    session_id = found.json["session_id"]
    etag = there.get(f"/sessions/{session_id}").headers["ETag"]
    assert etag == filled.get(f"/sessions/{session_id}").headers["ETag"]
    there.append(session_id)
    assert there.put(f"/sessions/{session_id}/values/state", data="2").status_code == 200
    assert there.delete("/sessions?confirm=all").status_code == 200
    assert [line["type"] for line in lines_of(there)] == ["user"]
    clock.move(seconds=leftovers.SETTLED / 1000 + 1)
    sweep(empty, clock)
    assert not list(empty.scan(only="PK"))[0]


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.999])
def test_an_export_that_was_interrupted_goes_on_where_it_ended(filled, table, tmp_path, cut):
    whole, part = tmp_path / "whole", tmp_path / "part"
    transfer.export(table, "acme", None, whole, resume=False)
    text = whole.read_bytes()
    part.write_bytes(text[: int(len(text) * cut)])
    with pytest.raises(FileExistsError):
        transfer.export(table, "acme", None, part, resume=False)
    transfer.export(table, "acme", None, part, resume=True)
    assert part.read_bytes() == text


def test_every_line_is_a_place_to_go_on_from(filled, table, tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    transfer.export(table, "acme", None, whole, resume=False)
    lines = whole.read_bytes().splitlines(keepends=True)
    for count in range(len(lines) + 1):
        part.write_bytes(b"".join(lines[:count]))
        transfer.export(table, "acme", None, part, resume=True)
        assert part.read_bytes() == whole.read_bytes(), count


def test_the_lines_of_get_export_can_be_imported_for_another_tenant(filled, empty, tmp_path):
    path = tmp_path / "file"
    cursor, text = "", ""
    while cursor is not None:
        page = filled.get(f"/export{cursor and f'?cursor={cursor}'}").text
        text += page
        cursor = json.loads(page.splitlines()[-1])["next_cursor"]
    path.write_text(text)
    [*_, restored] = transfer.restore(empty, "globex", path)
    assert restored.sessions == 4
    assert restored.messages == 3 + 3 + 3 + 1


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["nonsense"], "line 1: not a JSON object"),
        (['{"type":"user","user":"a"}', '{"type":"strange"}'], "line 2: unknown type"),
        (['{"type":"user"}'], "line 1: without user"),
        (['{"type":"user","user":""}'], "line 1: the user is empty"),
        (['{"type":"session"}'], "line 1: there is no user"),
        (['{"type":"user","user":"a"}', '{"type":"message"}'], "line 2: there is no session"),
        (['{"type":"user","user":"a","user":"b"}'], "line 1: user appears twice"),
        (['{"type":"user","user":"a"}', '{"type":"session","metadata":{}}'], "line 2: without"),
    ],
)
def test_a_line_that_is_none_is_named(run, tmp_path, lines, fault):
    path = tmp_path / "file"
    path.write_text("\n".join(lines))
    result = run(args=["import", str(path), "--tenant", "acme"])
    assert result.exit_code == 1
    assert fault in result.output


def test_one_user_of_a_tenant_is_exported(filled, bob, table, run, tmp_path):
    bob.create_session()
    path = tmp_path / "file"
    done = run(args=["export", "--tenant", "acme", "--user", "alice", "--to", str(path)])
    assert done.exit_code == 0, done.output
    assert [json.loads(line) for line in path.read_text().splitlines()] == lines_of(filled)


def test_a_damaged_session_is_left_out_and_passed_over_when_the_export_goes_on(
    filled, table, raw, run, tmp_path
):
    whole, part = tmp_path / "whole", tmp_path / "part"
    session_id = filled.post("/sessions", {"key": "thread-1", "domain_id": "x"}).json["session_id"]
    key = {"PK": "acme#alice", "SK": f"SESSION#{session_id.removeprefix('sess_')}"}
    raw.update_item(
        TableName=table.name,
        Key={name: {"S": value} for name, value in key.items()},
        UpdateExpression="REMOVE title",
    )
    done = run(args=["export", "--tenant", "acme", "--to", str(whole)])
    assert done.exit_code == 1
    assert "1 lines tell of what cannot be read" in done.output
    lines = whole.read_bytes().splitlines(keepends=True)
    assert sum(session_id.encode() in line for line in lines) >= 1
    for count in range(len(lines) + 1):
        part.write_bytes(b"".join(lines[:count]))
        transfer.export(table, "acme", None, part, resume=True)
        assert part.read_bytes() == whole.read_bytes(), count


def test_nothing_is_imported_for_a_user_who_is_being_erased(filled, table, empty, raw, tmp_path):
    path = tmp_path / "file"
    transfer.export(table, "acme", None, path, resume=False)
    user = {"PK": {"S": "acme#alice"}, "SK": {"S": "USER"}, "erase_until": {"S": "7" * 26}}
    raw.put_item(TableName=empty.name, Item=user)
    with pytest.raises(Unavailable, match="being erased"):
        list(transfer.restore(empty, "acme", path))


def test_the_commands_say_what_they_did(filled, run, tmp_path: Path):
    path = tmp_path / "file"
    assert run(args=["export", "--tenant", "acme", "--to", str(path)]).exit_code == 0
    again = run(args=["export", "--tenant", "acme", "--to", str(path)])
    assert "exists. Use --resume" in again.output
    done = run(args=["import", str(path), "--tenant", "elsewhere"])
    assert done.exit_code == 0, done.output
    assert "imported 4 sessions, 10 messages, 12 values, 0 verdicts; 0 were there" in done.output
