"""The deployer's policy allows exactly what the scripts do, on a local AWS that enforces IAM.

Every call is checked against the policy, so a missing permission fails a script. A permission that
was never checked is too much, unless AWS checks it and MiniStack does not (`ONLY_ON_AWS`).
"""

import json
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import emulator as emulation
from tests.deploy.emulator import ROOT, Emulator, Project
from tests.deploy.issuer import Issuer

STAGE = "session-store-production"
POLICY = ROOT / "deploy" / "deployer-production.json"
BUCKET = "CHANGE-ME-session-store-deployments"

HERE = "us-east-1:123456789012"
FUNCTION = f"arn:aws:lambda:{HERE}:function:{STAGE}"
RULE = f"arn:aws:events:{HERE}:rule/{STAGE}-app.operations.sweep.handler"
AS_ON_AWS = {
    "cloudwatch:DeleteAlarms": ("", f"arn:aws:cloudwatch:{HERE}:alarm:{STAGE}-5xx"),
    "cloudwatch:DeleteDashboards": ("", f"arn:aws:cloudwatch::123456789012:dashboard/{STAGE}"),
    "cloudwatch:PutDashboard": ("", f"arn:aws:cloudwatch::123456789012:dashboard/{STAGE}"),
    "dynamodb:ListTagsOfResource": ("", f"arn:aws:dynamodb:{HERE}:table/{STAGE}"),
    "events:ListTargetsByRule": ("", RULE),
    "events:PutTargets": ("", RULE),
    "events:RemoveTargets": ("", RULE),
    "lambda:CreateFunction": ("", FUNCTION),
    "lambda:ListAliases": ("lambda:GetAlias", FUNCTION),
    "lambda:PutFunctionConcurrency": ("lambda:DeleteFunctionConcurrency", FUNCTION),
}
"""By MiniStack's action: AWS's action, if it is another, and its resource.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html"""

OF_THE_STACK = "CloudFormation changes the API with the permissions of the caller"
ONLY_ON_AWS = {
    "apigateway:POST /restapis": OF_THE_STACK,
    "apigateway:PUT /tags/*": OF_THE_STACK,
    "cloudformation:ListStackResources": "while Zappa waits for the stack",
    "cloudwatch:TagResource": "PutMetricAlarm with tags",
    "dynamodb:TagResource": "CreateTable with tags, and TagResource if tags are missing",
    "iam:CreateServiceLinkedRole": "API Gateway makes its own role when tracing is switched on",
    "iam:PassRole": "the function, its rule, the API's methods and the authorizer have the role",
    "lambda:DeleteFunction :*": "an update deletes versions from the eleventh on",
    "logs:CreateLogGroup :*": "AWS's ARN of a log group ends in :*",
    "logs:PutRetentionPolicy :*": "AWS's ARN of a log group ends in :*",
    "s3:GetObject": "CloudFormation reads the template, and Lambda the archive, for the caller",
}
"""Actions, with the end of the resource if the action has several."""


@pytest.fixture(scope="module")
def iam_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("iam") / "log"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, iam_log: Path) -> Iterator[Emulator]:
    """Lambda does not know a role the first two times."""
    on_aws = json.dumps({old: (new or old, arn) for old, (new, arn) in AS_ON_AWS.items()})
    settings = {"IAM_LOG": str(iam_log), "AS_ON_AWS": on_aws, "NEW_ROLE_REFUSALS": "2"}
    with emulation.start(tmp_path_factory.mktemp("emulator"), **settings) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def deployer(emulator: Emulator) -> dict[str, str]:
    """The credentials of somebody who has the policy and no other rights."""
    iam = emulator.client("iam")
    iam.create_user(UserName="deployer")
    document = POLICY.read_text().replace(BUCKET, "deployments")
    iam.put_user_policy(UserName="deployer", PolicyName="deployer", PolicyDocument=document)
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


Used = set[tuple[str, str]]


@pytest.fixture(scope="module")
def used(project: Project, issuer: Issuer, deployer: dict[str, str], iam_log: Path) -> Used:
    """The actions and resources that were checked while the scripts did all that they can do."""
    token = {"TOKEN": issuer.token("acme", "alice")}
    topic = f"arn:aws:sns:{HERE}:on-call"
    printed = project.run("./scripts/deploy", "production", **token, **deployer)
    assert "+ zappa deploy production" in printed
    assert "Lambda does not know the new role yet." in printed
    project.run("./scripts/alarms", "production", "--notify", topic, **deployer)
    _take_an_options_method_from(project, deployer)
    printed = project.run("./scripts/deploy", "production", **token, **deployer)
    assert "+ zappa update production" in printed
    typed = f"y\n{STAGE}\n"
    printed = project.run(
        "./scripts/undeploy", "production", "--delete-table", typed=typed, **deployer
    )
    assert f"deleted table {STAGE}" in printed
    lines = [json.loads(line) for line in iam_log.read_text().splitlines()]
    own = deployer["AWS_ACCESS_KEY_ID"]
    return {(action, resource) for key, action, resource in lines if key == own}


