"""The real engine, a table of its own for each test, and three people with real tokens."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from threading import Thread
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3
import dynamodb_local
import flask
import pytest
from werkzeug.serving import make_server

from app import logs
from app.config import Config
from app.factory import create_app
from app.operations import provision
from app.table import db, ids
from tests.log_watch import watched
from tests.people import SECRET, Client, make_token

AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
}


class Clock:
    """Milliseconds since 1970. Runs with the real clock until it is set or moved."""

    def __init__(self) -> None:
        self.offset = 0
        self.frozen: int | None = None

    def __call__(self) -> int:
        return (ids.system_clock() if self.frozen is None else self.frozen) + self.offset

    def move(self, *, days: float = 0, seconds: float = 0) -> None:
        self.offset += int((days * 86400 + seconds) * 1000)

    def freeze(self, milliseconds: int | None = None) -> None:
        self.frozen = ids.system_clock() if milliseconds is None else milliseconds


@pytest.fixture(scope="session", autouse=True)
def _clean_log() -> Iterator[None]:
    """Fails the run if any test logged a token or message content."""
    with watched() as found:
        yield
    if found:
        pytest.fail("\n".join([f"{len(found)} faults in the log:", *found[:5]]), pytrace=False)


@pytest.fixture(scope="session")
def engine() -> Iterator[dynamodb_local.Engine]:
    """DynamoDB Local, in memory, on a free port; or the running one at TEST_ENGINE_URL."""
    running = os.environ.get("TEST_ENGINE_URL")
    start = nullcontext(SimpleNamespace(url=running)) if running else dynamodb_local.start()
    with pytest.MonkeyPatch.context() as patch, start as engine:
        for name, value in AWS.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", engine.url)
        patch.delenv("AWS_PROFILE", raising=False)
        yield engine


@pytest.fixture(scope="session")
def client(engine: dynamodb_local.Engine) -> Any:
    """One client for all tests, because creating one takes longer than most tests."""
    return db.connect()


@pytest.fixture
def table(client: Any, clock: Clock) -> Iterator[db.Table]:
    """The database's time is that of the tests' clock."""
    table = db.Table(f"test-{uuid4()}", client, database_time=clock)
    list(provision.create(table))
    yield table
    client.update_table(TableName=table.name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=table.name)


@pytest.fixture(scope="session")
def raw(engine: dynamodb_local.Engine) -> Any:
    """A plain boto3 client, for tests that read or change the table directly."""
    return boto3.client("dynamodb")


@pytest.fixture
def items(raw: Any, table: db.Table) -> Callable[[], list[dict[str, Any]]]:
    """All items of the table, in key order."""

    def read() -> list[dict[str, Any]]:
        pages = raw.get_paginator("scan").paginate(TableName=table.name, ConsistentRead=True)
        found = [item for page in pages for item in page["Items"]]
        return sorted(found, key=lambda item: (item["PK"]["S"], item["SK"]["S"]))

    return read


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """Collects the lines of the app's log."""
    lines: list[dict[str, Any]] = []

    def note(record: logging.LogRecord) -> bool:
        lines.append(json.loads(logs.JsonFormatter().format(record)))
        return True

    logs.log.addFilter(note)  # a filter, because creating an app replaces the handlers
    yield lines
    logs.log.removeFilter(note)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_app(table: db.Table, clock: Clock) -> Callable[..., flask.Flask]:
    """An app over this test's table, with settings that differ from the usual ones."""

    def make(**settings: Any) -> flask.Flask:
        usual = {"sessions_table": table.name, "docs_enabled": True}
        if "jwt_jwks_url" not in settings:
            usual["jwt_secret"] = SECRET
        parts = {name: settings.pop(name) for name in ("verifier",) if name in settings}
        config = Config(**{**usual, **settings})
        return create_app(config, table=table, ulids=ids.UlidSource(clock), **parts)

    return make


@pytest.fixture
def app(make_app: Callable[..., flask.Flask]) -> flask.Flask:
    return make_app()


@pytest.fixture
def address(app: flask.Flask) -> Iterator[str]:
    """The app on a free loopback port, for clients that send real HTTP."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def alice(app: flask.Flask) -> Client:
    return Client(app, make_token("acme", "alice"))


@pytest.fixture
def bob(app: flask.Flask) -> Client:
    """Of Alice's tenant."""
    return Client(app, make_token("acme", "bob"))


@pytest.fixture
def charlie(app: flask.Flask) -> Client:
    """Of another tenant."""
    return Client(app, make_token("globex", "charlie"))


@pytest.fixture
def nobody(app: flask.Flask) -> Client:
    return Client(app, None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="tests/faults at the sizes of docs/reliability.md"
    )


def pytest_configure(config: pytest.Config) -> None:  # noqa: ARG001
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
