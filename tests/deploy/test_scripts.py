"""What the scripts say when something is missing: one line, what to do, and no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dynamodb_local import LICENCE

from app.table import db
from tests.deploy.emulator import ROOT, Emulator, Project
from tests.people import SECRET

SCRIPTS = {
    "deploy": ["./scripts/deploy"],
    "undeploy": ["./scripts/undeploy"],
    "alarms": ["./scripts/alarms"],
    "flask": ["./scripts/flask", "--stage"],
}
AFTER = {"flask": ["table", "describe"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Set up for an AWS that cannot be reached."""
    folder: Path = tmp_path_factory.mktemp("scripts") / "project"
    project = Project(folder, Emulator(1, folder))
    issuer = {"JWT_JWKS_URL": "https://issuer.acme.test/keys", "JWT_ISSUER": "https://acme.test/"}
    project.set("production", s3_bucket="deployments", aws_environment_variables=issuer)
    return project


def last_line(printed: str) -> str:
    assert "Traceback" not in printed
    assert "line 4" not in printed
    lines = printed.splitlines()
    assert 1 <= len(lines) <= 2, printed
    return lines[-1]


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_a_stage_it_says_that_it_takes_one(project, script):
    assert "stage" in last_line(project.run(*SCRIPTS[script], fails=True)).lower()


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_unknown_stage_is_told_which_there_are(project, script):
    printed = project.run(*SCRIPTS[script], "prod", *AFTER.get(script, []), fails=True)
    assert "there is dev, production" in last_line(printed)


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_credentials_it_says_how_to_give_some(project, script, tmp_path):
    command = [*SCRIPTS[script], "production", *AFTER.get(script, [])]
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(tmp_path)}
    assert "AWS_PROFILE" in last_line(project.run(*command, fails=True, **nothing))


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_aws_that_cannot_be_reached_is_named(project, script):
    printed = project.run(*SCRIPTS[script], "production", *AFTER.get(script, []), fails=True)
    assert "http://127.0.0.1:1" in last_line(printed)


@pytest.mark.parametrize("command", ["smoke", "address", "secret", "credentials"])
def test_so_does_each_step(project, command):
    step = [sys.executable, "-m", "deploy.stage", "production", command]
    printed = project.run(*step, fails=True, JWT_SECRET=SECRET)
    assert "http://127.0.0.1:1" in last_line(printed)


def flask(**environment: str):
    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app.wsgi", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


HERE = {
    "SESSIONS_TABLE": "nowhere",
    "JWT_SECRET": SECRET,
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "REQUEST_BUDGET": "1",
}


@pytest.mark.parametrize(
    "command",
    [("table", "describe"), ("table", "create"), ("sweep", "--seconds", "1")],
    ids=" ".join,
)
def test_a_database_that_cannot_be_reached_is_one_line(command):
    code, printed = flask(**HERE, AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:1")(*command)
    assert code
    assert "http://127.0.0.1:1" in last_line(printed)


@pytest.mark.parametrize("command", [("table", "delete", "nowhere"), ("sweep",), ("check",)])
def test_a_table_that_is_not_there_is_one_line(table: db.Table, command):
    endpoint = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    code, printed = flask(**HERE, AWS_ENDPOINT_URL_DYNAMODB=endpoint)(*command)
    assert code
    assert "SESSIONS_TABLE" in last_line(printed)


def test_the_licence_of_dynamodb_local_is_told_in_the_readme_too():
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert "Amazon DynamoDB Local License Agreement" in LICENCE
    assert "Amazon DynamoDB Local License Agreement" in readme
    assert "AWS account" in readme