def _take_an_options_method_from(project: Project, deployer: dict[str, str]) -> None:
    """Somebody else has given OPTIONS the authorizer. The update replaces the method."""
    gateway = project.emulator.client("apigateway")
    [api] = [{"restApiId": found["id"]} for found in gateway.get_rest_apis()["items"]]
    root = next(r for r in gateway.get_resources(**api)["items"] if r["path"] == "/")
    method = {**api, "resourceId": root["id"], "httpMethod": "OPTIONS"}
    patch = {"op": "replace", "path": "/authorizationType", "value": "AWS_IAM"}
    gateway.update_method(**method, patchOperations=[patch])


def granted() -> Used:
    policy = json.loads(POLICY.read_text().replace(BUCKET, "deployments"))
    return {
        (action, resource)
        for statement in policy["Statement"]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_the_scripts_work_and_use_every_permission(used):
    unused = {
        (action, pattern)
        for action, pattern in granted()
        if not any(name == action and fnmatchcase(arn, pattern) for name, arn in used)
    }

    def explained(action: str, pattern: str) -> str | None:
        for told in ONLY_ON_AWS:
            name, _, end = told.partition(" ")
            if name == action and pattern.endswith(end):
                return told
        return None

    assert [pair for pair in sorted(unused) if not explained(*pair)] == []
    # What MiniStack checks needs no explanation.
    assert {explained(*pair) for pair in unused} == set(ONLY_ON_AWS)


def test_without_the_policy_the_first_step_is_refused(project, emulator, used):
    iam = emulator.client("iam")
    iam.create_user(UserName="guest")
    key = iam.create_access_key(UserName="guest")["AccessKey"]
    guest = {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    printed = project.run("./scripts/deploy", "production", fails=True, **guest)
    assert "lambda:GetFunctionConfiguration" in printed
    assert "Traceback" not in printed


def test_the_policy_names_the_stages_own_resources():
    settings: dict[str, Any] = json.loads((ROOT / "zappa_settings.json").read_text())
    assert settings["production"]["s3_bucket"] == BUCKET
    policy = json.loads(POLICY.read_text())
    for statement in policy["Statement"]:
        actions, resources = listed(statement["Action"]), listed(statement["Resource"])
        assert not [action for action in actions if "*" in action]
        for resource in resources:
            if resource == "*":
                assert set(actions) == {"cloudwatch:ListDashboards", "events:ListRuleNamesByTarget"}
            elif not resource.startswith("arn:aws:apigateway:"):
                named = resource.split(":", 5)[5]
                assert STAGE in named or BUCKET in named or "/ops.apigateway." in named
    [passed] = [s for s in policy["Statement"] if s["Action"] == "iam:PassRole"]
    assert passed["Condition"]["StringEquals"]["iam:PassedToService"] == [
        "apigateway.amazonaws.com",
        "events.amazonaws.com",
        "lambda.amazonaws.com",
    ]


def test_the_policies_of_the_stages_differ_only_in_names():
    dev = (ROOT / "deploy" / "deployer-dev.json").read_text()
    assert dev.replace("session-store-dev", STAGE) == POLICY.read_text()
    bucket = json.loads((ROOT / "zappa_settings.json").read_text())["dev"]["s3_bucket"]
    assert bucket == BUCKET


@pytest.mark.parametrize(
    "command", [["./scripts/deploy"], [sys.executable, "-m", "zappa.cli", "deploy"]], ids=len
)
def test_snap_start_is_refused_before_an_upload(project, emulator, used, command):
    """The gateway would call `session-store-production:snapstart`."""
    project.set("production", snap_start="PublishedVersions")
    try:
        printed = project.run(*command, "production", fails=True)
    finally:
        project.set("production", snap_start="None")
    assert f"API Gateway calls {STAGE}:snapstart" in printed
    assert "Traceback" not in printed
    assert emulator.client("lambda").list_functions()["Functions"] == []
    assert emulator.client("s3").list_objects_v2(Bucket="deployments")["KeyCount"] == 0
