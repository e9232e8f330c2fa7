"""Chainlit: our data layer, or Chainlit's DynamoDB layer, takes the place of SQLAlchemyDataLayer in
the modules of the tests.

The tests read a thread's metadata and name with SQL. The stand-ins answer that from the thread.
Chainlit's tests of ChainlitDataLayer are left out: they compare its SQL, and have no database.
"""

import json
import re
from typing import Any
from uuid import uuid4

import boto3
import pytest
from chainlit.data.dynamodb import DynamoDBDataLayer
from chainlit.data.sql_alchemy import SQLAlchemyDataLayer

from suites import world
from suites.frameworks import OURS

_SQL = re.compile(r'SELECT "(metadata|name)" FROM threads WHERE "id" = :id')

NOT_APPLICABLE = {
    "a method of SQLAlchemyDataLayer that data layers need not have": (
        "tests/data/test_sql_alchemy.py::test_get_current_timestamp",
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if world.BACKEND == "builtin":
        _watch(SQLAlchemyDataLayer)
        return
    stand_in = _ours() if world.BACKEND == OURS else _dynamodb()
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        if getattr(module, "SQLAlchemyDataLayer", None) is SQLAlchemyDataLayer:
            module.SQLAlchemyDataLayer = stand_in


def _watch(layer: type) -> None:
    """Makes the layer note that a test has used one."""
    initialise = layer.__init__

    def __init__(self: Any, *args: Any, **options: Any) -> None:
        world.use()
        initialise(self, *args, **options)

    layer.__init__ = __init__


class _Read:
    """What the tests ask for with SQL."""

    async def execute_sql(self, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        [column] = _SQL.fullmatch(query).groups()
        thread = await self.get_thread(parameters["id"])
        if thread is None:
            return []
        found = thread.get(column)
        return [{column: json.dumps(found) if column == "metadata" else found}]


def _ours() -> type:
    from session_store import AsyncClient
    from session_store.adapters.chainlit import SessionStoreDataLayer

    class Stored(_Read, SessionStoreDataLayer):
        def __init__(self, _: str, storage_provider: Any = None) -> None:
            world.use()
            super().__init__(AsyncClient(world.URL, world.token("chainlit-app")))

    return Stored


def _dynamodb() -> type:
    class InDynamoDB(_Read, DynamoDBDataLayer):
        def __init__(self, _: str, storage_provider: Any = None) -> None:
            world.use()
            client = boto3.client("dynamodb", endpoint_url=world.DYNAMODB_URL)
            name = f"chainlit-{uuid4().hex}"
            _create_table(client, name)
            super().__init__(name, client, storage_provider)

    return InDynamoDB


def _create_table(client: Any, name: str) -> None:
    """As in Chainlit's documentation."""
    keys = ("PK", "SK"), ("UserThreadPK", "UserThreadSK")
    schemas = [
        [{"AttributeName": hash_key, "KeyType": "HASH"}, {"AttributeName": key, "KeyType": "RANGE"}]
        for hash_key, key in keys
    ]
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": key, "AttributeType": "S"} for pair in keys for key in pair
        ],
        KeySchema=schemas[0],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "UserThread",
                "KeySchema": schemas[1],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["id", "name"]},
            }
        ],
    )
