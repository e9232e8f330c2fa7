"""Least privilege: the function's role allows exactly what the app does to its table."""

import json
from collections.abc import Iterator
from typing import Any

import flask
import pytest

from app.grounding.sources import key_hash
from app.operations.sweep import sweep
from app.table import db
from app.table.definition import BY_TENANT
from tests.deploy.emulator import ROOT
from tests.people import Client, make_token
from tests.quotas import person

Granted = set[tuple[str, str]]
"""Actions, each with its target: the table, or the name of an index."""

SCOPE = (
    "sessions:read sessions:write sessions:import tenant-values:read tenant-values:write "
    "sources:audit sources:govern tenant:usage"
)

OF_A_TRANSACTION = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}
"""A transaction has no IAM action of its own. Each of its members has one.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html"""


@pytest.fixture
def used(table: db.Table) -> Iterator[Granted]:
    """Collects the actions that are sent to DynamoDB, from botocore's events."""
    used: Granted = set()

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name == "TransactWriteItems":
            for write in params["TransactItems"]:
                used.update((OF_A_TRANSACTION[kind], "table") for kind in write)
        else:
            used.add((f"dynamodb:{model.name}", params.get("IndexName", "table")))

    events = table.client.meta.events
    events.register("provide-client-params.dynamodb.*", note)
    yield used
    events.unregister("provide-client-params.dynamodb.*", note)


@pytest.fixture
def asked(app: flask.Flask) -> set[str]:
    """Collects the endpoints that were called."""
    asked: set[str] = set()

    @app.after_request
    def note(answer: flask.Response) -> flask.Response:
        asked.add(str(flask.request.endpoint))
        return answer

    return asked


def granted(stage: str) -> Granted:
    policy = json.loads((ROOT / "deploy" / f"policy-{stage}.json").read_text())
    found: Granted = set()
    for statement in policy["Statement"]:
        for resource in _listed(statement["Resource"]):
            if ":dynamodb:" in resource:
                part = resource.split("/index/")[-1] if "/index/" in resource else "table"
                found.update((action, part) for action in _listed(statement["Action"]))
    return found


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def ask_everything(alice: Client, clock: Any, table: db.Table) -> None:
    """Makes the app do everything that it does to its table.

    Calls every route, for data that exists and data that does not, with and without optional
    headers. Includes a message in parts, a large session, an append with a clock that is behind,
    and the sweep.
    """
    once = {"Idempotency-Key": "once"}
    for _ in range(2):
        alice.post("/sessions", {"domain_id": "x"}, headers=once)
    session = alice.create_session(expires_in_days=1)
    path = f"/sessions/{session['session_id']}"
    for _ in range(2):
        alice.post(f"{path}/messages", {"role": "user", "content": "x"}, headers=once)
    large = alice.append(session["session_id"], "x" * 900_000)
    alice.fill(session["session_id"], 60)
    clock.move(seconds=-60)
    alice.append(session["session_id"])
    clock.move(seconds=60)
    for query in ("", "?page=2&limit=1", "?limit=1"):
        cursor = alice.get(f"/sessions{query}").json["pagination"]["next_cursor"]
        if cursor:
            alice.get(f"/sessions?cursor={cursor}")
    alice.get(path)
    alice.get(path, headers={"If-None-Match": alice.get(path).headers["ETag"]})
    alice.put(path, {"title": "x", "expires_in_days": None})
    current = {"If-Match": alice.get(path).headers["ETag"]}
    for _ in range(2):  # the second does not hold
        alice.put(path, {"title": "x", "expires_in_days": 1}, headers=current)
    for query in ("", "?order=desc&limit=1", f"?after={large['message_id']}"):
        alice.get(f"{path}/messages{query}")
    alice.get(f"{path}/messages/{large['message_id']}")
    change_everything(alice, path, session["session_id"])
    use_values(alice, path)
    alice.delete(path, headers=current)
    alice.delete(path)
    expiring = alice.create_session(expires_in_days=1)
    alice.fill(expiring["session_id"], 60)
    clock.move(days=2)
    sweep(table, clock)
    use_values(alice, f"/sessions/{alice.create_session(key='values')['session_id']}")
    alice.get("/export")
    assert alice.get("/tenant/usage").status_code == 200
    alice.delete("/sessions?confirm=all")
    clock.move(days=2)
    sweep(table, clock)  # looks for values that were put late
    absent = "/sessions/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for method in ("get", "delete"):
        getattr(alice, method)(absent)


