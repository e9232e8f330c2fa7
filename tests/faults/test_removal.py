"""Deletes, erasures and sweeps: while others write, with little time, and repeated."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.operations.sweep import sweep
from tests.faults.proxy import Exchange, always, in_conflict, nothing, once, throttled
from tests.people import Client, problem

KEY = {"Idempotency-Key": "a-key"}


@pytest.fixture
def session(alice: Client) -> str:
    made: str = alice.create_session()["session_id"]
    return made


def gone(client: Client, session: str, message: str) -> None:
    """Checks that no answer shows the session."""
    path = f"/sessions/{session}"
    said = {"role": "user", "content": "Hello?"}
    for answer in (
        client.get(path),
        client.get(path, headers={"If-None-Match": "*"}),
        client.get(f"{path}/messages"),
        client.get(f"{path}/messages?order=desc"),
        client.get(f"{path}/messages/{message}"),
        client.put(path, {"title": "New"}),
        client.put(path, {"expires_in_days": 9}),
        client.post(f"{path}/messages", said),
        client.post(f"{path}/messages/batch", {"messages": [said]}),
        client.delete(path),
    ):
        problem(answer, 404, "SESSION_NOT_FOUND")
    listed = client.get("/sessions").json["sessions"]
    assert session not in [s["session_id"] for s in listed]


def test_an_expired_session_disappears_at_its_time_and_is_swept_with_its_items(
    alice, table, clock, items, assert_sound
):
    clock.freeze()
    headers = {"Idempotency-Key": "made"}
    body = {"domain_id": "d", "expires_in_days": 2}
    session = alice.post("/sessions", body, headers=headers).json["session_id"]
    message = alice.append(session, "x" * 500_000)["message_id"]
    alice.post(f"/sessions/{session}/messages", {"role": "user", "content": "a"}, headers=headers)
    clock.move(days=2, seconds=-0.001)
    assert alice.get(f"/sessions/{session}").status_code == 200
    assert sweep(table, clock).sessions == 0
    clock.move(seconds=0.001)
    gone(alice, session, message)
    assert alice.get("/sessions").json["pagination"]["total"] == 1  # until the sweep
    swept = sweep(table, clock)
    assert (swept.sessions, swept.messages, swept.finished) == (1, 2, True)
    assert alice.get("/sessions").json["pagination"]["total"] == 0
    gone(alice, session, message)
    [record, user] = [item["SK"]["S"] for item in items()]
    assert (record[:8], user) == ("REQUEST#", "USER")  # of the create, for DynamoDB's TTL
    assert_sound()


def test_a_session_whose_time_was_extended_is_not_swept(alice, table, clock):
    session = alice.create_session(expires_in_days=1)["session_id"]
    alice.put(f"/sessions/{session}", {"expires_in_days": None})
    other = alice.create_session(expires_in_days=1)["session_id"]
    alice.put(f"/sessions/{other}", {"expires_in_days": 5})
    clock.move(days=2)
    assert sweep(table, clock).sessions == 0
    assert len(alice.get("/sessions").json["sessions"]) == 2


@pytest.mark.parametrize("before", [None, 9])
def test_a_session_that_is_given_another_time_is_swept_then(before, alice, table, clock):
    session = alice.create_session(expires_in_days=before)["session_id"]
    alice.put(f"/sessions/{session}", {"expires_in_days": 2})
    assert sweep(table, clock).sessions == 0
    clock.move(days=2, seconds=1)
    assert sweep(table, clock).sessions == 1


def test_a_session_that_no_longer_expires_leaves_the_sweeps_index(alice, items, assert_sound):
    """If it stayed in the index, every sweep would read it."""
    session = alice.create_session(expires_in_days=1)["session_id"]
    kept = alice.create_session()["session_id"]
    alice.put(f"/sessions/{session}", {"expires_in_days": None})
    attributes = {item["SK"]["S"]: set(item) for item in items()}
    paths = [f"SESSION#{name.removeprefix('sess_')}" for name in (session, kept)]
    assert attributes[paths[0]] == attributes[paths[1]]
    assert_sound()


def test_a_sweep_with_little_time_begins_nothing_and_reports_it(alice, table, clock, items):
    session = alice.create_session(expires_in_days=1)["session_id"]
    alice.append(session)
    clock.move(days=2)
    before = items()
    swept = sweep(table, clock, seconds=0.4)
    assert (swept.sessions, swept.finished) == (0, False)
    assert items() == before
    swept = sweep(table, clock)
    assert (swept.sessions, swept.finished) == (1, True)


def test_the_sweep_removes_nothing_that_was_extended_while_it_looked(
    alice, table, clock, far_table, proxy
):
    """The index may be out of date. The condition of the mark decides."""
    clock.freeze()
    session = alice.create_session(expires_in_days=1)["session_id"]
    clock.move(days=1, seconds=-1)

    def late() -> int:
        """The sweep's clock, two seconds ahead."""
        return clock() + 2_000

    def overtaken(exchange: Exchange) -> None:
        alice.put(f"/sessions/{session}", {"expires_in_days": 9})
        exchange.forward()

    proxy.plan = once(overtaken, "TransactWriteItems")
    assert sweep(far_table, late).sessions == 0
    assert proxy.faults["overtaken"] == 1
    assert alice.get(f"/sessions/{session}").status_code == 200


