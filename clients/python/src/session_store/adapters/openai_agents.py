"""Sessions of the OpenAI Agents SDK.

    session = SessionStoreSession("thread-1", client=AsyncClient(url, token))
    await Runner.run(agent, "Hello", session=session)

Each item is a message. A Responses API item is kept as it is, with the format `openai.responses`.
"""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

from agents.items import TResponseInputItem
from agents.memory import SessionSettings
from agents.memory.session import SessionABC, _await_mutation, _CompactionSnapshot
from agents.memory.session_settings import coerce_session_settings, resolve_session_limit

from session_store import AsyncClient, ConnectionFailed, NotFound, PreconditionFailed, session_id_of
from session_store._batches import batches
from session_store.models import Message, NewMessage, SessionToCreate

FORMAT = "openai.responses"
OTHER_FORMAT = "openai-agents.item"
"""Of an item that the Responses API does not know, for example one of an EncryptedSession."""
TEXT_FORMAT = "openai-agents.json"
"""Of an item with NaN or Infinity, which is kept as Python's JSON text."""

MAX_PAGE = 1000

MORE = 50
"""Messages that are read beyond `history_limit`, so that one request usually reaches the beginning
of a turn."""

logger = logging.getLogger(__name__)


class SessionStoreSession(SessionABC):
    """A session of the SDK in the session store. `session_id` is its key there.

    `limit` and `session_settings.limit` give exactly the latest items, because the runner compares
    them with what it has written. Before it calls the model, it removes outputs whose calls are not
    among them, but not calls whose reasoning is not. `history_limit` does not part a turn: it gives
    the latest items from a user's message on, so that there may be more. It holds where no other
    limit does.

    Works with OpenAIResponsesCompactionSession, which then replaces a history, or its end, in one
    step.
    """

    def __init__(
        self,
        session_id: str,
        *,
        client: AsyncClient,
        domain_id: str = "openai-agents",
        session_settings: SessionSettings | dict[str, Any] | None = None,
        history_limit: int | None = None,
    ) -> None:
        self.session_id = session_id
        self.session_settings = coerce_session_settings(session_settings or SessionSettings())
        self.history_limit = history_limit
        self._client = client
        self._id = session_id_of(session_id)
        self._new: SessionToCreate = {"key": session_id, "domain_id": domain_id}

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        limit = resolve_session_limit(limit, self.session_settings)
        whole_turns = limit is None and self.history_limit is not None
        if whole_turns:
            limit = self.history_limit
        if limit == 0:
            return []
        if limit is None or limit < 0:  # the SDK's own sessions take it for none
            limit = sys.maxsize
        page = min(limit + MORE if whole_turns else limit, MAX_PAGE)
        items: list[TResponseInputItem] = []
        messages = self._client.messages.list(self._id, order="desc", limit=page)
        async with aclosing(messages):  # type: ignore[type-var]
            try:
                async for message in messages:
                    items.append(_item(message))
                    if len(items) >= limit and (not whole_turns or _is_from_user(items[-1])):
                        break
            except NotFound:
                return []
        return items[::-1]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """One step for up to 50 items and 3.5 MB. More are added in several."""
        messages = [_message(item) for item in items]
        await _await_mutation(self._append(messages))

    async def pop_item(self) -> TResponseInputItem | None:
        """
        Raises:
            ConnectionFailed: the item was removed, but the answer with it was lost.
        """
        popped: TResponseInputItem | None = await _await_mutation(self._pop())
        return popped

    async def clear_session(self) -> None:
        """Removes all items. The session stays, with its title, metadata and values."""
        await _await_mutation(self._replace([]))

    async def _append(self, messages: Sequence[NewMessage]) -> None:
        for batch in batches(messages):
            await self._client.messages.append_many(self._id, batch, session=self._new)

    async def _pop(self) -> Any:
        try:
            popped = await self._client.messages.pop(self._id)
        except NotFound:
            return None
        if popped.messages is None:
            raise ConnectionFailed("The last item was removed, but the answer with it was lost.")
        return _item(popped.messages[0]) if popped.messages else None

    async def _replace(
        self,
        messages: Sequence[NewMessage],
        from_: str | None = None,
        if_match: str | None = None,
    ) -> None:
        """Replaces all messages, or those from one on."""
        try:
            if messages:
                await self._client.messages.replace(
                    self._id, messages, from_=from_, if_match=if_match
                )
            elif from_ is None:
                await self._client.messages.delete_all(self._id, if_match=if_match)
            else:
                await self._client.messages.delete_from(self._id, from_, if_match=if_match)
        except NotFound:
            if from_ is not None:
                raise
            await self._append(messages)

    # OpenAIResponsesCompactionSession looks for the next two. Without them it clears the session
    # and adds the new items, in two steps.

    async def _atomic_replace_items(self, items: list[TResponseInputItem]) -> bool:
        return self._is_plain() and await self._replaced([_message(item) for item in items])

    async def _replaced(self, messages: Sequence[NewMessage], **where: Any) -> bool:
        """False if the session has changed, or if one step cannot hold so much."""
        if len(list(batches(messages))) > 1:
            logger.warning("A compacted history that is too large for one step is not stored.")
            return False
        try:
            await self._replace(messages, **where)
        except (PreconditionFailed, NotFound):
            return False
        return True

    def _is_plain(self) -> bool:
        """Whether no subclass changes what is stored: these two do not call its methods."""
        return all(
            getattr(type(self), name) is getattr(SessionStoreSession, name)
            for name in ("get_items", "add_items", "clear_session")
        )

    async def _get_compaction_snapshot(
        self,
        limit: int,
        *,
        prune_prefix: Callable[[TResponseInputItem], bool] | None = None,
    ) -> _CompactionSnapshot | None:
        if not self._is_plain():
            return None
        try:
            session = await self._client.sessions.get(self._id, messages=min(limit, MAX_PAGE))
        except NotFound:
            return None
        found = session.messages

        async def replace_suffix(start: int, output: list[TResponseInputItem]) -> bool:
            if start >= len(found):
                return False
            messages = [_message(item) for item in output]
            first = found[start].message_id
            if not await self._replaced(messages, from_=first, if_match=session.etag):
                return False
            if prune_prefix is not None:
                await self._prune(prune_prefix, before=first)
            return True

        complete = session.earlier_cursor is None
        return _CompactionSnapshot([_item(each) for each in found], complete, replace_suffix)

    async def _prune(self, is_expired: Callable[[TResponseInputItem], bool], before: str) -> None:
        """Deletes the first messages, as long as they have expired."""
        messages = self._client.messages.list(self._id, limit=MAX_PAGE)
        async with aclosing(messages):  # type: ignore[type-var]
            async for message in messages:
                if message.message_id >= before or not is_expired(_item(message)):
                    return
                with suppress(NotFound):  # another one, or a try whose answer got lost, was first
                    await self._client.messages.delete(self._id, message.message_id)


def _message(item: TResponseInputItem) -> NewMessage:
    """
    Raises:
        TypeError: the item is not JSON.
    """
    fields: Any = item
    role, kind = fields.get("role"), str(fields.get("type", ""))
    if not isinstance(role, str) or not role:
        role = "tool" if kind.endswith("_output") else "assistant"
    message: NewMessage = {"role": role, "format": FORMAT, "native": fields}
    if not kind and "role" not in fields:
        message["format"] = OTHER_FORMAT
    try:
        json.dumps(item, allow_nan=False)
    except ValueError:
        message["format"], message["native"] = TEXT_FORMAT, json.dumps(item)
    return message


def _item(message: Message) -> Any:
    """An item, also of a message that another program has written."""
    if message.format == TEXT_FORMAT:
        return json.loads(message.native)
    if message.format in (FORMAT, OTHER_FORMAT) and isinstance(message.native, dict):
        return message.native
    said = message.content
    role = message.role if message.role in ("user", "system", "developer") else "assistant"
    return {"role": role, "content": said if isinstance(said, str) else json.dumps(said)}


def _is_from_user(item: Any) -> bool:
    return bool(item.get("role") == "user")
