"""The common design with two tables.

Sessions has an index on user and last activity. Messages has an index on session and timestamp. The
methods follow the usual descriptions: get is a GetItem and an index query, list reads all of the
user's sessions and takes the latest, and delete removes items one by one. The count uses ADD, so
that no update is lost. Metadata is stored as JSON text, as in the service.
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import boto3

from bench.peers.peer import Message, table

SESSIONS, MESSAGES = "peer-two-sessions", "peer-two-messages"
BY_USER, BY_SESSION = "user-activity", "session-timestamp"


class Peer:
    keeps = "count, order by activity; one write after the other"

    def __init__(self) -> None:
        self.client = boto3.client("dynamodb")

    def create_tables(self) -> None:
        self.client.create_table(
            **table(SESSIONS, "session_id", indexes={BY_USER: ("user_id", "last_activity")})
        )
        self.client.create_table(
            **table(MESSAGES, "message_id", indexes={BY_SESSION: ("session_id", "timestamp")})
        )

    def start(self, user: str) -> str:
        session, now = str(uuid4()), _now()
        item = {
            "session_id": session,
            "user_id": user,
            "domain_id": "civic",
            "title": "Pothole issues",
            "metadata": "{}",
            "created_at": now,
            "updated_at": now,
            "last_activity": now,
        }
        attributes: dict[str, Any] = {name: {"S": value} for name, value in item.items()}
        attributes["message_count"] = {"N": "0"}
        self.client.put_item(TableName=SESSIONS, Item=attributes)
        return session

    def append(self, user: str, session: str, messages: list[Message]) -> None:  # noqa: ARG002
        for message in messages:
            now = _now()
            item = {
                "message_id": str(uuid4()),
                "session_id": session,
                "timestamp": now,
                "role": message["role"],
                "content": message["content"],
                "metadata": json.dumps(message["metadata"], separators=(",", ":")),
            }
            attributes = {name: {"S": value} for name, value in item.items()}
            self.client.put_item(TableName=MESSAGES, Item=attributes)
            self.client.update_item(
                TableName=SESSIONS,
                Key={"session_id": {"S": session}},
                UpdateExpression="SET last_activity = :now, updated_at = :now"
                " ADD message_count :one",
                ExpressionAttributeValues={":now": {"S": now}, ":one": {"N": "1"}},
            )

    def get(self, user: str, session: str) -> list[str]:  # noqa: ARG002
        self.client.get_item(TableName=SESSIONS, Key={"session_id": {"S": session}})
        return [item["content"]["S"] for item in self._messages(session)]

    def _messages(self, session: str) -> list[dict[str, Any]]:
        pages = self.client.get_paginator("query").paginate(
            TableName=MESSAGES,
            IndexName=BY_SESSION,
            KeyConditionExpression="session_id = :session",
            ExpressionAttributeValues={":session": {"S": session}},
        )
        return [item for page in pages for item in page["Items"]]

    def list_latest(self, user: str) -> list[str]:
        pages = self.client.get_paginator("query").paginate(
            TableName=SESSIONS,
            IndexName=BY_USER,
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user}},
            ScanIndexForward=False,
        )
        return [item["session_id"]["S"] for page in pages for item in page["Items"]][:20]

    def delete(self, user: str, session: str) -> None:  # noqa: ARG002
        for item in self._messages(session):
            self.client.delete_item(
                TableName=MESSAGES, Key={"message_id": {"S": item["message_id"]["S"]}}
            )
        self.client.delete_item(TableName=SESSIONS, Key={"session_id": {"S": session}})

    def count(self, user: str, session: str) -> int:  # noqa: ARG002
        answer = self.client.get_item(TableName=SESSIONS, Key={"session_id": {"S": session}})
        return int(answer["Item"]["message_count"]["N"])


def _now() -> str:
    return datetime.now(UTC).isoformat()
