"""A proxy that does harm, apps behind it, and the checker that must find none."""

from collections.abc import Callable, Iterator
from typing import Any

import dynamodb_local
import flask
import pytest

from app.config import Config
from app.factory import create_app
from app.operations import check
from app.table import db, ids
from tests.faults.proxy import Proxy
from tests.people import SECRET, Client, make_token

HURRY = 0.25
"""Seconds."""


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether to take the sizes of docs/reliability.md, which need minutes."""
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
    """An app whose every call passes the proxy."""

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
    """Alice, at an app that soon gives up."""
    return Client(make_far_app(request_budget=HURRY), make_token("acme", "alice"))


@pytest.fixture
def assert_sound(table: db.Table, clock: Any) -> Callable[[], None]:
    """That the checker finds nothing wrong in the table."""

    def look() -> None:
        assert [str(finding) for finding in check.check(table, clock)] == []

    return look


@pytest.fixture
def record_figures(request: pytest.FixtureRequest, capsys: Any) -> Callable[..., None]:
    """Shows what was measured, whether or not pytest shows the output of a test that passes."""

    def record(**figures: Any) -> None:
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
        with capsys.disabled():
            print(f"\n{request.node.name}: {told}")

    return record
