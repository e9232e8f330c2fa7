"""Threads of Chainlit: whose they are, what is known of them, and everything in them.

This module is over 250 lines because what creates a thread also moves and deletes it.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from chainlit.step import StepDict
from chainlit.types import ThreadDict

from session_store import AsyncClient, NotFound, session_id_of
from session_store.adapters._chainlit_records import (
    ANONYMOUS,
    ELEMENTS,
    Owner,
    batches,
    digest,
    favorites_of,
    head_json,
    head_name,
    head_patch,
    is_favorite,
    message_of,
    metadata_of,
    now,
    owner_json,
    owner_of,
    step_name,
    steps_in,
    strict,
    thread_name,
    title_of,
)
from session_store.errors import error_of
from session_store.models import OpenedSession, Result, Session, SessionToCreate, Write


class Threads:
    def __init__(self, client: AsyncClient, domain_id: str) -> None:
        self.client = client
        self._domain = domain_id

    def of(self, owner: Owner) -> AsyncClient:
        """Acts for that user."""
        return self.client.acting_for(owner.user or ANONYMOUS)

    async def tenant(self, *names: str | None) -> list[Any]:
        """What these values of the tenant contain; None where there is none. One request."""
        asked = [name for name in names if name]
        results = await self.client.tenant_values.batch([{"get": name} for name in asked])
        found = dict(zip(asked, map(content_of, results), strict=True))
        return [found[name] if name else None for name in names]

    async def forget(self, names: Iterable[str]) -> None:
        """Deletes values of the tenant, 100 at a time."""
        all_names = list(names)
        for at in range(0, len(all_names), 100):
            batch = all_names[at : at + 100]
            await self.client.tenant_values.batch([{"delete": name} for name in batch])

    async def owner(self, thread_id: str) -> Owner | None:
        [stored] = await self.tenant(thread_name(thread_id))
        return owner_of(stored) if stored else None

    async def create(self, thread_id: str, owner: Owner, head: dict[str, Any]) -> None:
        """
        Raises:
            PreconditionFailed: somebody else has created it.
        """
        json = owner_json(thread_id, owner)
        await self.client.tenant_values.put(thread_name(thread_id), json, only_new=True)
        await asyncio.gather(
            self.of(owner).values.put(thread_name(thread_id), head),
            self.open(thread_id, owner, head["name"]),
        )

    async def open(self, thread_id: str, owner: Owner, name: str | None = None) -> None:
        """Creates the session if there is none."""
        await self.of(owner).sessions.create(
            key=thread_id, domain_id=self._domain, title=title_of(name)
        )

    def to_create(self, thread_id: str) -> SessionToCreate:
        return {"key": thread_id, "domain_id": self._domain}

    async def change(
        self,
        thread_id: str,
        owner: Owner,
        name: str | None,
        tags: list[str] | None,
        metadata: dict[str, Any] | None,
    ) -> None:
        client, patch, title = self.of(owner), head_patch(name, tags, metadata), title_of(name)

        async def change_head() -> None:
            try:
                await client.values.patch(thread_name(thread_id), patch)
            except NotFound:
                head = head_json(thread_id, now())
                await client.values.put(thread_name(thread_id), head, only_new=True)
                await client.values.patch(thread_name(thread_id), patch)

        async def change_title() -> None:
            try:
                await client.sessions.update(session_id_of(thread_id), title=title)
            except NotFound:
                await self.open(thread_id, owner, name)

        if patch:
            await asyncio.gather(change_head(), *([change_title()] if title else []))

    async def read(
        self, thread_id: str, owner: Owner
    ) -> tuple[ThreadDict, list[StepDict], list[Any]]:
        """The thread, its steps in the order in which they were created, and its elements.

        Raises:
            NotFound
        """
        client = self.of(owner)
        head, (session, steps, elements) = await asyncio.gather(
            client.values.find(thread_name(thread_id)), _contents(client, thread_id)
        )
        return _thread(session, head.content if head else None, owner), steps, elements

    async def listed(
        self, owner: Owner, sessions: Iterable[Session], feedback: int | None
    ) -> list[ThreadDict]:
        """Those with such feedback. Without steps. The rows of a list have no long metadata."""
        client = self.of(owner)
        if feedback is not None:
            # An import gives no ratings, though its steps may have feedback.
            rated = [each for each in sessions if each.feedback_count or each.imported]
            sessions = [session for session in rated if await _has(client, session, feedback)]
        sessions = list(sessions)
        if not sessions:
            return []
        names = [head_name(session.session_id) for session in sessions]
        heads = await client.values.batch([{"get": name} for name in names])
        threads = []
        for session, name, found in zip(sessions, names, heads, strict=True):
            if found.status == 413:  # there was no room in this answer
                alone = await client.values.find(name)
                head = alone.content if alone else None
            else:
                head = content_of(found)
            threads.append(_thread(session, head, owner))
        return threads

    async def move(self, thread_id: str, present: Owner, owner: Owner) -> None:
        """Copies the thread to another user. Until the end it is the present one's."""
        old, new, session_id = self.of(present), self.of(owner), session_id_of(thread_id)
        await self.remove(thread_id, owner)  # what an interrupted move has left
        head = await old.values.find(thread_name(thread_id))
        content = head.content if head else head_json(thread_id, now())
        await new.values.put(thread_name(thread_id), content)
        await self.open(thread_id, owner, content["name"])
        try:
            _, steps, _ = await _contents(old, thread_id)
        except NotFound:
            steps = []
        for batch in batches(steps):
            places: list[Write] = [
                {"put": step_name(step["id"]), "json": {"thread": thread_id}} for step in batch
            ]
            added = await new.messages.append_many(
                session_id, [message_of(step) for step in batch], values={"tenant": places}
            )
            for step, receipt in zip(batch, added.messages, strict=True):
                if step.get("feedback"):
                    rating = step["feedback"]["value"]
                    await new.messages.put_feedback(session_id, receipt.message_id, rating)
                await note_favorite(new, thread_id, {}, step)
        copies = new.session_values(session_id)
        with suppress(NotFound):
            async for value in old.session_values(session_id).list():
                if isinstance(value.content, bytes):
                    await copies.upload(value.name, value.content)
                else:
                    await copies.put(value.name, value.content)
        moved = owner_json(thread_id, owner)
        await self.client.tenant_values.put(thread_name(thread_id), moved)
        await self.remove(thread_id, present)

    async def remove(self, thread_id: str, owner: Owner) -> None:
        """All of it, but what the tenant's values say."""
        client = self.of(owner)
        with suppress(NotFound):
            await client.sessions.delete(session_id_of(thread_id))
        await client.values.delete_all(favorites_of(thread_id))
        await client.values.batch([{"delete": thread_name(thread_id)}])


