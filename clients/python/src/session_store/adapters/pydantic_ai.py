"""Pydantic AI's conversations in the session store.

    store = SessionStoreConversationStore(AsyncClient(url, token))

An entry is a message with the format `pydantic-ai.entry`, in the session whose key is the id of the
conversation that added it. The user's values have each conversation's record,
`pydantic-ai/record:ID`, and for each entry the conversation it is in, `pydantic-ai/entry:ID`.
"""

import json
import sys
from collections.abc import Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
)
from pydantic_ai.messages import ModelMessagesTypeAdapter
from pydantic_core import to_jsonable_python

from session_store import AsyncClient, NotFound, PreconditionFailed, session_id_of
from session_store._batches import batches
from session_store.adapters._names import escape
from session_store.models import Message, NewMessage, SessionToCreate, Value

FORMAT = "pydantic-ai.entry"
TEXT_FORMAT = "pydantic-ai.json"
"""Of an entry with NaN or Infinity, which is kept as Python's JSON text."""

RECORD, ENTRY = "pydantic-ai/record:", "pydantic-ai/entry:"

ROLES = {"request": "user", "response": "assistant"}

PAGE, MAX_DELETES = 1000, 100

MAX_BATCH = 40
"""Entries of a step, each of which is two of the 100 items of a transaction."""

RECORDS = TypeAdapter(ConversationRecord)


