"""Forks and imports: sessions that are filled before anybody sees them."""

import pytest

from app.operations.check import check
from tests.people import Client, make_token, problem

KEY = {"Idempotency-Key": "k"}


@pytest.fixture(autouse=True)
def _nothing_is_damaged(table, clock):
    yield
    assert list(check(table, clock)) == []


@pytest.fixture
def importer(app):
    scope = "sessions:read sessions:write sessions:import"
    return Client(app, make_token("acme", "alice", scope=scope))


@pytest.fixture
def source(alice):
    made = alice.create_session(title="Source", metadata={"a": "x" * 300}, expires_in_days=9)
    return made["session_id"]


def said(client, session_id):
    """What is copied of each message."""
    return [
        {name: value for name, value in message.items() if name not in ("session_id", "feedback")}
        for message in client.read_all(session_id)
    ]


# Forks


def test_a_fork_is_a_session_of_its_own(alice, source):
    messages = [alice.append(source, text) for text in ("a", "x" * 900_000, "c", "d")]
    path = f"/sessions/{source}/messages"
    alice.put(f"{path}/{messages[0]['message_id']}", {"content": "edited", "status": "interrupted"})
    alice.put(f"{path}/{messages[2]['message_id']}/feedback", {"rating": "up"})
    until = messages[2]["message_id"]
    answer = alice.post(f"/sessions/{source}/fork", {"until": until})
    assert answer.status_code == 201
    fork = answer.json
    assert answer.headers["Location"] == f"../{fork['session_id']}"
    assert fork["forked_from"] == {"session_id": source, "message_id": until}
    assert (fork["title"], fork["message_count"], fork["feedback_count"]) == ("Source", 3, 0)
    original = alice.get(f"/sessions/{source}").json
    assert fork["metadata"] == original["metadata"]
    assert fork["expires_at"] == original["expires_at"]
    assert fork["last_message"]["text"] == "c"
    assert said(alice, fork["session_id"]) == said(alice, source)[:3]
    assert [s["session_id"] for s in alice.get("/sessions").json["sessions"]] == [
        fork["session_id"],
        source,
    ]
    alice.delete(f"/sessions/{source}")
    alice.append(fork["session_id"], "goes on")
    assert len(alice.read_all(fork["session_id"])) == 4


@pytest.mark.parametrize("body", [{}, {"title": "New"}, {"key": "k"}, {"title": None, "key": None}])
def test_all_of_a_session_is_copied(alice, source, body):
    alice.fill(source, 260)
    fork = alice.post(f"/sessions/{source}/fork", body).json
    assert (fork["title"], fork["key"]) == (body.get("title") or "Source", body.get("key"))
    assert said(alice, fork["session_id"]) == said(alice, source)


def test_an_empty_session_can_be_forked(alice, source):
    fork = alice.post(f"/sessions/{source}/fork", {}).json
    assert fork["forked_from"] == {"session_id": source, "message_id": None}
    assert (fork["message_count"], fork["last_message"]) == (0, None)
    alice.append(fork["session_id"])


def test_hidden_messages_are_not_copied(alice, source):
    sent = alice.fill(source, 300)
    alice.delete(f"/sessions/{source}/messages?from={sent[5]}")
    alice.append(source, "after")
    fork = alice.post(f"/sessions/{source}/fork", {}).json
    assert said(alice, fork["session_id"]) == said(alice, source)
    assert fork["message_count"] == 6
    answer = alice.post(f"/sessions/{source}/fork", {"until": sent[10]})
    problem(answer, 404, "MESSAGE_NOT_FOUND")


def test_a_fork_is_repeated_without_a_second_copy(alice, source, items):
    alice.fill(source, 3)
    first = alice.post(f"/sessions/{source}/fork", {}, headers=KEY)
    before = items()
    again = alice.post(f"/sessions/{source}/fork", {}, headers=KEY)
    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert items() == before
    other = alice.post(f"/sessions/{source}/fork", {"title": "x"}, headers=KEY)
    problem(other, 422, "IDEMPOTENCY_KEY_REUSED")
    alice.delete(f"/sessions/{first.json['session_id']}")
    gone = alice.post(f"/sessions/{source}/fork", {}, headers=KEY)
    problem(gone, 410, "GONE_SINCE", ids=[first.json["session_id"]])


def test_a_fork_with_a_key_that_is_taken_is_refused(alice, source, items):
    taken = alice.create_session(key="k")["session_id"]
    before = items()
    answer = alice.post(f"/sessions/{source}/fork", {"key": "k"})
    problem(answer, 409, "SESSION_EXISTS", session_id=taken)
    assert items() == before


@pytest.mark.parametrize(
    "body", [{"until": "x"}, {"title": "x" * 513}, {"key": ""}, {"x": 1}, [], {"until": 5}]
)
def test_a_fork_that_does_not_fit_is_refused(alice, source, items, body):
    before = items()
    problem(alice.post(f"/sessions/{source}/fork", body), 422, "VALIDATION_FAILED")
    assert items() == before


def test_another_users_session_cannot_be_forked(alice, bob, source):
    alice.append(source)
    problem(bob.post(f"/sessions/{source}/fork", {}), 404, "SESSION_NOT_FOUND")


# Imports


def dated(count, **more):
    return [
        {
            "role": "user",
            "content": f"{n}",
            "created_at": f"2024-05-01T09:{n // 60:02}:{n % 60:02}Z",
        }
        | more
        for n in range(count)
    ]


