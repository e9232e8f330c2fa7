"""`dev` by the commands of docs/deploy.md, as they stand there, and its Swagger UI in a browser,
under the stage's prefix."""

import json
import os
import re
import shutil

import pytest

from tests.browser import open_page, send_from_swagger_ui
from tests.deploy.emulator import ROOT, Emulator, Project, Stage
from tests.people import make_token


@pytest.fixture(scope="module")
def commands() -> list[str]:
    text = (ROOT / "docs" / "deploy.md").read_text()
    found = re.search(r"<!-- commands: first request -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1].splitlines()


@pytest.fixture(scope="module")
def printed(project: Project, commands: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """By all of them but the first, which gets the project."""
    for name in ("token", "local_env"):
        shutil.copy(ROOT / "scripts" / name, project.folder / "scripts")
    script = "\n".join(["set -euo pipefail", *commands[1:], 'echo; echo "secret: $JWT_SECRET"'])
    return project.run("bash", "-c", script)


@pytest.fixture(scope="module")
def secret(printed: str) -> str:
    return printed.splitlines()[-1].removeprefix("secret: ")


@pytest.fixture(scope="module")
def stage(printed: str, emulator: Emulator) -> Stage:
    assert printed
    return Stage(emulator, "dev")


@pytest.fixture
def token(secret: str) -> str:
    return make_token("acme", "alice", secret=secret)


def test_six_commands_lead_from_nothing_to_the_first_request(commands, printed):
    assert len(commands) <= 6
    assert commands[0].startswith("git clone ")
    assert "created table session-store-dev" in printed
    assert "+ zappa deploy dev" in printed
    assert "session-store-dev answers at" in printed
    assert "Swagger UI: http" in printed
    [answer] = [line for line in printed.splitlines() if line.startswith('{"sessions":')]
    assert json.JSONDecoder().raw_decode(answer)[0]["sessions"] == []


def test_the_app_itself_turns_the_unauthorized_away(stage, token):
    answer = stage.request("GET", "/api/v1/sessions")
    assert answer.status_code == 401
    assert answer.json()["code"] == "UNAUTHORIZED"
    assert stage.request("GET", "/api/v1/sessions", token).status_code == 200


def test_health_needs_no_token(stage):
    assert stage.request("GET", "/health").json() == {"status": "ok"}


def test_swagger_ui_works_in_a_browser_under_the_stages_prefix(stage, emulator, token, tmp_path):
    # The browser takes the emulator for AWS, down to the address in its bar.
    names = {stage.host: f"127.0.0.1:{emulator.port}"}
    with open_page(tmp_path, names=names) as page:
        page.go(f"http://{stage.host}/dev/docs")
        answer = send_from_swagger_ui(page, token)
    assert '"session_id": "sess_' in answer
    assert page.complaints == []
    assert f"http://{stage.host}/dev/openapi.json" in page.requests
    assert f"http://{stage.host}/dev/api/v1/sessions" in page.requests
    foreign = [
        url for url in page.requests if not url.startswith((f"http://{stage.host}/dev/", "data:"))
    ]
    assert foreign == []


def test_a_secret_stands_in_no_file_and_outlives_an_update(stage, emulator, project, secret, token):
    for path in project.folder.rglob("*"):
        if path.is_file() and ".venv" not in path.parts:
            assert os.fsencode(secret) not in path.read_bytes(), path
    project.zappa("update", "dev")
    found = emulator.client("lambda").get_function_configuration(FunctionName=stage.function)
    assert found["Environment"]["Variables"]["JWT_SECRET"] == secret
    assert stage.request("GET", "/api/v1/sessions", token).status_code == 200


def test_deploying_a_stage_that_is_still_to_be_set_up_says_so(project):
    project.set("production", s3_bucket="CHANGE-ME-session-store-deployments")
    printed = project.run("./scripts/deploy", "production", fails=True)
    assert "zappa_settings.json still has CHANGE-ME-session-store-deployments" in printed
    assert "there is dev, production" in project.run("./scripts/deploy", "prod", fails=True)


def test_taking_down_is_asked_for_first(stage, project):
    project.run("./scripts/undeploy", "dev", typed="\n", fails=True)
    assert stage.request("GET", "/health").status_code == 200


def test_taking_down_with_the_table_leaves_nothing_that_costs(stage, emulator, project):
    typed = "y\nsession-store-dev\n"
    printed = project.run("./scripts/undeploy", "dev", "--delete-table", typed=typed)
    assert "+ zappa undeploy -y dev" in printed
    assert "deleted table session-store-dev" in printed
    assert emulator.client("lambda").list_functions()["Functions"] == []
    assert emulator.client("dynamodb").list_tables()["TableNames"] == []


def test_a_new_stage_without_an_issuer_wants_a_secret(project):
    printed = project.run("./scripts/deploy", "dev", fails=True)
    assert "dev has no JWT_JWKS_URL" in printed
