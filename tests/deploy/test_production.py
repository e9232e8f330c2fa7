"""`production` from nothing to undeployed, through API Gateway, with IAM enforced.

The tests share one deployment and run in this order. The last one undeploys it.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from app.errors import Unauthorized
from app.identity.caller import Caller
from app.sessions import removal
from app.table import db, ids, keys, ranges
from app.table.writes import Item, encode
from tests.deploy.emulator import Emulator, Project, Stage, eventually
from tests.deploy.issuer import Issuer

SESSIONS = "/api/v1/sessions"
SCHEDULE = {
    "detail-type": "Scheduled Event",
    "resources": [
        "arn:aws:events:us-east-1:123456789012:rule/session-store-production-app.operations.sweep.handler"
    ],
}
"""The part of the schedule's event that the function reads."""


@pytest.fixture(scope="module")
def deployed(project: Project, issuer: Issuer) -> str:
    """The output of creating the table and deploying by hand."""
    sweep = project.settings("base")["events"][0] | {"expression": "rate(1 minute)"}
    project.set("production", events=[sweep])
    environment = project.settings("production")["aws_environment_variables"]
    printed = project.run(
        *(sys.executable, "-m", "flask", "--app", "app.wsgi", "table", "create"), **environment
    )
    return printed + project.zappa("deploy", "production")


@pytest.fixture(scope="module")
def stage(emulator: Emulator, deployed: str) -> Stage:
    assert deployed
    return Stage(emulator, "production")


@pytest.fixture(scope="module")
def alice(issuer: Issuer) -> str:
    return issuer.token("acme", "alice")


def create(stage: Stage, token: str, messages: int = 0) -> str:
    """The path of a new session."""
    answer = stage.request("POST", SESSIONS, token, json={"domain_id": "civic_complaints_v1"})
    assert answer.status_code == 201, answer.text
    path = f"{SESSIONS}/{answer.json()['session_id']}"
    for number in range(messages):
        body = {"role": "user", "content": f"message {number}"}
        answer = stage.request("POST", f"{path}/messages", token, json=body)
        assert answer.status_code == 201, answer.text
    return path


def test_the_tables_past_can_be_restored(deployed, emulator):
    assert "switched point-in-time recovery on" in deployed
    tables = emulator.client("dynamodb")
    backups = tables.describe_continuous_backups(TableName="session-store-production")
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"


def test_the_gateway_throttles_the_stage(project, stage, emulator):
    for _ in range(2):
        printed = project.run(sys.executable, "-m", "deploy.throttling", "production")
        assert "1000 requests per second to production, and 2000 at once" in printed
    [api] = emulator.client("apigateway").get_rest_apis()["items"]
    found = emulator.client("apigateway").get_stage(restApiId=api["id"], stageName="production")
    every_method = found["methodSettings"]["*/*"]
    assert every_method["throttlingRateLimit"] == 1000
    assert every_method["throttlingBurstLimit"] == 2000


def test_a_session_lives_from_creation_to_deletion(stage, alice):
    answer = stage.request("POST", SESSIONS, alice, json={"domain_id": "civic_complaints_v1"})
    assert answer.status_code == 201, answer.text
    session = answer.json()["session_id"]
    # With the stage, as a client sees it.
    made = urljoin(answer.url, answer.headers["Location"])
    assert made.endswith(f"/production{SESSIONS}/{session}")
    path = f"{SESSIONS}/{session}"

    said = {"role": "user", "content": "Köprü çöktü 🌉", "metadata": {"weight": 1e-7}}
    answer = stage.request("POST", f"{path}/messages", alice, json=said)
    assert answer.status_code == 201, answer.text
    assert {name: answer.json()[name] for name in said} == said

    answer = stage.request("GET", path, alice)
    assert answer.status_code == 200
    assert [message["content"] for message in answer.json()["messages"]] == [said["content"]]
    assert (
        stage.request(
            "GET", path, alice, headers={"If-None-Match": answer.headers["ETag"]}
        ).status_code
        == 304
    )

    answer = stage.request("GET", SESSIONS, alice)
    assert session in [listed["session_id"] for listed in answer.json()["sessions"]]

    answer = stage.request("DELETE", path, alice)
    assert (answer.status_code, answer.json()["deleted_messages"]) == (200, 1)
    assert stage.request("GET", path, alice).status_code == 404


