"""A replay shows what the first request made as it is now, or says that it is gone."""

import json
from typing import Any

import pytest

from tests.people import Client, make_token, problem

ONCE = {"Idempotency-Key": "once"}
MINIMAL = {**ONCE, "Prefer": "return=minimal"}
SAID = {"role": "user", "content": "Any potholes near me?"}
BATCH = {"messages": [SAID, {**SAID, "content": "Two"}, {**SAID, "content": "Three"}]}


@pytest.fixture
def session(alice: Client) -> str:
    made: str = alice.create_session()["session_id"]
    return made


SPELLINGS = {
    "create": ["/sessions", "/sessions/", "/%73essions"],
    "append": [
        "/sessions/{id}/messages",
        "/sessions/{id}/messages/",
        "/sessions/{encoded}/messages",
        "/sessions/{id}/%6Dessages",
    ],
    "batch": [
        "/sessions/{id}/messages/batch",
        "/sessions/{id}/messages/batch/",
        "/sessions/{encoded}/messages/%62atch/",
    ],
}


@pytest.mark.parametrize("route", SPELLINGS)
def test_a_request_is_the_same_however_its_path_is_spelled(route, alice, session, items):
    body = {"create": {"domain_id": "d"}, "append": SAID, "batch": BATCH}[route]
    encoded = "".join(f"%{ord(letter):02x}" for letter in session)
    first, *others = (path.format(id=session, encoded=encoded) for path in SPELLINGS[route])
    made = alice.post(first, body, headers=ONCE)
    assert made.status_code == 201
    stored = items()
    for path in others:
        replay = alice.post(path, body, headers=ONCE)
        assert (replay.status_code, replay.text) == (201, made.text), path
        assert replay.headers["Idempotent-Replayed"] == "true"
    assert items() == stored


def turned(value: Any) -> Any:
    """The same JSON with the members of all objects in reverse."""
    if isinstance(value, dict):
        return {name: turned(value[name]) for name in reversed(value)}
    return [turned(element) for element in value] if isinstance(value, list) else value


