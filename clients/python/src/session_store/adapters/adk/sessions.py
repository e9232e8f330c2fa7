"""ADK's sessions, events and state.

A session has the key `app/id` and its app as domain. Events are messages in the format `adk.event`.
State is one value for each key: `state:KEY` of the session, and `adk:APP/state:KEY` of the user
(for `user:` keys) and of the tenant (for `app:` keys).

This module is over 250 lines because ADK's protocol is one class.
"""

import hashlib
import json
from asyncio import Semaphore, gather
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from itertools import islice
from typing import Any

from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.platform import uuid as platform_uuid
from google.adk.sessions import BaseSessionService, Session, State
from google.adk.sessions.base_session_service import GetSessionConfig, ListSessionsResponse
from typing_extensions import override

from session_store import AsyncClient, AsyncValues, Conflict, NotFound, PreconditionFailed
from session_store.adapters._names import unescape
from session_store.adapters.adk import events
from session_store.adapters.adk.names import STATE, session_key, shared_state
from session_store.ids import session_id_of
from session_store.models import Message, OpenedSession, Value

PAGE = 1000
"""Events and values of a request."""

TOGETHER = 90
"""Values of a new session that are written in one step."""

AT_ONCE = 8
"""Sessions of a list whose state is read at the same time."""

STALE = "The session has been modified in storage since it was loaded. Load it again."