def test_a_token_signed_with_es256_is_accepted(stage, issuer):
    token = issuer.token("acme", "alice", algorithm="ES256")
    assert stage.request("GET", SESSIONS, token).status_code == 200


def expect_refusal(answer: requests.Response) -> None:
    """The gateway's own answer. It is the app's, but for the error in WWW-Authenticate."""
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="sessions"'
    assert answer.headers["Content-Type"] == "application/problem+json"
    wanted = Unauthorized().problem(answer.headers["X-Request-Id"])
    assert answer.json() == wanted
    assert answer.headers["x-amzn-requestid"] == wanted["request_id"]
    # Nobody may call from a browser, because CORS_ORIGINS is not set.
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", [SESSIONS, "/health", "/docs", "/openapi.json", "/"])
def test_without_a_token_the_gateway_answers_401(stage, path):
    expect_refusal(stage.request("GET", path))


@pytest.mark.parametrize("fault", ["nonsense", "expired", "foreign", "wrong audience"])
def test_with_a_bad_token_the_gateway_answers_401(stage, issuer, fault):
    token = {
        "nonsense": "nonsense",
        "expired": issuer.token("acme", "alice", exp=int(time.time()) - 3600),
        "foreign": Issuer().token("acme", "alice"),
        "wrong audience": issuer.token("acme", "alice", aud="somebody-else"),
    }[fault]
    expect_refusal(stage.request("GET", SESSIONS, token))


def test_another_users_session_is_not_found(stage, alice, issuer):
    path = create(stage, alice)
    for tenant, user in (("acme", "bob"), ("globex", "alice")):
        answer = stage.request("GET", path, issuer.token(tenant, user))
        assert answer.status_code == 404
        assert answer.json()["code"] == "SESSION_NOT_FOUND"


def test_x_ray_traces_the_function_and_the_gateways_stage(stage, emulator):
    functions, gateway = emulator.client("lambda"), emulator.client("apigateway")
    found = functions.get_function_configuration(FunctionName=stage.function)
    assert found["TracingConfig"]["Mode"] == "Active"
    deployed = gateway.get_stage(restApiId=stage.api, stageName="production")
    assert deployed["tracingEnabled"] is True
    assert deployed["methodSettings"]["*/*"]["metricsEnabled"] is True


def test_docs_are_off(stage, alice):
    assert stage.request("GET", "/docs", alice).status_code == 404


@pytest.mark.parametrize(
    "event",
    [
        {"raw_command": "import os; os.mkdir({path!r})"},
        {"type": "TOKEN", "raw_command": "import os; os.mkdir({path!r})"},
        {"command": "os.mkdir"},
        {"manage": "shell"},
        {"detail-type": "Scheduled Event", "resources": ["rule/x-os.mkdir"]},
        {"Records": [{"Sns": {"Message": '{"command": "os.mkdir"}'}}]},
        {"bot": {"name": "x"}},
        {"awslogs": {"data": "x"}},
        {"triggerSource": "x"},
        {"version": "2.0", "requestContext": {"http": {"method": "GET"}}, "rawPath": "/health"},
        {},
    ],
    ids=lambda event: "+".join(event) or "empty",
)
def test_events_that_zappa_would_run_as_code_are_refused(stage, tmp_path, event):
    trace: Path = tmp_path / "carried-out"
    event = json.loads(json.dumps(event).replace("{path!r}", f"'{trace}'"))
    error, answer = stage.invoke(event)
    assert error
    assert "only API Gateway" in answer["errorMessage"]
    assert not trace.exists()


