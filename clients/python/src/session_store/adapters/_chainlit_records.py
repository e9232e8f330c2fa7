"""What the Chainlit adapter stores: names of values, and steps and threads as JSON.

Imports nothing of Chainlit, so that the migration can use it.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from session_store.ids import session_id_of
from session_store.models import Message, NewMessage

FORMAT = "chainlit.step"

ANONYMOUS = "chainlit:anonymous"
"""The user of the threads that have none."""

ELEMENTS = "elements/"
"""Values of the session: an ElementDict each. The bytes are in `files/<digest>/<part>`."""

FAVORITES = "chainlit/favorites/"
"""Values of the user, with a copy of each favorite step."""

_USERS = uuid.UUID("6f5b3a0e-9a2c-5c1d-8b57-3f6f1d0c2a41")

_BATCH, _BATCH_BYTES = 50, 3_000_000
"""Messages of a batch, and their bytes together, unless a single one has more."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose a thread is. All are None if the thread has no user."""

    user: str | None = None
    """Chainlit's `identifier`, which is the user in the session store."""
    user_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a step is. Without `message`, its message must be looked for: behind the message
    `after`, if that is known."""

    thread: str
    message: str | None = None
    after: str | None = None


def now() -> str:
    """As Chainlit writes times."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat() + "Z"


def digest(an_id: str) -> str:
    """A name for an id of any text: 32 hexadecimal digits."""
    return hashlib.sha256(an_id.encode()).hexdigest()[:32]


def thread_name(thread_id: str) -> str:
    """The tenant's value with the owner of a thread; the user's value with its name, tags and
    metadata."""
    return head_name(session_id_of(thread_id))


def head_name(session_id: str) -> str:
    return f"chainlit/threads/{session_id}"


def step_name(step_id: str) -> str:
    return f"chainlit/steps/{digest(step_id)}"


def feedback_name(feedback_id: str) -> str:
    return f"chainlit/feedback/{digest(feedback_id)}"


def element_name(element_id: str) -> str:
    return ELEMENTS + digest(element_id)


def user_name(user_id: str) -> str:
    return f"chainlit/users/{digest(user_id)}"


def user_id_of(identifier: str) -> str:
    """The id of a user, so that one value is found by both."""
    return str(uuid.uuid5(_USERS, identifier))


def favorites_of(thread_id: str) -> str:
    return f"{FAVORITES}{session_id_of(thread_id)}/"


def user_json(
    user_id: str, identifier: str, created_at: str, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "id": user_id,
        "identifier": identifier,
        "createdAt": created_at,
        "metadata": strict(metadata),
    }


def owner_json(thread_id: str, owner: Owner) -> dict[str, Any]:
    return {"thread": thread_id, **asdict(owner)}


def owner_of(stored: Mapping[str, Any]) -> Owner:
    return Owner(user=stored["user"], user_id=stored["user_id"])


def strict(value: Any) -> Any:
    """The value, or its JSON text if it has NaN or Infinity, which JSON does not have."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(value)
    return value


def exact(stored: Any) -> Any:
    """What `strict` was given, an object."""
    return json.loads(stored) if isinstance(stored, str) else stored


def message_of(step: Mapping[str, Any]) -> NewMessage:
    name = "".join(letter for letter in step.get("name") or "" if letter.isprintable())
    kind = str(step.get("type") or "undefined")
    return {
        "role": kind.removesuffix("_message"),
        "name": name[:128].strip() or None,
        "format": FORMAT,
        "native": strict(step),
    }


def step_of(message: Message) -> dict[str, Any]:
    step: dict[str, Any] = exact(message.native)
    return step


def steps_in(messages: Iterable[Message]) -> list[Any]:
    """Others may have written to the session, too."""
    return [step_of(message) for message in messages if message.format == FORMAT]


def is_favorite(step: Mapping[str, Any]) -> bool:
    return bool((step.get("metadata") or {}).get("favorite"))


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """As Chainlit's own layers do: None does not take the place of anything."""
    return {**old, **{name: v for name, v in new.items() if v is not None or name not in old}}


def batches(steps: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """As many steps at a time as one request takes."""
    batch: list[Mapping[str, Any]] = []
    size = 0
    for step in steps:
        own = len(json.dumps(step))
        if batch and (len(batch) == _BATCH or size + own > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(step)
        size += own
    if batch:
        yield batch


def head_json(
    thread_id: str,
    created_at: str,
    name: str | None = None,
    tags: list[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A thread without its steps. Each member of the metadata is a JSON text, so that a merge patch
    replaces it as a whole, and NaN is kept."""
    given = {key: json.dumps(v) for key, v in (metadata or {}).items() if v is not None}
    return {
        "id": thread_id,
        "createdAt": created_at,
        "name": name,
        "tags": tags,
        "metadata": given,
    }


def head_patch(
    name: str | None, tags: list[str] | None, metadata: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Changes what is not None. A member of the metadata that is None is removed."""
    patch: dict[str, Any] = {"name": name, "tags": tags}
    if metadata is not None:
        patch["metadata"] = {key: v if v is None else json.dumps(v) for key, v in metadata.items()}
    return {key: v for key, v in patch.items() if v is not None}


def metadata_of(head: Mapping[str, Any]) -> dict[str, Any]:
    return {key: json.loads(text) for key, text in head["metadata"].items()}


def title_of(name: str | None) -> str | None:
    """The beginning of the name as the session's title."""
    return "".join(c if c.isprintable() else " " for c in name or "")[:512].strip() or None
