"""Sent twice, stored once: what a client sees that repeats a request after any fault."""

import json
import threading
from typing import Any
from urllib.parse import urljoin

import pytest

from app.operations.sweep import sweep
from app.table import ids
from app.table.idempotency import identify
from tests.faults.proxy import Exchange, always, cut_after, cut_before, first, once, throttled
from tests.people import API, Client, make_token, problem

KEY = {"Idempotency-Key": "a-key"}
SAID = {"role": "user", "content": "Any potholes near me?"}
BATCH = {"messages": [SAID, {"role": "assistant", "content": "Five."}]}


@pytest.fixture
def session(alice: Client) -> str:
    made: str = alice.create_session()["session_id"]
    return made


@pytest.fixture(params=["create", "append", "batch"])
def post(request: pytest.FixtureRequest, session: str) -> tuple[str, Any]:
    """The path and body of each route that takes a key."""
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


def test_the_replay_of_an_append_is_the_first_answer_even_if_the_session_has_changed(
    alice, session
):
    path = f"/sessions/{session}/messages"
    answer = alice.post(path, SAID, headers=KEY)
    alice.append(session, "more")
    alice.put(f"/sessions/{session}", {"title": "Renamed"})
    assert alice.post(path, SAID, headers=KEY).text == answer.text


def test_the_replay_of_a_create_shows_the_session_as_it_is_now(alice):
    created = alice.post("/sessions", {"domain_id": "d"}, headers=KEY)
    session = created.json["session_id"]
    alice.append(session)
    alice.put(f"/sessions/{session}", {"title": "Renamed"})
    replay = alice.post("/sessions", {"domain_id": "d"}, headers=KEY)
    assert (replay.status_code, replay.headers["Idempotent-Replayed"]) == (201, "true")
    assert replay.headers["Location"] == created.headers["Location"]
    assert replay.headers["ETag"] == alice.get(f"/sessions/{session}").headers["ETag"]
    shown = alice.get(f"/sessions/{session}").json
    assert replay.json == {name: shown[name] for name in created.json}
    assert (replay.json["title"], replay.json["message_count"]) == ("Renamed", 1)


def test_a_replay_does_not_check_if_match_again(alice, session):
    """The condition held when the request was carried out."""
    current = {"If-Match": alice.get(f"/sessions/{session}").headers["ETag"]}
    path, headers = f"/sessions/{session}/messages", {**KEY, **current}
    answer = alice.post(path, SAID, headers=headers)
    assert answer.status_code == 201
    replay = alice.post(path, SAID, headers=headers)
    assert (replay.status_code, replay.text) == (201, answer.text)
    problem(alice.post(path, SAID, headers=current), 412, "PRECONDITION_FAILED")


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
    # Route and key are kept apart.
    for path, body, key in (
        (f"/sessions/{session}/messages", SAID, "s1"),
        (f"/sessions/{session}/messages/batch", BATCH, "1"),
        (f"/sessions/{session}/messages", SAID, "/batch1"),
    ):
        answer = alice.post(path, body, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.headers.get("Idempotent-Replayed")) == (201, None)
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
def test_route_and_key_are_not_simply_concatenated(alice, session, key):
    """`…/messages` and `/batch-key` are not the same as `…/messages/batch` and `-key`."""
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


# The route counts, not its spelling


def send(client: Client, path: str, body: Any, **options: Any) -> Any:
    """Sends to this exact path. The test client would encode it again."""
    headers = {"Authorization": f"Bearer {client.token}", **options.pop("headers", KEY)}
    return client.app.test_client().post(path, json=body, headers=headers, **options)


@pytest.mark.parametrize("first_spelling", [0, 1, 2, 3, 4])
def test_different_spellings_of_a_path_are_the_same_route(alice, post, items, first_spelling):
    path, body = post
    plain = f"{API}{path}"
    spellings: list[dict[str, Any]] = [
        {"path": plain},
        {"path": f"{plain}/"},
        {"path": plain.replace("/sess", "/%73ess").replace("mess", "m%65ss")},
        {"path": plain, "base_url": "https://x.example/production"},  # a stage, as SCRIPT_NAME
        {"path": f"{plain}?"},
    ]
    spellings.insert(0, spellings.pop(first_spelling))
    answers = [send(alice, body=body, **spelling) for spelling in spellings[:1]]
    stored = items()
    answers += [send(alice, body=body, **spelling) for spelling in spellings[1:]]
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.text for answer in answers} == {answers[0].text}
    assert items() == stored


