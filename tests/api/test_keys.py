"""Sessions with a key of the client's own."""

import hashlib
from threading import Thread

import pytest
from ulid import ULID

from app.operations.check import check
from tests.people import problem

KEY = "thread-42"


@pytest.fixture(autouse=True)
def _nothing_is_damaged(table, clock):
    yield
    assert list(check(table, clock)) == []


def derived(key):
    return f"sess_{ULID(hashlib.sha256(key.encode()).digest()[:16])}"


def create(client, key=KEY, **body):
    headers = body.pop("headers", {})
    return client.post("/sessions", {"domain_id": "d", "key": key, **body}, headers=headers)


def batch(session_id, key=KEY, text="x", **session):
    """The path and body of an append that makes the session."""
    body = {
        "messages": [{"role": "user", "content": text}],
        "session": {"key": key, "domain_id": "d", **session},
    }
    return f"/sessions/{session_id}/messages/batch", body


@pytest.mark.parametrize("key", [KEY, "ключ 😀", "a#b/c d", "x" * 512])
def test_the_id_is_derived_from_the_key(alice, key):
    made = create(alice, key)
    assert made.status_code == 201
    assert made.json["session_id"] == derived(key)
    assert made.json["key"] == key
    found = alice.get(f"/sessions/{derived(key)}").json
    assert (found["key"], found["created_at"]) == (key, made.json["created_at"])
    assert made.json["created_at"][:2] == "20", "a time of now, not one from the hash"
    alice.append(derived(key))
    [row] = alice.get("/sessions").json["sessions"]
    assert (row["key"], row["session_id"]) == (key, derived(key))


def test_the_same_key_is_the_same_session(alice, items):
    made = create(alice, title="First").json
    alice.append(made["session_id"])
    before = items()
    again = create(alice, title="Second")
    assert (again.status_code, again.json["title"]) == (200, "First")
    assert again.json["message_count"] == 1
    assert again.headers["Location"] == f"sessions/{made['session_id']}"
    assert items() == before
    only_new = create(alice, headers={"If-None-Match": "*"})
    problem(only_new, 409, "SESSION_EXISTS", session_id=made["session_id"])
    assert items() == before


@pytest.mark.parametrize("value", ['"x"', "x", "*, *", "**", ""])
def test_only_any_is_a_condition_for_a_new_session(alice, value):
    answer = create(alice, headers={"If-None-Match": value})
    problem(answer, 422, "VALIDATION_FAILED")


def test_long_metadata_comes_with_the_session_that_is_found(alice):
    metadata = {"a": "x" * 500}
    create(alice, metadata=metadata)
    assert create(alice).json["metadata"] == metadata


def test_the_same_key_of_another_user_is_another_session(alice, bob, charlie):
    for person in (alice, bob, charlie):
        assert create(person, title=person.token[-5:]).status_code == 201
    alice.append(derived(KEY), "alice's")
    for person in (bob, charlie):
        assert person.get(f"/sessions/{derived(KEY)}").json["messages"] == []
    bob.delete(f"/sessions/{derived(KEY)}")
    assert alice.get(f"/sessions/{derived(KEY)}").json["message_count"] == 1


def test_a_create_with_both_keys_is_replayed(alice):
    headers = {"Idempotency-Key": "k"}
    assert create(alice, headers=headers).status_code == 201
    again = create(alice, headers=headers)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    alice.delete(f"/sessions/{derived(KEY)}")
    problem(create(alice, headers=headers), 410, "GONE_SINCE", ids=[derived(KEY)])
    assert create(alice).status_code == 201


