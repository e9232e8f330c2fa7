"""Events as messages, and state as values."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import State
from pydantic_core import PydanticSerializationError, to_jsonable_python

from session_store.adapters._names import escape
from session_store.adapters.adk.names import FORMAT, STATE, shared_state
from session_store.models import Beside, Message, NewMessage, Operation, Value

NAN_TYPE = "application/json5"
"""Of a value with NaN or Infinity, which JSON does not have."""


def native_of(event: Event) -> dict[str, Any]:
    """As ADK's own services store events, but with NaN, which they make null."""
    try:
        native: dict[str, Any] = to_jsonable_python(
            event.model_dump(exclude_none=True), bytes_mode="base64", inf_nan_mode="constants"
        )
    except PydanticSerializationError:  # ADK replaces what has no JSON by its repr, with a warning
        native = event.model_dump(mode="json", exclude_none=True)
    return native


def native_of_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """An event that sets this state."""
    return native_of(Event(actions=EventActions(state_delta=dict(state))))


def message_of(native: dict[str, Any]) -> NewMessage:
    """With NaN, the native object is a string."""
    if _is_json(native):
        return {"format": FORMAT, "native": native}
    role = "user" if native.get("author") == "user" else "assistant"
    return {"format": FORMAT, "native": json.dumps(native), "role": role}


def event_of(message: Message) -> Event | None:
    """None if it is no event, but a message that somebody else has appended."""
    if message.format != FORMAT:
        return None
    native = message.native
    return Event.model_validate(json.loads(native) if isinstance(native, str) else native)


def writes_of(app_name: str, native: dict[str, Any]) -> Beside:
    """The values that an event changes."""
    writes: Beside = {}
    for key, value in native["actions"]["state_delta"].items():
        if key.startswith(State.APP_PREFIX):
            name = shared_state(app_name) + escape(key.removeprefix(State.APP_PREFIX))
            writes.setdefault("tenant", []).append(write(name, value))
        elif key.startswith(State.USER_PREFIX):
            name = shared_state(app_name) + escape(key.removeprefix(State.USER_PREFIX))
            writes.setdefault("user", []).append(write(name, value))
        elif not key.startswith(State.TEMP_PREFIX):
            writes.setdefault("session", []).append(write(STATE + escape(key), value))
    return writes


def write(name: str, value: Any) -> Operation:
    """The operation that puts JSON, or what Python makes of it."""
    if _is_json(value):
        return {"put": name, "json": value}
    text = base64.b64encode(json.dumps(value).encode()).decode()
    return {"put": name, "base64": text, "content_type": NAN_TYPE}


def content_of(value: Value) -> Any:
    return json.loads(value.content) if value.content_type == NAN_TYPE else value.content


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
