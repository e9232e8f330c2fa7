"""OpenAI Chat Completions: a ChatCompletion, a choice, a chunk, or a message of any role."""

from typing import Any

from app.formats import reading
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import joined, member, objects, string, texts

RESULTS = Window.RUN


def role(native: Any) -> str | None:
    pointer, said = message(native)
    return reading.role(said.get("role")) or ("assistant" if pointer else None)


def text(native: Any) -> str:
    """The first choice's: the others are alternatives."""
    _, said = message(native)
    return (
        joined(texts(said.get("content")))
        or string(said.get("refusal"))
        or string(member(said, "audio", "transcript"))
        or ""
    )


def tool_calls(native: Any) -> list[ToolCall]:
    pointer, said = message(native)
    calls = []
    for where, call in objects(said.get("tool_calls"), f"{pointer}/tool_calls"):
        for kind in ("function", "custom"):
            if isinstance(call.get(kind), dict):
                name = string(call[kind].get("name"))
                calls.append(ToolCall(string(call.get("id")), name, where))
                break
    legacy = said.get("function_call")
    if isinstance(legacy, dict):
        calls.append(ToolCall(None, string(legacy.get("name")), f"{pointer}/function_call"))
    return calls


def tool_results(native: Any) -> list[ToolResult]:
    """The message itself. Only the older `function` role goes by the name."""
    pointer, said = message(native)
    if said.get("role") == "function":
        return [ToolResult(None, string(said.get("name")), pointer)]
    if said.get("role") == "tool":
        return [ToolResult(string(said.get("tool_call_id")), None, pointer)]
    return []


def message(native: Any) -> tuple[str, dict[str, Any]]:
    """Where the message is, and the message."""
    pointer, found = next(objects(member(native, "choices"), "/choices"), ("", native))
    for name in ("message", "delta"):
        if isinstance(member(found, name), dict):
            return f"{pointer}/{name}", found[name]
    return pointer, found if isinstance(found, dict) else {}