def test_an_event_cannot_set_the_functions_environment(stage):
    event = {
        "httpMethod": "GET",
        "path": "/health",
        "headers": {"Host": stage.host},
        "requestContext": {},
        "stageVariables": {"LD_PRELOAD": "x"},
    }
    error, answer = stage.invoke(event)
    assert (error, answer["statusCode"]) == (None, 200)


def test_a_request_is_one_line_of_the_log_with_its_metrics(stage, alice):
    answer = stage.request("GET", f"{SESSIONS}?limit=1", alice, headers={"X-Request-Id": "once"})
    assert answer.status_code == 200
    [line] = eventually(lambda: stage.logged('"once"'), 10)
    told = json.loads(line)
    assert (told["operation"], told["tenant"], told["error"]) == (
        "sessions.list_sessions",
        "acme",
        0,
    )
    [metrics] = told["_aws"]["CloudWatchMetrics"]
    assert metrics["Namespace"] == "session-store-production"
    assert metrics["Dimensions"] == [[], ["operation"]]
    assert {metric["Name"] for metric in metrics["Metrics"]} <= set(told)
    assert not stage.logged("HTTP/1.1")  # Zappa's own line


@contextmanager
def without(emulator: Emulator, action: str, resource: str) -> Iterator[None]:
    """The function's role without one action on the table or on one of its indexes."""
    role = {"RoleName": "session-store-production-ZappaLambdaExecutionRole"}
    policy = {**role, "PolicyName": "zappa-permissions"}
    iam = emulator.client("iam")
    document = iam.get_role_policy(**policy)["PolicyDocument"]
    statements = []
    for statement in document["Statement"]:
        for one_action in _listed(statement["Action"]):
            for one_resource in _listed(statement["Resource"]):
                if (one_action, one_resource.split(":table/")[-1]) != (action, resource):
                    kept = {"Effect": "Allow", "Action": one_action, "Resource": one_resource}
                    statements.append(kept)
    one_less = {**document, "Statement": statements}
    iam.put_role_policy(**policy, PolicyDocument=json.dumps(one_less))
    try:
        yield
    finally:
        iam.put_role_policy(**policy, PolicyDocument=json.dumps(document))


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


TABLE = "session-store-production"
NEEDED_FOR: dict[tuple[str, str], Callable[[Stage, str, str], Any]] = {
    ("dynamodb:GetItem", TABLE): lambda s, t, _: s.request("GET", SESSIONS, t),
    ("dynamodb:Query", TABLE): lambda s, t, path: s.request("GET", path, t),
    ("dynamodb:Query", f"{TABLE}/index/GSI1"): lambda s, t, _: s.request("GET", SESSIONS, t),
    ("dynamodb:Query", f"{TABLE}/index/GSI2"): lambda s, _, __: s.invoke(SCHEDULE),
    ("dynamodb:BatchGetItem", TABLE): lambda s, t, path: s.request(
        "GET", f"{path}/messages/msg_01ARZ3NDEKTSV4RRFFQ69G5FAV", t
    ),
    ("dynamodb:PutItem", TABLE): lambda s, t, path: s.request(
        "POST", f"{path}/messages", t, json={"role": "user", "content": "x"}
    ),
    ("dynamodb:UpdateItem", TABLE): lambda s, t, path: s.request(
        "PUT", path, t, json={"title": "x"}
    ),
    ("dynamodb:BatchWriteItem", TABLE): lambda s, t, path: s.request("DELETE", path, t),
    ("dynamodb:DeleteItem", TABLE): lambda s, t, path: s.request("DELETE", path, t),
}
"""A request for each permission that the function has on its table."""


