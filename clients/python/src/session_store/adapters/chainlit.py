"""A data layer of Chainlit: users, threads, steps, elements, feedback and favorites.

A thread is a session of its user, with the thread's id as its key. A step is a message that is
edited in place. Chainlit names a thread or a step before it says whose it is, so values of the
tenant tell that: `chainlit/threads/…` a thread's user, `chainlit/steps/…` a step's thread and
message. The token needs sessions:read, sessions:write, sessions:act-for-user, tenant-values:read
and tenant-values:write.

This module is over 250 lines because Chainlit's protocol is one class of 25 methods.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
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
    FAVORITES,
    Owner,
    element_name,
    exact,
    head_json,
    metadata_of,
    now,
    owner_of,
    step_name,
    steps_in,
    thread_name,
    user_id_of,
    user_json,
    user_name,
)
from session_store.adapters._chainlit_steps import Steps, names_of_feedback
from session_store.adapters._chainlit_threads import Threads, content_of
from session_store.models import Filters, Value

TRIES = 5
"""How often a write is tried if other processes write to the same thread."""

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
        self._threads = Threads(client, domain_id)
        self._steps = Steps(self._threads)
        self._serves = app is not None
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        if app is not None:
            path = f"{config.run.root_path}{elements.PATH}"
            # Chainlit's own last route takes every path.
            app.router.routes.insert(0, APIRoute(path, self._serve, methods=["GET"]))

    # Users

    async def get_user(self, identifier: str) -> PersistedUser | None:
        [stored] = await self._threads.tenant(user_name(user_id_of(identifier)))
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
            known = content_of(got)
            if known is None or put.ok or known["metadata"] == made["metadata"]:
                return _user(known or made)
            known["metadata"] = made["metadata"]
            etag = cast(Value, got.value).etag
            with suppress(PreconditionFailed):
                await self._client.tenant_values.put(name, known, if_match=etag)
                return _user(known)
        raise RuntimeError("Other processes change the user all the time.")

    # Threads

    async def get_thread_author(self, thread_id: str) -> str:
        """Empty if there is no such thread, or if it has no user."""
        owner = await self._threads.owner(thread_id)
        return (owner and owner.user) or ""

    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        owner = await self._threads.owner(thread_id)
        if owner is None:
            return None
        try:
            thread, steps, found = await self._threads.read(thread_id, owner)
        except NotFound:
            return None
        thread["steps"] = sorted(steps, key=_created_at)
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
        if name is None and isinstance(named := (metadata or {}).get("name"), str):
            name = named  # as in Chainlit's own layers

        async def update() -> None:
            owned, user = await self._threads.tenant(
                thread_name(thread_id), user_name(user_id) if user_id else None
            )
            if user_id and user is None:
                raise ValueError(f"There is no user {user_id}")
            wanted = Owner(user=user["identifier"], user_id=user_id) if user else None
            if owned is None:
                head = head_json(thread_id, now(), name, tags, metadata)
                await self._threads.create(thread_id, wanted or Owner(), head)
                return
            owner = owner_of(owned)
            if wanted and wanted.user != owner.user:
                await self._threads.move(thread_id, owner, wanted)
                owner = wanted
            await self._threads.change(thread_id, owner, name, tags, metadata)

        await self._in_order(thread_id, update)

    async def delete_thread(self, thread_id: str) -> None:
        """What leads to the thread goes last, so that an interrupted delete can be repeated."""

        async def delete() -> None:
            owner = await self._threads.owner(thread_id)
            if owner is None:
                return
            names: list[str] = []
            with suppress(NotFound):
                messages = self._threads.of(owner).messages.list(session_id_of(thread_id))
                async for message in messages:
                    for step in steps_in([message]):
                        names += [step_name(step["id"]), *names_of_feedback(step)]
            await self._threads.forget(names)
            await self._threads.remove(thread_id, owner)
            await self._threads.forget([thread_name(thread_id)])

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
        [user] = await self._threads.tenant(user_name(filters.userId))
        wanted: Filters = {"domain_id": self._domain}
        if filters.search:
            wanted["q"] = filters.search
        threads: list[ThreadDict] = []
        cursor = pagination.cursor
        while user:
            owner = Owner(user=user["identifier"], user_id=filters.userId)
            page = await self._threads.of(owner).sessions.page(
                limit=min(100, pagination.first - len(threads)), cursor=cursor, **wanted
            )
            threads += await self._threads.listed(owner, page.sessions, filters.feedback)
            cursor = page.next_cursor
            if cursor is None or len(threads) == pagination.first:
                break
        more = bool(user and cursor)
        page_info = PageInfo(hasNextPage=more, startCursor=pagination.cursor, endCursor=cursor)
        return PaginatedResponse(pageInfo=page_info, data=threads)

    # Steps

    @_queued
    async def create_step(self, step_dict: StepDict) -> None:
        put = partial(self._steps.put, step_dict, _present_user)
        await self._in_order(step_dict["threadId"], put)

    @_queued
    async def update_step(self, step_dict: StepDict) -> None:
        """As Chainlit's own layers, the same as `create_step`: the step is merged."""
        put = partial(self._steps.put, step_dict, _present_user)
        await self._in_order(step_dict["threadId"], put)

    @_queued
    async def delete_step(self, step_id: str) -> None:
        await self._in_order(context.session.thread_id, partial(self._steps.delete, step_id))

    async def get_favorite_steps(self, user_id: str) -> list[StepDict]:
        [user] = await self._threads.tenant(user_name(user_id))
        if user is None:
            return []
        values = self._threads.of(Owner(user=user["identifier"])).values
        steps = [exact(value.content) async for value in values.list(FAVORITES)]
        return sorted(steps, key=_created_at, reverse=True)

    # Feedback

    async def upsert_feedback(self, feedback: Feedback) -> str:
        """The feedback is a member of the step. Its value is also the message's rating in the
        store, by which lists find the thread.

        Raises:
            ValueError: there is no such step.
        """
        feedback.id = feedback.id or str(uuid.uuid4())
        rate = partial(self._steps.rate, feedback, feedback.id)
        await self._in_order(feedback.threadId or feedback.forId, rate)
        return feedback.id

    async def delete_feedback(self, feedback_id: str) -> bool:
        await self._in_order(feedback_id, partial(self._steps.unrate, feedback_id))
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
            owner = await self._threads.owner(thread_id)
            if owner is None:
                owner = _present_user()
                await self._threads.create(thread_id, owner, head_json(thread_id, now()))
            values = self._threads.of(owner).session_values(session_id_of(thread_id))
            try:
                await elements.put(values, element, content)
            except NotFound:  # the session has expired
                await self._threads.open(thread_id, owner)
                await elements.put(values, element, content)

        await self._in_order(thread_id, put)

    async def get_element(self, thread_id: str, element_id: str) -> ElementDict | None:
        owner = await self._threads.owner(thread_id)
        if owner is None:
            return None
        values = self._threads.of(owner).session_values(session_id_of(thread_id))
        value = await values.find(element_name(element_id))
        return elements.element_of(value.content, served=self._serves) if value else None

    @_queued
    async def delete_element(self, element_id: str, thread_id: str | None = None) -> None:
        thread = thread_id or context.session.thread_id

        async def delete() -> None:
            if owner := await self._threads.owner(thread):
                values = self._threads.of(owner).session_values(session_id_of(thread))
                with suppress(NotFound):
                    await elements.delete(values, element_id)

        await self._in_order(thread, delete)

    async def _serve(
        self,
        thread_id: str,
        element_id: str,
        user: Annotated[User | None, Depends(get_current_user)],
    ) -> StreamingResponse:
        """The bytes of an element, for the author of the thread, and for others if it is shared."""
        missing = HTTPException(404, "Element not found")
        owner = await self._threads.owner(thread_id)
        if owner is None:
            raise missing
        client = self._threads.of(owner)
        if user is None or user.identifier != owner.user:
            head = await client.values.find(thread_name(thread_id))
            if head is None or not metadata_of(head.content).get("is_shared"):
                raise missing
        values = client.session_values(session_id_of(thread_id))
        value = await values.find(element_name(element_id))
        stored = exact(value.content) if value else {}
        if not stored.get("parts"):
            raise missing
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

    async def _in_order(self, thread_id: str, write: Callable[[], Awaitable[None]]) -> None:
        async with self._locks.setdefault(thread_id, asyncio.Lock()):
            for _ in range(TRIES - 1):
                with suppress(PreconditionFailed):
                    return await write()
            return await write()


def _created_at(step: StepDict) -> str:
    return step.get("createdAt") or ""


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
