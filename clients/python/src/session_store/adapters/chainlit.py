"""A data layer of Chainlit: users, threads, steps, elements, feedback and favorites.

A thread is a session of its user, with the thread's id as its key. A step is a message that is
edited in place. Chainlit names a thread or a step before it says whose it is, so values of the
tenant tell that: `chainlit/threads/…` a thread's user, `chainlit/steps/…` a step's thread and
message. The token needs sessions:read, sessions:write, sessions:act-for-user, tenant-values:read
and tenant-values:write.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, TypeVar, cast
from weakref import WeakValueDictionary

from chainlit.auth import get_current_user
from chainlit.config import config
from chainlit.context import ChainlitContextException, context
from chainlit.data.base import BaseDataLayer
from chainlit.data.utils import queue_until_user_message
from chainlit.element import Element, ElementDict
from chainlit.step import StepDict
from chainlit.types import (
    Feedback,
    PageInfo,
    PaginatedResponse,
    Pagination,
    ThreadDict,
    ThreadFilter,
)
from chainlit.user import PersistedUser, User
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute

from session_store import AsyncClient, NotFound, PreconditionFailed, session_id_of
from session_store.adapters import _chainlit_elements as elements
from session_store.adapters._chainlit_records import (
    ANONYMOUS,
    ELEMENTS,
    FAVORITES,
    Owner,
    Place,
    batches,
    digest,
    exact,
    favorites_of,
    feedback_name,
    head_json,
    head_name,
    head_patch,
    is_favorite,
    merged,
    message_of,
    metadata_of,
    now,
    owner_json,
    owner_of,
    step_name,
    step_of,
    steps_in,
    strict,
    thread_name,
    title_of,
    user_id_of,
    user_json,
    user_name,
)
from session_store.errors import error_of
from session_store.models import Filters, Message, OpenedSession, Result, Session, Value, Write

TRIES = 5
"""How often a write is tried if other processes write to the same thread."""

GETS = 100
"""Values that one request reads."""

F = TypeVar("F", bound=Callable[..., Any])

_queued = cast(Callable[[F], F], cast(Any, queue_until_user_message)())
"""Chainlit's decorator, which has no types."""


