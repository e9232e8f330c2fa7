"""The people in all tests, their tokens, and a client that sends requests as one of them.

Alice and Bob belong to the tenant acme, Charlie to globex. "Nobody" has no token.
"""

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import flask
import jwt
from werkzeug.test import TestResponse

SECRET = "a-secret-for-tests-of-32-bytes-or-more"  # noqa: S105
API = "/api/v1"


def make_token(tenant: str, user: str, *, secret: str = SECRET, **claims: Any) -> str:
    told = {"tenant_id": tenant, "sub": user, "exp": int(time.time()) + 3600, **claims}
    return jwt.encode(told, secret, algorithm="HS256")


@dataclass
class Client:
    """Sends requests to `/api/v1` + path, with the token if there is one."""

    app: flask.Flask
    token: str | None

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: bytes | str | None = None,
        headers: dict[str, str] | None = None,
    ) -> TestResponse:
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        return self.app.test_client().open(
            f"{API}{path}", method=method, json=json, data=data, headers=sent
        )

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self.request("POST", path, json=json, **options)

    def put(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self.request("PUT", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        return self.request("DELETE", path, **options)

    def create_session(self, **body: Any) -> dict[str, Any]:
        answer = self.post("/sessions", {"domain_id": "civic_complaints_v1", **body})
        assert answer.status_code == 201, answer.text
        return json.loads(answer.text)

    def append(self, session_id: str, content: Any = "Hello", **message: Any) -> dict[str, Any]:
        body = {"role": "user", "content": content, **message}
        answer = self.post(f"/sessions/{session_id}/messages", body)
        assert answer.status_code == 201, answer.text
        return json.loads(answer.text)

    def read_all(self, session_id: str) -> list[dict[str, Any]]:
        """All messages of a session: those in its answer, then the rest by cursor."""
        answer = self.get(f"/sessions/{session_id}").json
        messages, cursor = answer["messages"], answer["next_cursor"]
        while cursor:
            page = self.get(f"/sessions/{session_id}/messages?limit=1000&cursor={cursor}").json
            assert page["messages"], "an empty page, although more follows"
            messages, cursor = messages + page["messages"], page["next_cursor"]
        return messages

    def fill(self, session_id: str, count: int, size: int = 20, **message: Any) -> list[str]:
        """Appends `count` messages of `size` characters in batches. Returns their ids."""
        ids: list[str] = []
        for start in range(0, count, 50):
            batch = [
                {"role": "user", "content": f"{n:06}".ljust(size, "."), **message}
                for n in range(start, min(start + 50, count))
            ]
            answer = self.post(f"/sessions/{session_id}/messages/batch", {"messages": batch})
            assert answer.status_code == 201, answer.text
            ids += [message["message_id"] for message in answer.json["messages"]]
        return ids


REPEATABLE = {"STORE_UNAVAILABLE", "CONTENDED", "NOT_READY", "RATE_EXCEEDED"}
"""Codes whose requests can be sent again as they are. OUTCOME_UNKNOWN depends on the request."""


def problem(answer: TestResponse, status: int, code: str, **extension: Any) -> dict[str, Any]:
    """Checks that the answer is this problem, with these extension members and no others. Returns
    its body."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    body = json.loads(answer.text)
    assert body["code"] == code
    assert body["status"] == status
    usual = {"type", "title", "status", "detail", "code", "errors", "request_id"}
    assert {name: body[name] for name in body.keys() - usual} == extension
    assert usual <= set(body)
    assert body["request_id"] == answer.headers["X-Request-Id"]
    if code != "OUTCOME_UNKNOWN":
        assert answer.headers["Should-Retry"] == ("true" if code in REPEATABLE else "false")
    return body


def moved(cursor: str, position: str, other: str) -> str:
    """The cursor of a list, which ended at `position`, led to another place of the same list."""
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert raw.endswith(position.encode())
    forged = raw.removesuffix(position.encode()) + other.encode()
    return base64.urlsafe_b64encode(forged).decode().rstrip("=")