class SessionStoreSessionService(BaseSessionService):
    """Each user's sessions are that user's own, and all users share the `app:` state.

    An event is written with the state that it changes in one step, of at most 100 items and 3.9 MB.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @override
    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """
        Raises:
            AlreadyExistsError
        """
        client = self._client.acting_for(user_id)
        adk_id = (session_id or "").strip() or platform_uuid.new_uuid()
        key = session_key(app_name, adk_id)
        writes = events.writes_of(app_name, events.native_of_state(state or {}))
        try:
            await client.sessions.create(only_new=True, key=key, domain_id=app_name)
        except Conflict as error:
            if error.code != "SESSION_EXISTS":
                raise
            raise AlreadyExistsError(f"Session with id {adk_id} already exists.") from None
        try:
            own = client.session_values(session_id_of(key))
            await _put(own, writes.get("session", []))
            await _put(client.values, writes.get("user", []))
            await _put(client.tenant_values, writes.get("tenant", []))
        except BaseException:
            await client.sessions.delete(session_id_of(key))
            raise
        opened = await _open(client, app_name, adk_id, 1)
        return await _session(client, app_name, user_id, adk_id, opened, [])

    @override
    async def get_session(
        self,
        *,
        app_name: str,
        user_id: str,
        session_id: str,
        config: GetSessionConfig | None = None,
    ) -> Session | None:
        """One request, and one more for each further 1,000 events or 4.5 MB."""
        client = self._client.acting_for(user_id)
        adk_id = session_id.strip()
        config = config or GetSessionConfig()
        most = config.num_recent_events
        try:
            # At least one, which tells the time of the last update.
            opened = await _open(client, app_name, adk_id, PAGE if most is None else max(1, most))
        except NotFound:
            return None
        found: list[Event] = []
        async for message in _newest_first(client, opened):
            if len(found) == most:
                break
            event = events.event_of(message)
            if event and event.timestamp < (config.after_timestamp or 0):
                break
            found += [event] if event else []
        return await _session(client, app_name, user_id, adk_id, opened, found[::-1])

    @override
    async def list_sessions(
        self, *, app_name: str, user_id: str | None = None
    ) -> ListSessionsResponse:
        """With state, which takes a request for each session. `last_update_time` is the time at
        which the service got the last event.

        Raises:
            NotImplementedError: without `user_id`. The service shows the sessions of one user.
        """
        if user_id is None:
            raise NotImplementedError("The session store lists the sessions of one user_id.")
        client = self._client.acting_for(user_id)
        start = session_key(app_name, "")
        found = [
            session
            async for session in client.sessions.list(domain_id=app_name, limit=100)
            if (session.key or "").startswith(start)
        ]
        prefix, limit = shared_state(app_name), Semaphore(AT_ONCE)

        async def state_of(session_id: str) -> dict[str, Any] | None:
            async with limit:
                with suppress(NotFound):  # deleted meanwhile
                    return await _state(client.session_values(session_id), STATE)
            return None

        of_app, of_user, *states = await gather(
            _state(client.tenant_values, prefix),
            _state(client.values, prefix),
            *(state_of(session.session_id) for session in found),
        )
        sessions = [
            Session(
                id=str(session.key).removeprefix(start),
                app_name=app_name,
                user_id=user_id,
                state=_merged(state, of_user or {}, of_app or {}),
                last_update_time=session.last_activity.timestamp(),
            )
            for session, state in zip(found, states, strict=True)
            if state is not None
        ]
        sessions.sort(key=lambda session: (session.last_update_time, session.id))
        return ListSessionsResponse(sessions=sessions)

    @override
    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        client = self._client.acting_for(user_id)
        with suppress(NotFound):
            await client.sessions.delete(session_id_of(session_key(app_name, session_id.strip())))

    @override
    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        return await _state(self._client.acting_for(user_id).values, shared_state(app_name))

    @override
    async def append_event(self, session: Session, event: Event) -> Event:
        """One request. The same event again, for example because no answer came, is stored once.

        Raises:
            StaleSessionError: the session has other events in storage.
            SessionNotFoundError
        """
        if event.partial or any(each.id == event.id and each == event for each in session.events):
            return event
        self._apply_temp_state(session, event)
        event = self._trim_temp_delta_state(event)
        native = events.native_of(event)
        client = self._client.acting_for(session.user_id)
        try:
            appended = await client.messages.append_many(
                session_id_of(session_key(session.app_name, session.id)),
                [events.message_of(native)],
                values=events.writes_of(session.app_name, native) or None,
                after=session._storage_update_marker or await _marker_of(client, session),
                idempotency_key=hashlib.sha256(json.dumps(native).encode()).hexdigest(),
            )
        except NotFound:
            raise SessionNotFoundError(f"Session {session.id} not found.") from None
        except PreconditionFailed as error:
            if error.code != "NOT_THE_LAST_MESSAGE":
                raise
            raise StaleSessionError(STALE) from None
        session._storage_update_marker = appended.messages[-1].message_id
        session.last_update_time = event.timestamp
        return self._commit_event_to_session(session, event)


async def _open(client: AsyncClient, app_name: str, adk_id: str, count: int) -> OpenedSession:
    """The session with its last events and its state, which is never older than they are."""
    shared = shared_state(app_name)
    return await client.sessions.get(
        session_id_of(session_key(app_name, adk_id)),
        messages=min(count, PAGE),
        values=STATE,
        user_values=shared,
        tenant_values=shared,
    )


async def _session(
    client: AsyncClient,
    app_name: str,
    user_id: str,
    adk_id: str,
    opened: OpenedSession,
    found: list[Event],
) -> Session:
    shared, own = shared_state(app_name), client.session_values(opened.session_id)
    state = _merged(
        await _all_of(own, STATE, opened.values, opened.values_cursor),
        await _all_of(client.values, shared, opened.user_values, opened.user_values_cursor),
        await _all_of(
            client.tenant_values, shared, opened.tenant_values, opened.tenant_values_cursor
        ),
    )
    last = events.event_of(opened.messages[-1]) if opened.messages else None
    session = Session(
        id=adk_id,
        app_name=app_name,
        user_id=user_id,
        state=state,
        events=found,
        last_update_time=last.timestamp if last else opened.last_activity.timestamp(),
    )
    session._storage_update_marker = _last_id(opened)
    return session


def _last_id(opened: OpenedSession) -> str:
    """The last message's; without messages the session's, which `after` takes, too."""
    return opened.messages[-1].message_id if opened.messages else opened.session_id


async def _marker_of(client: AsyncClient, session: Session) -> str:
    """Of a session that was made by hand, or has been through JSON. One request.

    Raises:
        StaleSessionError: the last event is not the last one in storage.
    """
    key = session_key(session.app_name, session.id)
    opened = await client.sessions.get(session_id_of(key), messages=1)
    stored = [events.event_of(message) for message in opened.messages]
    if [each and each.id for each in stored] != [each.id for each in session.events[-1:]]:
        raise StaleSessionError(STALE)
    return _last_id(opened)


async def _newest_first(client: AsyncClient, opened: OpenedSession) -> AsyncIterator[Message]:
    for message in reversed(opened.messages):
        yield message
    cursor = opened.earlier_cursor
    while cursor:
        page = await client.messages.page(
            opened.session_id, order="desc", limit=PAGE, cursor=cursor
        )
        for message in page.messages:
            yield message
        cursor = page.next_cursor


async def _put(place: AsyncValues, writes: Iterable[Any]) -> None:
    remaining = iter(writes)
    while some := list(islice(remaining, TOGETHER)):
        await place.batch(some, atomic=True)


async def _state(place: AsyncValues, prefix: str) -> dict[str, Any]:
    page = await place.page(prefix, limit=PAGE)
    return await _all_of(place, prefix, page.values, page.next_cursor)


async def _all_of(
    place: AsyncValues, prefix: str, found: tuple[Value, ...], cursor: str | None
) -> dict[str, Any]:
    """The values that were found, and those that follow, by their keys."""
    while cursor:
        page = await place.page(prefix, limit=PAGE, cursor=cursor)
        found, cursor = found + page.values, page.next_cursor
    return {unescape(value.name.removeprefix(prefix)): events.content_of(value) for value in found}


def _merged(own: dict[str, Any], of_user: dict[str, Any], of_app: dict[str, Any]) -> dict[str, Any]:
    """As an agent sees it."""
    return (
        own
        | {State.APP_PREFIX + key: value for key, value in of_app.items()}
        | {State.USER_PREFIX + key: value for key, value in of_user.items()}
    )
