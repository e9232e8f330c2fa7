"""Sent twice, stored once: what a client sees that repeats itself, whatever went wrong before."""

import json
import threading
from typing import Any

import pytest

from app.table import ids
from tests.faults.proxy import Exchange, cut_after, cut_before, first, once
from tests.people import API, Client, problem

KEY = {"Idempotency-Key": "a-key"}
SAID = {"role": "user", "content": "Any potholes near me?"}
BATCH = {"messages": [SAID, {"role": "assistant", "content": "Five."}]}


@pytest.fixture
def session(alice: Client) -> str:
    made: str = alice.create_session()["session_id"]
    return made


@pytest.fixture(params=["create", "append", "batch"])
def post(request: pytest.FixtureRequest, session: str) -> tuple[str, Any]:
    """Path and body of each route that takes a key."""
    routes = {
        "create": ("/sessions", {"domain_id": "d", "title": "Potholes"}),
        "append": (f"/sessions/{session}/messages", SAID),
        "batch": (f"/sessions/{session}/messages/batch", BATCH),
    }
    return routes[request.param]


def test_a_replay_gives_the_first_answer_again(alice, post, items):
    first_answer = alice.post(*post, headers=KEY)
    stored = items()
    replay = alice.post(*post, headers=KEY)
    assert (replay.status_code, replay.text) == (first_answer.status_code, first_answer.text)
    assert replay.status_code == 201
    for name in ("Location", "ETag"):
        assert replay.headers.get(name) == first_answer.headers.get(name)
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first_answer.headers
    assert items() == stored


def test_a_replay_is_the_first_answer_also_when_the_session_has_changed_since(alice, session):
    path = f"/sessions/{session}/messages"
    answer = alice.post(path, SAID, headers=KEY)
    alice.append(session, "more")
    alice.put(f"/sessions/{session}", {"title": "Renamed"})
    assert alice.post(path, SAID, headers=KEY).text == answer.text
    created = alice.post("/sessions", {"domain_id": "d"}, headers=KEY)
    alice.append(created.json["session_id"])
    assert alice.post("/sessions", {"domain_id": "d"}, headers=KEY).text == created.text


def test_a_replay_does_not_ask_if_match_again(alice, session):
    """The condition held when the request was carried out."""
    path, headers = f"/sessions/{session}/messages", {**KEY, "If-Match": '"1"'}
    answer = alice.post(path, SAID, headers=headers)
    assert answer.status_code == 201
    replay = alice.post(path, SAID, headers=headers)
    assert (replay.status_code, replay.text) == (201, answer.text)
    problem(alice.post(path, SAID, headers={"If-Match": '"1"'}), 412, "PRECONDITION_FAILED")


def test_another_body_under_the_same_key_is_refused(alice, post, items):
    path, body = post
    assert alice.post(path, body, headers=KEY).status_code == 201
    stored = items()
    other = {"domain_id": "other"} if "domain_id" in body else {**SAID, "content": "Other"}
    other = {"messages": [other]} if "messages" in body else other
    problem(alice.post(path, other, headers=KEY), 422, "IDEMPOTENCY_KEY_REUSED")
    assert items() == stored


def test_another_route_session_or_user_may_use_the_same_key(alice, bob, session):
    other = alice.create_session()["session_id"]
    for path, body in (
        (f"/sessions/{session}/messages", SAID),
        (f"/sessions/{session}/messages/batch", BATCH),
        (f"/sessions/{other}/messages", SAID),
        ("/sessions", {"domain_id": "d"}),
    ):
        answer = alice.post(path, body, headers=KEY)
        assert answer.status_code == 201
        assert "Idempotent-Replayed" not in answer.headers
    bobs = bob.post("/sessions", {"domain_id": "d"}, headers=KEY)
    assert bobs.status_code == 201
    assert "Idempotent-Replayed" not in bobs.headers


def test_another_key_is_another_request(alice, post):
    answers = [alice.post(*post, headers={"Idempotency-Key": name}) for name in ("a", "b", "A")]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.text for answer in answers}) == 3


