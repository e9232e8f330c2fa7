"""What Strands keeps, as messages and values of the store."""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from strands.multiagent import MultiAgentBase
from strands.types.session import SessionMessage

from session_store._bodies import segment
from session_store.models import Message, NewMessage, Value, Write

FORMAT = "strands.message"
TEXT_FORMAT = "strands.json"
"""Of a message with NaN or Infinity, which is kept as Python's JSON text."""

AGENTS, MULTI_AGENTS = "strands/agents/", "strands/multi-agents/"


def value_name(prefix: str, name: str) -> str:
    return prefix + segment(name)


def value_of(name: str, content: dict[str, Any]) -> Write:
    """JSON, or Python's JSON text if there is NaN or Infinity in it."""
    try:
        json.dumps(content, allow_nan=False)
    except ValueError:
        text = base64.b64encode(json.dumps(content).encode()).decode()
        return {"put": name, "base64": text, "content_type": "text/plain"}
    return {"put": name, "json": content}


def content_of(value: Value) -> Any:
    return json.loads(value.content) if isinstance(value.content, bytes) else value.content


def multi_agent_value(multi_agent: MultiAgentBase) -> Write:
    return value_of(value_name(MULTI_AGENTS, multi_agent.id), multi_agent.serialize_state())


def message_of(agent_id: str, message: SessionMessage) -> NewMessage:
    native = message.to_dict()
    new: NewMessage = {
        "role": message.to_message()["role"],
        "format": FORMAT,
        "native": native,
        "metadata": {"agent_id": agent_id},
    }
    try:
        json.dumps(native, allow_nan=False)
    except ValueError:
        new["format"], new["native"] = TEXT_FORMAT, json.dumps(native)
    return new


def read(messages: Iterable[Message], agent_id: str) -> Iterator[SessionMessage]:
    """Those of the agent, with rising numbers: what another writer has numbered like the one
    before gets the next number."""
    least = 0
    for message in messages:
        native = message.native
        if message.metadata.get("agent_id") != agent_id:
            continue
        if message.format == TEXT_FORMAT:
            native = json.loads(native)
        elif message.format != FORMAT:
            continue
        found = SessionMessage.from_dict(native)
        found.message_id = max(found.message_id, least)
        least = found.message_id + 1
        note(found, message.message_id)
        yield found


def note(message: SessionMessage, stored: str) -> None:
    """The store's id of a message, for its update. Not a field, so that it is not stored."""
    vars(message)["_stored_as"] = stored


def stored_as(message: SessionMessage) -> str | None:
    return vars(message).get("_stored_as")
