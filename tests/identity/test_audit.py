"""The audit's lines: one for each use of a right over what is not the caller's own."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import flask
import pytest

from app import logs
from tests.log_watch import MARKER
from tests.people import SECRET, Client, make_token

ACT = "sessions:read sessions:write sessions:act-for-user"
FOR_ALICE = {"Act-For-User": "alice"}


@pytest.fixture(scope="module")
def table(module_table: Any) -> Any:
    return module_table


@pytest.fixture
def audit(logged: list[dict[str, Any]]) -> Callable[[], list[dict[str, Any]]]:
    """The audit's lines so far, without their time."""

    def read() -> list[dict[str, Any]]:
        lines = [line for line in logged if line["message"] == "audit"]
        return [{name: line[name] for name in line.keys() - {"time"}} for line in lines]

    return read


@pytest.fixture
def agent(app: flask.Flask) -> Client:
    return Client(app, make_token("acme", "agent-7", scope=ACT))


def test_who_did_what_for_whom(agent, alice, audit):
    session_id = alice.create_session()["session_id"]
    assert audit() == [], "a user's own data needs no line"
    message = {"role": "assistant", "content": MARKER}
    answer = agent.post(f"/sessions/{session_id}/messages", message, headers=FOR_ALICE)
    assert answer.status_code == 201
    assert audit() == [
        {
            "level": "INFO",
            "message": "audit",
            "request_id": answer.headers["X-Request-Id"],
            "method": "POST",
            "operation": "messages.append_message",
            "scopes": ["sessions:act-for-user"],
            "status": 201,
            "tenant": "acme",
            "token_user": "agent-7",
            "token_agent": None,
            "for_user": "alice",
            "session_id": session_id,
            "message_id": None,
            "source": None,
            "value": None,
        }
    ]
    path = f"/sessions/{session_id}/messages/{answer.json['message_id']}"
    assert agent.get(path, headers=FOR_ALICE).status_code == 200
    assert audit()[1]["message_id"] == answer.json["message_id"]
    assert audit()[1]["method"] == "GET"


def test_a_session_that_was_created_is_named(agent, audit):
    answer = agent.post("/sessions", {"domain_id": "d"}, headers=FOR_ALICE)
    assert audit()[-1]["session_id"] == answer.json["session_id"]
    importer = Client(agent.app, make_token("acme", "bob", scope=f"{ACT} sessions:import"))
    body = {"session": {"domain_id": "d"}, "messages": []}
    answer = importer.post("/import", body)
    assert answer.status_code == 201, answer.text
    line = audit()[-1]
    assert line["session_id"] == answer.json["session_id"]
    assert (line["scopes"], line["for_user"]) == (["sessions:import"], None)
    importer.post("/import", body, headers=FOR_ALICE)
    assert audit()[-1]["scopes"] == ["sessions:act-for-user", "sessions:import"]


def test_the_agent_in_a_token_is_named(app, audit):
    token = make_token("acme", "backend", scope=ACT, act={"sub": "planner"})
    Client(app, token).get("/sessions", headers=FOR_ALICE)
    line = audit()[-1]
    assert (line["token_user"], line["token_agent"]) == ("backend", "planner")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/tenant/values/a", "tenant-values:read"),
        ("GET", "/tenant/values", "tenant-values:read"),
        ("HEAD", "/tenant/values", "tenant-values:read"),
        ("DELETE", "/tenant/values/a", "tenant-values:write"),
    ],
)
def test_the_values_of_a_tenant(app, audit, method, path, scope):
    for granted in (scope, "sessions:read"):
        answer = Client(app, make_token("acme", "bob", scope=granted)).request(method, path)
        line = audit()[-1]
        assert line["status"] == answer.status_code
        assert line["scopes"] == [scope]
        assert line["token_user"] == "bob"
        named = path.endswith("/a")
        assert line["value"] == ("ypeBEsobvcr6wjGzmiPcTQ" if named else None)
    assert len(audit()) == 2


SOURCE = "0" * 32