def test_a_user_named_by_token_or_by_header_is_one_caller(app, items):
    scopes = "sessions:read sessions:write sessions:act-for-user"
    token = make_token("acme", "a|b", act={"sub": "agent"})
    by_token = Client(app, token)
    by_header = Client(app, make_token("acme", "agent", scope=scopes))
    first_answer = by_token.post("/sessions", {"domain_id": "d"}, headers=KEY)
    stored = items()
    for spelled in ("a%7Cb", "a%7cb", "%61%7Cb", "a|b"):
        headers = {**KEY, "Act-For-User": spelled}
        answer = by_header.post("/sessions", {"domain_id": "d"}, headers=headers)
        assert (answer.status_code, answer.text) == (201, first_answer.text)
    assert items() == stored


def test_the_parts_of_a_records_name_do_not_run_together():
    pairs = [("a", "b\nc"), ("c\na", "b"), ("ab", "c"), ("b", "ca"), ('a","b', "c"), ("b", 'c","a')]
    names = {identify(key, route, {}).name for key, route in pairs}
    assert len(names) == len(pairs)
    parts: list[tuple[Any, ...]] = [("a", "b"), ("b", "a"), ("ab",), (["a", "b"],), ("", "ab")]
    prints = {identify("k", "r", *each).fingerprint for each in parts}
    assert len(prints) == len(parts)


# What the client sent counts, not what we made of it


def test_a_default_that_changes_between_two_tries_makes_no_other_request(make_app, alice, items):
    body = {"domain_id": "d"}
    first_answer = alice.post("/sessions", body, headers=KEY)
    stored = items()
    for days in (30, 7):
        other = Client(make_app(retention_days=days), alice.token)
        replay = other.post("/sessions", body, headers=KEY)
        assert (replay.status_code, replay.text) == (201, first_answer.text)
    assert items() == stored


SAME = {
    "order of members": (
        b'{"role": "user", "content": "a", "metadata": {"x": 1, "y": [{"b": 1, "a": 2}]}}',
        b'{"metadata": {"y": [{"a": 2, "b": 1}], "x": 1}, "content": "a", "role": "user"}',
    ),
    "white space and escapes": (
        b'{"role": "user", "content": "\xc3\xa9"}',
        b'{"role":"user",\n"content":"\\u00e9"}',
    ),
}

DIFFERENT = {
    "1 and 1.0": (
        b'{"role": "user", "content": "a", "metadata": {"x": 1}}',
        b'{"role": "user", "content": "a", "metadata": {"x": 1.0}}',
    ),
    "1 and true": (
        b'{"role": "user", "content": "a", "metadata": {"x": 1}}',
        b'{"role": "user", "content": "a", "metadata": {"x": true}}',
    ),
    "order of items": (
        b'{"role": "user", "content": "a", "metadata": {"x": [1, 2]}}',
        b'{"role": "user", "content": "a", "metadata": {"x": [2, 1]}}',
    ),
    "a default, said and not said": (
        b'{"role": "user", "content": "a"}',
        b'{"role": "user", "content": "a", "name": null}',
    ),
}


@pytest.mark.parametrize("bodies", SAME.values(), ids=SAME)
def test_different_spellings_of_the_same_json_are_the_same_request(alice, session, bodies, items):
    path = f"/sessions/{session}/messages"
    first_answer = alice.post(path, data=bodies[0], headers=KEY)
    stored = items()
    replay = alice.post(path, data=bodies[1], headers=KEY)
    assert (replay.status_code, replay.json) == (201, first_answer.json)
    assert items() == stored


@pytest.mark.parametrize("bodies", DIFFERENT.values(), ids=DIFFERENT)
def test_different_json_is_another_request(alice, session, bodies):
    path = f"/sessions/{session}/messages"
    assert alice.post(path, data=bodies[0], headers=KEY).status_code == 201
    answer = alice.post(path, data=bodies[1], headers=KEY)
    problem(answer, 422, "IDEMPOTENCY_KEY_REUSED")


def test_sending_a_default_explicitly_is_another_request(alice):
    assert alice.post("/sessions", {"domain_id": "d"}, headers=KEY).status_code == 201
    said = {"domain_id": "d", "title": "New Session"}
    problem(alice.post("/sessions", said, headers=KEY), 422, "IDEMPOTENCY_KEY_REUSED")


def test_who_writes_is_part_of_the_request(app, alice, session):
    """An agent with a user's key must not get the user's replay."""
    path = f"/sessions/{session}/messages"
    agent = Client(app, make_token("acme", "alice", act={"sub": "agent"}))
    other = Client(app, make_token("acme", "alice", act={"sub": "other"}))
    assert agent.post(path, SAID, headers=KEY).json["created_by"] == "agent"
    for writer in (alice, other):
        problem(writer.post(path, SAID, headers=KEY), 422, "IDEMPOTENCY_KEY_REUSED")


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


