"""The real engine, the app on top of it, and requests sent directly to the WSGI app.

No test client is used, because its own work would count as the app's.
"""

import io
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
import dynamodb_local
import flask
import jwt

from app.config import Config
from app.factory import create_app
from app.identity.caller import Caller
from app.messages.model import NewMessage
from app.operations import provision
from app.sessions import model as sessions
from app.table import db, ids, keys, writes

SECRET = "a-secret-of-the-benchmarks-of-32-bytes"
TENANT = "acme"
AUDITOR = "auditor"
"""Of the same tenant, with the scope to list answers of all users."""

API = "/api/v1"
TABLE = "sessions"

AWS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}

SMALL, LARGE = 250, 100_000
"""Characters per message."""

Request = Callable[[], bytes]
"""Sends one request and returns the body of the answer."""


@dataclass
class World:
    engine: dynamodb_local.Engine
    app: flask.Flask
    table: db.Table

    def request(self, user: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Prepares one request. Calling the result sends it."""
        environ = self.environ(user, method, path, body, headers)

        def send() -> bytes:
            statuses: list[str] = []
            chunks = self.app.wsgi_app(environ, lambda status, *_: statuses.append(status))
            answer = b"".join(chunks)
            if statuses[0][0] not in "23":
                raise AssertionError(f"{method} {path}: {statuses[0]} {answer[:500]!r}")
            return answer

        return send

    def send(self, user: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Sends one request and returns the parsed answer."""
        answer = self.request(user, method, path, body, **headers)()
        return json.loads(answer) if answer else None

    def environ(
        self, user: str, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> dict[str, Any]:
        path, _, query = path.partition("?")
        is_json = not isinstance(body, bytes)
        raw = (b"" if body is None else json.dumps(body).encode()) if is_json else body
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": API + path,
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_AUTHORIZATION": f"Bearer {token(user)}",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(raw),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if raw:
            content_type = "application/json" if is_json else "application/octet-stream"
            environ |= {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(raw))}
        return environ | {f"HTTP_{name.upper()}": value for name, value in headers.items()}

    def create_session(self, user: str) -> str:
        created = self.send(user, "POST", "/sessions", {"domain_id": "civic_complaints_v1"})
        return str(created["session_id"])

    @cached_property
    def raw(self) -> Any:
        """A boto3 client with default settings."""
        return boto3.client("dynamodb")

    def partition(self, user: str) -> list[dict[str, Any]]:
        """All items of a user, as DynamoDB returns them."""
        pages = self.raw.get_paginator("query").paginate(
            TableName=self.table.name,
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues={":pk": {"S": caller(user).partition}},
            ConsistentRead=True,
        )
        return [item for page in pages for item in page["Items"]]

    def holds_more_than(self, user: str, items: int) -> bool:
        answer = self.raw.query(
            TableName=self.table.name,
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues={":pk": {"S": caller(user).partition}},
            ConsistentRead=True,
            Limit=items + 1,
        )
        return bool(answer["Count"] > items)

    def put_items(self, items: Sequence[dict[str, Any]]) -> None:
        self._batch([{"PutRequest": {"Item": item}} for item in items])

    def delete_items(self, items: Sequence[dict[str, Any]]) -> None:
        found = [{"PK": item["PK"], "SK": item["SK"]} for item in items]
        self._batch([{"DeleteRequest": {"Key": key}} for key in found])

    def _batch(self, requests: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(requests), db.BATCH):
            wanted = {self.table.name: requests[start : start + db.BATCH]}
            while wanted:
                wanted = self.raw.batch_write_item(RequestItems=wanted)["UnprocessedItems"]

    def fill_sessions(self, user: str, count: int, *, answered: bool = False) -> list[str]:
        """Writes empty sessions directly to the table, one second apart. Returns their ids. If
        `answered`, each tells of one message, which is not there, with the session's ULID."""
        now = ids.system_clock()
        made = [_ulid_at(now - 1000 * (count - number)) for number in range(count)]
        partition = caller(user).partition
        items = []
        for ulid in made:
            created_at = ids.timestamp(ulid)
            attributes = sessions.all_attributes(
                sessions.Session(
                    ulid=ulid,
                    born=ulid,
                    domain_id="civic_complaints_v1",
                    title="Pothole issues",
                    metadata="{}",
                    message_count=0,
                    version=1,
                    settings_version=1,
                    last_activity=created_at,
                    expires_at=None,
                    last_ulid=ulid,
                    changed=ulid,
                    last_message=ulid if answered else None,
                )
            )
            index = keys.by_activity(partition, ulid, created_at)
            items.append(_item(keys.session(partition, ulid), attributes | index))
        self.put_items([*items, _item(keys.user(partition), {"session_count": count})])
        return [ids.SESSION_PREFIX + ulid for ulid in made]

    def fill_edges(self, user: str, sessions: Sequence[str], source: str) -> None:
        """Writes that the message of each of these sessions cites a source, directly to the table.
        Its other edges stay."""
        partition = caller(user).partition
        ulids = [session.removeprefix(ids.SESSION_PREFIX) for session in sessions]
        self.put_items(
            [
                _item(
                    keys.edge(partition, ulid, source, ulid),
                    {**keys.by_source(partition, source, ulid)},
                )
                for ulid in ulids
            ]
        )

    def fill_messages(self, user: str, session_id: str, count: int, size: int = SMALL) -> None:
        """Writes messages to an empty session, directly in the table, one second apart."""
        key = keys.session(caller(user).partition, sessions.ulid_of(session_id))
        now = ids.system_clock()
        made = [_ulid_at(now - 1000 * (count - number)) for number in range(count)]
        new = NewMessage(**message(size))
        attributes = {"body": new.body(), "message_role": new.role, "created_by": user}
        partition, session = key["PK"], keys.session_of(key["SK"])
        self.put_items([_item(keys.message(partition, session, ulid), attributes) for ulid in made])
        self.raw.update_item(
            TableName=self.table.name,
            Key={name: {"S": value} for name, value in key.items()},
            UpdateExpression="SET message_count = :count, last_ulid = :last, last_message = :last",
            ExpressionAttributeValues={":count": {"N": str(count)}, ":last": {"S": made[-1]}},
        )

    def new_session(self, user: str, messages: int = 0, size: int = SMALL) -> str:
        session_id = self.create_session(user)
        if messages:
            self.fill_messages(user, session_id, messages, size)
        return session_id


@contextmanager
def world() -> Iterator[World]:
    with dynamodb_local.start() as engine:
        os.environ.update(AWS, AWS_ENDPOINT_URL_DYNAMODB=engine.url)
        os.environ.pop("AWS_PROFILE", None)
        table = db.Table(TABLE)
        list(provision.create(table))
        app = create_app(Config(sessions_table=TABLE, jwt_secret=SECRET), table=table)
        quiet()
        yield World(engine, app, table)


def quiet() -> None:
    """Log lines are formatted as in production, then discarded."""
    for handler in logging.getLogger("sessions").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(open(os.devnull, "w"))  # noqa: PTH123, SIM115


_tokens: dict[str, str] = {}


def token(user: str) -> str:
    """One token per user, because an agent sends the same token for minutes."""
    if user not in _tokens:
        claims = {"tenant_id": TENANT, "sub": user, "exp": int(time.time()) + 7200}
        if user == AUDITOR:
            claims["scope"] = "sources:audit"
        _tokens[user] = jwt.encode(claims, SECRET, algorithm="HS256")
    return _tokens[user]


def caller(user: str) -> Caller:
    return Caller(TENANT, user)


def message(size: int = SMALL, role: str = "assistant") -> dict[str, Any]:
    """A message with one reference, as in the issue."""
    reference = {
        "type": "report",
        "reference_id": "inc_abc123",
        "summary": "Pothole on Main St",
        "status": "pending",
        "location": {"type": "Point", "coordinates": [36.9, 37.1]},
    }
    text = "I found 5 pothole reports near Main St. "
    content = (text * (size // len(text) + 1))[:size]
    return {"role": role, "content": content, "metadata": {"references": [reference]}}


def _item(key: dict[str, str], attributes: dict[str, Any]) -> dict[str, Any]:
    item: dict[str, Any] = writes.put(key, attributes)["Put"]["Item"]
    return item


def _ulid_at(milliseconds: int) -> str:
    return ids.UlidSource(lambda: milliseconds).new()[0]