def test_a_marked_session_is_gone_from_every_answer_and_the_sweep_finishes_it(
    alice, session, hurried_alice, proxy, table, clock, items, assert_sound
):
    message = alice.fill(session, 30)[0]
    proxy.plan = always(throttled, "BatchWriteItem")
    answer = hurried_alice.delete(f"/sessions/{session}")
    assert answer.status_code == 202
    assert answer.headers["Retry-After"] == "1"
    assert answer.json == {"session_id": session, "deleted_messages": 30}
    for_others = f"/sessions/{session}"
    assert alice.get(for_others).status_code == 404
    assert alice.post(f"{for_others}/messages", {"role": "user", "content": "?"}).status_code == 404
    assert alice.get(f"{for_others}/messages/{message}").status_code == 404
    assert alice.get("/sessions").json["pagination"]["total"] == 0
    assert_sound()  # waits for the sweep, which is not damage
    swept = sweep(table, clock)
    assert (swept.sessions, swept.messages, swept.finished) == (1, 30, True)
    assert [item["SK"]["S"] for item in items()] == ["USER"]


@pytest.mark.parametrize("budget", [0.3, 1, 3.1])
def test_a_delete_with_little_time_is_finished_by_repeating_it(
    budget, alice, session, make_app, items
):
    alice.fill(session, 90, size=30_000)  # three pages of DynamoDB's
    hurried = Client(make_app(request_budget=budget), alice.token)
    answers = repeat_until_done(lambda: hurried.delete(f"/sessions/{session}"), most=10)
    assert len(answers) > 1 or budget > 3, "it began what it had no time for"
    assert [item["SK"]["S"] for item in items()] == ["USER"]


@pytest.mark.parametrize("budget", [0.3, 1, 3.1])
def test_an_erasure_with_little_time_is_finished_by_repeating_it(budget, alice, make_app, items):
    for number in range(6):
        made = alice.post(
            "/sessions", {"domain_id": "d"}, headers={"Idempotency-Key": str(number)}
        ).json["session_id"]
        alice.fill(made, 20, size=30_000)
    hurried = Client(make_app(request_budget=budget), alice.token)
    answers = repeat_until_done(lambda: hurried.delete("/sessions?confirm=all"), most=20)
    assert [item["SK"]["S"][:8] for item in items()] == ["REQUEST#"] * 6
    assert sum(answer.json["deleted_sessions"] for answer in answers) == 6
    assert sum(answer.json["deleted_messages"] for answer in answers) == 120
    assert len(answers) > 1 or budget > 3, "it began what it had no time for"


def repeat_until_done(request: Callable[[], Any], most: int) -> list[Any]:
    answers = []
    for _ in range(most):
        answers.append(request())
        if answers[-1].status_code == 200:
            return answers
        assert answers[-1].status_code == 202
        assert answers[-1].headers["Retry-After"] == "1"
    raise AssertionError("it does not get on")


def test_deleting_keeps_the_record_of_a_later_session_with_the_same_key(alice, clock, assert_sound):
    body = {"domain_id": "d"}
    old = alice.post("/sessions", body, headers=KEY).json["session_id"]
    clock.move(days=1.1)
    new = alice.post("/sessions", body, headers=KEY)
    assert new.json["session_id"] != old
    alice.delete(f"/sessions/{old}")
    replay = alice.post("/sessions", body, headers=KEY)
    assert (replay.headers.get("Idempotent-Replayed"), replay.text) == ("true", new.text)
    assert_sound()