async def note_favorite(client: AsyncClient, thread_id: str, old: Any, new: Any) -> None:
    """Keeps the copies of favorite steps, so that they are found without reading the threads."""
    name = favorites_of(thread_id) + digest(new["id"])
    if is_favorite(new):
        copy = {member: v for member, v in new.items() if member != "feedback"}
        await client.values.put(name, strict(copy))
    elif is_favorite(old):
        await client.values.batch([{"delete": name}])


def content_of(result: Result) -> Any:
    """None if there is no such value."""
    if result.ok:
        return result.value.content if result.value else None
    if result.status == 404:
        return None
    raise error_of(result.status, result.problem)


async def _contents(
    client: AsyncClient, thread_id: str
) -> tuple[OpenedSession, list[StepDict], list[Any]]:
    session_id = session_id_of(thread_id)
    session = await client.sessions.get(session_id, values=ELEMENTS)
    messages, values = list(session.messages), list(session.values)
    cursor = session.next_cursor
    while cursor:
        page = await client.messages.page(session_id, cursor=cursor)
        messages += page.messages
        cursor = page.next_cursor
    cursor = session.values_cursor
    while cursor:
        more = await client.session_values(session_id).page(ELEMENTS, cursor=cursor)
        values += more.values
        cursor = more.next_cursor
    return session, steps_in(messages), [value.content for value in values]


async def _has(client: AsyncClient, session: Session, feedback: int) -> bool:
    async for message in client.messages.list(session.session_id):
        for step in steps_in([message]):
            if (step.get("feedback") or {}).get("value") == feedback:
                return True
    return False


def _thread(session: Session, head: dict[str, Any] | None, owner: Owner) -> ThreadDict:
    created_at = session.created_at.isoformat().replace("+00:00", "Z")
    known = head or head_json(session.key or "", created_at, session.title)
    return ThreadDict(
        id=known["id"],
        createdAt=known["createdAt"],
        name=known["name"],
        userId=owner.user_id,
        userIdentifier=owner.user,
        tags=known["tags"],
        metadata=metadata_of(known),
        steps=[],
        elements=[],
    )
