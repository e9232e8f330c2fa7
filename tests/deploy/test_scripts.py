"""If something is missing, the scripts print one line that says what to do, no traceback."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from dynamodb_local import LICENCE, Engine

from app.table import db
from tests.deploy.emulator import ROOT, Emulator, Project
from tests.people import SECRET

README = (ROOT / "README.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()

SCRIPTS = {
    "deploy": ["./scripts/deploy"],
    "undeploy": ["./scripts/undeploy"],
    "alarms": ["./scripts/alarms"],
    "flask": ["./scripts/flask", "--stage"],
}
AFTER = {"flask": ["table", "describe"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose AWS cannot be reached."""
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
def test_without_a_stage_the_script_asks_for_one(project, script):
    assert "stage" in last_line(project.run(*SCRIPTS[script], fails=True)).lower()


@pytest.mark.parametrize("script", SCRIPTS)
def test_for_an_unknown_stage_the_script_lists_the_stages(project, script):
    printed = project.run(*SCRIPTS[script], "prod", *AFTER.get(script, []), fails=True)
    assert "there is dev, production" in last_line(printed)


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_credentials_the_script_says_how_to_set_them(project, script, tmp_path):
    command = [*SCRIPTS[script], "production", *AFTER.get(script, [])]
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(tmp_path)}
    assert "AWS_PROFILE" in last_line(project.run(*command, fails=True, **nothing))


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_aws_that_cannot_be_reached_is_named(project, script):
    printed = project.run(*SCRIPTS[script], "production", *AFTER.get(script, []), fails=True)
    assert "http://127.0.0.1:1" in last_line(printed)


@pytest.mark.parametrize("command", ["smoke", "address", "secret", "credentials", "deployed"])
def test_an_aws_that_cannot_be_reached_is_named_by_each_step(project, command):
    step = [sys.executable, "-m", "deploy.stage", "production", command]
    printed = project.run(*step, fails=True, JWT_SECRET=SECRET)
    assert "http://127.0.0.1:1" in last_line(printed)


def test_the_shells_own_settings_are_not_used_for_a_stage_but_for_its_secrets(project):
    """With JWT_TENANT_CLAIM, for example, a stage with ISSUERS would not start."""
    documented = re.findall(r"^\| `([A-Z_]+)` \|", CONFIGURATION, re.MULTILINE)
    boto3s = {"AWS_REGION", "AWS_ENDPOINT_URL_DYNAMODB"}
    shells = dict.fromkeys(set(documented) - boto3s, "the shell's") | {"JWT_SECRET": SECRET}
    use = f'eval "$({shlex.quote(sys.executable)} -m deploy.stage production environment)"; env'
    printed = project.run("bash", "-euc", use, **shells)
    found = dict(re.findall(r"^([A-Z_]+)=(.*)$", printed, re.MULTILINE))
    assert len(shells) > 20
    assert "the shell's" not in found.values()
    assert (found["JWT_SECRET"], found["SESSIONS_TABLE"]) == (SECRET, "session-store-production")


@pytest.fixture
def with_issuers(project: Project) -> Iterator[Project]:
    """`dev` has two issuers, in a file. One of them has a secret."""
    entries = [{"issuer": "a", "jwks_url": "b"}, {"issuer": "c", "secret_env": "ISSUER_SECRET_C"}]
    (project.folder / "issuers-dev.json").write_text(json.dumps({"issuers": entries}, indent=2))
    project.set("dev", aws_environment_variables={"ISSUERS_FILE": "issuers-dev.json"})
    yield project
    project.set("dev", aws_environment_variables={"ISSUERS_FILE": ""})


def secrets(project: Project, stage: str, **options: bool) -> str:
    step = [sys.executable, "-m", "deploy.stage", stage, "secrets"]
    return project.run(*step, **options).strip()


def test_the_secrets_that_a_stage_needs_are_named(project):
    assert secrets(project, "production") == "", "its keys are published"
    assert secrets(project, "dev") == "JWT_SECRET"


def test_the_secrets_of_issuers_are_named(with_issuers):
    assert secrets(with_issuers, "dev") == "ISSUER_SECRET_C"


def test_a_missing_file_of_issuers_is_reported_in_one_line(with_issuers):
    (with_issuers.folder / "issuers-dev.json").unlink()
    assert "there is no issuers-dev.json" in last_line(secrets(with_issuers, "dev", fails=True))


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
def test_a_database_that_cannot_be_reached_is_reported_in_one_line(command):
    code, printed = flask(**HERE, AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:1")(*command)
    assert code
    assert "http://127.0.0.1:1" in last_line(printed)


@pytest.mark.parametrize("command", [("table", "delete", "nowhere"), ("sweep",), ("check",)])
def test_a_missing_table_is_reported_in_one_line(table: db.Table, command):
    endpoint = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    code, printed = flask(**HERE, AWS_ENDPOINT_URL_DYNAMODB=endpoint)(*command)
    assert code
    assert "SESSIONS_TABLE" in last_line(printed)


def commands(name: str) -> str:
    """A block of the README."""
    found = re.search(rf"<!-- commands: {name} -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def here(engine: Engine, project: Project) -> Iterator[dict[str, str]]:
    """Creates the README's table in the tests' engine. Returns the environment for it."""
    environment = {"DYNAMODB_PORT": str(urlsplit(engine.url).port)}
    project.run("./scripts/flask", "table", "create", **environment)
    yield environment
    project.run("./scripts/flask", "table", "delete", "sessions", **environment)


def test_the_readmes_commands_work_as_pasted(project, here):
    printed = project.run("bash", "-euc", commands("flask"), **here)
    assert '"TableName": "sessions"' in printed
    assert "nothing is left to do" in printed
    assert "0 findings" in printed
    assert printed.splitlines()[-1].startswith("eyJ")


def test_plain_flask_works_as_pasted(project, here, engine):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pasted = commands("plain flask").replace("http://127.0.0.1:8000", engine.url)
    pasted = pasted.replace("--port 5001", f"--port {port}")
    process = subprocess.Popen(
        ["bash", "-euc", pasted],
        cwd=project.folder,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                answer = requests.get(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except requests.ConnectionError:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        printed = process.communicate(timeout=30)[0]
    assert answer.json() == {"status": "ok"}
    assert "0 findings" in printed


def test_the_readme_states_the_licence_of_dynamodb_local():
    readme = " ".join(README.split())
    assert "Amazon DynamoDB Local License Agreement" in LICENCE
    assert "Amazon DynamoDB Local License Agreement" in readme
    assert "AWS account" in readme