def test_a_replay_to_a_deleted_session_is_404(alice, session):
    path = f"/sessions/{session}/messages"
    assert alice.post(path, SAID, headers=KEY).status_code == 201
    alice.delete(f"/sessions/{session}")
    problem(alice.post(path, SAID, headers=KEY), 404, "SESSION_NOT_FOUND")


def test_a_replay_to_an_expired_session_is_404(alice, clock):
    session = alice.create_session(expires_in_days=1)["session_id"]
    clock.move(days=0.9)
    path = f"/sessions/{session}/messages"
    assert alice.post(path, SAID, headers=KEY).status_code == 201
    clock.move(days=0.2)
    problem(alice.post(path, SAID, headers=KEY), 404, "SESSION_NOT_FOUND")


# A create whose session is gone

NEW = {"domain_id": "d", "expires_in_days": 1}


def gone_since(client: Client, session: str) -> None:
    before = client.get("/sessions").json["pagination"]["total"]
    for _ in range(2):
        answer = client.post("/sessions", NEW, headers=KEY)
        body = problem(answer, 410, "GONE_SINCE", ids=[session])
        assert "Location" not in answer.headers
        assert body["title"]
    assert client.get("/sessions").json["pagination"]["total"] == before


def delete_it(client: Client, session: str) -> None:
    assert client.delete(f"/sessions/{session}").status_code == 200


def erase_all(client: Client, session: str) -> None:
    assert client.delete("/sessions?confirm=all").status_code == 200


@pytest.mark.parametrize("remove", [delete_it, erase_all])
def test_a_create_whose_session_is_gone_is_410_and_creates_no_other(
    alice, clock, assert_sound, remove
):
    made = alice.post("/sessions", NEW, headers=KEY).json["session_id"]
    alice.append(made)
    remove(alice, made)
    gone_since(alice, made)
    clock.move(days=23.9 / 24)
    gone_since(alice, made)
    assert_sound()
    clock.move(days=1.1 / 24)  # after 24 hours the key is new
    again = alice.post("/sessions", NEW, headers=KEY)
    assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (201, None)
    assert again.json["session_id"] != made


@pytest.mark.parametrize("path", ["/sessions/{made}", "/sessions?confirm=all"])
def test_a_create_whose_session_is_gone_is_410_between_mark_and_removal(
    alice, hurried_alice, proxy, path, assert_sound, table, clock
):
    made = alice.post("/sessions", NEW, headers=KEY).json["session_id"]
    alice.append(made)
    proxy.plan = always(throttled, "BatchWriteItem")
    assert hurried_alice.delete(path.format(made=made)).status_code == 202
    assert alice.get(f"/sessions/{made}").status_code == 404
    gone_since(alice, made)
    sweep(table, clock)
    gone_since(alice, made)
    assert_sound()


def test_a_create_whose_session_has_expired_is_410(alice, table, clock, assert_sound):
    made = alice.post("/sessions", NEW, headers=KEY).json["session_id"]
    assert alice.post("/sessions", NEW, headers=KEY).status_code == 201
    expire(table, made)
    gone_since(alice, made)
    sweep(table, clock)
    gone_since(alice, made)
    assert_sound()


def expire(table: Any, session: str) -> None:
    """Directly in the table, because the shortest retention is as long as a record's life."""
    raw = {
        "TableName": table.name,
        "Key": {"PK": {"S": "acme#alice"}, "SK": {"S": f"SESSION#{session[5:]}"}},
    }
    past = "2026-01-01T00:00:00.000Z"
    table.client.update_item(
        **raw,
        UpdateExpression="SET expires_at = :past, GSI2SK = :past",
        ExpressionAttributeValues={":past": {"S": past}},
    )


def test_a_replay_reads_the_session_once_and_a_create_never(alice, far_alice, proxy):
    assert far_alice.post("/sessions", NEW, headers=KEY).status_code == 201
    assert proxy.calls == ["TransactWriteItems"]
    proxy.forget()
    assert far_alice.post("/sessions", NEW, headers=KEY).status_code == 201
    assert proxy.calls == ["TransactWriteItems", "GetItem"]


