"""Agents that act for a user: who may, for whom, and what is recorded."""

from urllib.parse import quote

import pytest

from app.config import Config
from app.identity import auth
from app.identity.tokens import Verifier
from tests.people import SECRET, Client, make_token, problem

ACT = "sessions:read sessions:write sessions:act-for-user"


@pytest.fixture
def agent(app):
    """An agent backend in Alice's tenant, with its own token."""
    return Client(app, make_token("acme", "agent-7", scope=ACT))


def acting_for(user: str) -> dict[str, str]:
    return {"Act-For-User": quote(user)}


def test_a_user_token_that_names_an_agent_writes_as_the_agent(app, alice, logged):
    session_id = alice.create_session()["session_id"]
    alice.append(session_id)
    delegated = Client(app, make_token("acme", "alice", act={"sub": "agent-7"}))
    message = delegated.append(session_id, "Done.", role="assistant")
    assert message["created_by"] == "agent-7"
    line = logged[-1]
    assert (line["tenant"], line["user"], line["agent"]) == ("acme", "alice", "agent-7")
    seen = alice.get(f"/sessions/{session_id}").json["messages"]
    assert [m["created_by"] for m in seen] == ["alice", "agent-7"]


def test_the_outermost_of_a_chain_of_actors_is_the_writer(app, alice):
    """RFC 8693 section 4.1: nested actors are earlier ones and are only informational."""
    session_id = alice.create_session()["session_id"]
    chain = {"sub": "agent-7", "act": {"sub": "planner-1"}}
    delegated = Client(app, make_token("acme", "alice", act=chain))
    assert delegated.append(session_id)["created_by"] == "agent-7"


def test_a_user_who_writes_is_recorded_as_the_user(alice, logged):
    message = alice.append(alice.create_session()["session_id"])
    assert message["created_by"] == "alice"
    assert logged[-1]["agent"] is None


def test_a_service_token_with_the_scope_reaches_the_users_session(alice, agent, logged):
    session_id = alice.create_session()["session_id"]
    answer = agent.post(
        f"/sessions/{session_id}/messages",
        {"role": "assistant", "content": "Done."},
        headers=acting_for("alice"),
    )
    assert answer.status_code == 201
    assert answer.json["created_by"] == "agent-7"
    line = logged[-1]
    assert (line["tenant"], line["user"], line["agent"]) == ("acme", "alice", "agent-7")
    assert alice.get(f"/sessions/{session_id}").json["message_count"] == 1


def test_a_batch_records_the_agent_on_every_message(alice, agent):
    session_id = alice.create_session()["session_id"]
    batch = {"messages": [{"role": "tool", "content": str(n)} for n in range(3)]}
    agent.post(f"/sessions/{session_id}/messages/batch", batch, headers=acting_for("alice"))
    seen = alice.get(f"/sessions/{session_id}").json["messages"]
    assert {message["created_by"] for message in seen} == {"agent-7"}


def test_every_stored_message_says_who_wrote_it(alice, agent, items):
    session_id = alice.create_session()["session_id"]
    path = f"/sessions/{session_id}/messages"
    agent.post(path, {"role": "tool", "content": "x"}, headers=acting_for("alice"))
    writers = [item["created_by"]["S"] for item in items() if "body" in item]
    assert writers == ["agent-7"]


def test_an_agent_cannot_say_that_somebody_else_wrote(alice, agent):
    session_id = alice.create_session()["session_id"]
    body = {"role": "user", "content": "x", "created_by": "alice"}
    answer = agent.post(f"/sessions/{session_id}/messages", body, headers=acting_for("alice"))
    problem(answer, 422, "VALIDATION_FAILED")


def test_without_the_header_the_agent_has_its_own_sessions(alice, agent):
    session_id = alice.create_session()["session_id"]
    problem(agent.get(f"/sessions/{session_id}"), 404, "SESSION_NOT_FOUND")
    assert agent.get("/sessions").json["sessions"] == []


def test_the_header_gives_access_to_that_user_only(alice, bob, agent):
    session_id = alice.create_session()["session_id"]
    assert agent.get(f"/sessions/{session_id}", headers=acting_for("alice")).status_code == 200
    answer = agent.get(f"/sessions/{session_id}", headers=acting_for("bob"))
    problem(answer, 404, "SESSION_NOT_FOUND")


@pytest.mark.parametrize(
    "scopes",
    [
        {},
        {"scope": "sessions:read sessions:write"},
        {"scope": "sessions:read sessions:write sessions:act-for-users"},
        {"scope": "sessions:read sessions:write SESSIONS:ACT-FOR-USER"},
        {"scp": ["sessions:read", "sessions:write"]},
        {"scope": "sessions:read sessions:write", "scp": ["sessions:act-for-user"]},
        {"act": {"sub": "agent-7"}},
        {"scope": "sessions:read sessions:write", "act": {"sub": "agent-7"}},
    ],
    ids=str,
)
def test_nobody_acts_for_a_user_without_the_scope(app, alice, items, scopes):
    session_id = alice.create_session()["session_id"]
    before = items()
    service = Client(app, make_token("acme", "agent-7", **scopes))
    for answer in (
        service.get(f"/sessions/{session_id}", headers=acting_for("alice")),
        service.get("/sessions", headers=acting_for("alice")),
        service.delete(f"/sessions/{session_id}", headers=acting_for("alice")),
        service.get("/sessions", headers=acting_for("agent-7")),
    ):
        body = problem(answer, 403, "INSUFFICIENT_SCOPE")
        assert body["detail"] == "The token lacks the scope sessions:act-for-user."
        assert 'scope="sessions:act-for-user"' in answer.headers["WWW-Authenticate"]
    assert items() == before


