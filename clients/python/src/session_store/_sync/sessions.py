"""Sessions, as methods."""

from collections.abc import Iterator, Sequence
from typing import Any, Unpack

from session_store._bodies import segment
from session_store._retries import new_key
from session_store._sync.connection import Connection
from session_store.grounding import Offsets, SessionGrounding
from session_store.models import (
    DatedMessage,
    Erased,
    Filters,
    Include,
    OpenedSession,
    Order,
    Session,
    SessionPage,
    SessionToCreate,
    Settings,
    View,
)


class Sessions:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        *,
        only_new: bool = False,
        idempotency_key: str | None = None,
        **session: Unpack[SessionToCreate],
    ) -> Session:
        """Creates a session, or finds the one with this `key`. With `only_new`, one that is there
        is an error (409 `SESSION_EXISTS`)."""
        answer = self._connection.request(
            "POST",
            "sessions",
            json=session,
            headers={"If-None-Match": "*" if only_new else None},
            key=idempotency_key,
        )
        return Session.of(answer.json(), etag=answer.headers["ETag"])

    def get(
        self,
        session_id: str,
        *,
        messages: int | None = None,
        values: str | None = None,
        user_values: str | None = None,
        tenant_values: str | None = None,
        view: View | None = None,
        include: Include | None = None,
        offsets: Offsets | None = None,
    ) -> OpenedSession:
        """With its last `messages`, at most 1,000, or without the argument with the first 5,000 or
        4.5 MB; and with the values whose names begin with `values`, and those of the user and the
        tenant whose names begin with `user_values` and `tenant_values`. `view`, `include` and
        `offsets` are those of `messages.list`."""
        query = {"messages": messages, "values": values}
        query |= {"user_values": user_values, "tenant_values": tenant_values}
        query |= {"view": view, "include": include, "offsets": offsets}
        answer = self._connection.request("GET", _path(session_id), query=query)
        return OpenedSession.of(answer.json(), etag=answer.headers["ETag"])

    def list(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> Iterator[Session]:
        """All sessions, latest activity first. `limit` is the size of a page."""
        cursor = None
        while True:
            page = self.page(limit=limit, cursor=cursor, **filters)
            for session in page.sessions:
                yield session
            cursor = page.next_cursor
            if cursor is None:
                return

    def page(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        **filters: Unpack[Filters],
    ) -> SessionPage:
        """One page. With filters, it may be short or empty while its cursor leads to more."""
        query: dict[str, Any] = {"limit": limit, "cursor": cursor, **filters}
        for name, value in (query.pop("metadata", None) or {}).items():
            query[f"metadata.{name}"] = "null" if value is None else value
        body = (self._connection.request("GET", "sessions", query=query)).json()
        return SessionPage(
            sessions=tuple(Session.of(each) for each in body["sessions"]),
            next_cursor=body["pagination"]["next_cursor"],
            total=body["pagination"]["total"],
        )

    def update(
        self,
        session_id: str,
        *,
        if_match: str | None = None,
        if_settings_version: int | None = None,
        **settings: Unpack[Settings],
    ) -> Session:
        """Changes what is given. `metadata` is merged: None removes a member (RFC 7396)."""
        return self._change("PATCH", session_id, if_match, if_settings_version, settings)

    def replace(
        self,
        session_id: str,
        *,
        if_match: str | None = None,
        if_settings_version: int | None = None,
        **settings: Unpack[Settings],
    ) -> Session:
        """Changes what is given. `metadata` takes the place of the present one."""
        return self._change("PUT", session_id, if_match, if_settings_version, settings)

    def _change(
        self,
        method: str,
        session_id: str,
        if_match: str | None,
        if_settings_version: int | None,
        settings: Settings,
    ) -> Session:
        body: dict[str, Any] = {**settings}
        if if_settings_version is not None:
            body["if_settings_version"] = if_settings_version
        headers = {"If-Match": if_match}
        answer = self._connection.request(method, _path(session_id), json=body, headers=headers)
        return Session.of(answer.json(), etag=answer.headers["ETag"])

    def delete(self, session_id: str, *, if_match: str | None = None) -> int:
        """Deletes the session with all that is in it. Returns how many messages were removed."""
        bodies = self._connection.repeat(
            "DELETE", _path(session_id), headers={"If-Match": if_match}
        )
        return sum(body["deleted_messages"] for body in bodies)

    def delete_all(self) -> Erased:
        """Erases all that the user has, values included."""
        bodies = self._connection.repeat("DELETE", "sessions", query={"confirm": "all"})
        return Erased(
            deleted_sessions=sum(body["deleted_sessions"] for body in bodies),
            deleted_messages=sum(body["deleted_messages"] for body in bodies),
        )

    def fork(
        self,
        session_id: str,
        *,
        until: str | None = None,
        key: str | None = None,
        title: str | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Copies the session up to the message `until`, or all of it, into a new one."""
        asked = {"until": until, "key": key, "title": title}
        body = {name: value for name, value in asked.items() if value is not None}
        bodies = self._connection.repeat(
            "POST", f"{_path(session_id)}/fork", json=body, key=idempotency_key or new_key()
        )
        return Session.of(bodies[-1])

    def import_(
        self,
        messages: Sequence[DatedMessage],
        *,
        created_at: str | None = None,
        idempotency_key: str | None = None,
        **session: Unpack[SessionToCreate],
    ) -> Session:
        """Creates a session with messages that have dates. Needs the scope `sessions:import`."""
        about: dict[str, Any] = {**session}
        if created_at is not None:
            about["created_at"] = created_at
        answer = self._connection.request(
            "POST", "import", json={"session": about, "messages": messages}, key=idempotency_key
        )
        return Session.of(answer.json(), etag=answer.headers["ETag"])

    def check(self, session_id: str, *, messages: int | None = None) -> dict[str, Any]:
        """Which tool calls have no result and which results no call, among the last `messages`."""
        path = f"{_path(session_id)}/check"
        answer = self._connection.request("GET", path, query={"messages": messages})
        found: dict[str, Any] = answer.json()
        return found

    def grounding(
        self,
        session_id: str,
        *,
        messages: int | None = None,
        order: Order | None = None,
        offsets: Offsets | None = None,
        cursor: str | None = None,
    ) -> SessionGrounding:
        """What the messages of one page rest on: the last `messages`, or as many as `get` reads.
        The figures are those of these messages."""
        query = {"messages": messages, "order": order, "offsets": offsets, "cursor": cursor}
        path = f"{_path(session_id)}/grounding"
        answer = self._connection.request("GET", path, query=query)
        return SessionGrounding.of(answer.json())

    def grounding_pages(
        self, session_id: str, *, order: Order | None = None, offsets: Offsets | None = None
    ) -> Iterator[SessionGrounding]:
        """What all messages rest on, page by page."""
        cursor = None
        while True:
            page = self.grounding(session_id, order=order, offsets=offsets, cursor=cursor)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return


def _path(session_id: str) -> str:
    return f"sessions/{segment(session_id)}"
