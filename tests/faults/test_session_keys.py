"""Session keys: a client finds a session by a key of its own, without a lookup."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from app.operations import check
from tests.people import Client, problem

NEW = {"domain_id": "d", "key": "user_123"}
SAID = {"role": "user", "content": "Any potholes near me?"}
ONCE = {"Idempotency-Key": "once"}
ANY = {"If-None-Match": "*"}

VECTORS = {
    "user_123": "sess_40ZEGAW728WEBRWGZ4XZ1PBRAE",
    "a": "sess_6AJY0H5JGVQQ5FNGHHPED27Q2D",
    "é": "sess_2AK5AQWG1KRD9SVRQBCN3J05YA",
}


def session_id(key: str) -> str:
    """The documented rule, written again."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big")
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "sess_" + "".join(digits[number >> shift & 31] for shift in range(125, -1, -5))


def batch(key: str = "user_123", *contents: str, **session: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": content} for content in contents or ("Hello",)]
    return {"messages": messages, "session": {"key": key, "domain_id": "d", **session}}


def append(alice: Client, key: str = "user_123", *contents: str, **options: Any) -> Any:
    session = options.pop("session", {})
    path = f"/sessions/{session_id(key)}/messages/batch"
    return alice.post(path, batch(key, *contents, **session), **options)


@pytest.mark.parametrize("key", [*VECTORS, "漢字 with blanks", "\U0001f600", "x" * 512, "漢" * 512])
def test_the_id_is_the_first_128_bits_of_the_keys_hash(key, alice):
    made = alice.post("/sessions", {**NEW, "key": key})
    assert (made.status_code, made.json["key"]) == (201, key)
    assert made.json["session_id"] == session_id(key) == VECTORS.get(key, session_id(key))
    assert made.headers["Location"] == f"sessions/{session_id(key)}"
    assert alice.get(f"/sessions/{session_id(key)}").json["key"] == key
    assert alice.get("/sessions").json["sessions"][0]["key"] == key


def test_a_session_without_a_key_shows_null(alice):
    assert alice.create_session()["key"] is None
    assert alice.create_session(key=None)["key"] is None


@pytest.mark.parametrize("key", ["", "x" * 513, 5, "a\nb", "\x00", "\x7f", ["a"], True])
def test_other_keys_are_refused(key, alice, items):
    refused = problem(alice.post("/sessions", {**NEW, "key": key}), 422, "VALIDATION_FAILED")
    assert refused["errors"][0]["field"] == "key"
    path = f"/sessions/{session_id('a')}/messages/batch"
    refused = problem(alice.post(path, batch(key)), 422, "VALIDATION_FAILED")
    assert refused["errors"][0]["field"] == "session.key"
    assert items() == []


def test_half_a_surrogate_pair_is_refused_in_a_key(alice, items):
    body = b'{"domain_id": "d", "key": "a\\ud83d"}'
    assert alice.post("/sessions", data=body).status_code == 422
    body = json.dumps(batch("a")).encode().replace(b'"key": "a"', b'"key": "a\\ude00"')
    assert alice.post(f"/sessions/{session_id('a')}/messages/batch", data=body).status_code == 422
    assert items() == []


def test_the_times_come_from_the_creation_and_not_from_the_id(alice, clock):
    clock.freeze()
    made = alice.create_session(key="user_123", expires_in_days=1)
    assert made["created_at"] == made["updated_at"] == made["last_activity"]
    assert abs(clock() - _milliseconds(made["created_at"])) <= 1
    assert _milliseconds(made["expires_at"]) - _milliseconds(made["created_at"]) == 86_400_000


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_the_same_key_gives_the_session_as_it_is(alice, items, logged):
    made = alice.post("/sessions", {**NEW, "title": "Mine"})
    alice.append(made.json["session_id"])
    before = items()
    found = alice.post("/sessions", {"domain_id": "other", "title": "Yours", "key": "user_123"})
    assert (found.status_code, found.json["title"], found.json["message_count"]) == (200, "Mine", 1)
    assert found.headers["Location"] == made.headers["Location"]
    assert found.headers["ETag"] != made.headers["ETag"]
    assert "Idempotent-Replayed" not in found.headers
    assert items() == before
    assert logged[-1]["db_calls"] == 1
    assert alice.get("/sessions").json["pagination"]["total"] == 1


def test_long_metadata_is_shown_with_the_session_that_is_found(alice, logged):
    metadata = {"notes": "x" * 1000}
    alice.create_session(key="user_123", metadata=metadata)
    found = alice.post("/sessions", NEW)
    assert (found.status_code, found.json["metadata"]) == (200, metadata)
    assert logged[-1]["db_calls"] == 2


def test_with_if_none_match_the_session_must_be_new(alice):
    made = alice.post("/sessions", NEW, headers=ANY)
    assert made.status_code == 201
    refused = alice.post("/sessions", NEW, headers=ANY)
    problem(refused, 409, "SESSION_EXISTS", session_id=made.json["session_id"])
    assert alice.post("/sessions", {"domain_id": "d"}, headers=ANY).status_code == 201


@pytest.mark.parametrize("header", ['"x"', "", "**", '*, "x"', "W/*"])
def test_if_none_match_can_only_be_any(header, alice, items):
    answer = alice.post("/sessions", NEW, headers={"If-None-Match": header})
    assert problem(answer, 422, "VALIDATION_FAILED")["errors"][0]["field"] == "If-None-Match"
    assert items() == []


def test_the_same_key_of_two_users_is_two_sessions(alice, bob):
    assert alice.create_session(key="k", title="Alice's")["session_id"] == session_id("k")
    assert bob.get(f"/sessions/{session_id('k')}").status_code == 404
    made = bob.post("/sessions", {**NEW, "key": "k"})
    assert (made.status_code, made.json["title"]) == (201, "New Session")
    assert append(bob, "k", "Bob's").status_code == 201
    assert alice.get(f"/sessions/{session_id('k')}").json["messages"] == []


def test_a_replay_is_told_as_one_although_the_key_exists(alice):
    made = alice.post("/sessions", NEW, headers={**ONCE, **ANY})
    alice.append(made.json["session_id"])
    replay = alice.post("/sessions", NEW, headers={**ONCE, **ANY})
    assert (replay.status_code, replay.headers["Idempotent-Replayed"]) == (201, "true")
    assert replay.json["message_count"] == 1
    problem(
        alice.post("/sessions", {**NEW, "title": "Other"}, headers=ONCE),
        422,
        "IDEMPOTENCY_KEY_REUSED",
    )


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("end", ["deleted", "erased"])
def test_a_retry_of_a_create_whose_session_is_gone_gives_410(end, again, alice, clock):
    made = alice.post("/sessions", NEW, headers=ONCE).json["session_id"]
    _end(alice, made, end, clock)
    if again:
        assert alice.post("/sessions", NEW).status_code == 201
    retry = alice.post("/sessions", NEW, headers=ONCE)
    problem(retry, 410, "GONE_SINCE", ids=[made])
    found = alice.post("/sessions", NEW)
    assert (found.status_code, found.json["message_count"]) == (200 if again else 201, 0)


def _end(alice: Client, session: str, end: str, clock: Any, days: float = 1.001) -> None:
    if end == "deleted":
        assert alice.delete(f"/sessions/{session}").status_code == 200
    elif end == "erased":
        assert alice.delete("/sessions?confirm=all").status_code == 200
    else:
        clock.move(days=days)


@pytest.mark.parametrize("end", ["deleted", "expired", "erased"])
@pytest.mark.parametrize("by", ["create", "batch"])
def test_deleted_and_made_again_nothing_of_the_old_one_shows(
    by, end, alice, clock, items, assert_sound
):
    old = alice.create_session(
        key="user_123", expires_in_days=1, metadata={"notes": "x" * 500}, archived=True
    )
    path = f"/sessions/{session_id('user_123')}"
    for number in range(60):
        alice.post(f"{path}/messages", SAID, headers={"Idempotency-Key": f"{number}"})
    shown = alice.get(path)
    _end(alice, old["session_id"], end, clock)
    assert alice.get(path).status_code == 404
    if by == "create":
        made = alice.post("/sessions", NEW)
        assert made.status_code == 201
        assert made.json["message_count"] == 0
    else:
        assert append(alice).status_code == 201
    new = alice.get(path).json
    assert (new["metadata"], new["archived"], new["expires_at"]) == ({}, False, None)
    assert [m["content"] for m in new["messages"]] == ["Hello"] * (by == "batch")
    assert new["created_at"] > shown.json["created_at"]
    assert alice.get("/sessions").json["pagination"]["total"] == 1
    assert [s["key"] for s in alice.get("/sessions").json["sessions"]] == ["user_123"]
    assert all("#REQUEST#" not in item["SK"]["S"] for item in items())
    refused = alice.put(path, {"title": "Old"}, headers={"If-Match": shown.headers["ETag"]})
    assert refused.status_code == 412
    gone = f"{path}/messages/{shown.json['messages'][-1]['message_id']}"
    assert alice.get(gone).status_code == 404
    assert_sound()


def test_a_record_of_the_old_session_is_not_taken_for_one_of_the_new(alice):
    alice.create_session(key="user_123")
    path = f"/sessions/{session_id('user_123')}"
    assert alice.post(f"{path}/messages", SAID, headers=ONCE).status_code == 201
    alice.delete(path)
    alice.create_session(key="user_123")
    answer = alice.post(f"{path}/messages", SAID, headers=ONCE)
    assert (answer.status_code, answer.headers.get("Idempotent-Replayed")) == (201, None)
    assert alice.get(path).json["message_count"] == 1


# A batch that makes its session


def test_a_batch_makes_its_session_if_there_is_none(alice, logged, assert_sound):
    answer = append(alice, "k", "One", "Two", session={"title": "Potholes", "pinned": True})
    assert answer.status_code == 201
    assert logged[-1]["db_calls"] == 2
    shown = alice.get(f"/sessions/{session_id('k')}").json
    assert [m["content"] for m in shown["messages"]] == ["One", "Two"]
    assert (shown["title"], shown["pinned"], shown["key"]) == ("Potholes", True, "k")
    assert shown["last_message"]["text"] == "Two"
    assert (shown["message_count"], shown["version"]) == (2, 1)
    assert (
        answer.headers["Session-ETag"] == alice.get(f"/sessions/{session_id('k')}").headers["ETag"]
    )
    assert append(alice, "k", "Three", session={"title": "Other"}).status_code == 201
    assert logged[-1]["db_calls"] == 1
    shown = alice.get(f"/sessions/{session_id('k')}").json
    assert [m["content"] for m in shown["messages"]] == ["One", "Two", "Three"]
    assert (shown["title"], shown["version"]) == ("Potholes", 2)
    assert_sound()


def test_the_sessions_metadata_and_retention_are_those_of_a_create(alice, clock):
    metadata = {"n": 1.50, "notes": "x" * 300}
    append(alice, "k", session={"metadata": metadata, "expires_in_days": 2})
    shown = alice.get(f"/sessions/{session_id('k')}").json
    assert shown["metadata"] == metadata
    assert _milliseconds(shown["expires_at"]) - _milliseconds(shown["created_at"]) == 172_800_000


@pytest.mark.parametrize(
    ("session", "field"),
    [
        ({"key": "other", "domain_id": "d"}, "session.key"),
        ({"domain_id": "d"}, "session.key"),
        ({"key": None, "domain_id": "d"}, "session.key"),
        ({"key": "k"}, "session.domain_id"),
        ({"key": "k", "domain_id": "d", "color": 1}, "session.color"),
        ("k", "session"),
        ([], "session"),
    ],
)
def test_a_session_that_cannot_be_made_is_refused_whether_or_not_it_exists(
    session, field, alice, items
):
    body = {"messages": [SAID], "session": session}
    path = f"/sessions/{session_id('k')}/messages/batch"
    for _ in range(2):
        before = items()
        refused = problem(alice.post(path, body), 422, "VALIDATION_FAILED")
        assert refused["errors"][0]["field"] == field
        assert items() == before
        alice.post("/sessions", {**NEW, "key": "k"})


def test_null_is_no_session(alice):
    path = f"/sessions/{session_id('k')}/messages/batch"
    assert alice.post(path, {"messages": [SAID], "session": None}).status_code == 404


def test_conditions_on_the_session_are_not_met_by_one_that_is_not_there(alice, items):
    problem(append(alice, "k", headers={"If-Match": '"x"'}), 412, "PRECONDITION_FAILED")
    path = f"/sessions/{session_id('k')}/messages/batch"
    after = f"{path}?after=msg_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    problem(alice.post(after, batch("k")), 412, "NOT_THE_LAST_MESSAGE", last_message_id=None)
    assert items() == []
    first = f"{path}?after={session_id('k')}"
    made = alice.post(first, batch("k"))
    assert made.status_code == 201
    last = made.json["messages"][0]["message_id"]
    problem(alice.post(first, batch("k")), 412, "NOT_THE_LAST_MESSAGE", last_message_id=last)


@pytest.mark.parametrize("prefer", ["return=representation", "return=minimal"])
def test_a_batch_that_made_its_session_is_replayed(prefer, alice, items):
    headers = {**ONCE, "Prefer": prefer}
    first = append(alice, "k", "One", "Two", headers=headers)
    stored = items()
    replay = append(alice, "k", "One", "Two", headers=headers)
    assert (replay.status_code, replay.text) == (201, first.text)
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert items() == stored
    problem(append(alice, "k", "Three", headers=headers), 422, "IDEMPOTENCY_KEY_REUSED")
    assert append(alice, "other", "One", headers=headers).status_code == 201


@pytest.mark.parametrize("prefer", ["return=representation", "return=minimal"])
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("made_by", ["batch", "create"])
@pytest.mark.parametrize("end", ["deleted", "expired", "erased"])
def test_a_retry_of_a_batch_whose_session_is_gone_makes_no_second_one(
    end, made_by, again, prefer, alice, clock, items
):
    headers = {**ONCE, "Prefer": prefer}
    if made_by == "create" or end == "expired":
        alice.create_session(key="k", expires_in_days=1)
        clock.move(days=0.5)  # so that the batch's record outlives the session
    first = append(alice, "k", "One", "Two", headers=headers)
    _end(alice, session_id("k"), end, clock, days=0.6)
    if again:
        alice.create_session(key="k")
    stored = items()
    gone = [message["message_id"] for message in first.json["messages"]]
    problem(append(alice, "k", "One", "Two", headers=headers), 410, "GONE_SINCE", ids=gone)
    problem(append(alice, "k", "Three", headers=headers), 422, "IDEMPOTENCY_KEY_REUSED")
    assert items() == stored
    assert append(alice, "k", "One", headers={"Idempotency-Key": "new"}).status_code == 201


@pytest.mark.parametrize(
    ("attribute", "value", "finding"),
    [
        ("session_key", "another", "its key gives another id"),
        ("born", None, "its birth is wrong"),
        ("born", "yesterday", "its birth is wrong"),
    ],
)
def test_the_check_finds_a_key_or_birth_that_is_damaged(
    attribute, value, finding, alice, raw, table, items, clock
):
    alice.create_session(key="user_123")
    [item] = [item for item in items() if "session_key" in item]
    del item[attribute]
    if value:
        item[attribute] = {"S": value}
    raw.put_item(TableName=table.name, Item=item)
    assert finding in [found.problem for found in check.check(table, clock)]


def test_the_readme_has_the_rule_and_the_vectors():
    text = Path("README.md").read_text()
    for key, made in VECTORS.items():
        assert f"| `{key}`" in text
        assert f"`{made}` |" in text
    [code] = [part for part in text.split("```py\n") if part.startswith("number = ")]
    for key, made in VECTORS.items():
        scope: dict[str, Any] = {"key": key, "hashlib": hashlib}
        exec(code.split("```")[0], scope)  # noqa: S102  the README's own
        assert scope["session_id"] == made
