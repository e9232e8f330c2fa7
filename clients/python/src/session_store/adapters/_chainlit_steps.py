"""Steps of Chainlit: messages that are edited in place, with their feedback.

This module is over 250 lines because all that edits a step must keep the same order.
"""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from chainlit.step import StepDict
from chainlit.types import Feedback

from session_store import NotFound, PreconditionFailed, session_id_of
from session_store.adapters import _chainlit_elements as elements
from session_store.adapters._chainlit_records import (
    ELEMENTS,
    Owner,
    Place,
    exact,
    feedback_name,
    head_json,
    merged,
    message_of,
    now,
    owner_json,
    owner_of,
    step_name,
    step_of,
    steps_in,
    thread_name,
)
from session_store.adapters._chainlit_threads import Threads, note_favorite
from session_store.models import Beside, Message, Write

Change = Callable[[dict[str, Any]], dict[str, Any]]

REMEMBERED = 100
"""Steps and threads. Each write says on which condition it holds, so nothing is trusted that may
have changed."""


NEAR = 5
"""Messages of a page. Only other processes' messages can be between `Place.after` and the step."""


@dataclass(frozen=True)
class _Seen:
    owner: Owner
    thread_id: str
    message_id: str
    etag: str
    step: dict[str, Any]


class Steps:
    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        """Steps by their ids, as this process has written them."""
        self._recent: OrderedDict[str, tuple[Owner, str]] = OrderedDict()
        """Whose a thread was, and the message that this process has appended to it last."""

    async def find(self, step_id: str) -> tuple[Owner, Place] | None:
        """Whose it is, and where."""
        [placed] = await self._threads.tenant(step_name(step_id))
        if placed is None:
            return None
        owner = await self._threads.owner(placed["thread"])
        return (owner, Place(**placed)) if owner else None

    async def put(self, step: StepDict, present: Callable[[], Owner]) -> None:
        """Creates the step, or merges it into the one of the same id. A thread that does not exist
        is created with it, as the `present` user's. One request for what this process has written
        lately, three otherwise.

        Raises:
            PreconditionFailed: somebody else has written it, or has created the thread.
        """
        thread_id, step_id = step["threadId"], step["id"]
        if await self._put_again(step):
            return
        owned, placed = await self._threads.tenant(thread_name(thread_id), step_name(step_id))
        owner = owner_of(owned) if owned else None
        if placed:
            place = Place(**placed)
            own = owner if place.thread == thread_id else await self._threads.owner(place.thread)
            if own and await self.edit(own, place, step_id, partial(merged, new=step)):
                return
        tenant: list[Write] = [{"put": step_name(step_id), "json": {"thread": thread_id}}]
        user: list[Write] = []
        if placed is None:
            tenant[0]["if_none_match"] = "*"
        if owner is None:
            owner = present()
            json = owner_json(thread_id, owner)
            tenant.append({"put": thread_name(thread_id), "json": json, "if_none_match": "*"})
            user.append({"put": thread_name(thread_id), "json": head_json(thread_id, now())})
        message_id = await self._append(owner, step, {"tenant": tenant, "user": user}, create=True)
        noted = asdict(Place(thread=thread_id, message=message_id))
        await self._threads.client.tenant_values.put(step_name(step_id), noted)

    async def _put_again(self, step: StepDict) -> bool:
        """Writes without a read, on condition that what this process has seen is still so."""
        thread_id, step_id = step["threadId"], step["id"]
        seen = self._seen.pop(step_id, None)
        with suppress(NotFound, PreconditionFailed):
            if seen and seen.thread_id == thread_id:
                await self._replace(seen, merged(seen.step, step))
                return True
            if recent := None if seen else self._recent.pop(thread_id, None):
                owner, last = recent
                place = {"thread": thread_id, "after": last}
                put: Write = {"put": step_name(step_id), "json": place, "if_none_match": "*"}
                await self._append(owner, step, {"tenant": [put]}, create=False)
                return True
        return False

    async def _append(self, owner: Owner, step: StepDict, values: Beside, *, create: bool) -> str:
        """Returns the id of the message."""
        client, thread_id = self._threads.of(owner), step["threadId"]
        appended = await client.messages.append_many(
            session_id_of(thread_id),
            [message_of(step)],
            session=self._threads.to_create(thread_id) if create else None,
            values=values,
        )
        message_id = appended.messages[0].message_id
        await note_favorite(client, thread_id, {}, step)
        _remember(self._recent, thread_id, (owner, message_id))
        # The ETag of a message that was not edited. If it were not, the next update would only cost
        # more.
        etag = f'"{message_id.removeprefix("msg_")}"'
        made = _Seen(owner, thread_id, message_id, etag, dict(step))
        _remember(self._seen, step["id"], made)
        return message_id

    async def _replace(self, seen: "_Seen", new: dict[str, Any]) -> None:
        """
        Raises:
            PreconditionFailed: somebody else has edited it.
        """
        if new != seen.step:
            client = self._threads.of(seen.owner)
            edited = await client.messages.edit(
                session_id_of(seen.thread_id),
                seen.message_id,
                if_match=seen.etag,
                **message_of(new),
            )
            await note_favorite(client, seen.thread_id, seen.step, new)
            seen = replace(seen, etag=edited.etag, step=new)
        _remember(self._seen, new["id"], seen)

    async def edit(self, owner: Owner, place: Place, step_id: str, change: Change) -> str | None:
        """Returns the id of the step's message, or None if it is gone.

        Raises:
            PreconditionFailed: somebody else has edited it.
        """
        message = await self._message(owner, place, step_id)
        if message is None:
            return None
        old = step_of(message)
        etag = message.etag or "*"
        seen = _Seen(owner, place.thread, message.message_id, etag, old)
        await self._replace(seen, change(old))
        return message.message_id

    async def delete(self, step_id: str) -> None:
        """With its feedback and its elements."""
        names = [step_name(step_id)]
        found = await self.find(step_id)
        message = await self._message(*found, step_id) if found else None
        if found and message:
            owner, place = found
            client, session_id = self._threads.of(owner), session_id_of(place.thread)
            step = step_of(message)
            values = client.session_values(session_id)
            async for value in values.list(ELEMENTS):
                element = exact(value.content)
                if element["forId"] == step_id:
                    await elements.delete(values, element["id"])
            await note_favorite(client, place.thread, step, {"id": step_id})
            names += names_of_feedback(step)
            with suppress(NotFound):
                await client.messages.delete(session_id, message.message_id)
        await self._threads.forget(names)

    async def rate(self, feedback: Feedback, feedback_id: str) -> None:
        """
        Raises:
            ValueError: there is no such step.
        """
        step_id = feedback.forId
        given = {
            "forId": step_id,
            "id": feedback_id,
            "value": feedback.value,
            "comment": feedback.comment,
        }
        message_id: str | None = None
        earlier: list[str] = []
        if found := await self.find(step_id):
            owner, place = found
            to_step = {"step": step_id}
            await self._threads.client.tenant_values.put(feedback_name(feedback_id), to_step)

            def with_feedback(old: dict[str, Any]) -> dict[str, Any]:
                earlier[:] = names_of_feedback(old)
                return {**old, "feedback": given}

            message_id = await self.edit(owner, place, step_id, with_feedback)
        if not found or message_id is None:
            raise ValueError(f"There is no step {step_id}")
        await self._threads.of(owner).messages.put_feedback(
            session_id_of(place.thread), message_id, feedback.value
        )
        if surplus := set(earlier) - {feedback_name(feedback_id)}:
            await self._threads.forget(surplus)

    async def unrate(self, feedback_id: str) -> None:
        [stored] = await self._threads.tenant(feedback_name(feedback_id))
        if stored is None:
            return
        step_id = stored["step"]

        def without_feedback(old: dict[str, Any]) -> dict[str, Any]:
            own = (old.get("feedback") or {}).get("id") == feedback_id
            return {name: v for name, v in old.items() if not (own and name == "feedback")}

        if found := await self.find(step_id):
            owner, place = found
            message_id = await self.edit(owner, place, step_id, without_feedback)
            if message_id:
                messages = self._threads.of(owner).messages
                with suppress(NotFound):
                    await messages.delete_feedback(session_id_of(place.thread), message_id)
        await self._threads.forget([feedback_name(feedback_id)])

    async def _message(self, owner: Owner, place: Place, step_id: str) -> Message | None:
        messages, session_id = self._threads.of(owner).messages, session_id_of(place.thread)
        with suppress(NotFound):
            if place.message:
                return await messages.get(session_id, place.message)
            listed = (
                messages.list(session_id, after=place.after, limit=NEAR)
                if place.after
                else messages.list(session_id, order="desc")
            )
            async for message in listed:
                if any(step["id"] == step_id for step in steps_in([message])):
                    return await messages.get(session_id, message.message_id)
        return None


def _remember(memory: OrderedDict[str, Any], key: str, value: Any) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)


def names_of_feedback(step: dict[str, Any]) -> list[str]:
    """The tenant's value that leads to the step's feedback, if it has any."""
    return [feedback_name(step["feedback"]["id"])] if step.get("feedback") else []