def test_acting_does_not_replace_the_right_to_read_or_write(app, alice):
    session_id = alice.create_session()["session_id"]
    reader = Client(app, make_token("acme", "a", scope="sessions:read sessions:act-for-user"))
    path, headers = f"/sessions/{session_id}", acting_for("alice")
    assert reader.get(path, headers=headers).status_code == 200
    body = problem(reader.delete(path, headers=headers), 403, "INSUFFICIENT_SCOPE")
    assert "sessions:write" in body["detail"]
    only = Client(app, make_token("acme", "a", scope="sessions:act-for-user"))
    body = problem(only.get(path, headers=headers), 403, "INSUFFICIENT_SCOPE")
    assert "sessions:read" in body["detail"]


@pytest.mark.parametrize(
    "user", ["alice", "acme#alice", "../acme/alice", "acme%23alice", "alice%2500", "%2e%2e/alice"]
)
def test_acting_never_leaves_the_tenant(app, alice, items, user):
    session_id = alice.create_session()["session_id"]
    before = items()
    service = Client(app, make_token("globex", "agent-7", scope=ACT))
    for sent in (user, quote(user, safe="")):
        answer = service.get(f"/sessions/{session_id}", headers={"Act-For-User": sent})
        problem(answer, 404, "SESSION_NOT_FOUND")
        answer = service.delete(f"/sessions/{session_id}", headers={"Act-For-User": sent})
        problem(answer, 404, "SESSION_NOT_FOUND")
    assert items() == before


@pytest.mark.parametrize(
    "user", ["a#b", "100%", "a/b c", "ü😀", "auth0|5f7c8ec7", "a,b", "A" * 600]
)
def test_any_user_id_can_be_named_percent_encoded(app, agent, user):
    person = Client(app, make_token("acme", user))
    session_id = person.create_session()["session_id"]
    headers = {"Act-For-User": quote(user, safe="")}
    assert agent.get(f"/sessions/{session_id}", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        *("", " ", "%20", "%E9", "\u00e9", "%ED%A0%80", "x" * 2048, "alice,bob", "alice, alice"),
        *("alice%00", "%0Aalice", "al%09ice", "alice%7F", "alice%C2%85", "%20alice", "alice%C2%A0"),
    ],
    ids=repr,
)
def test_an_invalid_user_id_is_refused(agent, items, sent):
    """A comma is refused because two headers with one name arrive as one, joined by a comma."""
    answer = agent.post("/sessions", {"domain_id": "d"}, headers={"Act-For-User": sent})
    body = problem(answer, 422, "VALIDATION_FAILED")
    assert body["errors"][0]["location"] == "headers"
    assert body["errors"][0]["field"] == "Act-For-User"
    assert items() == []


def test_a_header_that_no_wsgi_server_would_pass_on_is_refused():
    """On Lambda, headers come from JSON, so they can hold any character."""
    verifier = Verifier(Config(sessions_table="none", jwt_secret=SECRET))
    identity = verifier.verify(f"Bearer {make_token('acme', 'agent-7', scope=ACT)}")
    with pytest.raises(auth.ValidationFailed):
        auth.authorize(identity, auth.READ, act_for="😀")


def test_an_agent_named_in_the_token_is_the_writer_even_with_the_header(app, alice):
    session_id = alice.create_session()["session_id"]
    token = make_token("acme", "service", scope=ACT, act={"sub": "agent-7"})
    answer = Client(app, token).post(
        f"/sessions/{session_id}/messages",
        {"role": "user", "content": "x"},
        headers=acting_for("alice"),
    )
    assert answer.json["created_by"] == "agent-7"


@pytest.mark.parametrize("what", ["session", "message", "batch"])
def test_the_same_request_by_another_writer_is_not_a_replay(app, alice, agent, what):
    """An agent that reuses Alice's key must not get an answer that names her as the writer."""
    session_id = alice.create_session()["session_id"]
    message = {"role": "user", "content": "x"}
    path, body = {
        "session": ("/sessions", {"domain_id": "d"}),
        "message": (f"/sessions/{session_id}/messages", message),
        "batch": (f"/sessions/{session_id}/messages/batch", {"messages": [message]}),
    }[what]
    key = {"Idempotency-Key": "k-1"}
    assert alice.post(path, body, headers=key).status_code == 201
    answer = agent.post(path, body, headers=key | acting_for("alice"))
    problem(answer, 422, "IDEMPOTENCY_KEY_REUSED")