class SessionStoreConversationStore(ConversationStore):
    """The conversations of the token's user.

    A save is one step of up to 40 messages and 3.5 MB. More are stored in several, of which the
    last one makes them visible. Deleting removes the messages that no other conversation has in its
    history. A fork that is made of a conversation while that is deleted may lose it.
    """

    def __init__(self, client: AsyncClient, *, domain_id: str = "pydantic-ai") -> None:
        self._client, self._domain_id = client, domain_id

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        found = await self._client.values.find(_record_name(conversation_id))
        return _record(found) if found else None

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> Sequence[ConversationRecord]:
        """Reads all of the user's records, 1,000 in a request."""
        records = [_record(each) async for each in self._client.values.list(RECORD, limit=PAGE)]
        chosen = [each for each in records if scope is None or each.scope == scope]
        chosen.sort(key=_updated_at, reverse=True)
        return chosen[:limit]

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Two requests; three for a fork, or to branch."""
        name = _record_name(record.conversation_id)
        found = await self._client.values.find(name)
        if (_record(found).revision if found else None) != expected_revision:
            raise ConversationConflict(record.conversation_id)
        put: Any = {"put": name, "json": await self._dumped(record, found)}
        put |= {"if_match": found.etag} if found else {"if_none_match": "*"}
        if not new_entries:
            if record.head_id and not await self._client.values.find(ENTRY + record.head_id):
                raise ConversationConflict(record.conversation_id)
            await self._write(record, [], [put])
            return
        all_batches = list(batches((_message(entry) for entry in new_entries), most=MAX_BATCH))
        ids = iter(new_entries)
        for batch in all_batches:
            where = [{"put": ENTRY + next(ids).id, "json": record.conversation_id} for _ in batch]
            is_last = batch is all_batches[-1]
            await self._write(record, batch, [*where, put] if is_last else where)

    async def _write(
        self, record: ConversationRecord, messages: list[NewMessage], values: list[Any]
    ) -> None:
        """All or nothing.

        Raises:
            ConversationConflict: somebody else has written the record.
        """
        key = record.conversation_id
        session: SessionToCreate = {"key": key, "domain_id": self._domain_id}
        try:
            if messages:
                await self._client.messages.append_many(
                    session_id_of(key), messages, session=session, values={"user": values}
                )
            else:
                await self._client.values.batch(values, atomic=True)
        except PreconditionFailed:
            raise ConversationConflict(key) from None

    async def _dumped(self, record: ConversationRecord, found: Value | None) -> dict[str, Any]:
        """The record, and from which conversations its history comes."""
        sources: list[str] = found.content["sources"] if found else []
        if not found and record.forked_from is not None:
            forked = await self._client.values.find(_record_name(record.forked_from))
            sources = [record.forked_from, *(forked.content["sources"] if forked else [])]
        return {"record": RECORDS.dump_python(record, mode="json"), "sources": sources}

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        name = _record_name(conversation_id)
        found = await self._client.values.find(name)
        if found is None or _record(found).revision != expected_revision:
            raise ConversationConflict(conversation_id)
        try:
            await self._client.values.delete(name, if_match=found.etag)
        except (NotFound, PreconditionFailed):
            raise ConversationConflict(conversation_id) from None
        needed: set[str] = set()
        async for other in self._client.values.list(RECORD, limit=PAGE):
            needed |= {_record(other).conversation_id, *other.content["sources"]}
        for gone in {conversation_id, *found.content["sources"]} - needed:
            await self._delete_entries(gone)

    async def _delete_entries(self, conversation_id: str) -> None:
        session_id = session_id_of(conversation_id)
        with suppress(NotFound):
            entries = [
                _entry(each) async for each in self._client.messages.list(session_id, limit=PAGE)
            ]
            names = [ENTRY + entry.id for entry in entries if entry]
            for start in range(0, len(names), MAX_DELETES):
                some = names[start : start + MAX_DELETES]
                await self._client.values.batch([{"delete": each} for each in some])
            await self._client.sessions.delete(session_id)

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """
        Raises:
            KeyError: there is none.
        """
        [entry] = await self.read_history(entry_id, limit=1)
        return entry

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        """Two requests for each conversation from which it comes, more for over 1,000 messages.

        Raises:
            KeyError: an entry is missing.
        """
        entries: list[ConversationEntry] = []
        left = sys.maxsize if limit is None else limit
        while head_id is not None and left:
            missing = head_id
            where = await self._client.values.find(ENTRY + head_id)
            if where is None:
                raise KeyError(head_id)
            # From the end: whatever an entry points to was added before it.
            messages = self._client.messages.list(
                session_id_of(where.content), order="desc", limit=min(left, PAGE)
            )
            async with aclosing(messages):  # type: ignore[type-var]
                with suppress(NotFound):
                    async for message in messages:
                        entry = _entry(message)
                        if entry and entry.id == head_id:
                            entries.append(entry)
                            head_id, left = entry.parent_id, left - 1
                        if head_id is None or not left:
                            break
            if head_id == missing:
                raise KeyError(missing)
        return entries[::-1]


def _record_name(conversation_id: str) -> str:
    return RECORD + escape(conversation_id)


def _record(value: Value) -> ConversationRecord:
    return RECORDS.validate_python(value.content["record"])


def _updated_at(record: ConversationRecord) -> datetime:
    return record.updated_at


def _message(entry: ConversationEntry) -> NewMessage:
    """Pydantic AI's own JSON, but with NaN, which it makes null."""
    [plain] = ModelMessagesTypeAdapter.dump_python([entry.message])
    message = to_jsonable_python(plain, bytes_mode="base64", inf_nan_mode="constants")
    native = {"id": entry.id, "parent_id": entry.parent_id, "message": message}
    role = ROLES[entry.message.kind]
    try:
        json.dumps(native, allow_nan=False)
    except ValueError:
        return {"format": TEXT_FORMAT, "native": json.dumps(native), "role": role}
    return {"format": FORMAT, "native": native, "role": role}


def _entry(message: Message) -> ConversationEntry | None:
    """None if it is a message that somebody else has appended."""
    if message.format not in (FORMAT, TEXT_FORMAT):
        return None
    native = message.native if message.format == FORMAT else json.loads(message.native)
    [said] = ModelMessagesTypeAdapter.validate_python([native["message"]])
    return ConversationEntry(id=native["id"], parent_id=native["parent_id"], message=said)