def test_a_session_is_imported_with_its_dates(alice, importer, items):
    session = {"domain_id": "d", "title": "Old", "metadata": {"n": 1}, "pinned": True}
    newer = alice.create_session()["session_id"]
    messages = dated(120, created_by="carol")
    answer = importer.post("/import", {"session": session, "messages": messages})
    assert answer.status_code == 201
    made = answer.json
    assert answer.headers["Location"] == f"sessions/{made['session_id']}"
    assert made["created_at"] == "2024-05-01T09:00:00.000Z"
    assert made["last_activity"] == "2024-05-01T09:01:59.000Z"
    assert (made["imported"], made["message_count"], made["pinned"]) == (True, 120, True)
    found = alice.read_all(made["session_id"])
    assert [m["content"] for m in found] == [str(n) for n in range(120)]
    assert [m["timestamp"][:19] for m in found] == [m["created_at"][:19] for m in messages]
    assert {(m["created_by"], m["imported"]) for m in found} == {("carol", True)}
    listed = [s["session_id"] for s in alice.get("/sessions").json["sessions"]]
    assert listed == [newer, made["session_id"]]
    assert alice.get("/sessions").json["pagination"]["total"] == 2
    after = alice.append(made["session_id"], "now")
    assert "imported" not in after
    assert alice.get("/sessions").json["sessions"][0]["session_id"] == made["session_id"]
    assert alice.delete("/sessions?confirm=all").json["deleted_sessions"] == 2
    assert items() == []


def test_literals_and_formats_are_kept_in_imports(alice, importer):
    body = (
        '{"session":{"domain_id":"d","created_at":"2020-01-01T00:00:00+02:00"},"messages":['
        '{"created_at":"2024-01-01T00:00:00Z","role":"user","content":{"n":1E5}},'
        '{"created_at":"2024-01-01T00:00:00Z","format":"anthropic.messages",'
        '"native":{"role":"assistant","content":"Hi","x":-0}}]}'
    )
    made = importer.post("/import", data=body).json
    assert made["created_at"] == "2019-12-31T22:00:00.000Z"
    text = alice.get(f"/sessions/{made['session_id']}").text
    assert '"content":{"n":1E5}' in text
    assert '"native":{"role":"assistant","content":"Hi","x":-0}' in text
    assert made["last_message"]["role"] == "assistant"


def test_an_import_is_repeated_without_a_second_session(alice, importer):
    body = {"session": {"domain_id": "d"}, "messages": dated(3)}
    first = importer.post("/import", body, headers=KEY)
    again = importer.post("/import", body, headers=KEY)
    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert alice.get("/sessions").json["pagination"]["total"] == 1


def test_null_counts_as_left_out_of_an_import(importer):
    session = {"domain_id": "d", "created_at": None, "key": None, "title": None, "metadata": None}
    answer = importer.post("/import", {"session": session, "messages": None})
    assert (answer.status_code, answer.json["message_count"]) == (201, 0)


def test_an_import_only_creates(alice, importer):
    taken = alice.create_session(key="k")["session_id"]
    body = {"session": {"domain_id": "d", "key": "k"}, "messages": dated(1)}
    problem(importer.post("/import", body), 409, "SESSION_EXISTS", session_id=taken)


def test_an_import_needs_its_scope(alice, items):
    answer = alice.post("/import", {"session": {"domain_id": "d"}})
    problem(answer, 403, "INSUFFICIENT_SCOPE")
    assert items() == []


EARLY, LATE = "2020-01-01T00:00:00Z", "2120-01-01T00:00:00Z"

BAD_IMPORTS = {
    "a time that falls": ([("2024-01-01T00:00:00Z", {}), (EARLY, {})], "messages[1].created_at"),
    "a time in the future": ([(LATE, {})], "messages[0].created_at"),
    "no time": ([(None, {})], "messages[0].created_at"),
    "no offset": ([("2024-01-01T00:00:00", {})], "messages[0].created_at"),
    "before 1970": ([("1969-01-01T00:00:00Z", {})], "messages[0].created_at"),
    "no role": ([(EARLY, {"role": None})], "messages[0].role"),
    "an empty author": ([(EARLY, {"created_by": ""})], "messages[0].created_by"),
    "a script": (
        [(EARLY, {"metadata": {"references": [{"reference_id": 1, "url": "javascript:x"}]}})],
        "messages[0].metadata.references[0].url",
    ),
}


@pytest.mark.parametrize(("messages", "field"), BAD_IMPORTS.values(), ids=BAD_IMPORTS)
def test_an_import_that_does_not_fit_writes_nothing(importer, items, messages, field):
    sent = [{"role": "user", "created_at": at, **more} for at, more in messages]
    answer = importer.post("/import", {"session": {"domain_id": "d"}, "messages": sent})
    errors = problem(answer, 422, "VALIDATION_FAILED")["errors"]
    assert field in [error["field"] for error in errors]
    assert items() == []


def test_an_import_is_bounded(importer, items):
    messages = "[" + ",".join(['{"role":"user","created_at":"2020-01-01T00:00:00Z"}'] * 5001) + "]"
    body = f'{{"session":{{"domain_id":"d"}},"messages":{messages}}}'
    [error] = problem(importer.post("/import", data=body), 422, "VALIDATION_FAILED")["errors"]
    assert error["field"] == "messages"
    assert items() == []