def test_a_replay_may_have_its_members_in_another_order(alice, post):
    path, body = post
    metadata = {"metadata": {"a": "1", "b": "2"}}
    body = {"messages": [SAID | metadata]} if "messages" in body else body | metadata
    answer = alice.post(path, body, headers=KEY)

    def turned(value: Any) -> Any:
        if isinstance(value, list):
            return [turned(item) for item in value]
        if isinstance(value, dict):
            return {name: turned(value[name]) for name in reversed(value)}
        return value

    replay = alice.post(path, data=json.dumps(turned(body)), headers=KEY)
    assert (replay.headers.get("Idempotent-Replayed"), replay.json) == ("true", answer.json)


@pytest.mark.parametrize("key", ["/batch-key", "batch-key", "s-key", "\\n-key", "/-key"])
def test_where_a_route_ends_and_a_key_begins_is_no_matter_of_their_letters(alice, session, key):
    """`…/messages` with `/batch-key` is not `…/messages/batch` with `-key`."""
    for path, body, name in (
        ("messages/batch", {"messages": [SAID]}, "-key"),
        ("messages", SAID, key),
    ):
        answer = alice.post(f"/sessions/{session}/{path}", body, headers={"Idempotency-Key": name})
        assert (answer.status_code, "Idempotent-Replayed" in answer.headers) == (201, False)
    assert len(alice.read_all(session)) == 2


def test_a_key_has_up_to_255_characters(alice, session):
    path = f"/sessions/{session}/messages"
    for name, status in (("k" * 255, 201), ("k" * 256, 422)):
        headers = {"Idempotency-Key": name}
        assert alice.post(path, SAID, headers=headers).status_code == status


def test_a_record_past_its_24_hours_counts_as_absent(alice, post, clock, items, assert_sound):
    answer = alice.post(*post, headers=KEY)
    clock.move(days=23.9 / 24)
    assert alice.post(*post, headers=KEY).text == answer.text
    clock.move(days=1.1 / 24)
    assert any("REQUEST#" in item["SK"]["S"] for item in items())  # not removed yet
    again = alice.post(*post, headers=KEY)
    assert again.status_code == 201
    assert "Idempotent-Replayed" not in again.headers
    assert again.text != answer.text
    replay = alice.post(*post, headers=KEY)
    assert (replay.headers["Idempotent-Replayed"], replay.text) == ("true", again.text)
    assert_sound()


def test_a_record_counts_for_24_hours_to_the_second(alice, post, clock):
    clock.freeze(ids.system_clock() // 1000 * 1000)
    answer = alice.post(*post, headers=KEY)
    clock.move(days=1, seconds=-0.001)
    assert alice.post(*post, headers=KEY).text == answer.text
    clock.move(seconds=0.001)
    again = alice.post(*post, headers=KEY)
    assert (again.status_code, "Idempotent-Replayed" in again.headers) == (201, False)


def test_a_replay_to_a_session_that_is_gone_is_404(alice, session):
    path = f"/sessions/{session}/messages"
    assert alice.post(path, SAID, headers=KEY).status_code == 201
    alice.delete(f"/sessions/{session}")
    problem(alice.post(path, SAID, headers=KEY), 404, "SESSION_NOT_FOUND")


def test_a_replay_to_a_session_past_its_time_is_404(alice, clock):
    session = alice.create_session(expires_in_days=1)["session_id"]
    clock.move(days=0.9)
    path = f"/sessions/{session}/messages"
    assert alice.post(path, SAID, headers=KEY).status_code == 201
    clock.move(days=0.2)
    problem(alice.post(path, SAID, headers=KEY), 404, "SESSION_NOT_FOUND")


@pytest.mark.parametrize("fault", [cut_before, cut_after])
def test_a_request_whose_answer_never_came_is_repeated_safely(
    fault, hurried_alice, far_alice, proxy, post, items
):
    """The client gives up on one server and asks another."""
    proxy.plan = first(1000, fault, "TransactWriteItems")
    problem(hurried_alice.post(*post, headers=KEY), 503, "OUTCOME_UNKNOWN")
    stored = items()
    proxy.plan = first(0, fault)
    repeated = far_alice.post(*post, headers=KEY)
    assert repeated.status_code == 201
    assert repeated.headers.get("Idempotent-Replayed") == ("true" if fault is cut_after else None)
    assert (items() == stored) == (fault is cut_after)


def test_the_same_request_sent_by_many_at_once_is_carried_out_once(app, alice, post):
    path, body = post
    answers = []

    def send() -> None:
        answer = Client(app, alice.token).post(path, body, headers=KEY)
        answers.append((answer.status_code, answer.text, "Idempotent-Replayed" in answer.headers))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(status, text) for status, text, _ in answers}) == 1
    assert [replayed for _, _, replayed in answers].count(False) == 1


