"""SQLAlchemyDataLayer of Chainlit, over SQLite.

The bytes of elements are not in the database: their `url` and `objectKey` are taken over, and what
they lead to stays where it is.
"""

from collections.abc import Iterator
from pathlib import Path
from sqlite3 import Connection, Row
from typing import Any, cast

from session_store.adapters._chainlit_records import (
    ANONYMOUS,
    Owner,
    digest,
    element_name,
    favorites_of,
    feedback_name,
    head_json,
    is_favorite,
    message_of,
    now,
    owner_json,
    step_name,
    strict,
    thread_name,
    title_of,
    user_id_of,
    user_json,
    user_name,
)
from session_store.migrations import Conversation, Record, Values, open_sqlite, parse_json
from session_store.models import DatedMessage, Write

DOMAIN = "chainlit"

JSON = ("metadata", "generation", "props", "modes", "tags", "playerConfig")
"""Columns with JSON in a text. SQLite has no arrays, so tags can only be that."""

BOOLEAN = (
    "streaming",
    "waitForAnswer",
    "isError",
    "defaultOpen",
    "autoCollapse",
    "disableFeedback",
    "autoPlay",
)
"""SQLite has numbers instead."""


def read(path: Path) -> Iterator[Record]:
    """Users keep their ids."""
    with open_sqlite(path, "users", "threads", "steps", "elements", "feedbacks") as database:
        for row in database.execute("SELECT * FROM users"):
            user = _members(row)
            metadata = user["metadata"] or {}
            made = user_json(user["id"], user["identifier"], user["createdAt"], metadata)
            names = {user_name(user_id_of(user["identifier"])), user_name(user["id"])}
            yield Values(place="tenant", values=[{"put": each, "json": made} for each in names])
        for row in database.execute("SELECT * FROM threads"):
            yield from _thread(database, _members(row))


def _thread(database: Connection, thread: dict[str, Any]) -> Iterator[Record]:
    thread_id, user = thread["id"], thread["userIdentifier"]
    created_at = thread["createdAt"] or now()
    owner = Owner(user=user, user_id=thread["userId"])
    head = head_json(thread_id, created_at, thread["name"], thread["tags"], thread["metadata"])
    found = "SELECT * FROM elements WHERE threadId = ?"
    elements = [_members(row) for row in database.execute(found, (thread_id,))]
    yield Conversation(
        session={"key": thread_id, "domain_id": DOMAIN, "title": title_of(thread["name"])},
        messages=(_message(step, created_at) for step in _steps(database, thread_id)),
        values=[{"put": element_name(each["id"]), "json": strict(each)} for each in elements],
        created_at=created_at,
        user=user or ANONYMOUS,
    )
    tenant: list[Write] = []
    favorites: list[Write] = []
    for step in _steps(database, thread_id):
        tenant.append({"put": step_name(step["id"]), "json": {"thread": thread_id}})
        if feedback := step.pop("feedback", None):
            to_step = {"step": step["id"]}
            tenant.append({"put": feedback_name(feedback["id"]), "json": to_step})
        if is_favorite(step):
            name = favorites_of(thread_id) + digest(step["id"])
            favorites.append({"put": name, "json": strict(step)})
    known: Write = {"put": thread_name(thread_id), "json": head}
    yield Values(place="user", values=[known, *favorites], user=user or ANONYMOUS)
    # The owner comes last: with it, Chainlit finds the thread.
    leads: Write = {"put": thread_name(thread_id), "json": owner_json(thread_id, owner)}
    yield Values(place="tenant", values=[*tenant, leads])


def _steps(database: Connection, thread_id: str) -> Iterator[dict[str, Any]]:
    """In the order in which Chainlit shows them, with their feedback."""
    for row in database.execute(
        "SELECT * FROM steps WHERE threadId = ? ORDER BY createdAt", (thread_id,)
    ):
        step = _members(row)
        step["metadata"] = step["metadata"] or {}
        given = database.execute("SELECT * FROM feedbacks WHERE forId = ?", (step["id"],))
        for feedback in given:
            step["feedback"] = {
                name: feedback[name] for name in ("forId", "id", "value", "comment")
            }
        yield step


def _message(step: dict[str, Any], created_at: str) -> DatedMessage:
    dated = {**message_of(step), "created_at": step["createdAt"] or created_at}
    return cast(DatedMessage, dated)


def _members(row: Row) -> dict[str, Any]:
    """The row as Chainlit's layer was given it."""
    found: dict[str, Any] = dict(row)
    for name, value in found.items():
        if name in JSON and isinstance(value, str):
            found[name] = parse_json(value, f"{name} of {found['id']}")
        elif name in BOOLEAN and value is not None:
            found[name] = bool(value)
    return found
