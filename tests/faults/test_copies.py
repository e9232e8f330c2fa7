"""Forks and imports that are interrupted or overtaken."""

import time

import pytest

from app.operations.check import check
from app.operations.sweep import sweep
from tests.people import Client, make_token, problem

KEY = {"Idempotency-Key": "k"}

SCOPE = "sessions:read sessions:write sessions:import"


@pytest.fixture(autouse=True)
def _nothing_is_damaged(table, clock):
    yield
    assert list(check(table, clock)) == []


@pytest.fixture
def far_alice_with(make_far_app):
    return lambda **settings: Client(make_far_app(**settings), make_token("acme", "alice"))


@pytest.fixture
def hurried_importer(make_far_app):
    token = make_token("acme", "alice", scope=SCOPE)
    return Client(make_far_app(request_budget=1.5), token)


@pytest.fixture
def source(alice):
    made = alice.create_session(title="Source", metadata={"a": "x" * 300}, expires_in_days=9)
    return made["session_id"]


def said(client, session_id):
    """What is copied of each message."""
    return [
        {name: value for name, value in message.items() if name != "session_id"}
        for message in client.read_all(session_id)
    ]


def dated(count):
    return [
        {"role": "user", "content": f"{n}", "created_at": "2024-05-01T09:00:00Z"}
        for n in range(count)
    ]


def test_a_large_fork_goes_on_where_it_stopped(alice, source, far_alice_with, proxy, items):
    """The first requests run out of time. Nobody sees the fork before it is whole."""
    alice.fill(source, 1500, size=1000)
    hurried = far_alice_with(request_budget=4)
    answers = []
    proxy.plan = slow_batches
    for _ in range(12):
        answers.append(hurried.post(f"/sessions/{source}/fork", {}, headers=KEY))
        if answers[-1].status_code == 201:
            break
        assert answers[-1].status_code == 202, answers[-1].text
        assert answers[-1].headers["Retry-After"] == "1"
        fork = answers[-1].json["session_id"]
        problem(alice.get(f"/sessions/{fork}"), 404, "SESSION_NOT_FOUND")
        problem(alice.delete(f"/sessions/{fork}"), 404, "SESSION_NOT_FOUND")
        assert alice.get("/sessions").json["pagination"]["total"] == 1
    assert len(answers) > 1
    assert answers[-1].json["session_id"] == fork
    proxy.plan = lambda _: None
    assert said(alice, fork) == said(alice, source)


def slow_batches(call):
    if call.operation != "BatchWriteItem":
        return None

    def slowly(exchange):
        time.sleep(0.15)
        exchange.forward()

    return slowly


def test_a_fork_of_what_changes_meanwhile_is_dropped(alice, source, far_alice, proxy, items):
    sent = alice.fill(source, 30)
    edits = iter(range(100))

    def edited(exchange):
        exchange.forward()
        alice.put(f"/sessions/{source}/messages/{sent[0]}", {"content": f"edit {next(edits)}"})

    proxy.plan = lambda call: edited if call.operation == "BatchWriteItem" else None
    problem(far_alice.post(f"/sessions/{source}/fork", {}), 409, "CONTENDED")
    assert alice.get("/sessions").json["pagination"]["total"] == 1
    assert sum("#MSG#" in item["SK"]["S"] for item in items()) == 30


def test_appends_during_a_fork_are_no_obstacle(alice, source, far_alice, proxy):
    sent = alice.fill(source, 30)

    def appended(exchange):
        exchange.forward()
        alice.append(source)

    proxy.plan = lambda call: appended if call.operation == "BatchWriteItem" else None
    fork = far_alice.post(f"/sessions/{source}/fork", {}).json
    assert [m["message_id"] for m in alice.read_all(fork["session_id"])] == sent


@pytest.mark.parametrize("end", ["delete", "erase"])
def test_a_fork_of_what_is_deleted_meanwhile_leaves_nothing(
    alice, source, far_alice, proxy, end, items, table, clock
):
    alice.fill(source, 30)

    def deleted(exchange):
        exchange.forward()
        path = f"/sessions/{source}" if end == "delete" else "/sessions?confirm=all"
        alice.delete(path)

    proxy.plan = lambda call: deleted if call.operation == "BatchWriteItem" else None
    answer = far_alice.post(f"/sessions/{source}/fork", {})
    assert answer.status_code in (404, 409), answer.text
    assert alice.get("/sessions").json["sessions"] == []
    clock.move(seconds=7200)
    sweep(table, clock)
    assert {item["SK"]["S"] for item in items()} <= {"USER"}


def test_what_nobody_finishes_is_swept(hurried_importer, proxy, items, table, clock):
    body = {"session": {"domain_id": "d"}, "messages": dated(60)}
    proxy.plan = lambda call: throttle if call.operation == "TransactWriteItems" else None
    answer = hurried_importer.post("/import", body)
    assert answer.status_code == 503, answer.text
    assert len(items()) == 61
    assert list(check(table, clock)) == []
    assert sweep(table, clock).sessions == 0
    assert len(items()) == 61, "it is not due yet"
    clock.move(seconds=3700)
    assert sweep(table, clock).finished
    assert items() == []


def throttle(exchange):
    kind = "com.amazonaws.dynamodb.v20120810#ThrottlingException"
    exchange.answer(400, {"__type": kind, "message": "slow down"})