class SessionStoreDataLayer(BaseDataLayer):
    """`domain_id` is that of the sessions. `app` is Chainlit's FastAPI app, `chainlit.server.app`:
    with it, the files of past threads are shown, from a route that is added.

    Calls that write to a thread are carried out one after the other, in the order in which they
    were made: Chainlit makes them in tasks of their own. An edit by another process in between is
    merged.
    """

    def __init__(
        self, client: AsyncClient, *, domain_id: str = "chainlit", app: FastAPI | None = None
    ) -> None:
        self._client = client
        self._domain = domain_id
        self._serves = app is not None
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        if app is not None:
            path = f"{config.run.root_path}{elements.PATH}"
            # Chainlit's own last route takes every path.
            app.router.routes.insert(0, APIRoute(path, self._serve, methods=["GET"]))

    # Users

    async def get_user(self, identifier: str) -> PersistedUser | None:
        [stored] = await self._tenant(user_name(user_id_of(identifier)))
        return _user(stored) if stored else None

    async def create_user(self, user: User) -> PersistedUser | None:
        """One request, unless the metadata of a known user has changed."""
        user_id = user_id_of(user.identifier)
        name = user_name(user_id)
        made = user_json(user_id, user.identifier, now(), user.metadata)
        for _ in range(TRIES):
            put, got = await self._client.tenant_values.batch(
                [{"put": name, "json": made, "if_none_match": "*"}, {"get": name}]
            )
            known = _content(got)
            if known is None or put.ok or known["metadata"] == made["metadata"]:
                return _user(known or made)
            known["metadata"] = made["metadata"]
            with suppress(PreconditionFailed):
                await self._client.tenant_values.put(
                    name, known, if_match=cast(Value, got.value).etag
                )
                return _user(known)
        raise RuntimeError("Other processes change the user all the time.")

    # Threads

    async def get_thread_author(self, thread_id: str) -> str:
        """Empty if there is no such thread, or if it has no user."""
        owner = await self._owner(thread_id)
        return (owner and owner.user) or ""

    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        owner = await self._owner(thread_id)
        if owner is None:
            return None
        client = self._of(owner)
        try:
            head, (session, steps, found) = await asyncio.gather(
                client.values.find(thread_name(thread_id)), _read(client, thread_id)
            )
        except NotFound:
            return None
        thread = _thread(session, head.content if head else None, owner)
        thread["id"] = thread_id
        thread["steps"] = sorted(steps, key=lambda step: step.get("createdAt") or "")
        thread["elements"] = [elements.element_of(each, served=self._serves) for each in found]
        return thread

    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        """Creates the thread if there is none.

        Raises:
            ValueError: there is no user of this id.
        """
        if name is None and metadata:
            name = metadata.get("name")

        async def update() -> None:
            owner, owned = await self._tenant(
                thread_name(thread_id), user_name(user_id) if user_id else None
            )
            if user_id and owned is None:
                raise ValueError(f"There is no user {user_id}")
            wanted = Owner(user=owned["identifier"], user_id=user_id) if owned else None
            if owner is None:
                head = head_json(thread_id, now(), name, tags, metadata)
                await self._create(thread_id, wanted or Owner(), head)
                return
            present = owner_of(owner)
            if wanted and wanted.user != present.user:
                await self._move(thread_id, present, wanted)
                present = wanted
            await self._change(thread_id, present, name, head_patch(name, tags, metadata))

        await self._in_order(thread_id, update)

    async def delete_thread(self, thread_id: str) -> None:
        """What leads to the thread goes last, so that a delete that was interrupted can be
        repeated."""

        async def delete() -> None:
            owner = await self._owner(thread_id)
            if owner is None:
                return
            client = self._of(owner)
            names = []
            with suppress(NotFound):
                async for message in client.messages.list(session_id_of(thread_id)):
                    for step in steps_in([message]):
                        names.append(step_name(step["id"]))
                        if step.get("feedback"):
                            names.append(feedback_name(step["feedback"]["id"]))
            for at in range(0, len(names), GETS):
                await self._client.tenant_values.batch(
                    [{"delete": each} for each in names[at : at + GETS]]
                )
            await self._remove(client, thread_id)
            await self._client.tenant_values.delete(thread_name(thread_id))

        await self._in_order(thread_id, delete)

    async def list_threads(
        self, pagination: Pagination, filters: ThreadFilter
    ) -> PaginatedResponse[ThreadDict]:
        """Threads without their steps, latest activity first. `search` looks into names. The
        cursor is that of the store.

        Raises:
            ValueError: without a user.
        """
        if not filters.userId:
            raise ValueError("userId is required")
        [user] = await self._tenant(user_name(filters.userId))
        wanted: Filters = {"domain_id": self._domain}
        if filters.search:
            wanted["q"] = filters.search
        threads: list[ThreadDict] = []
        cursor = pagination.cursor
        while user:
            owner = Owner(user=user["identifier"], user_id=filters.userId)
            page = await self._of(owner).sessions.page(
                limit=pagination.first - len(threads),
                cursor=cursor,
                **wanted,
            )
            threads += await self._listed(owner, page.sessions, filters.feedback)
            cursor = page.next_cursor
            if cursor is None or len(threads) == pagination.first:
                break
        return PaginatedResponse(
            pageInfo=PageInfo(
                hasNextPage=bool(user and cursor), startCursor=pagination.cursor, endCursor=cursor
            ),
            data=threads,
        )

    # Steps

    @_queued
    async def create_step(self, step_dict: StepDict) -> None:
        await self._put_step(step_dict)

    @_queued
    async def update_step(self, step_dict: StepDict) -> None:
        await self._put_step(step_dict)

    async def _put_step(self, step: StepDict) -> None:
        """Creates the step, or merges it into the one of the same id."""
        thread_id, step_id = step["threadId"], step["id"]

        async def put() -> None:
            stored, placed = await self._tenant(thread_name(thread_id), step_name(step_id))
            if placed:
                place = Place(**placed)
                elsewhere = None if place.thread == thread_id else place.thread
                owner = await self._owner(elsewhere) if elsewhere else stored and owner_of(stored)
                if owner and await self._edit(owner, place, step_id, partial(merged, new=step)):
                    return
            owner = owner_of(stored) if stored else _present_user()
            at: Write = {"put": step_name(step_id), "json": {"thread": thread_id}}
            if placed is None:
                at["if_none_match"] = "*"
            tenant, user = [at], []
            if stored is None:
                json = owner_json(thread_id, owner)
                tenant.append({"put": thread_name(thread_id), "json": json, "if_none_match": "*"})
                user.append(Write(put=thread_name(thread_id), json=head_json(thread_id, now())))
            client = self._of(owner)
            appended = await client.messages.append_many(
                session_id_of(thread_id),
                [message_of(step)],
                session={"key": thread_id, "domain_id": self._domain},
                values={"tenant": tenant, "user": user},
            )
            await self._found(step_id, thread_id, appended.messages[0].message_id)
            await self._note_favorite(client, thread_id, {}, cast(dict[str, Any], step))

        await self._in_order(thread_id, put)

    @_queued
    async def delete_step(self, step_id: str) -> None:
        """With its feedback and its elements."""

        async def delete() -> None:
            [placed] = await self._tenant(step_name(step_id))
            if placed is None:
                return
            place = Place(**placed)
            owner = await self._owner(place.thread)
            if owner and (message := await self._message(owner, place, step_id)):
                client, session_id = self._of(owner), session_id_of(place.thread)
                step = step_of(message)
                values = client.session_values(session_id)
                async for value in values.list(ELEMENTS):
                    element = exact(value.content)
                    if element["forId"] == step_id:
                        await elements.delete(values, element["id"])
                await self._note_favorite(client, place.thread, step, {"id": step_id})
                if step.get("feedback"):
                    await self._forget(feedback_name(step["feedback"]["id"]))
                with suppress(NotFound):
                    await client.messages.delete(session_id, message.message_id)
            await self._forget(step_name(step_id))

        await self._in_order(context.session.thread_id, delete)

    async def get_favorite_steps(self, user_id: str) -> list[StepDict]:
        [user] = await self._tenant(user_name(user_id))
        if user is None:
            return []
        values = self._of(Owner(user=user["identifier"])).values
        steps = [exact(value.content) async for value in values.list(FAVORITES)]
        return sorted(steps, key=lambda step: step.get("createdAt") or "", reverse=True)

    # Feedback

    async def upsert_feedback(self, feedback: Feedback) -> str:
        """The feedback is a member of the step. Its value is also the message's rating in the
        store, by which lists find the thread.

        Raises:
            ValueError: there is no such step.
        """
        feedback_id = feedback.id = feedback.id or str(uuid.uuid4())
        given = {name: v for name, v in asdict(feedback).items() if name != "threadId"}
        [placed] = await self._tenant(step_name(feedback.forId))
        owner = await self._owner(placed["thread"]) if placed else None
        if placed is None or owner is None:
            raise ValueError(f"There is no step {feedback.forId}")
        place = Place(**placed)

        async def put() -> None:
            found = {"step": feedback.forId}
            await self._client.tenant_values.put(feedback_name(feedback_id), found)
            message_id = await self._edit(
                owner, place, feedback.forId, lambda old: {**old, "feedback": given}
            )
            if message_id is None:
                raise ValueError(f"There is no step {feedback.forId}")
            rate = self._of(owner).messages.put_feedback
            await rate(session_id_of(place.thread), message_id, feedback.value)

        await self._in_order(place.thread, put)
        return feedback_id

    async def delete_feedback(self, feedback_id: str) -> bool:
        [found] = await self._tenant(feedback_name(feedback_id))
        if found is None:
            return True
        step_id = found["step"]
        [placed] = await self._tenant(step_name(step_id))
        owner = await self._owner(placed["thread"]) if placed else None

        def without(old: dict[str, Any]) -> dict[str, Any]:
            own = (old.get("feedback") or {}).get("id") == feedback_id
            return {name: v for name, v in old.items() if not (own and name == "feedback")}

        async def delete() -> None:
            if placed and owner:
                place = Place(**placed)
                message_id = await self._edit(owner, place, step_id, without)
                if message_id:
                    with suppress(NotFound):
                        unrate = self._of(owner).messages.delete_feedback
                        await unrate(session_id_of(place.thread), message_id)
            await self._forget(feedback_name(feedback_id))

        await self._in_order(placed["thread"] if placed else step_id, delete)
        return True

    # Elements

    @_queued
    async def create_element(self, element: Element) -> None:
        """Also replaces it. As in Chainlit's own layers, one without a step is not kept."""
        if not element.for_id:
            return
        thread_id = element.thread_id
        content = await elements.content_of(element)

        async def put() -> None:
            owner = await self._owner(thread_id)
            if owner is None:
                owner = _present_user()
                await self._create(thread_id, owner, head_json(thread_id, now()))
            client = self._of(owner)
            values = client.session_values(session_id_of(thread_id))
            try:
                await elements.put(values, element, content)
            except NotFound:  # the session has expired
                await client.sessions.create(key=thread_id, domain_id=self._domain)
                await elements.put(values, element, content)

        await self._in_order(thread_id, put)

    async def get_element(self, thread_id: str, element_id: str) -> ElementDict | None:
        owner = await self._owner(thread_id)
        if owner is None:
            return None
        values = self._of(owner).session_values(session_id_of(thread_id))
        value = await values.find(elements.name_of(element_id))
        return elements.element_of(value.content, served=self._serves) if value else None

    @_queued
    async def delete_element(self, element_id: str, thread_id: str | None = None) -> None:
        thread_id = thread_id or context.session.thread_id

        async def delete() -> None:
            if owner := await self._owner(thread_id):
                values = self._of(owner).session_values(session_id_of(thread_id))
                with suppress(NotFound):
                    await elements.delete(values, element_id)

        await self._in_order(thread_id, delete)

    async def _serve(
        self,
        thread_id: str,
        element_id: str,
        user: Annotated[User | None, Depends(get_current_user)],
    ) -> StreamingResponse:
        """The bytes of an element, for the author of the thread and for whom it is shared with."""
        owner = await self._owner(thread_id)
        if owner is None:
            raise HTTPException(404, "Element not found")
        client = self._of(owner)
        if user is None or user.identifier != owner.user:
            head = await client.values.find(thread_name(thread_id))
            if head is None or not metadata_of(head.content).get("is_shared"):
                raise HTTPException(404, "Element not found")
        values = client.session_values(session_id_of(thread_id))
        value = await values.find(elements.name_of(element_id))
        stored = exact(value.content) if value else {}
        if not stored.get("parts"):
            raise HTTPException(404, "Element not found")
        return StreamingResponse(
            elements.chunks(values, element_id, stored["parts"]),
            media_type=stored["mime"],
            headers=elements.HEADERS,
        )

    # Others

    async def build_debug_url(self) -> str:
        return ""

    async def close(self) -> None:
        await self._client.aclose()

    def _of(self, owner: Owner) -> AsyncClient:
        return self._client.acting_for(owner.user or ANONYMOUS)

    async def _in_order(self, thread_id: str, write: Callable[[], Awaitable[None]]) -> None:
        async with self._locks.setdefault(thread_id, asyncio.Lock()):
            for _ in range(TRIES - 1):
                with suppress(PreconditionFailed):
                    return await write()
            return await write()

    async def _tenant(self, *names: str | None) -> list[Any]:
        """What these values of the tenant contain; None where there is none. One request."""
        asked = [name for name in names if name]
        results = await self._client.tenant_values.batch([{"get": name} for name in asked])
        found = dict(zip(asked, map(_content, results), strict=True))
        return [found[name] if name else None for name in names]

    async def _forget(self, name: str) -> None:
        with suppress(NotFound):
            await self._client.tenant_values.delete(name)

    async def _owner(self, thread_id: str) -> Owner | None:
        [stored] = await self._tenant(thread_name(thread_id))
        return stored and owner_of(stored)

    async def _create(self, thread_id: str, owner: Owner, head: dict[str, Any]) -> None:
        json = owner_json(thread_id, owner)
        await self._client.tenant_values.put(thread_name(thread_id), json, only_new=True)
        await asyncio.gather(
            self._of(owner).values.put(thread_name(thread_id), head),
            self._open(owner, thread_id, head["name"]),
        )

    async def _open(self, owner: Owner, thread_id: str, name: str | None) -> None:
        await self._of(owner).sessions.create(
            key=thread_id, domain_id=self._domain, title=title_of(name)
        )

    async def _change(
        self, thread_id: str, owner: Owner, name: str | None, patch: dict[str, Any]
    ) -> None:
        client = self._of(owner)

        async def change_head() -> None:
            try:
                await client.values.patch(thread_name(thread_id), patch)
            except NotFound:
                head = head_json(thread_id, now())
                await client.values.put(thread_name(thread_id), head, only_new=True)
                await client.values.patch(thread_name(thread_id), patch)

        async def change_title() -> None:
            try:
                await client.sessions.update(session_id_of(thread_id), title=title_of(name))
            except NotFound:
                await self._open(owner, thread_id, name)

        if patch:
            await asyncio.gather(change_head(), *([change_title()] if name else []))

    async def _edit(
        self,
        owner: Owner,
        place: Place,
        step_id: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> str | None:
        """Returns the id of the step's message, or None if it is gone."""
        message = await self._message(owner, place, step_id)
        if message is None:
            return None
        client, session_id = self._of(owner), session_id_of(place.thread)
        old = step_of(message)
        new = change(old)
        if new != old:
            await client.messages.edit(
                session_id, message.message_id, if_match=message.etag, **message_of(new)
            )
            await self._note_favorite(client, place.thread, old, new)
        return message.message_id

    async def _message(self, owner: Owner, place: Place, step_id: str) -> Message | None:
        messages, session_id = self._of(owner).messages, session_id_of(place.thread)
        with suppress(NotFound):
            if place.message:
                return await messages.get(session_id, place.message)
            async for message in messages.list(session_id, order="desc"):
                if any(step["id"] == step_id for step in steps_in([message])):
                    await self._found(step_id, place.thread, message.message_id)
                    return await messages.get(session_id, message.message_id)
        return None

    async def _found(self, step_id: str, thread_id: str, message_id: str) -> None:
        place = asdict(Place(thread=thread_id, message=message_id))
        await self._client.tenant_values.put(step_name(step_id), place)

    async def _note_favorite(
        self, client: AsyncClient, thread_id: str, old: dict[str, Any], new: dict[str, Any]
    ) -> None:
        name = favorites_of(thread_id) + digest(new["id"])
        if is_favorite(new):
            copy = {member: v for member, v in new.items() if member != "feedback"}
            await client.values.put(name, strict(copy))
        elif is_favorite(old):
            with suppress(NotFound):
                await client.values.delete(name)

    async def _listed(
        self, owner: Owner, sessions: tuple[Session, ...], feedback: int | None
    ) -> list[ThreadDict]:
        client = self._of(owner)
        if feedback is not None:
            sessions = tuple(
                [s for s in sessions if s.feedback_count and await _has(client, s, feedback)]
            )
        if not sessions:
            return []
        names = [head_name(session.session_id) for session in sessions]
        heads = await client.values.batch([{"get": name} for name in names])
        threads = []
        for session, name, found in zip(sessions, names, heads, strict=True):
            if found.status == 413:  # no room in this answer
                value = await client.values.find(name)
                head = value.content if value else None
            else:
                head = _content(found)
            threads.append(_thread(session, head, owner))
        return threads

    async def _move(self, thread_id: str, present: Owner, owner: Owner) -> None:
        """Copies the thread to another user. Until the end it is the present one's."""
        old, new, session_id = self._of(present), self._of(owner), session_id_of(thread_id)
        await self._remove(new, thread_id)  # what an interrupted move has left
        head = await old.values.find(thread_name(thread_id))
        content = head.content if head else head_json(thread_id, now())
        await new.values.put(thread_name(thread_id), content)
        await self._open(owner, thread_id, content["name"])
        try:
            _, steps, _ = await _read(old, thread_id)
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
                await self._note_favorite(new, thread_id, {}, dict(step))
        copies = new.session_values(session_id)
        with suppress(NotFound):
            async for value in old.session_values(session_id).list():
                if isinstance(value.content, bytes):
                    await copies.upload(value.name, value.content)
                else:
                    await copies.put(value.name, value.content)
        moved = owner_json(thread_id, owner)
        await self._client.tenant_values.put(thread_name(thread_id), moved)
        await self._remove(old, thread_id)

    async def _remove(self, client: AsyncClient, thread_id: str) -> None:
        with suppress(NotFound):
            await client.sessions.delete(session_id_of(thread_id))
        await client.values.delete_all(favorites_of(thread_id))
        await client.values.batch([{"delete": thread_name(thread_id)}])


async def _read(
    client: AsyncClient, thread_id: str
) -> tuple[OpenedSession, list[StepDict], list[Any]]:
    """The session with all steps and elements."""
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


def _user(stored: dict[str, Any]) -> PersistedUser:
    return PersistedUser(
        id=stored["id"],
        identifier=stored["identifier"],
        createdAt=stored["createdAt"],
        metadata=exact(stored["metadata"]),
    )


def _present_user() -> Owner:
    """Who is logged in, as the owner of a thread that begins with a step."""
    try:
        user = context.session.user
    except ChainlitContextException:
        return Owner()
    if isinstance(user, PersistedUser):
        return Owner(user=user.identifier, user_id=user.id)
    return Owner()


def _content(result: Result) -> Any:
    """None if there is no such value."""
    if result.ok:
        return result.value.content if result.value else None
    if result.status == 404:
        return None
    raise error_of(result.status, result.problem)