def test_an_erasure_keeps_or_removes_a_session_created_meanwhile_as_a_whole(
    alice, far_alice, proxy, items, assert_sound
):
    """Creates a session with a key right before each call of the erasure, then replays it."""
    body = {"domain_id": "d"}
    for number in itertools.count(1):
        alice.create_session()
        headers = {"Idempotency-Key": f"at-{number}"}
        made: list[Any] = []

        def overtaken(exchange: Exchange, headers=headers, made=made) -> None:
            made.append(alice.post("/sessions", body, headers=headers))
            alice.append(made[0].json["session_id"])
            exchange.forward()

        proxy.forget()
        proxy.plan = lambda call, n=number, fault=overtaken: fault if call.number == n else None
        assert far_alice.delete("/sessions?confirm=all").status_code == 200
        proxy.plan = nothing
        assert_sound()
        if not made:
            break
        session = made[0].json["session_id"]
        if alice.get(f"/sessions/{session}").status_code == 200:
            assert alice.get(f"/sessions/{session}").json["message_count"] == 1
            replay = alice.post("/sessions", body, headers=headers)
            assert replay.headers.get("Idempotent-Replayed") == "true"
        else:  # the answer said that all is done
            left = [item["SK"]["S"] for item in items()]
            assert [sk for sk in left if session.removeprefix("sess_") in sk] == []
        alice.delete("/sessions?confirm=all")
    assert number > 4


def test_writers_racing_with_erasures_are_refused_or_kept_whole(
    app, alice, table, clock, assert_sound
):
    """Each session has everything that was acknowledged, or is gone completely."""
    stop = threading.Event()
    acknowledged: dict[str, list[str]] = {}
    statuses = set()

    def write(name: str) -> None:
        client = Client(app, alice.token)
        for number in itertools.count():
            if stop.is_set():
                return
            headers = {"Idempotency-Key": f"{name}-{number}"}
            created = client.post("/sessions", {"domain_id": "d"}, headers=headers)
            session = created.json["session_id"]
            acknowledged[session] = []
            for content in range(4):
                said = {"role": "user", "content": str(content)}
                answer = client.post(f"/sessions/{session}/messages", said, headers=headers)
                headers = {"Idempotency-Key": f"{name}-{number}-{content}"}
                statuses.add(answer.status_code)
                if answer.status_code != 201:
                    break
                acknowledged[session].append(answer.json["message_id"])

    receipts = []
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, f"writer-{n}") for n in range(4)]
        try:
            for _ in range(12):
                answer = alice.delete("/sessions?confirm=all")
                assert answer.status_code == 200, answer.text  # and it ends
                receipts.append(answer.json)
        finally:
            stop.set()
        for writer in writers:
            writer.result()

    assert statuses <= {201, 404}
    assert_sound()
    sweep(table, clock)
    assert_sound()
    alive = 0
    for session, messages in acknowledged.items():
        answer = alice.get(f"/sessions/{session}")
        if answer.status_code == 200:
            alive += 1
            assert [m["message_id"] for m in answer.json["messages"]] == messages
    assert alice.get("/sessions").json["pagination"]["total"] == alive
    assert sum(receipt["deleted_sessions"] for receipt in receipts) == len(acknowledged) - alive


def test_two_deletes_and_a_sweep_at_once_remove_a_session_once(
    app, alice, session, table, clock, items, assert_sound
):
    alice.create_session()  # is kept
    alice.fill(session, 60)

    def delete(_: int) -> int:
        return Client(app, alice.token).delete(f"/sessions/{session}").status_code

    with ThreadPoolExecutor(4) as pool:
        sweeping = pool.submit(sweep, table, clock)
        statuses = set(pool.map(delete, range(3)))
        assert sweeping.result().finished
    assert statuses <= {200, 404}
    assert 200 in statuses
    [user] = [item for item in items() if item["SK"]["S"] == "USER"]
    assert user["session_count"] == {"N": "1"}
    assert len(items()) == 2
    assert_sound()


