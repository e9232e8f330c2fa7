"""The Dockerfile, as far as it can be tested without a container engine."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import requests
from dynamodb_local import die_with_parent

from app.identity.tokens import MAX_TOKEN
from app.table import db
from tests.deploy.emulator import ROOT
from tests.people import SECRET, make_token

BIN = Path(sys.executable).parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_hadolint_finds_nothing():
    linted = subprocess.run(
        [BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stdout) == (0, "")


def test_dockerignore_allows_what_the_dockerfile_copies():
    copied = re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE, re.M)
    let_through = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.M)
    assert sorted(copied) == sorted(let_through)
    assert all((ROOT / name).exists() for name in copied)


def test_the_containers_versions_are_the_tested_ones():
    pattern = r"^([\w.-]+)==(\S+)"
    tested = set(re.findall(pattern, (ROOT / "requirements-dev.txt").read_text(), re.M))
    assert (
        set(re.findall(pattern, (ROOT / "requirements-container.txt").read_text(), re.M)) <= tested
    )


def documented(text: str) -> dict[str, str]:
    """The environment that the documented `docker run` sets."""
    run = re.search(r"docker run (?:.*\\\n)*.*", text)
    assert run
    return dict(re.findall(r"-e (\w+)=(\S+)", run[0]))


DEPLOYING = (ROOT / "docs" / "deploy.md").read_text()


@contextmanager
def run(folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, Path, Any]]:
    """The container's own command, on loopback, with nothing else in its environment."""
    command = json.loads(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.M)[-1])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command[command.index("--bind") + 1] = f"127.0.0.1:{port}"
    shutil.copytree(ROOT / "app", folder / "app")  # nothing beside it, as in the container
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, BIN / command[0], *command[1:]],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
    try:
        yield f"http://127.0.0.1:{port}", log, process
    finally:
        process.terminate()
        process.wait(timeout=40)


def wait_until_it_answers(address: str, log: Path, process: Any) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            requests.get(f"{address}/health", timeout=5)
            return
        except requests.ConnectionError:
            assert time.monotonic() < deadline and process.poll() is None, log.read_text()
            time.sleep(0.1)


@pytest.mark.parametrize("text", [DEPLOYING, DOCKERFILE.replace("\n#", "\n")])
def test_it_starts_with_exactly_the_documented_environment(text, tmp_path):
    with run(tmp_path, documented(text)) as (address, log, process):
        wait_until_it_answers(address, log, process)
        answer = requests.get(f"{address}/api/v1/sessions", timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
    assert process.returncode == 0


@pytest.mark.parametrize("missing", documented(DEPLOYING))
def test_a_missing_setting_stops_the_start_and_is_named(missing, tmp_path):
    environment = documented(DEPLOYING)
    del environment[missing]
    with run(tmp_path, environment) as (_, log, process):
        assert process.wait(timeout=30)
    [told] = log.read_text().splitlines()
    assert told.startswith("session store:")
    assert missing in told


@pytest.fixture
def address(table: db.Table, tmp_path: Path) -> Iterator[str]:
    environment = {
        **documented(DEPLOYING),
        # The credentials that a role would give, and the address of this test's table.
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL_DYNAMODB": os.environ["AWS_ENDPOINT_URL_DYNAMODB"],
        "SESSIONS_TABLE": table.name,
        "JWT_SECRET": SECRET,
    }
    del environment["JWT_JWKS_URL"]
    with run(tmp_path, environment) as (address, log, process):
        wait_until_it_answers(address, log, process)
        yield address
    assert process.returncode == 0


def test_the_containers_command_serves_the_api(address):
    token = make_token("acme", "alice")
    headers = {"Authorization": f"Bearer {token}"}
    sessions = f"{address}/api/v1/sessions"
    created = requests.post(sessions, json={"domain_id": "x"}, headers=headers, timeout=30)
    assert created.status_code == 201
    location = urljoin(created.url, created.headers["Location"])
    assert requests.get(location, headers=headers, timeout=30).status_code == 200
    assert requests.get(location, timeout=30).status_code == 401


def header_of(length: int) -> dict[str, str]:
    """An Authorization header of this length with a valid token."""
    token = make_token("acme", "alice", filler="x" * (length * 5 // 7))
    return {"Authorization": "Bearer" + token.rjust(length - len("Bearer"))}


@pytest.mark.parametrize("length", [12_288, MAX_TOKEN])
def test_the_containers_command_accepts_tokens_up_to_the_limit(address, length):
    """Entra's tokens reach 12 KB; gunicorn's own limit is 8,190 bytes."""
    answer = requests.get(f"{address}/api/v1/sessions", headers=header_of(length), timeout=30)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("length", [MAX_TOKEN + 1, 20_000])
def test_a_longer_token_is_refused_by_the_app(address, length):
    """The answer is the app's problem, not gunicorn's HTML."""
    answer = requests.get(f"{address}/api/v1/sessions", headers=header_of(length), timeout=30)
    assert answer.status_code == 401
    assert answer.json()["code"] == "UNAUTHORIZED"


def test_the_documented_limit_of_a_token_is_the_real_one():
    told = (ROOT / "docs/identity.md").read_text()
    assert f"at most {MAX_TOKEN:,} characters" in told


def test_what_gunicorn_refuses_by_itself_is_not_logged(tmp_path):
    """It would quote it: the end of a body whose length was counted in characters, on a connection
    that is kept, or a header without its colon."""
    told = {**documented(DEPLOYING), "JWT_SECRET": SECRET}
    del told["JWT_JWKS_URL"]
    body = '{"domain_id": "d", "title": "金庫の暗証番号は4711です、誰にも言わないでください"}'
    post = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}\r\n\r\n"
    get = f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {make_token('acme', 'alice')}\r\n\r\n"
    with run(tmp_path, told) as (address, log, process):
        wait_until_it_answers(address, log, process)
        for request in (post, get):
            with socket.create_connection(("127.0.0.1", urlsplit(address).port or 0)) as sent:
                sent.sendall(request.encode())
                with sent.makefile("rb") as answers:
                    assert b"400 Bad Request" in answers.read()
    assert [line for line in log.read_text().splitlines() if "Invalid" in line] == []
