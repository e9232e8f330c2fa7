"""LangGraph: the conformance tests take a `saver`, which the backends give. In the tests of
langgraph-checkpoint our saver and store take the places of InMemorySaver and InMemoryStore.
"""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import boto3
import pytest
from langgraph.checkpoint.conformance.capabilities import Capability, DetectedCapabilities
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from suites import world
from suites.frameworks import OURS

NOT_APPLICABLE: dict[str, tuple[str, ...]] = {}


@pytest.fixture
def saver(request: pytest.FixtureRequest) -> Any:
    """As the suite's own `validate` does, leaves out what a saver lacks. Ours lacks nothing."""
    saver = _backends()[InMemorySaver]()
    capability = Capability(request.path.stem.removeprefix("test_"))
    if world.BACKEND != OURS and capability in DetectedCapabilities.from_instance(saver).missing:
        pytest.skip(f"has no {capability.value}")
    return saver


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    backends = _backends()
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        for name, value in list(vars(module).items()):
            if isinstance(value, type) and value in backends:
                setattr(module, name, backends[value])


def _backends() -> dict[type, Callable[..., Any]]:
    kinds = {OURS: _ours, "builtin": _built_in, "dynamodb": _dynamodb}
    return kinds[world.BACKEND]()


def _built_in() -> dict[type, type]:
    """Notes that a test has used one."""

    class Saver(InMemorySaver):
        def __init__(self, *args: Any, **options: Any) -> None:
            world.use()
            super().__init__(*args, **options)

    class Store(InMemoryStore):
        def __init__(self, *args: Any, **options: Any) -> None:
            world.use()
            super().__init__(*args, **options)

    return {InMemorySaver: Saver, InMemoryStore: Store}


def _ours() -> dict[type, type]:
    from session_store import AsyncClient, Client
    from session_store.adapters.langgraph import SessionStoreSaver, SessionStoreStore

    def clients() -> dict[str, Any]:
        world.use()
        token = world.token(uuid4().hex)
        return {"client": Client(world.URL, token), "async_client": AsyncClient(world.URL, token)}

    class Saver(SessionStoreSaver):
        def __init__(self, **options: Any) -> None:
            super().__init__(**clients(), **options)

    class Store(SessionStoreStore):
        def __init__(self, **options: Any) -> None:
            super().__init__(**clients(), **options)

    return {InMemorySaver: Saver, InMemoryStore: Store}


def _dynamodb() -> dict[type, type]:
    from langgraph_checkpoint_aws import DynamoDBSaver, DynamoDBStore

    where = {"region_name": "us-east-1", "endpoint_url": world.DYNAMODB_URL}

    class Saver(DynamoDBSaver):
        def __init__(self, **options: Any) -> None:
            world.use()
            super().__init__(table_name=_table(where), **where, **options)

    class Store(DynamoDBStore):
        def __init__(self, **options: Any) -> None:
            world.use()
            super().__init__(table_name=_table(where), **where, **options)

    return {InMemorySaver: Saver, InMemoryStore: Store}


def _table(where: dict[str, str]) -> str:
    name = f"peer-{uuid4().hex}"
    boto3.client("dynamodb", **where).create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": "PK", "KeyType": "HASH"},
            {"AttributeName": "SK", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "PK", "AttributeType": "S"},
            {"AttributeName": "SK", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return name
