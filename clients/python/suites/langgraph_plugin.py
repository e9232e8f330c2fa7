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

NOT_APPLICABLE: dict[str, tuple[str, ...]] = {
    "fills the dicts of the in-memory saver (our own tests do the same by put and put_writes)": (
        "tests/test_memory.py::TestInMemorySaverDeltaChannel::test_load_blobs_omits_delta_channel",
        "tests/test_memory.py::TestInMemorySaverDeltaChannel::test_get_channel_writes_collects_ancestor_writes_only",
        "tests/test_memory.py::TestInMemorySaverDeltaChannel::test_get_channel_writes_at_root_returns_empty",
        "tests/test_memory.py::TestBaseFallbackGetChannelWrites::test_fallback_returns_ancestor_writes_oldest_first",
        "tests/test_memory.py::TestBaseFallbackGetChannelWrites::test_async_fallback_returns_ancestor_writes_oldest_first",
        "tests/test_memory.py::TestBaseFallbackGetChannelWrites::test_async_fallback_concurrent_tasks_do_not_interfere",
        "tests/test_memory.py::TestPreDeltaBlobTerminator::test_seed_from_pre_delta_ancestor_blob",
        "tests/test_memory.py::TestPreDeltaBlobTerminator::test_seed_bounds_walk_without_dropping_its_own_writes",
    ),
    "the in-memory saver is a context manager": ("tests/test_memory.py::test_memory_saver",),
    "the store has no vector index": (
        "tests/test_store.py::test_vector_search_scores_every_item",
        "tests/test_store.py::test_vector_store_initialization",
        "tests/test_store.py::test_vector_insert_with_auto_embedding",
        "tests/test_store.py::test_async_vector_insert_with_auto_embedding",
        "tests/test_store.py::test_vector_update_with_embedding",
        "tests/test_store.py::test_async_vector_update_with_embedding",
        "tests/test_store.py::test_vector_search_with_filters",
        "tests/test_store.py::test_async_vector_search_with_filters",
        "tests/test_store.py::test_async_batched_vector_search_concurrent",
        "tests/test_store.py::test_vector_search_pagination",
        "tests/test_store.py::test_async_vector_search_pagination",
        "tests/test_store.py::test_embed_with_path",
        "tests/test_store.py::test_non_ascii",
    ),
}


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
