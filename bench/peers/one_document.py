"""One document per conversation: read, extended and written back each turn.

Several published samples do this. Like the best of them, this one has a message count, and an index
on user and last activity.
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import boto3

from bench.peers.peer import Message, table

TABLE, BY_USER = "peer-documents", "user-activity"


class Peer:
    keeps = "count, order by activity, in the document"

    def __init__(self) -> None:
        self.client = boto3.client("dynamodb")

    def create_tables(self) -> None:
        made = table(TABLE, "session_id", indexes={BY_USER: ("user_id", "last_activity")})
        # Projecting the whole document into the index would store it twice.
        made["GlobalSecondaryIndexes"][0]["Projection"] = {
            "ProjectionType": "INCLUDE",
            "NonKeyAttributes": ["title", "message_count"],
        }
        self.client.create_table(**made)

    def start(self, user: str) -> str:
        session = str(uuid4())
        self._put(user, session, [])
        return session

    def append(self, user: str, session: str, messages: list[Message]) -> None:
        self._put(user, session, [*self._messages(session), *messages])

    def _put(self, user: str, session: str, messages: list[Message]) -> None:
        item: dict[str, Any] = {
            "session_id": {"S": session},
            "user_id": {"S": user},
            "title": {"S": "Pothole issues"},
            "last_activity": {"S": datetime.now(UTC).isoformat()},
            "message_count": {"N": str(len(messages))},
            "messages": {"S": json.dumps(messages, separators=(",", ":"))},
        }
        self.client.put_item(TableName=TABLE, Item=item)

    def _item(self, session: str) -> dict[str, Any]:
        answer = self.client.get_item(TableName=TABLE, Key={"session_id": {"S": session}})
        item: dict[str, Any] = answer["Item"]
        return item

    def _messages(self, session: str) -> list[Message]:
        messages: list[Message] = json.loads(self._item(session)["messages"]["S"])
        return messages

    def get(self, user: str, session: str) -> list[str]:  # noqa: ARG002
        return [message["content"] for message in self._messages(session)]

    def list_latest(self, user: str) -> list[str]:
        answer = self.client.query(
            TableName=TABLE,
            IndexName=BY_USER,
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user}},
            ScanIndexForward=False,
            Limit=20,
        )
        return [item["session_id"]["S"] for item in answer["Items"]]

    def delete(self, user: str, session: str) -> None:  # noqa: ARG002
        self.client.delete_item(TableName=TABLE, Key={"session_id": {"S": session}})

    def count(self, user: str, session: str) -> int:  # noqa: ARG002
        return int(self._item(session)["message_count"]["N"])