def test_there_is_a_request_for_every_permission(project):
    policy = json.loads((project.folder / "deploy" / "policy-production.json").read_text())
    granted = {
        (action, resource.split(":table/")[-1])
        for statement in policy["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
        if action.startswith("dynamodb:")
    }
    assert granted == set(NEEDED_FOR)


@pytest.mark.parametrize("permission", NEEDED_FOR, ids=" on ".join)
def test_without_one_permission_a_request_is_denied(stage, emulator, issuer, permission):
    token = issuer.token("acme", f"denied {permission}")
    path = create(stage, token, messages=1)
    before = len(stage.logged("AccessDenied"))
    with without(emulator, *permission):
        answer = NEEDED_FOR[permission](stage, token, path)
    if isinstance(answer, tuple):
        error, told = answer
        assert error, told
        assert "AccessDenied" in told["errorMessage"]
    else:
        # By then the delete has marked the session. The sweep must do the rest.
        began = permission[0] in ("dynamodb:BatchWriteItem", "dynamodb:DeleteItem")
        assert answer.status_code == (202 if began else 503), answer.text
        assert len(stage.logged("AccessDenied")) > before


def test_the_scheduled_sweep_finishes_a_delete(stage, emulator, alice):
    """A session that was marked, and whose delete was then interrupted."""
    path = create(stage, alice, messages=2)
    session = path.removeprefix(f"{SESSIONS}/{ids.SESSION_PREFIX}")
    partition = Caller("acme", "alice").partition
    table = db.Table("session-store-production", emulator.client("dynamodb"))
    removal.mark(
        table,
        partition,
        session,
        ids.iso_time(ids.system_clock()),
        "attribute_exists(PK) AND attribute_not_exists(deleted_at)",
    )

    def left() -> list[Item]:
        between = ranges.all_of_session(session)
        return [item for page in table.query(partition, between) for item in page]

    assert len(left()) == 3
    eventually(lambda: not left(), 90)


def test_a_sweep_is_one_line_of_the_log_with_its_metric(stage):
    error, swept = stage.invoke(SCHEDULE)
    assert (error, swept["finished"]) == (None, True)
    lines = eventually(lambda: stage.logged('"message": "sweep"'), 10)
    told = json.loads(lines[-1])
    assert swept.items() <= told.items()
    assert (told["sweep_failed"], told["failure"]) == (0, None)
    assert told["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] == "sweep_failed"


def test_an_unfinished_sweep_invokes_itself(stage, emulator, issuer):
    """Ten runs in a row for a session that cannot be removed, with the function's own role."""
    path = create(stage, issuer.token("acme", "damaged"))
    partition = Caller("acme", "damaged").partition
    session = keys.session(partition, path.removeprefix(f"{SESSIONS}/{ids.SESSION_PREFIX}"))
    tables, table = emulator.client("dynamodb"), "session-store-production"
    past = {"S": "2026-01-01T00:00:00.000Z"}
    tables.update_item(
        TableName=table,
        Key=encode(session),
        UpdateExpression="SET expires_at = :past, GSI2PK = :shard, GSI2SK = :past",
        ExpressionAttributeValues={":past": past, ":shard": {"S": keys.sweep_partition(0)}},
    )
    # Nothing can be subtracted from a text, so the transaction that marks the session fails.
    tables.update_item(
        TableName=table,
        Key=encode(keys.user(partition)),
        UpdateExpression="SET session_count = :text",
        ExpressionAttributeValues={":text": {"S": "many"}},
    )

    def runs() -> int:
        return len(stage.logged('"failed": 1'))

    stage.invoke(SCHEDULE)
    eventually(lambda: runs() >= 10, 90)
    tables.delete_item(TableName=table, Key=encode(session))


def test_alarms_watch_metrics_that_the_function_reports(stage, project, emulator, alice):
    topic = "arn:aws:sns:us-east-1:123456789012:on-call"
    printed = project.run("./scripts/alarms", "production", "--notify", topic)
    again = project.run("./scripts/alarms", "production", "--notify", topic)
    assert again == printed
    metrics = emulator.client("cloudwatch")
    made = metrics.describe_alarms(AlarmNamePrefix="session-store-production-")["MetricAlarms"]
    assert {alarm["AlarmName"].removeprefix("session-store-production-") for alarm in made} == {
        "5xx",
        "latency",
        "throttled-by-lambda",
        "throttled-by-dynamodb",
        "sweep-backlog",
        "sweep-failed",
        "sweep-missing",
    }
    assert all(alarm["AlarmActions"] == [topic] for alarm in made)

    stage.request("GET", SESSIONS, alice)
    stage.invoke(SCHEDULE)
    lines = [json.loads(line) for line in stage.logged('"_aws"')]
    reported = {
        (directive["Namespace"], metric["Name"])
        for line in lines
        for directive in line["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
    }
    watched = {
        (alarm["Namespace"], alarm["MetricName"])
        for alarm in made
        if not alarm["Namespace"].startswith("AWS/")
    }
    assert watched <= reported
    names = {api["name"] for api in emulator.client("apigateway").get_rest_apis()["items"]}
    [on_gateway] = [alarm for alarm in made if alarm["MetricName"] == "5XXError"]
    dimensions = {pair["Name"]: pair["Value"] for pair in on_gateway["Dimensions"]}
    assert dimensions["Stage"] == "production"
    assert dimensions["ApiName"] in names

    found = metrics.get_dashboard(DashboardName="session-store-production")
    assert len(json.loads(found["DashboardBody"])["widgets"]) == 8
    groups = emulator.client("logs").describe_log_groups()["logGroups"]
    kept = {group["logGroupName"]: group.get("retentionInDays") for group in groups}
    assert kept["/aws/lambda/session-store-production"] == 30


def smoke(project, fails=False):
    return project.run(sys.executable, "-m", "deploy.stage", "production", "smoke", fails=fails)


def test_the_smoke_test_reaches_the_function_past_the_authorizer(stage, project):
    assert "session-store-production answers at" in smoke(project)


def test_the_smoke_test_fails_with_the_reason_if_the_function_cannot_start(
    stage, emulator, project
):
    """Through the gateway the answer would be 401, as usual."""
    functions = emulator.client("lambda")
    found = functions.get_function_configuration(FunctionName=stage.function)
    variables = found["Environment"]["Variables"]

    def set_variables(**changed):
        functions.update_function_configuration(
            FunctionName=stage.function, Environment={"Variables": {**variables, **changed}}
        )

    set_variables(REQUEST_BUDGET="soon")
    try:
        printed = smoke(project, fails=True)
    finally:
        set_variables()
    assert "session-store-production does not answer /health" in printed
    assert "Traceback" not in printed
    assert "REQUEST_BUDGET" in printed
    assert "session-store-production answers at" in smoke(project)


def test_deploying_again_updates_and_shows_what_changed(stage, project, alice):
    path = create(stage, alice, messages=1)
    errors = project.folder / "app" / "errors.py"
    changed = errors.read_text().replace("There is no such session.", "No such session (changed).")
    errors.write_text(changed)
    printed = project.run("./scripts/deploy", "production", TOKEN=alice)
    assert "+ flask table create --tag application=session-store" in printed
    assert "tagged it application=session-store, stage=production" in printed
    assert "+ zappa update production" in printed
    assert "session-store-production answers at" in printed
    answer = stage.request("GET", f"{SESSIONS}/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV", alice)
    assert answer.json()["detail"] == "No such session (changed)."
    # The data is still there, and the gateway still requires a token.
    assert stage.request("GET", path, alice).status_code == 200
    assert stage.request("GET", path).status_code == 401


def test_undeploying_keeps_the_table_unless_its_name_is_typed(stage, project, emulator):
    printed = project.run("./scripts/undeploy", "production", typed="y\n")
    assert "Kept: the table session-store-production" in printed
    functions = emulator.client("lambda").list_functions()["Functions"]
    assert stage.function not in [function["FunctionName"] for function in functions]
    alarms = emulator.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert alarms == []
    rules = emulator.client("events").list_rules()["Rules"]
    assert not [rule for rule in rules if rule["Name"].startswith(stage.function)]
    assert emulator.client("apigateway").get_rest_apis()["items"] == []
    tables = emulator.client("dynamodb")
    described = tables.describe_table(TableName="session-store-production")["Table"]
    assert described["DeletionProtectionEnabled"]
