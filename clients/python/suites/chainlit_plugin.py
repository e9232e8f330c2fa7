"""Chainlit: our data layer takes the place of SQLAlchemyDataLayer, and so does the DynamoDB one.

Where the suite reads a thread's row with SQL, it is given what `get_thread` gives. Chainlit's tests
of ChainlitDataLayer are left out: they compare its SQL, and have no database.
"""

import json
from typing import Any
from uuid import uuid4

import boto3
import pytest
from chainlit.data.sql_alchemy import SQLAlchemyDataLayer

from suites import world
from suites.frameworks import OURS

NOT_APPLICABLE: dict[str, tuple[str, ...]] = {
    "a method of SQLAlchemyDataLayer, which data layers need not have": (
        "tests/data/test_sql_alchemy.py::test_get_current_timestamp",
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    kinds = {OURS: _ours, "builtin": _watched, "dynamodb": _dynamodb}
    stand_in = kinds[world.BACKEND]()
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        for name, value in list(vars(module).items()):
            if value is SQLAlchemyDataLayer:
                setattr(module, name, stand_in)


class Rows:
    """Answers the suite's two queries, for the metadata and the name of a thread."""

    async def execute_sql(self, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        thread: Any = await self.get_thread(parameters["id"])  # type: ignore[attr-defined]
        if thread is None:
            return []
        return [{"metadata": json.dumps(thread.get("metadata")), "name": thread.get("name")}]


def _watched() -> type:
    class Watched(SQLAlchemyDataLayer):
        def __init__(self, *args: Any, **options: Any) -> None:
            world.use()
            super().__init__(*args, **options)

    return Watched


def _ours() -> type:
    from session_store import AsyncClient
    from session_store.adapters.chainlit import SessionStoreDataLayer

    class Stored(Rows, SessionStoreDataLayer):
        def __init__(self, conninfo: str, *, storage_provider: Any = None) -> None:
            """Needs no storage provider: the store keeps the elements' bytes."""
            world.use()
            super().__init__(AsyncClient(world.URL, world.token()))

    return Stored


def _dynamodb() -> type:
    from chainlit.data.dynamodb import DynamoDBDataLayer

    class Peer(Rows, DynamoDBDataLayer):
        def __init__(self, conninfo: str, *, storage_provider: Any = None) -> None:
            world.use()
            client = boto3.client("dynamodb", endpoint_url=world.DYNAMODB_URL)
            super().__init__(_table(client), client=client, storage_provider=storage_provider)

    return Peer


def _table(client: Any) -> str:
    """As Chainlit's documentation says."""
    name = f"peer-{uuid4().hex}"
    keys = ("PK", "SK", "UserThreadPK", "UserThreadSK")
    client.create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": "PK", "KeyType": "HASH"},
            {"AttributeName": "SK", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "UserThread",
                "KeySchema": [
                    {"AttributeName": "UserThreadPK", "KeyType": "HASH"},
                    {"AttributeName": "UserThreadSK", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["id", "name"]},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return name