def change_everything(alice: Client, path: str, session: str) -> None:
    """Long metadata, feedback, changes of messages, copies, and a cut that the sweep finishes."""

    def done(method: str, path: str, body: Any = None, **headers: str) -> None:
        answer = alice.request(method, path, json=body, headers=headers)
        assert answer.status_code < 300, f"{method} {path}: {answer.text}"

    for metadata in ({"a": "x" * 500}, {"a": "y"}):
        done("PATCH", path, {"metadata": metadata})
        done("GET", path)
    first, second, third = alice.fill(session, 3)
    large = alice.append(session, "x" * 900_000)["message_id"]
    other = {"If-Match": '"01ARZ3NDEKTSV4RRFFQ69G5FAV"'}
    for message in (f"{path}/messages/{first}", f"{path}/messages/{large}"):
        for _ in range(2):
            done("PUT", f"{message}/feedback", {"rating": "up"})
        done("PUT", message, {"content": "y" * 900_000}, **{"If-Match": "*"})
        assert alice.put(message, {"content": "z"}, headers=other).status_code == 412
        done("PUT", message, {"content": "z"})
        done("PUT", message, {"status": "interrupted"})
        done("GET", message)
    done("DELETE", f"{path}/messages/{first}/feedback")
    done("GET", f"{path}/check")
    for query in ("", "?messages=2", "?order=desc"):
        done("GET", f"{path}/grounding{query}")
    done("GET", f"{path}/messages/{large}/grounding")
    said = {"role": "assistant", "content": "x"}
    cites = {"metadata": {"references": [{"type": "report", "reference_id": "r1"}]}}
    done("POST", f"{path}/messages", said | cites)
    for place in ("", "/tenant"):
        done("GET", f"{place}/sources/{key_hash('doc:r1')}/answers")
    source = f"/tenant/sources/{key_hash('doc:a')}"
    done("PUT", source, {"key": "doc:a", "state": "changed"})
    done("GET", source)
    quote = {"references": [{"reference_id": "a", "quote": "x"}]}
    alice.append(session, role="assistant", metadata=quote)
    done("POST", f"{source}/redaction")
    references = [{"reference_id": str(number)} for number in range(150)]
    alice.append(session, role="assistant", metadata={"references": references})
    for _ in range(2):
        done("GET", f"{path}/messages?include=grounding&limit=2&order=desc")
    done("DELETE", f"{path}/messages/{first}")
    said = {"role": "user", "content": "x"}
    key = {"Idempotency-Key": "change"}
    for _ in range(2):  # the second is a replay, or finds the session
        done("POST", f"{path}/messages/pop", {"count": 1}, **key)
        done("POST", f"{path}/fork", {"key": "fork"}, **key)
        done("POST", "/sessions", {"domain_id": "x", "key": "key"})
    done("POST", f"{path}/messages/replace", {"from": third, "messages": [said]})
    dated = {**said, "created_at": "2020-01-01T00:00:00Z"}
    done("POST", "/import", {"session": {"domain_id": "x"}, "messages": [dated]})
    alice.fill(session, 300)
    done("DELETE", f"{path}/messages?from={second}")
    done("DELETE", f"{path}/messages?all=true")


def use_values(alice: Client, session: str) -> None:
    """Of each place, whole and in parts, alone and together, and with messages."""
    for path in (f"{session}/values", "/values", "/tenant/values"):
        for body in (b"1", b"x" * 900_000, b"{}"):
            kind = {"Content-Type": "application/json" if body == b"{}" else "text/plain"}
            assert alice.request("PUT", f"{path}/a", data=body, headers=kind).status_code < 300
            assert alice.get(f"{path}/a").data == body
        assert alice.request("PATCH", f"{path}/a", json={"b": 1}).status_code == 200
        operations = [{"put": "b", "json": 1}, {"put": "c", "base64": "AA=="}]
        once = {"Idempotency-Key": "values"}
        for atomic in (True, False, True):
            body = {"atomic": atomic, "operations": operations}
            assert alice.post(f"{path}/batch", body, headers=once).status_code in (200, 422)
        operations += [{"get": "a"}, {"list": ""}, {"delete": "c"}]
        assert alice.post(f"{path}/batch", {"operations": operations}).status_code == 200
        assert len(alice.get(f"{path}?names_only=true").json["values"]) >= 2
        assert alice.delete(f"{path}/a").status_code == 204
        assert alice.delete(f"{path}?prefix=b").status_code == 200
        assert alice.put(f"{path}/kept", {}).status_code < 300
    values = {of: [{"put": "d", "json": 1}] for of in ("session", "user", "tenant")}
    said = {"messages": [{"role": "user", "content": "x"}], "values": values}
    assert alice.post(f"{session}/messages/batch", said).status_code == 201
    assert alice.get(f"{session}?values=").status_code == 200


def test_the_role_allows_exactly_what_the_app_does(app, clock, table, used, asked):
    ask_everything(Client(app, make_token("acme", "alice", scope=SCOPE)), clock, table)
    routes = {rule.endpoint for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/")}
    assert routes <= asked, "a route was not called: add it to ask_everything"
    assert used == granted("production")
    assert not [part for _, part in used if part == BY_TENANT], "only an operator may read it"


def test_the_role_allows_what_quotas_need(make_app, clock, used):
    app = make_app(quota_tenant_requests_per_second=1000, quota_user_share=50)
    alice = person(app, scope=SCOPE)
    for _ in range(3):
        assert alice.get("/tenant/usage").status_code == 200
        clock.move(seconds=10)
    assert {action for action, _ in used} == {
        f"dynamodb:{name}" for name in ("BatchGetItem", "UpdateItem", "Query")
    }
    assert used <= granted("production")


def test_the_roles_of_the_stages_differ_only_in_names():
    dev, production = (
        (ROOT / "deploy" / f"policy-{stage}.json").read_text() for stage in ("dev", "production")
    )
    assert dev.replace("session-store-dev", "session-store-production") == production


@pytest.mark.parametrize("stage", ["dev", "production"])
def test_a_role_covers_only_the_stages_own_table_function_and_log(stage):
    all_settings = json.loads((ROOT / "zappa_settings.json").read_text())
    settings = {**all_settings["base"], **all_settings[stage]}
    assert settings["attach_policy"] == f"deploy/policy-{stage}.json"
    function = f"{settings['project_name']}-{stage}"
    table = settings["aws_environment_variables"]["SESSIONS_TABLE"]
    policy = json.loads((ROOT / settings["attach_policy"]).read_text())
    names = {"dynamodb": f"table/{table}", "logs": f"/aws/lambda/{function}:", "lambda": function}
    for statement in policy["Statement"]:
        for action in _listed(statement["Action"]):
            assert "*" not in action
        for resource in _listed(statement["Resource"]):
            if resource == "*":
                # X-Ray actions cannot be limited to resources.
                assert all(a.startswith("xray:") for a in _listed(statement["Action"]))
            else:
                service = resource.split(":")[2]
                assert names[service] in resource
                assert "*" not in resource.split(":", 5)[5].removesuffix(":*")
