"""The same agent with AWS's saver for LangGraph, which calls DynamoDB itself."""

import os
from typing import Any

import boto3
from langgraph_checkpoint_aws import DynamoDBSaver

from bench.peers.peer import table
from bench.turns.langgraph import State, graph, turn

__all__ = ["client", "setup", "turn"]


async def setup(base_url: str, token: str) -> Any:
    return prepared("turns-langgraph", State)


def prepared(name: str, schema: Any) -> Any:
    url = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    boto3.client("dynamodb", endpoint_url=url).create_table(**table(name, "PK", "SK"))
    return graph(DynamoDBSaver(name, endpoint_url=url), schema)


def client(state: Any) -> Any:
    return state.checkpointer.client
