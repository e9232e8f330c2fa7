"""Vercel AI SDK: a UIMessage, an array of parts, or one part. A call and its result are one part,
whose `state` tells how far it is."""

from collections.abc import Iterator
from typing import Any

from app.formats import reading
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import joined, kind, member, objects, string, texts

RESULTS = Window.SAME

_ANSWERED = {"output-available", "output-error", "output-denied", "result"}


def role(native: Any) -> str | None:
    return reading.role(member(native, "role"))


def text(native: Any) -> str:
    """The text parts put together, or the `content` that version 4 had beside them."""
    parts = [part for _, part in parts_of(native)]
    return joined(texts(parts)) or string(member(native, "content")) or ""


def tool_calls(native: Any) -> list[ToolCall]:
    return [
        ToolCall(
            string(part.get("toolCallId")),
            _name(part),
            pointer,
            by_provider=part.get("providerExecuted") is True,
        )
        for pointer, part in _tools(native)
    ]


def tool_results(native: Any) -> list[ToolResult]:
    """A preliminary output is none: the tool is still running."""
    return [
        ToolResult(string(part.get("toolCallId")), _name(part), pointer)
        for pointer, part in _tools(native)
        if string(part.get("state")) in _ANSWERED and part.get("preliminary") is not True
    ]


def parts_of(native: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(native, list):
        yield from objects(native, "")
    elif isinstance(member(native, "parts"), list):
        yield from objects(native["parts"], "/parts")
    elif kind(native):
        yield "", native


def _tools(native: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for pointer, part in parts_of(native):
        if kind(part) == "tool-invocation":  # version 4
            if isinstance(part.get("toolInvocation"), dict):
                yield f"{pointer}/toolInvocation", part["toolInvocation"]
        elif kind(part) == "dynamic-tool" or kind(part).startswith("tool-"):
            yield pointer, part


def _name(part: dict[str, Any]) -> str | None:
    _, is_tool, name = kind(part).partition("tool-")
    return string(part.get("toolName")) or (string(name) if is_tool else None)
