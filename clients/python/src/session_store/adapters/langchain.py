"""LangChain's chat message history, which LangChain has deprecated: new code uses LangGraph.

    history = SessionStoreChatMessageHistory("thread-1", client=Client(url, token))

Each message is one of ours with the format `langchain.message`.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)

from session_store import AsyncClient, Client, NotFound, session_id_of
from session_store._batches import batches
from session_store.models import Message, NewMessage, SessionToCreate

FORMAT = "langchain.message"
TEXT_FORMAT = "langchain.json"
"""Of a message with NaN or Infinity, which is kept as Python's JSON text."""

ROLES = {"human": "user", "ai": "assistant"}

TOLD = (AIMessage, ChatMessage, FunctionMessage, HumanMessage, SystemMessage, ToolMessage)
"""Those whose role the service knows."""

PAGE = 1000


class SessionStoreChatMessageHistory(BaseChatMessageHistory):
    """`session_id` is the session's key. `client` is for the methods without `a`, `async_client`
    for those with it; without an `async_client`, they call the others in a thread.

    Up to 50 messages and 3.5 MB are added in one step, more in several.
    """

    def __init__(
        self,
        session_id: str,
        *,
        client: Client,
        async_client: AsyncClient | None = None,
        domain_id: str = "langchain",
    ) -> None:
        self._client, self._async_client = client, async_client
        self._id = session_id_of(session_id)
        self._new: SessionToCreate = {"key": session_id, "domain_id": domain_id}

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # a property is allowed
        try:
            return _read(self._client.messages.list(self._id, limit=PAGE))
        except NotFound:
            return []

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        for batch in batches([_message(each) for each in messages]):
            self._client.messages.append_many(self._id, batch, session=self._new)

    def clear(self) -> None:
        """Removes all messages. The session stays."""
        with suppress(NotFound):
            self._client.messages.delete_all(self._id)

    async def aget_messages(self) -> list[BaseMessage]:
        if self._async_client is None:
            return await super().aget_messages()
        try:
            found = self._async_client.messages.list(self._id, limit=PAGE)
            return _read([each async for each in found])
        except NotFound:
            return []

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        if self._async_client is None:
            return await super().aadd_messages(messages)
        for batch in batches([_message(each) for each in messages]):
            await self._async_client.messages.append_many(self._id, batch, session=self._new)
        return None

    async def aclear(self) -> None:
        if self._async_client is None:
            return await super().aclear()
        with suppress(NotFound):
            await self._async_client.messages.delete_all(self._id)
        return None


def _message(message: BaseMessage) -> NewMessage:
    native: dict[str, Any] = message_to_dict(message)
    role = ROLES.get(message.type, message.type)
    try:
        json.dumps(native, allow_nan=False)
    except ValueError:
        return {"format": TEXT_FORMAT, "native": json.dumps(native), "role": role}
    if isinstance(message, TOLD):
        return {"format": FORMAT, "native": native}
    return {"format": FORMAT, "native": native, "role": role}


def _read(messages: Iterable[Message]) -> list[BaseMessage]:
    """Those of LangChain. Somebody else may have appended others."""
    return messages_from_dict(
        [
            each.native if each.format == FORMAT else json.loads(each.native)
            for each in messages
            if each.format in (FORMAT, TEXT_FORMAT)
        ]
    )
