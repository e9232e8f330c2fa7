"""locust's users: they chat with the service, boto3 behind the same server, or the engine.

40 % of the operations append, 40 % read new messages, 15 % get a session of 20 messages, 5 % list.

locust counts and times. Its C client sends the requests, which are prepared before the clock
starts, so that the generator takes little of the CPU that is measured.
"""

import json
import os
import random
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from geventhttpclient import HTTPClient
from locust import User, task
from locust.exception import LocustError

# Written by bench/throughput.py: for each user a token, sessions, and the DynamoDB requests.
PLAN = json.loads(Path(os.environ["BENCH_PLAN"]).read_text())

_free = iter(PLAN["users"])


class ChatUser(User):
    abstract = True

    def on_start(self) -> None:
        address = urlsplit(self.host)
        self.http = HTTPClient(address.hostname, address.port, concurrency=1, network_timeout=30)
        self.plan = next(_free)
        self.last = ""

    def timed(self, name: str, *requests: tuple[str, str, bytes, dict[str, str]]) -> list[Any]:
        """Times one operation, which takes one request or more."""
        answers, problem, size = [], None, 0
        started = time.perf_counter()
        for method, path, body, headers in requests:
            answer = self.http.request(method, path, body, headers)
            raw = bytes(answer.read())
            size += len(raw)
            answers.append(raw)
            if answer.status_code >= 300:
                problem = LocustError(f"{answer.status_code} {raw[:300]!r}")
        taken = (time.perf_counter() - started) * 1000
        self.environment.events.request.fire(
            request_type="op", name=name, response_time=taken, response_length=size,
            exception=problem, context={},
        )  # fmt: skip
        return [] if problem else answers

    @task(40)
    def append(self) -> None:
        self.do("append")

    @task(40)
    def read_new(self) -> None:
        self.do("read")

    @task(15)
    def get(self) -> None:
        self.do("get")

    @task(5)
    def list_sessions(self) -> None:
        self.do("list")

    def do(self, operation: str) -> None:
        raise NotImplementedError


class ServiceUser(ChatUser):
    def do(self, operation: str) -> None:
        plan = self.plan
        headers = {"Authorization": f"Bearer {plan['token']}"}
        own, known = f"/api/v1/sessions/{plan['own']}", f"/api/v1/sessions/{plan['known']}"
        if operation == "append":
            headers["Content-Type"] = "application/json"
            request = ("POST", f"{own}/messages", PLAN["message"].encode(), headers)
        elif operation == "read":
            request = ("GET", f"{own}/messages?limit=20&after={plan['after']}", b"", headers)
        elif operation == "get":
            request = ("GET", known, b"", headers)
        else:
            request = ("GET", "/api/v1/sessions?limit=20", b"", headers)
        answers = self.timed(operation, request)
        if answers and operation == "append":
            plan["after"] = json.loads(answers[0])["message_id"]


class EngineUser(ChatUser):
    """Sends the service's DynamoDB calls for each operation directly to the engine.

    DynamoDB Local reads the access key of a signature and checks nothing else in it.
    """

    def do(self, operation: str) -> None:
        self.timed(operation, *(self.call(*call) for call in self.calls(operation)))

    def calls(self, operation: str) -> list[tuple[str, str]]:
        calls = [(name, body) for name, body in self.plan["calls"][operation]]
        if operation == "append":
            self.plan["number"] = number = self.plan["number"] + 1
            ulid, activity = PLAN["new"]
            # Later than any real value, and rising.
            calls = [
                (
                    name,
                    body.replace(ulid, f"7ZZZZZZZZZZZZZ{number:012}").replace(
                        activity, f"2999-01-01T00:00:{number:07}Z"
                    ),
                )
                for name, body in calls
            ]
        return calls

    def call(self, operation: str, body: str) -> tuple[str, str, bytes, dict[str, str]]:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Authorization": PLAN["authorization"],
        }
        return ("POST", "/", body.encode(), headers)


class BareUser(EngineUser):
    """boto3 alone behind the same server (bench/bare.py): one request per operation."""

    def do(self, operation: str) -> None:
        calls = [[name, json.loads(body)] for name, body in self.calls(operation)]
        headers = {"Content-Type": "application/json"}
        self.timed(operation, ("POST", "/", json.dumps(calls).encode(), headers))


random.seed(2026)