def test_the_order_of_members_makes_no_other_request(alice, session):
    key = "user_123"
    id_of_key = alice.create_session(key=key)["session_id"]
    message = {
        "role": "user",
        "content": [{"type": "text", "text": "a", "more": {"x": [1, {"p": 1, "q": None}], "y": 2}}],
        "metadata": {"b": 1, "a": {"d": 1.50, "c": [{"f": 1, "e": 2}]}},
        "native": {"z": 1, "role": "user"},
        "format": "own.format",
    }
    for path, body in (
        ("/sessions", {"domain_id": "d", "metadata": {"b": {"d": 1, "c": 2}, "a": 1}}),
        (f"/sessions/{session}/messages", message),
        (f"/sessions/{session}/messages/batch", {"messages": [message, SAID]}),
        (
            f"/sessions/{id_of_key}/messages/batch",
            {"messages": [SAID], "session": {"key": key, "domain_id": "d", "metadata": {"b": 1}}},
        ),
    ):
        made = alice.post(path, body, headers=ONCE)
        assert made.status_code == 201, made.text
        replay = alice.post(path, turned(body), headers=ONCE)
        assert replay.headers.get("Idempotent-Replayed") == "true", replay.text
        assert replay.text == made.text  # with the members in the order that was stored


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "1.0"), ("1e2", "100"), ('"a"', '"b"'), ("[1,2]", "[2,1]"), ("0", "-0")],
)
def test_another_literal_or_order_of_elements_is_another_request(one, other, alice, session):
    path = f"/sessions/{session}/messages"
    body = '{"role": "user", "content": "a", "metadata": {"n": %s}}'
    assert alice.post(path, data=body % one, headers=ONCE).status_code == 201
    problem(alice.post(path, data=body % other, headers=ONCE), 422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("headers", [ONCE, MINIMAL], ids=["whole", "minimal"])
def test_the_replay_of_an_append_shows_the_message_as_it_is_now(headers, alice, session, logged):
    path = f"/sessions/{session}/messages"
    made = alice.post(path, SAID, headers=headers).json["message_id"]
    assert alice.put(f"{path}/{made}", {"content": "Edited"}).status_code == 200
    alice.append(session, "later")
    replay = alice.post(path, SAID, headers=headers)
    assert logged[-1]["db_calls"] == 2
    assert (replay.status_code, replay.headers["Idempotent-Replayed"]) == (201, "true")
    assert replay.headers["Location"] == f"messages/{made}"
    assert replay.headers["Session-ETag"] == alice.get(f"/sessions/{session}").headers["ETag"]
    if headers is MINIMAL:
        assert replay.json.keys() == {"message_id", "session_id", "timestamp"}
    else:
        assert replay.json == alice.get(f"{path}/{made}").json
        assert (replay.json["content"], replay.json["edited_at"] is None) == ("Edited", False)


def test_a_replay_has_a_status_feedback_and_long_text_of_now(alice, session):
    path = f"/sessions/{session}/messages"
    body = {"messages": [{**SAID, "status": "in_progress"}, SAID]}
    first, second = alice.post(f"{path}/batch", body, headers=ONCE).json["messages"]
    alice.put(f"{path}/{first['message_id']}", {"content": "x" * 900_000})
    alice.put(f"{path}/{second['message_id']}/feedback", {"rating": 1})
    replay = alice.post(f"{path}/batch", body, headers=ONCE).json["messages"]
    assert (replay[0]["status"], len(replay[0]["content"])) == ("complete", 900_000)
    assert replay[1]["feedback"][0]["rating"] == 1


@pytest.mark.parametrize("headers", [ONCE, MINIMAL], ids=["whole", "minimal"])
@pytest.mark.parametrize("by", ["one", "cut", "all", "pop", "replace"])
def test_the_replay_of_a_batch_tells_which_messages_are_gone(by, headers, alice, session, items):
    path = f"/sessions/{session}/messages"
    made = [
        m["message_id"]
        for m in alice.post(f"{path}/batch", BATCH, headers=headers).json["messages"]
    ]
    if by == "one":
        assert alice.delete(f"{path}/{made[1]}").status_code == 200
        gone = made[1:2]
    elif by == "cut":
        assert alice.delete(f"{path}?after={made[0]}").status_code == 200
        gone = made[1:]
    elif by == "all":
        assert alice.delete(f"{path}?all=true").status_code == 200
        gone = made
    elif by == "pop":
        assert alice.post(f"{path}/pop", {"count": 1}).status_code == 200
        gone = made[2:]
    else:
        body = {"from": made[2], "messages": [SAID]}
        assert alice.post(f"{path}/replace", body).status_code in (200, 201)
        gone = made[2:]
    stored = items()
    problem(alice.post(f"{path}/batch", BATCH, headers=headers), 410, "GONE_SINCE", ids=gone)
    assert items() == stored


def test_the_replay_of_an_append_whose_message_is_hidden_gives_410(alice, session):
    """A long tail is hidden at once and removed later."""
    path = f"/sessions/{session}/messages"
    made = alice.post(path, SAID, headers=ONCE).json["message_id"]
    alice.fill(session, 350)
    assert alice.delete(f"{path}?all=true").status_code in (200, 202)
    problem(alice.post(path, SAID, headers=ONCE), 410, "GONE_SINCE", ids=[made])


def test_the_replay_of_an_append_to_a_session_that_is_gone_gives_404(alice, session):
    path = f"/sessions/{session}/messages"
    assert alice.post(path, SAID, headers=ONCE).status_code == 201
    alice.delete(f"/sessions/{session}")
    problem(alice.post(path, SAID, headers=ONCE), 404, "SESSION_NOT_FOUND")


def test_created_by_stays_the_first_writers(alice, app, session):
    """Another writer's request is another one."""
    agent = Client(app, make_token("acme", "alice", act={"sub": "agent-7"}))
    path = f"/sessions/{session}/messages"
    made = alice.post(path, SAID, headers=ONCE).json
    alice.put(f"{path}/{made['message_id']}", {"content": "Edited"})
    problem(agent.post(path, SAID, headers=ONCE), 422, "IDEMPOTENCY_KEY_REUSED")
    assert agent.put(f"{path}/{made['message_id']}", {"content": "Again"}).status_code == 200
    replay = alice.post(path, SAID, headers=ONCE).json
    assert (replay["created_by"], replay["content"]) == ("alice", "Again")


def test_the_key_of_one_session_is_none_of_another_or_of_another_user(alice, bob, session):
    """Also if both are made by the same batch."""
    for client in (alice, bob):
        for key in ("a", "b"):
            id_of_key = client.create_session(key=key)["session_id"]
            client.delete(f"/sessions/{id_of_key}")
            body = {"messages": [SAID], "session": {"key": key, "domain_id": "d"}}
            answer = client.post(f"/sessions/{id_of_key}/messages/batch", body, headers=ONCE)
            assert (answer.status_code, answer.headers.get("Idempotent-Replayed")) == (201, None)
    assert json.loads(alice.get("/sessions").text)["pagination"]["total"] == 3
