"""A proxy that injects faults, apps that use it, and the checker that must find nothing wrong."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import dynamodb_local
import flask
import pytest

from app.config import Config
from app.factory import create_app
from app.operations import check, provision
from app.table import db, ids
from tests.faults.proxy import Proxy
from tests.people import SECRET, Client, make_token

BIG = "x" * 900_000
"""A message or value of this size has three parts."""

HURRY = 0.25
"""The request budget of an app that gives up soon, in seconds."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out kills before DynamoDB acts, except with --full. They leave the same items as a
    kill after the call before."""
    if config.getoption("--full"):
        return
    before = [item for item in items if _parameters(item).get("acts") is False]
    items[:] = [item for item in items if item not in before]
    config.hook.pytest_deselected(items=before)


def _parameters(item: pytest.Item) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether to run at the sizes of docs/reliability.md, which takes minutes."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def proxy(engine: dynamodb_local.Engine) -> Iterator[Proxy]:
    with Proxy(engine.url) as proxy:
        yield proxy


@pytest.fixture
def far_table(table: db.Table, proxy: Proxy, clock: Any) -> db.Table:
    """This test's table, reached through the proxy."""
    return db.Table(table.name, db.connect(endpoint_url=proxy.url), database_time=clock)


@pytest.fixture
def make_far_app(far_table: db.Table, clock: Any) -> Callable[..., flask.Flask]:
    """Makes an app that sends every call through the proxy."""

    def make(**settings: Any) -> flask.Flask:
        config = Config(sessions_table=far_table.name, jwt_secret=SECRET, **settings)
        return create_app(config, table=far_table, ulids=ids.UlidSource(clock))

    return make


@pytest.fixture
def far_alice(make_far_app: Callable[..., flask.Flask]) -> Client:
    """Alice, with the proxy between her app and the table."""
    return Client(make_far_app(), make_token("acme", "alice"))


@pytest.fixture
def hurried_alice(make_far_app: Callable[..., flask.Flask]) -> Client:
    """Alice, with an app that gives up soon."""
    return Client(make_far_app(request_budget=HURRY), make_token("acme", "alice"))


@pytest.fixture
def make_table(client: Any, clock: Any) -> Iterator[Callable[[], db.Table]]:
    made: list[db.Table] = []

    def make() -> db.Table:
        made.append(db.Table(f"test-{ids.UlidSource().new()[0]}", client, database_time=clock))
        list(provision.create(made[-1]))
        return made[-1]

    yield make
    for table in made:
        client.update_table(TableName=table.name, DeletionProtectionEnabled=False)
        client.delete_table(TableName=table.name)


@pytest.fixture
def assert_sound(table: db.Table, clock: Any) -> Callable[[], None]:
    """Asserts that the checker finds nothing wrong in the table."""

    def look() -> None:
        assert [str(finding) for finding in check.check(table, clock)] == []

    return look


@pytest.fixture
def findings(table: db.Table, clock: Any) -> Callable[[], list[str]]:
    """The findings without the keys, which differ each time."""
    return lambda: [finding.problem for finding in check.check(table, clock)]


@pytest.fixture
def session(alice: Client) -> dict[str, Any]:
    """A session with every kind of item, in an otherwise empty table."""
    headers = {"Idempotency-Key": "create"}
    body = {"domain_id": "d", "expires_in_days": 3}
    session = alice.post("/sessions", body, headers=headers).json
    path = f"/sessions/{session['session_id']}/messages"
    for content in ("small", BIG):
        message = {"role": "user", "content": content}
        assert (
            alice.post(path, message, headers={"Idempotency-Key": content[:9]}).status_code == 201
        )
    alice.fill(session["session_id"], 3)
    return session


@pytest.fixture
def change(raw: Any, table: db.Table, items: Callable[[], list[Any]]) -> Callable[..., None]:
    """Changes attributes of the one item whose key matches, directly in the table."""

    def find(pattern: str) -> Any:
        found = [i for i in items() if re.search(pattern, i["PK"]["S"] + " " + i["SK"]["S"])]
        assert len(found) >= 1, pattern
        return found[0]

    def change(pattern: str, **attributes: Any) -> None:
        item = find(pattern)
        raw.delete_item(TableName=table.name, Key={"PK": item["PK"], "SK": item["SK"]})
        if attributes:
            changed = {k: v for k, v in {**item, **attributes}.items() if v is not None}
            raw.put_item(TableName=table.name, Item=changed)

    return change


@pytest.fixture
def record_figures(request: pytest.FixtureRequest, capsys: Any) -> Callable[..., None]:
    """Prints what was measured, even if pytest captures the output of passing tests."""

    def record(**figures: Any) -> None:
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
        with capsys.disabled():
            print(f"\n{request.node.name}: {told}")

    return record
