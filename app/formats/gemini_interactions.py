"""Gemini Interactions: an Interaction (with `steps`, or `outputs` as at first), one step or output,
a turn with `role` and `content`, or an array of these."""

from collections.abc import Iterator
from typing import Any

from app.formats import reading
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import joined, kind, member, objects, string, texts

RESULTS = Window.LATER
"""By `call_id`: in the input of an interaction after it."""

_ROLES = {
    "user_input": "user",
    "function_result": "tool",
    "model_output": "assistant",
    "thought": "assistant",
}


def role(native: Any) -> str | None:
    if whole(native):
        return "assistant"
    roles = {_role(step) for _, step in steps_of(native)}
    return roles.pop() if len(roles) == 1 else None


def text(native: Any) -> str:
    """Of a whole interaction, what the model said and not what it was asked."""
    parts = [part for _, part in _parts(native)]
    if role(native) == "tool":
        return joined(piece for part in parts for piece in texts(part.get("result")))
    said = ("model_output",) if whole(native) else ("", "model_output", "user_input")
    pieces: list[Any] = []
    for _, step in steps_of(native):
        if kind(step) == "text":
            pieces.append(step.get("text"))
        elif kind(step) in said:
            pieces += texts(step.get("content"))
    return joined(pieces)


def tool_calls(native: Any) -> list[ToolCall]:
    return [
        ToolCall(string(part.get("id")), string(part.get("name")), pointer)
        for pointer, part in _parts(native)
        if kind(part) == "function_call"
    ]


def tool_results(native: Any) -> list[ToolResult]:
    return [
        ToolResult(string(part.get("call_id")), string(part.get("name")), pointer)
        for pointer, part in _parts(native)
        if kind(part) == "function_result"
    ]


def whole(native: Any) -> str | None:
    """The member that has the steps, if this is a whole interaction."""
    names = ("steps", "outputs")
    return next((name for name in names if isinstance(member(native, name), list)), None)


def steps_of(native: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    name = whole(native)
    if name:
        yield from objects(native[name], f"/{name}")
    elif isinstance(native, dict):
        yield "", native
    else:
        yield from objects(native, "")


def _parts(native: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The steps, and what turns hold."""
    for pointer, step in steps_of(native):
        yield pointer, step
        yield from objects(step.get("content"), f"{pointer}/content")


def _role(step: dict[str, Any]) -> str | None:
    if {kind(part) for _, part in objects(step.get("content"), "")} == {"function_result"}:
        return "tool"
    by_provider = kind(step).endswith(("_call", "_result"))
    return (
        reading.role(step.get("role"))
        or _ROLES.get(kind(step))
        or ("assistant" if by_provider else None)
    )