@pytest.mark.parametrize("index_lags", [False, True])
@pytest.mark.parametrize("whole", [True, False], ids=["removed", "marked"])
def test_an_erasure_skips_sessions_that_were_deleted_meanwhile(
    whole, index_lags, alice, far_alice, hurried_alice, proxy, items
):
    sessions = [alice.create_session()["session_id"] for _ in range(3)]
    for session in sessions:
        alice.append(session)

    def overtaken(exchange: Exchange) -> None:
        proxy.plan = nothing if whole else always(throttled, "DeleteItem")
        answer = hurried_alice.delete(f"/sessions/{sessions[1]}")
        assert answer.status_code == (200 if whole else 202)
        proxy.plan = nothing
        exchange.forward()

    overtake = once(overtaken, "TransactWriteItems")
    lag = always(lagging, "Query")
    proxy.plan = lambda call: overtake(call) or (lag(call) if index_lags else None)
    answer = far_alice.delete("/sessions?confirm=all")
    assert answer.status_code == 200
    assert answer.json == {"deleted_sessions": 3 - whole, "deleted_messages": 3 - whole}
    assert items() == []


def test_an_erasure_with_many_conflicts_ends_with_202_and_continues_later(
    alice, hurried_alice, proxy, items
):
    for _ in range(3):
        alice.create_session()
    proxy.plan = always(in_conflict, "TransactWriteItems")
    answer = hurried_alice.delete("/sessions?confirm=all")
    assert (answer.status_code, answer.headers["Retry-After"]) == (202, "1")
    assert answer.json == {"deleted_sessions": 0, "deleted_messages": 0}
    proxy.plan = nothing
    assert len(alice.get("/sessions").json["sessions"]) == 3
    assert hurried_alice.delete("/sessions?confirm=all").status_code in (200, 202)
    repeat_until_done(lambda: hurried_alice.delete("/sessions?confirm=all"), most=5)
    assert items() == []


def test_an_erasure_handles_more_sessions_than_a_transaction_can(alice, items):
    for _ in range(101):
        alice.create_session()
    answer = alice.delete("/sessions?confirm=all")
    assert answer.status_code == 200
    assert answer.json == {"deleted_sessions": 101, "deleted_messages": 0}
    assert items() == []


def test_an_erasure_hides_what_the_list_shows_before_it_removes_anything(
    alice, hurried_alice, proxy
):
    """However soon it is interrupted. Reading a large partition takes a while."""
    session = alice.create_session()["session_id"]

    def cut_off(exchange: Exchange) -> None:
        if "IndexName" not in exchange.call.request:
            throttled(exchange)

    proxy.plan = always(cut_off, "Query")
    assert hurried_alice.delete("/sessions?confirm=all").status_code == 202
    problem(alice.get(f"/sessions/{session}"), 404, "SESSION_NOT_FOUND")
    assert alice.get("/sessions").json["pagination"]["total"] == 0


def lagging(exchange: Exchange) -> None:
    """Makes the index show nothing yet."""
    if "IndexName" in exchange.call.request:
        exchange.answer(200, {"Items": [], "Count": 0})


@pytest.mark.parametrize("count", [1, 2])
def test_an_erasure_finds_what_the_index_does_not_show_yet(count, alice, far_alice, proxy, items):
    for _ in range(count):
        alice.append(alice.create_session()["session_id"])
    proxy.plan = always(lagging, "Query")
    answer = far_alice.delete("/sessions?confirm=all")
    assert answer.status_code == 200
    assert answer.json == {"deleted_sessions": count, "deleted_messages": count}
    assert items() == []


def test_an_interrupted_erasure_is_finished_by_the_sweep(
    alice, hurried_alice, proxy, items, table, clock, assert_sound
):
    for _ in range(3):
        alice.fill(alice.create_session()["session_id"], 3)
    proxy.plan = always(in_conflict, "TransactWriteItems")
    assert hurried_alice.delete("/sessions?confirm=all").status_code == 202
    proxy.plan = nothing
    clock.move(seconds=1)
    younger = alice.create_session()["session_id"]
    alice.fill(younger, 2)
    swept = sweep(table, clock)
    assert (swept.sessions, swept.messages, swept.finished) == (3, 9, True)
    assert [s["session_id"] for s in alice.get("/sessions").json["sessions"]] == [younger]
    assert len(alice.read_all(younger)) == 2
    [user] = [item for item in items() if item["SK"]["S"] == "USER"]
    assert "GSI2PK" not in user
    assert_sound()
    assert sweep(table, clock).sessions == 0


def test_an_erasure_that_cannot_even_be_noted_is_refused(alice, hurried_alice, proxy):
    kept = alice.create_session()["session_id"]
    proxy.plan = always(throttled, "UpdateItem")
    answer = hurried_alice.delete("/sessions?confirm=all")
    assert (answer.status_code, answer.json["code"]) == (503, "STORE_UNAVAILABLE")
    proxy.plan = nothing
    assert alice.get(f"/sessions/{kept}").status_code == 200
