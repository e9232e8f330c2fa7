"""The app under gunicorn, in several worker processes, as in production."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynamodb_local import die_with_parent

from tests.people import API, SECRET

START_SECONDS = 60


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Server:
    port: int
    pid: int  # of gunicorn's main process

    def workers(self) -> list[int]:
        """The process ids of the workers. Linux only."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def request(
        self,
        token: str,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """
        Raises:
            OSError, http.client.HTTPException: there was no answer.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            text = None if body is None else json.dumps(body)
            connection.request(method, f"{API}{path}", text, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read().decode())
        finally:
            connection.close()

    def all_messages(self, token: str, session: str) -> list[dict[str, Any]]:
        """All messages of the session, read page by page."""
        found: list[dict[str, Any]] = []
        path = query = f"/sessions/{session}/messages?limit=1000"
        while True:
            answer = self.request(token, "GET", query)
            assert answer.status == 200, answer.text
            found += answer.json["messages"]
            if answer.json["next_cursor"] is None:
                return found
            query = f"{path}&cursor={answer.json['next_cursor']}"


@contextmanager
def serve(
    table_name: str, database: str, *, workers: int = 2, threads: int = 4, budget: float = 20.0
) -> Iterator[Server]:
    port = free_port()
    environment = settings(table_name, database) | {"REQUEST_BUDGET": str(budget)}
    command = [sys.executable, "-m", "gunicorn", "app.wsgi:app", "--bind", f"127.0.0.1:{port}"]
    command += ["--workers", str(workers), "--threads", str(threads), "--timeout", "120"]
    process = subprocess.Popen(
        [*command, "--log-level", "error", "--worker-tmp-dir", "/tmp"],
        env=environment,
        preexec_fn=die_with_parent,
    )
    try:
        server = Server(port, process.pid)
        _wait_until_it_answers(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_it_answers(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.request("", "GET", "/sessions")
            return
        except OSError:
            assert process.poll() is None, "gunicorn has exited"
            assert time.monotonic() < deadline, "gunicorn does not answer"
            time.sleep(0.05)


def settings(table_name: str, database: str) -> dict[str, str]:
    """The environment of a process that runs the app."""
    return {
        **os.environ,
        "SESSIONS_TABLE": table_name,
        "AWS_ENDPOINT_URL_DYNAMODB": database,
        "JWT_SECRET": SECRET,
        "LOG_LEVEL": "ERROR",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
