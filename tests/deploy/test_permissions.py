"""Least privilege: the function's role may do to its table what the app does, and nothing else."""

import json
from collections.abc import Iterator
from typing import Any

import flask
import pytest

from app.operations.sweep import sweep
from app.table import db
from tests.deploy.emulator import ROOT
from tests.people import Client

Granted = set[tuple[str, str]]
"""Actions, each with what it is done to: the table, or one of its indexes."""

OF_A_TRANSACTION = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}
"""A transaction has no action of its own.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html"""


@pytest.fixture
def used(table: db.Table) -> Iterator[Granted]:
    """Fills with what is asked of DynamoDB, as botocore sends it."""
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
    """Fills with the endpoints that were asked."""
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
    """Every route, where there is something and where there is not, with and without what a client
    may add; a message in parts, a large session, another writer's turn; and the sweep."""
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
    alice.get(path, headers={"If-None-Match": f'"{session["version"]}"'})
    alice.put(path, {"title": "x", "expires_in_days": None})
    alice.put(path, {"title": "x", "expires_in_days": 1}, headers={"If-Match": '"1"'})
    for query in ("", "?order=desc&limit=1", f"?after={large['message_id']}"):
        alice.get(f"{path}/messages{query}")
    alice.get(f"{path}/messages/{large['message_id']}")
    alice.delete(path, headers={"If-Match": '"1"'})
    alice.delete(path)
    expiring = alice.create_session(expires_in_days=1)
    alice.fill(expiring["session_id"], 60)
    clock.move(days=2)
    sweep(table, clock)
    alice.create_session()
    alice.delete("/sessions?confirm=all")
    absent = "/sessions/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for method in ("get", "delete"):
        getattr(alice, method)(absent)


def test_the_role_may_do_exactly_what_the_app_does(app, alice, clock, table, used, asked):
    ask_everything(alice, clock, table)
    routes = {rule.endpoint for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/")}
    assert routes <= asked, "a route was not asked: this test has to learn it"
    assert used == granted("production")


def test_the_stages_roles_differ_in_their_names_only():
    dev, production = (
        (ROOT / "deploy" / f"policy-{stage}.json").read_text() for stage in ("dev", "production")
    )
    assert dev.replace("session-store-dev", "session-store-production") == production


@pytest.mark.parametrize("stage", ["dev", "production"])
def test_a_role_is_for_the_stages_own_table_function_and_log(stage):
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
                # X-Ray knows no resources.
                assert all(a.startswith("xray:") for a in _listed(statement["Action"]))
            else:
                service = resource.split(":")[2]
                assert names[service] in resource
                assert "*" not in resource.split(":", 5)[5].removesuffix(":*")