def test_a_replay_of_a_create_reads_again_if_its_transaction_is_partly_visible(
    alice, far_alice, proxy, raw, table
):
    """The record is visible, and the session's item follows a moment later."""
    made = alice.post("/sessions", NEW, headers=KEY)
    key = {"PK": {"S": "acme#alice"}, "SK": {"S": f"SESSION#{made.json['session_id'][5:]}"}}
    item = raw.get_item(TableName=table.name, Key=key)["Item"]

    def not_there_yet(exchange: Exchange) -> None:
        raw.delete_item(TableName=table.name, Key=key)
        exchange.forward()
        raw.put_item(TableName=table.name, Item=item)

    proxy.plan = first(2, not_there_yet, "GetItem")
    replay = far_alice.post("/sessions", NEW, headers=KEY)
    assert (replay.status_code, replay.text) == (201, made.text)
    assert proxy.calls == ["TransactWriteItems", "GetItem", "GetItem", "GetItem"]


@pytest.mark.parametrize("fault", [cut_before, cut_after])
def test_a_request_whose_answer_never_came_is_repeated_safely(
    fault, hurried_alice, far_alice, proxy, post, items
):
    """The client gives up on one server and uses another."""
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


@pytest.fixture
def current(alice, session):
    """The condition that the session is as it is now."""
    return {"If-Match": alice.get(f"/sessions/{session}").headers["ETag"]}


def test_a_put_whose_answer_was_lost_is_200_and_not_412(session, current, far_alice, proxy):
    proxy.plan = once(cut_after, "UpdateItem")
    answer = far_alice.put(f"/sessions/{session}", {"title": "New"}, headers=current)
    assert answer.status_code == 200
    assert (answer.json["title"], answer.json["version"]) == ("New", 2)


def test_a_put_that_was_not_carried_out_is_not_reported_as_done(
    alice, session, current, far_alice, proxy
):
    def overtaken(exchange: Exchange) -> None:
        alice.put(f"/sessions/{session}", {"title": "Other"})
        exchange.cut()

    proxy.plan = once(overtaken, "UpdateItem")
    answer = far_alice.put(f"/sessions/{session}", {"title": "New"}, headers=current)
    problem(answer, 503, "OUTCOME_UNKNOWN")  # and the next try gets 412
    assert alice.get(f"/sessions/{session}").json["title"] == "Other"


def test_a_put_that_was_carried_out_is_not_reported_as_failed(
    alice, session, current, far_alice, proxy
):
    def followed(exchange: Exchange) -> None:
        exchange.forward()
        alice.append(session)
        exchange.cut()

    proxy.plan = once(followed, "UpdateItem")
    answer = far_alice.put(f"/sessions/{session}", {"title": "New"}, headers=current)
    problem(answer, 503, "OUTCOME_UNKNOWN")
    assert alice.get(f"/sessions/{session}").json["title"] == "New"


def test_a_delete_whose_answer_was_lost_is_carried_out_once(
    alice, session, far_alice, proxy, items
):
    alice.fill(session, 3)
    for operation in ("TransactWriteItems", "Query", "BatchWriteItem", "DeleteItem"):
        made = alice.create_session()["session_id"]
        alice.fill(made, 3)
        current = {"If-Match": alice.get(f"/sessions/{made}").headers["ETag"]}
        proxy.plan = once(cut_after, operation)
        answer = far_alice.delete(f"/sessions/{made}", headers=current)
        assert answer.status_code == 200
        assert answer.json == {"session_id": made, "deleted_messages": 3}
    [user] = [item for item in items() if item["SK"]["S"] == "USER"]
    assert user["session_count"] == {"N": "1"}


def test_a_repeated_delete_ends_with_404(alice, session):
    assert alice.delete(f"/sessions/{session}").status_code == 200
    problem(alice.delete(f"/sessions/{session}"), 404, "SESSION_NOT_FOUND")


def test_an_erasure_whose_answers_were_lost_is_complete(alice, far_alice, proxy, items):
    for number in range(3):
        headers = {"Idempotency-Key": str(number)}
        made = alice.post("/sessions", {"domain_id": "d"}, headers=headers).json["session_id"]
        alice.fill(made, 3)
    proxy.plan = lambda call: cut_after if call.number % 2 else None
    assert far_alice.delete("/sessions?confirm=all").status_code == 200
    assert [item["SK"]["S"][:8] for item in items()] == ["REQUEST#"] * 3  # for 24 hours


def test_location_of_a_replay_leads_to_what_was_created(app, alice, post):
    alice.post(*post, headers=KEY)
    replay = alice.post(*post, headers=KEY)
    if location := replay.headers.get("Location"):
        headers = {"Authorization": f"Bearer {alice.token}"}
        found = urljoin(f"{API}{post[0]}", location)
        assert app.test_client().get(found, headers=headers).status_code == 200
