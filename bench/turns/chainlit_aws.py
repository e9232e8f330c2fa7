"""The same turn with Chainlit's layer over DynamoDB, which calls DynamoDB itself."""

import os
from typing import Any

import boto3
from chainlit.data.dynamodb import DynamoDBDataLayer

from bench.turns.chainlit import opened, turn

__all__ = ["client", "setup", "turn"]

NAME = "turns-chainlit"


async def setup(base_url: str, token: str) -> Any:
    dynamodb = boto3.client("dynamodb", endpoint_url=os.environ["AWS_ENDPOINT_URL_DYNAMODB"])
    keys = {"PK": "HASH", "SK": "RANGE"}
    index = {"UserThreadPK": "HASH", "UserThreadSK": "RANGE"}
    dynamodb.create_table(
        TableName=NAME,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in (*keys, *index)
        ],
        KeySchema=_schema(keys),
        GlobalSecondaryIndexes=[
            {
                "IndexName": "UserThread",
                "KeySchema": _schema(index),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["id", "name"]},
            }
        ],
    )
    return await opened(DynamoDBDataLayer(NAME, dynamodb))


def _schema(keys: dict[str, str]) -> Any:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()]


def client(state: Any) -> Any:
    return state[0].client