def test_creates_at_once_make_one_session(alice):
    answers = []
    threads = [Thread(target=lambda: answers.append(create(alice))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert alice.get("/sessions").json["pagination"]["total"] == 1


def test_a_session_made_again_shows_nothing_of_the_old_one(alice, items):
    path = f"/sessions/{derived(KEY)}/messages"
    create(alice, title="Old", metadata={"old": "x" * 500})
    said = {"role": "user", "content": "old"}
    old = alice.post(path, said, headers={"Idempotency-Key": "k"}).json
    alice.put(f"{path}/{old['message_id']}/feedback", {"rating": "up"})
    assert alice.delete(f"/sessions/{derived(KEY)}").status_code == 200
    assert [item["SK"]["S"] for item in items()] == ["USER"]
    made = create(alice, title="New").json
    assert (made["title"], made["metadata"], made["message_count"]) == ("New", {}, 0)
    again = alice.post(path, said, headers={"Idempotency-Key": "k"})
    assert "Idempotent-Replayed" not in again.headers, "the old record is gone"
    assert again.json["message_id"] > old["message_id"]
    assert len(alice.read_all(derived(KEY))) == 1


def test_an_expired_session_makes_room(alice, clock):
    create(alice, title="Old", expires_in_days=1)
    alice.append(derived(KEY), "old")
    clock.move(days=2)
    made = create(alice, title="New")
    assert (made.status_code, made.json["title"]) == (201, "New")
    assert alice.read_all(derived(KEY)) == []
    assert alice.get("/sessions").json["pagination"]["total"] == 1


def test_a_session_with_a_key_is_swept_and_erased(alice, items, table, clock):
    from app.operations.sweep import sweep

    create(alice, expires_in_days=1)
    alice.fill(derived(KEY), 60)
    clock.move(days=2)
    assert sweep(table, clock).sessions == 1
    assert [item["SK"]["S"] for item in items()] == ["USER"]
    create(alice, metadata={"a": "x" * 500})
    alice.fill(derived(KEY), 60)
    create(alice, "another")
    alice.create_session()
    answer = alice.delete("/sessions?confirm=all")
    assert answer.json == {"deleted_sessions": 3, "deleted_messages": 60}
    assert items() == []


# An append that makes its session


def test_an_append_makes_the_session_that_it_describes(alice):
    path, body = batch(derived(KEY), title="Made", metadata={"n": 1})
    first = alice.post(path, body)
    assert first.status_code == 201
    session = alice.get(f"/sessions/{derived(KEY)}")
    assert session.headers["ETag"] == first.headers["Session-ETag"]
    assert (session.json["title"], session.json["message_count"]) == ("Made", 1)
    assert session.json["last_message"]["text"] == "x"
    assert session.json["metadata"] == {"n": 1}
    body["session"]["title"] = "Other"
    assert alice.post(path, body).status_code == 201
    again = alice.get(f"/sessions/{derived(KEY)}").json
    assert (again["title"], again["message_count"]) == ("Made", 2)


def test_it_is_repeated_without_storing_twice(alice):
    path, body = batch(derived(KEY))
    first = alice.post(path, body, headers={"Idempotency-Key": "k"})
    again = alice.post(path, body, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.text) == (201, first.text)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert alice.get(f"/sessions/{derived(KEY)}").json["message_count"] == 1


def test_two_at_once_make_one_session_with_all_messages(alice):
    answers = []

    def post(n):
        path, body = batch(derived(KEY), text=f"{n}")
        answers.append(alice.post(path, body).status_code)

    threads = [Thread(target=post, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [201] * 6
    found = alice.get(f"/sessions/{derived(KEY)}").json
    assert sorted(m["content"] for m in found["messages"]) == [str(n) for n in range(6)]
    assert found["message_count"] == 6


@pytest.mark.parametrize(
    ("session", "field"),
    [
        ({"key": "other", "domain_id": "d"}, "session.key"),
        ({"domain_id": "d"}, "session.key"),
        ({"key": KEY}, "session.domain_id"),
        ({"key": KEY, "domain_id": "d", "title": "x" * 513}, "session.title"),
        ({"key": KEY, "domain_id": "d", "metadata": []}, "session.metadata"),
        ({"key": KEY, "domain_id": "d", "x": 1}, "session.x"),
        ([], "session"),
    ],
)
def test_a_session_that_does_not_fit_is_refused(alice, items, session, field):
    path, body = batch(derived(KEY))
    answer = alice.post(path, {**body, "session": session})
    [error] = problem(answer, 422, "VALIDATION_FAILED")["errors"][:1]
    assert error["field"].startswith(field)
    assert items() == []


def test_conditions_hold_for_a_session_that_is_not_there(alice, items):
    path, body = batch(derived(KEY))
    some = '"01ARZ3NDEKTSV4RRFFQ69G5FAV"'
    problem(alice.post(path, body, headers={"If-Match": some}), 412, "PRECONDITION_FAILED")
    message = "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    answer = alice.post(f"{path}?after={message}", body)
    problem(answer, 412, "NOT_THE_LAST_MESSAGE", last_message_id=None)
    assert items() == []
    assert alice.post(f"{path}?after={derived(KEY)}", body).status_code == 201


def test_it_makes_room_for_the_new_session_too(alice, clock):
    create(alice, title="Old", expires_in_days=1)
    alice.append(derived(KEY), "old")
    clock.move(days=2)
    path, body = batch(derived(KEY), text="new", title="New")
    assert alice.post(path, body).status_code == 201
    found = alice.get(f"/sessions/{derived(KEY)}").json
    assert (found["title"], [m["content"] for m in found["messages"]]) == ("New", ["new"])


def test_the_documented_vectors_are_right():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "README.md").read_text()
    for key in ("user_123", "a"):
        assert f"| `{key}` | `{derived(key)}` |" in text
