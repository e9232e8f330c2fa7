"""langchain-community's DynamoDBChatMessageHistory: one item per session, holding a list."""

from typing import Any
from uuid import uuid4

import boto3
from langchain_community.chat_message_histories import DynamoDBChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from bench.peers.peer import Message, table

TABLE = "peer-langchain"


class Peer:
    keeps = "nothing else"

    def __init__(self) -> None:
        self._session = boto3.Session()
        self._resource = self._session.resource("dynamodb")
        # The library makes a resource for each history, which takes 30 ms of CPU. An application
        # would reuse one if that mattered, so we reuse one too.
        self._session.resource = lambda *_, **__: self._resource
        self.client = self._resource.meta.client

    def create_tables(self) -> None:
        self.client.create_table(**table(TABLE, "SessionId"))

    def start(self, user: str) -> str:
        return f"{user}/{uuid4()}"  # the first append creates it

    def append(self, user: str, session: str, messages: list[Message]) -> None:  # noqa: ARG002
        self._history(session).add_messages([_message(message) for message in messages])

    def get(self, user: str, session: str) -> list[str]:  # noqa: ARG002
        return [str(message.content) for message in self._history(session).messages]

    def list_latest(self, user: str) -> None:  # noqa: ARG002
        return None

    def delete(self, user: str, session: str) -> None:  # noqa: ARG002
        self._history(session).clear()

    def count(self, user: str, session: str) -> None:  # noqa: ARG002
        return None

    def _history(self, session: str) -> DynamoDBChatMessageHistory:
        return DynamoDBChatMessageHistory(
            TABLE, session, boto3_session=self._session, coerce_float_to_decimal=True
        )


def _message(message: Message) -> BaseMessage:
    kind: Any = HumanMessage if message["role"] == "user" else AIMessage
    made: BaseMessage = kind(content=message["content"], additional_kwargs=message["metadata"])
    return made
