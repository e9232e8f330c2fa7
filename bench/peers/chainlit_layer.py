"""Chainlit's DynamoDBDataLayer: an item for the thread and one per step, under one partition key.

It is called as Chainlit's server calls it: one step per message. The thread is written when the
first step arrives.
"""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import boto3
from chainlit.data.dynamodb import DynamoDBDataLayer
from chainlit.types import Pagination, ThreadFilter

from bench.peers.peer import Message, table

TABLE = "peer-chainlit"


class Peer:
    keeps = "nothing else; threads stay in order of creation"

    def __init__(self) -> None:
        self.client = boto3.client("dynamodb")
        self._layer = DynamoDBDataLayer(TABLE, self.client, user_thread_limit=20)

    def create_tables(self) -> None:
        self.client.create_table(
            **table(TABLE, "PK", "SK", indexes={"UserThread": ("UserThreadPK", "UserThreadSK")})
        )

    def start(self, user: str) -> str:
        thread = str(uuid4())
        asyncio.run(self._layer.update_thread(thread, name="Pothole issues", user_id=user))
        return thread

    def append(self, user: str, session: str, messages: list[Message]) -> None:  # noqa: ARG002
        async def create() -> None:
            for message in messages:
                # Bypasses the decorator, which needs a websocket session. There is none here.
                await DynamoDBDataLayer.create_step.__wrapped__(
                    self._layer, _step(session, message)
                )

        asyncio.run(create())

    def get(self, user: str, session: str) -> list[str]:  # noqa: ARG002
        thread: Any = asyncio.run(self._layer.get_thread(session))
        return [step["output"] for step in thread["steps"]]

    def list_latest(self, user: str) -> list[str]:
        wanted = Pagination(first=20), ThreadFilter(userId=user)
        listed = asyncio.run(self._layer.list_threads(*wanted))
        return [thread["id"] for thread in listed.data]

    def delete(self, user: str, session: str) -> None:  # noqa: ARG002
        asyncio.run(self._layer.delete_thread(session))

    def count(self, user: str, session: str) -> None:  # noqa: ARG002
        return None


def _step(thread: str, message: Message) -> Any:
    now = datetime.now(UTC).isoformat()
    return {
        "id": str(uuid4()),
        "threadId": thread,
        "type": f"{message['role']}_message",
        "name": message["role"],
        "output": message["content"],
        "metadata": json.loads(json.dumps(message["metadata"])),
        "createdAt": now,
        "start": now,
        "end": now,
    }