@pytest.mark.parametrize(
    ("method", "path", "scope", "source"),
    [
        ("GET", "/tenant/usage", "tenant:usage", None),
        ("GET", f"/tenant/sources/{SOURCE}", "sources:audit", SOURCE),
        ("GET", f"/tenant/sources/{SOURCE}/answers", "sources:audit", SOURCE),
        ("PUT", f"/tenant/sources/{SOURCE}", "sources:govern", SOURCE),
        ("POST", f"/tenant/sources/{SOURCE}/redaction", "sources:govern", SOURCE),
        ("GET", f"/tenant/sources/{MARKER}/answers", "sources:audit", None),
    ],
)
def test_what_a_tenant_used_and_rests_on(app, audit, method, path, scope, source):
    for granted in (scope, "sessions:read sessions:write"):
        answer = Client(app, make_token("acme", "bob", scope=granted)).request(method, path)
        line = audit()[-1]
        assert (line["status"], line["source"]) == (answer.status_code, source)
        assert (line["scopes"], line["token_user"]) == ([scope], "bob")
        assert (answer.status_code == 403) == (granted != scope)
    assert len(audit()) == 2


def test_values_of_the_tenant_beside_a_session(app, alice, audit):
    session_id = alice.create_session()["session_id"]
    both = Client(app, make_token("acme", "alice", scope="sessions:read tenant-values:read"))
    assert both.get(f"/sessions/{session_id}?tenant_values=").status_code == 200
    assert audit()[-1]["scopes"] == ["tenant-values:read"]
    assert alice.get(f"/sessions/{session_id}?tenant_values=").status_code == 403
    assert (audit()[-1]["status"], audit()[-1]["session_id"]) == (403, session_id)
    assert alice.get(f"/sessions/{session_id}").status_code == 200
    assert len(audit()) == 2


def test_what_was_refused_or_failed_has_a_line(agent, alice, bob, audit):
    absent = "/sessions/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    assert agent.get(absent, headers=FOR_ALICE).status_code == 404
    assert bob.get(absent, headers=FOR_ALICE).status_code == 403
    assert [(line["status"], line["for_user"]) for line in audit()] == [
        (404, "alice"),
        (403, None),  # anybody can put any text there
    ]
    assert agent.get("/sessions?limit=0", headers=FOR_ALICE).status_code == 422
    assert audit()[-1]["status"] == 422


def test_what_a_quota_refuses_has_a_line(make_app, audit):
    app = make_app(quota_tenant_requests_per_second=0.1)
    agent = Client(app, make_token("acme", "agent-7", scope=ACT))
    answers = [agent.get("/sessions", headers=FOR_ALICE).status_code for _ in range(2)]
    assert answers == [200, 429]
    assert [(line["status"], line["for_user"]) for line in audit()] == [
        (200, "alice"),
        (429, "alice"),
    ]


def test_a_failure_of_ours_has_a_line(app, agent, audit):
    app.view_functions["sessions.list_sessions"] = lambda: 1 / 0
    assert agent.get("/sessions", headers=FOR_ALICE).status_code == 500
    assert audit()[-1]["status"] == 500


@pytest.mark.parametrize("header", ["a,b", "%ff", "a%0Ab", " ", make_token("acme", "alice")])
def test_a_header_that_is_no_user_is_not_quoted(agent, bob, audit, header):
    for client, status in ((agent, 422), (bob, 403)):
        answer = client.get("/sessions", headers={"Act-For-User": header})
        assert answer.status_code == status
        assert audit()[-1]["for_user"] is None


def test_an_id_that_is_none_is_not_quoted(agent, audit):
    agent.get(f"/sessions/{quote(MARKER)}/messages/{quote(MARKER)}", headers=FOR_ALICE)
    line = audit()[-1]
    assert (line["session_id"], line["message_id"]) == (None, None)
    assert MARKER not in json.dumps(line)


def test_without_a_valid_token_there_is_no_line(app, nobody, audit):
    assert nobody.get("/sessions", headers=FOR_ALICE).status_code == 401
    forged = Client(app, make_token("acme", "alice", secret=SECRET[::-1], scope=ACT))
    assert forged.get("/tenant/values").status_code == 401
    assert audit() == []


@pytest.fixture
def usual_level() -> Iterator[None]:
    yield
    logs.configure("INFO")  # for the tests after this


@pytest.mark.parametrize("level", ["WARNING", "CRITICAL"])
@pytest.mark.usefixtures("usual_level")
def test_no_log_level_leaves_it_out(make_app, level, capsys):
    app = make_app(log_level=level)
    Client(app, make_token("acme", "agent-7", scope=ACT)).get("/sessions", headers=FOR_ALICE)
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["message"] == "audit"
