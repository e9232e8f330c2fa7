"""The messages of a session, as methods.

This module is over 250 lines because each route of messages is a method.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Unpack

import httpx

from session_store._async.connection import AsyncConnection
from session_store._bodies import segment
from session_store.grounding import Grounding, Offsets
from session_store.models import (
    Appended,
    Beside,
    Edited,
    Feedback,
    Include,
    Message,
    MessagePage,
    NewMessage,
    Order,
    Popped,
    Receipt,
    Result,
    SessionToCreate,
    View,
)

MINIMAL = {"Prefer": "return=minimal"}
"""The client knows what it has sent."""


class AsyncMessages:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def append(
        self,
        session_id: str,
        *,
        after: str | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
        **message: Unpack[NewMessage],
    ) -> Receipt:
        """With `after`, only if that message is the session's last one (else 412
        `NOT_THE_LAST_MESSAGE`)."""
        answer = await self._connection.request(
            "POST",
            _path(session_id),
            query={"after": after},
            json=message,
            headers={"If-Match": if_match, **MINIMAL},
            key=idempotency_key,
        )
        return Receipt.of(answer.json())

    async def append_many(
        self,
        session_id: str,
        messages: Sequence[NewMessage],
        *,
        session: SessionToCreate | None = None,
        values: Beside | None = None,
        after: str | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Appended:
        """All or none, directly after each other, at most 50. If there is no such session, it is
        created from `session`. `values` are written in the same step."""
        body: dict[str, Any] = {"messages": messages}
        if session is not None:
            body["session"] = session
        if values is not None:
            body["values"] = values
        answer = await self._connection.request(
            "POST",
            f"{_path(session_id)}/batch",
            query={"after": after},
            json=body,
            headers={"If-Match": if_match, **MINIMAL},
            key=idempotency_key,
        )
        return _appended(answer)

    async def list(
        self,
        session_id: str,
        *,
        order: Order = "asc",
        after: str | None = None,
        limit: int | None = None,
        view: View | None = None,
        include: Include | None = None,
        offsets: Offsets | None = None,
    ) -> AsyncIterator[Message]:
        """All messages, or those after `after`. `limit` is the size of a page. With
        `view="neutral"`, messages of any provider have one form; `offsets` is the unit in it. With
        `include="grounding"`, each message has a summary of what it cites."""
        cursor = None
        while True:
            page = await self.page(
                session_id,
                order=order,
                after=after,
                limit=limit,
                cursor=cursor,
                view=view,
                include=include,
                offsets=offsets,
            )
            for message in page.messages:
                yield message
            cursor = page.next_cursor
            if cursor is None:
                return

    async def page(
        self,
        session_id: str,
        *,
        order: Order = "asc",
        after: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        view: View | None = None,
        include: Include | None = None,
        offsets: Offsets | None = None,
    ) -> MessagePage:
        query = {"order": order, "after": after, "limit": limit, "cursor": cursor}
        query |= {"view": view, "include": include, "offsets": offsets}
        body = (await self._connection.request("GET", _path(session_id), query=query)).json()
        return MessagePage(
            messages=tuple(Message.of(each) for each in body["messages"]),
            next_cursor=body["next_cursor"],
            changed=body["changed"],
        )

    async def get(
        self, session_id: str, message_id: str, *, include: Include | None = None
    ) -> Message:
        answer = await self._connection.request(
            "GET", _path(session_id, message_id), query={"include": include}
        )
        return Message.of(answer.json(), etag=answer.headers["ETag"])

    async def grounding(
        self, session_id: str, message_id: str, *, offsets: Offsets | None = None
    ) -> Grounding:
        """What the message rests on: its citations and sources, in one form for all providers."""
        path = f"{_path(session_id, message_id)}/grounding"
        answer = await self._connection.request("GET", path, query={"offsets": offsets})
        return Grounding.of(answer.json())

    async def edit(
        self,
        session_id: str,
        message_id: str,
        *,
        if_match: str | None = None,
        **message: Unpack[NewMessage],
    ) -> Edited:
        """Replaces what the message says, or only its `status` if nothing else is given."""
        answer = await self._connection.request(
            "PUT", _path(session_id, message_id), json=message, headers={"If-Match": if_match}
        )
        return Edited.of(
            answer.json(),
            etag=answer.headers["ETag"],
            session_etag=answer.headers["Session-ETag"],
        )

    async def delete(
        self, session_id: str, message_id: str, *, if_match: str | None = None
    ) -> None:
        await self._connection.request(
            "DELETE", _path(session_id, message_id), headers={"If-Match": if_match}
        )

    async def delete_from(
        self, session_id: str, message_id: str, *, if_match: str | None = None
    ) -> int:
        """Deletes the message and all after it. Returns how many."""
        return await self._delete_tail(session_id, {"from": message_id}, if_match)

    async def delete_after(
        self, session_id: str, message_id: str, *, if_match: str | None = None
    ) -> int:
        """Deletes all messages after this one. Returns how many."""
        return await self._delete_tail(session_id, {"after": message_id}, if_match)

    async def delete_all(self, session_id: str, *, if_match: str | None = None) -> int:
        """Deletes all messages of the session, which stays. Returns how many."""
        return await self._delete_tail(session_id, {"all": "true"}, if_match)

    async def _delete_tail(
        self, session_id: str, which: dict[str, str], if_match: str | None
    ) -> int:
        answer = await self._connection.request(
            "DELETE", _path(session_id), query=which, headers={"If-Match": if_match}
        )
        return int(answer.json()["deleted_messages"])

    async def pop(
        self,
        session_id: str,
        count: int = 1,
        *,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Popped:
        """Removes the last messages, at most 50, and returns them, oldest first."""
        answer = await self._connection.request(
            "POST",
            f"{_path(session_id)}/pop",
            json={"count": count},
            headers={"If-Match": if_match},
            key=idempotency_key,
        )
        body = answer.json()
        messages = body["messages"]
        return Popped(
            message_ids=tuple(body["message_ids"]),
            messages=None if messages is None else tuple(Message.of(each) for each in messages),
            session_etag=answer.headers["Session-ETag"],
        )

    async def replace(
        self,
        session_id: str,
        messages: Sequence[NewMessage],
        *,
        from_: str | None = None,
        after: str | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Appended:
        """Puts messages, at most 50, in the place of all from `from_` on or after `after`; of all
        if neither is given. In one step."""
        body: dict[str, Any] = {"messages": messages}
        if from_ is not None:
            body["from"] = from_
        if after is not None:
            body["after"] = after
        if from_ is None and after is None:
            body["all"] = True
        answer = await self._connection.request(
            "POST",
            f"{_path(session_id)}/replace",
            json=body,
            headers={"If-Match": if_match, **MINIMAL},
            key=idempotency_key,
        )
        return _appended(answer)

    async def put_feedback(
        self,
        session_id: str,
        message_id: str,
        rating: str | float | bool,
        *,
        comment: str | None = None,
    ) -> Feedback:
        """One for each rater: the user, or the agent that acts for the user."""
        body = {"rating": rating, "comment": comment}
        path = f"{_path(session_id, message_id)}/feedback"
        return Feedback.of((await self._connection.request("PUT", path, json=body)).json())

    async def delete_feedback(self, session_id: str, message_id: str) -> None:
        await self._connection.request("DELETE", f"{_path(session_id, message_id)}/feedback")


def _path(session_id: str, message_id: str | None = None) -> str:
    path = f"sessions/{segment(session_id)}/messages"
    return path if message_id is None else f"{path}/{segment(message_id)}"


def _appended(answer: httpx.Response) -> Appended:
    body = answer.json()
    return Appended(
        messages=tuple(Receipt.of(each) for each in body["messages"]),
        session_etag=answer.headers["Session-ETag"],
        previous=body.get("previous"),
        values={
            place: tuple(Result.of(each) for each in results)
            for place, results in body.get("values", {}).items()
        },
        replayed=answer.headers.get("Idempotent-Replayed") == "true",
        unindexed=body.get("unindexed", 0),
    )