# PUT and DELETE take no key


def test_a_put_whose_answer_was_lost_is_200_and_not_412(session, far_alice, proxy):
    proxy.plan = once(cut_after, "UpdateItem")
    answer = far_alice.put(f"/sessions/{session}", {"title": "New"}, headers={"If-Match": '"1"'})
    assert answer.status_code == 200
    assert (answer.json["title"], answer.json["version"]) == ("New", 2)


def test_a_put_that_was_not_carried_out_before_another_change_is_never_said_to_be(
    alice, session, far_alice, proxy
):
    def overtaken(exchange: Exchange) -> None:
        alice.put(f"/sessions/{session}", {"title": "Other"})
        exchange.cut()

    proxy.plan = once(overtaken, "UpdateItem")
    answer = far_alice.put(f"/sessions/{session}", {"title": "New"}, headers={"If-Match": '"1"'})
    problem(answer, 503, "OUTCOME_UNKNOWN")  # and the next try gets 412
    assert alice.get(f"/sessions/{session}").json["title"] == "Other"


def test_a_put_that_was_carried_out_before_another_change_is_not_said_to_have_failed(
    alice, session, far_alice, proxy
):
    def followed(exchange: Exchange) -> None:
        exchange.forward()
        alice.append(session)
        exchange.cut()

    proxy.plan = once(followed, "UpdateItem")
    answer = far_alice.put(f"/sessions/{session}", {"title": "New"}, headers={"If-Match": '"1"'})
    problem(answer, 503, "OUTCOME_UNKNOWN")
    assert alice.get(f"/sessions/{session}").json["title"] == "New"


def test_a_delete_whose_answer_was_lost_is_carried_out_once(
    alice, session, far_alice, proxy, items
):
    alice.fill(session, 3)
    for operation in ("TransactWriteItems", "Query", "BatchWriteItem", "DeleteItem"):
        made = alice.create_session()["session_id"]
        alice.fill(made, 3)
        proxy.plan = once(cut_after, operation)
        answer = far_alice.delete(f"/sessions/{made}", headers={"If-Match": '"2"'})
        assert answer.status_code == 200
        assert answer.json == {"session_id": made, "deleted_messages": 3}
    [user] = [item for item in items() if item["SK"]["S"] == "USER"]
    assert user["session_count"] == {"N": "1"}


def test_a_repeated_delete_ends_with_404(alice, session):
    assert alice.delete(f"/sessions/{session}").status_code == 200
    problem(alice.delete(f"/sessions/{session}"), 404, "SESSION_NOT_FOUND")


def test_an_erasure_whose_answers_were_lost_is_whole(alice, far_alice, proxy, items):
    for number in range(3):
        headers = {"Idempotency-Key": str(number)}
        made = alice.post("/sessions", {"domain_id": "d"}, headers=headers).json["session_id"]
        alice.fill(made, 3)
    proxy.plan = lambda call: cut_after if call.number % 2 else None
    assert far_alice.delete("/sessions?confirm=all").status_code == 200
    assert items() == []


def test_location_of_a_replay_leads_to_what_was_made(app, alice, post):
    alice.post(*post, headers=KEY)
    replay = alice.post(*post, headers=KEY)
    if location := replay.headers.get("Location"):
        assert location.startswith(API)
        headers = {"Authorization": f"Bearer {alice.token}"}
        assert app.test_client().get(location, headers=headers).status_code == 200
