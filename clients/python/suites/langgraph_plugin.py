"""LangGraph: our saver and store take the place of the in-memory ones in the modules of the tests,
and of the saver that the conformance suite is given."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    savers, stores = _backends()
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        for name, value in list(vars(module).items()):
            if value is InMemorySaver:
                setattr(module, name, savers)
            elif value is InMemoryStore:
                setattr(module, name, stores)


@pytest.fixture
def saver() -> BaseCheckpointSaver[Any]:
    """Of the conformance suite."""
    savers, _ = _backends()
    made: BaseCheckpointSaver[Any] = savers()
    return made


def _backends() -> tuple[Any, Any]:
    made: dict[str, Callable[[], tuple[Any, Any]]] = {
        OURS: _ours,
        "builtin": lambda: (_watched(InMemorySaver), _watched(InMemoryStore)),
        "dynamodb": _dynamodb,
    }
    return made[world.BACKEND]()


def _watched(backend: type) -> type:
    class Watched(backend):
        def __init__(self, *args: Any, **options: Any) -> None:
            world.use()
            super().__init__(*args, **options)

    return Watched


def _ours() -> tuple[type, type]:
    from session_store import AsyncClient, Client
    from session_store.adapters.langgraph import SessionStoreSaver, SessionStoreStore

    class Saver(SessionStoreSaver):
        def __init__(self, **options: Any) -> None:
            world.use()
            token = world.token(uuid4().hex)
            super().__init__(
                Client(world.URL, token), AsyncClient(world.URL, token), **options
            )

    class Store(SessionStoreStore):
        def __init__(self) -> None:
            world.use()
            token = world.token(uuid4().hex)
            super().__init__(Client(world.URL, token), AsyncClient(world.URL, token))

    return Saver, Store


def _dynamodb() -> tuple[type, type]:
    import boto3
    from langgraph_checkpoint_aws import DynamoDBSaver, DynamoDBStore

    def table() -> str:
        name = f"langgraph-{uuid4().hex}"
        keys = ("PK", "SK")
        boto3.client("dynamodb", endpoint_url=world.DYNAMODB_URL).create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": kind}
                for key, kind in zip(keys, ("HASH", "RANGE"), strict=True)
            ],
        )
        return name

    class Saver(DynamoDBSaver):
        def __init__(self, **options: Any) -> None:
            world.use()
            super().__init__(table(), endpoint_url=world.DYNAMODB_URL, **options)

    class Store(DynamoDBStore):
        def __init__(self, **options: Any) -> None:
            world.use()
            super().__init__(table(), endpoint_url=world.DYNAMODB_URL, **options)

    return Saver, Store
