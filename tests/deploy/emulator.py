"""A local AWS (MiniStack) that enforces IAM, and what the deployment tests need to use it.

It runs in its own environment in `.local/emulator`, made once from requirements-emulator.txt.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import requests
from dynamodb_local import die_with_parent

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".local" / "emulator"
REGION = "us-east-1"
DOMAIN = f"{REGION}.amazonaws.com"
START_SECONDS = 60
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "requirements-otel.txt")


def install() -> Path:
    """The Python of an environment with the pinned emulator. Makes the environment if needed."""
    requirements = ROOT / "requirements-emulator.txt"
    made_from = requirements.read_bytes() + sys.version.encode() + str(ENVIRONMENTS).encode()
    home = ENVIRONMENTS / hashlib.sha256(made_from).hexdigest()[:16]
    python = home / "bin" / "python"
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with (ENVIRONMENTS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another pytest worker may be installing it
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
            subprocess.run(
                [
                    *(python, "-m", "pip", "install", "--quiet", "--quiet"),
                    *("--disable-pip-version-check", "--require-hashes", "-r", requirements),
                ],
                check=True,
            )
            (home / "complete").touch()
    return python


@dataclass
class Emulator:
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of programs that should use the emulator as AWS."""
        kept = {"PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy"}
        return {
            **{n: v for n, v in os.environ.items() if n in kept or n.startswith("PIP_")},
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "VIRTUAL_ENV": sys.prefix,
        }

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


@contextmanager
def start(folder: Path, **settings: str) -> Iterator[Emulator]:
    """Starts the emulator on a free loopback port, with all its files under `folder`. `settings`
    are those of ministack_like_aws.py."""
    python = install()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    emulator = Emulator(port, folder / "emulator.log")
    environment = {
        **emulator.environment,
        "TMPDIR": str(folder),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        # API Gateway then has the same host names as on AWS.
        "MINISTACK_HOST": DOMAIN,
        "MINISTACK_ACCOUNT_ID": "123456789012",
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "AUTH": "true",
        **settings,
    }
    del environment["VIRTUAL_ENV"]
    with emulator.log.open("wb") as log:
        process = subprocess.Popen(
            [python, Path(__file__).with_name("ministack_like_aws.py")],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        _wait_until_it_answers(process, emulator)
        yield emulator
    finally:
        # Its Lambda functions run in the same process group.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], emulator: Emulator) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            requests.get(f"{emulator.url}/_ministack/health", timeout=5)
            return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise RuntimeError(f"the emulator did not start:\n{emulator.log.read_text()}")


class Project:
    """A copy of the project to deploy.

    The few settings that differ by account are set for the emulator. All others are from
    `zappa_settings.json`.
    """

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.emulator = emulator
        folder.mkdir()
        for name in ("app", "deploy"):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        for name in ("zappa_settings.json", *REQUIREMENTS):
            shutil.copy(ROOT / name, folder)
        (folder / "scripts").mkdir()
        for name in ("alarms", "deploy", "flask", "local_env", "stage_env", "undeploy"):
            shutil.copy(ROOT / "scripts" / name, folder / "scripts")
        # The real setup would rebuild the environment that the tests run in.
        (folder / "scripts" / "setup").write_text("#!/bin/sh\n")
        (folder / "scripts" / "setup").chmod(0o755)
        # Shares the packages for Lambda, so that they are not fetched for each test run.
        (folder / ".local").mkdir()
        (ROOT / ".local" / "package").mkdir(parents=True, exist_ok=True)
        (folder / ".local" / "package").symlink_to(ROOT / ".local" / "package")
        (folder / ".venv").symlink_to(sys.prefix)

    def settings(self, stage: str) -> dict[str, Any]:
        settings: dict[str, Any] = json.loads((self.folder / "zappa_settings.json").read_text())[
            stage
        ]
        return settings

    def set(self, stage: str, **settings: Any) -> None:
        """Changes settings of a stage. Adds `aws_environment_variables` to the existing ones."""
        path = self.folder / "zappa_settings.json"
        all_settings = json.loads(path.read_text())
        variables = settings.pop("aws_environment_variables", {})
        all_settings[stage].update(settings)
        if variables:
            all_settings[stage].setdefault("aws_environment_variables", {}).update(variables)
        path.write_text(json.dumps(all_settings))

    def unset(self, stage: str, *variables: str) -> None:
        """Removes some of a stage's `aws_environment_variables`."""
        path = self.folder / "zappa_settings.json"
        all_settings = json.loads(path.read_text())
        for name in variables:
            del all_settings[stage]["aws_environment_variables"][name]
        path.write_text(json.dumps(all_settings))

    def run(self, *command: str, typed: str = "", fails: bool = False, **environment: str) -> str:
        """Runs a command and returns its output."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.emulator.environment, **environment},
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert bool(done.returncode) == fails, done.stdout
        return done.stdout

    def zappa(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "zappa.cli", *arguments)


@dataclass
class Stage:
    """A deployed stage, called through API Gateway."""

    emulator: Emulator
    name: str

    @property
    def function(self) -> str:
        return f"session-store-{self.name}"

    @property
    def api(self) -> str:
        """The API's id."""
        found = self.emulator.client("cloudformation").describe_stack_resource(
            StackName=self.function, LogicalResourceId="Api"
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    @property
    def host(self) -> str:
        return f"{self.api}.execute-api.{DOMAIN}"

    def request(
        self, method: str, path: str, token: str | None = None, **options: Any
    ) -> requests.Response:
        """Sends a request to the emulator under the gateway's host name."""
        headers = {"Host": self.host, **options.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return requests.request(
            method,
            f"{self.emulator.url}/{self.name}{path}",
            headers=headers,
            timeout=60,
            **options,
        )

    def invoke(self, event: dict[str, Any]) -> tuple[str | None, Any]:
        """Invokes the function without the gateway. Returns its error, if any, and its answer."""
        answer = self.emulator.client("lambda").invoke(
            FunctionName=self.function, Payload=json.dumps(event)
        )
        return answer.get("FunctionError"), json.load(answer["Payload"])

    def logged(self, pattern: str) -> list[str]:
        """The lines of the function's log in which the pattern is found."""
        pages = (
            self.emulator.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=f"/aws/lambda/{self.function}")
        )
        lines = [event["message"] for page in pages for event in page["events"]]
        return [line for line in lines if re.search(pattern, line)]


def eventually(found: Callable[[], Any], seconds: float) -> Any:
    """Calls `found` until it returns something, and returns that."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"nothing was found in {seconds} s"
        time.sleep(0.5)
    return result
