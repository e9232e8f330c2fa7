"""Steps of Chainlit: messages that are edited in place, with their feedback."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

from chainlit.step import StepDict
from chainlit.types import Feedback

from session_store import NotFound, session_id_of
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
from session_store.models import Message, Write

Change = Callable[[dict[str, Any]], dict[str, Any]]


class Steps:
    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def find(self, step_id: str) -> tuple[Owner, Place] | None:
        """Whose it is, and where."""
        [placed] = await self._threads.tenant(step_name(step_id))
        if placed is None:
            return None
        owner = await self._threads.owner(placed["thread"])
        return (owner, Place(**placed)) if owner else None

    async def put(self, step: StepDict, present: Callable[[], Owner]) -> None:
        """Creates the step, or merges it into the one of the same id. A thread that does not exist
        is created with it, as the `present` user's.

        Raises:
            PreconditionFailed: somebody else has written it, or has created the thread.
        """
        thread_id, step_id = step["threadId"], step["id"]
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
        client = self._threads.of(owner)
        appended = await client.messages.append_many(
            session_id_of(thread_id),
            [message_of(step)],
            session=self._threads.to_create(thread_id),
            values={"tenant": tenant, "user": user},
        )
        await self._note(step_id, thread_id, appended.messages[0].message_id)
        await note_favorite(client, thread_id, {}, step)

    async def edit(self, owner: Owner, place: Place, step_id: str, change: Change) -> str | None:
        """Returns the id of the step's message, or None if it is gone.

        Raises:
            PreconditionFailed: somebody else has edited it.
        """
        message = await self._message(owner, place, step_id)
        if message is None:
            return None
        client, old = self._threads.of(owner), step_of(message)
        new = change(old)
        if new != old:
            await client.messages.edit(
                session_id_of(place.thread),
                message.message_id,
                if_match=message.etag,
                **message_of(new),
            )
            await note_favorite(client, place.thread, old, new)
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
            async for message in messages.list(session_id, order="desc"):
                if any(step["id"] == step_id for step in steps_in([message])):
                    await self._note(step_id, place.thread, message.message_id)
                    return await messages.get(session_id, message.message_id)
        return None

    async def _note(self, step_id: str, thread_id: str, message_id: str) -> None:
        place = asdict(Place(thread=thread_id, message=message_id))
        await self._threads.client.tenant_values.put(step_name(step_id), place)


def names_of_feedback(step: dict[str, Any]) -> list[str]:
    """The tenant's value that leads to the step's feedback, if it has any."""
    return [feedback_name(step["feedback"]["id"])] if step.get("feedback") else []
