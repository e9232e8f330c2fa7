"""Anthropic Messages: a response, a message of a request, an array of blocks, or one block."""

from collections.abc import Iterator
from typing import Any

from app.formats import reading
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import joined, kind, member, objects, string, texts

RESULTS = Window.TURN
"""The API joins messages of one role in a row; results must come before the user's text."""


def role(native: Any) -> str | None:
    """A user's message of nothing but `tool_result` blocks is the tool's."""
    kinds = {kind(block) for _, block in blocks(native)}
    said = reading.role(member(native, "role"))
    if kinds == {"tool_result"} and said in (None, "user"):
        return "tool"
    of_the_model = any("thinking" in name or name.endswith("tool_use") for name in kinds)
    return said or ("assistant" if of_the_model else None)


def text(native: Any) -> str:
    """The text blocks put together, as citations cut sentences into several."""
    if isinstance(member(native, "content"), str) and not _is_block(native):
        return joined([native["content"]])
    found = [block for _, block in blocks(native)]
    if role(native) == "tool":
        return joined(piece for block in found for piece in texts(block.get("content")))
    return joined(texts(found))


def tool_calls(native: Any) -> list[ToolCall]:
    """`tool_use`, and `server_tool_use` and `mcp_tool_use`, which Anthropic runs."""
    return [
        ToolCall(
            string(block.get("id")),
            string(block.get("name")),
            pointer,
            by_provider=kind(block) != "tool_use",
        )
        for pointer, block in blocks(native)
        if kind(block).endswith("tool_use")
    ]


def tool_results(native: Any) -> list[ToolResult]:
    return [
        ToolResult(string(block.get("tool_use_id")), None, pointer)
        for pointer, block in blocks(native)
        if kind(block).endswith("tool_result")
    ]


def _is_block(native: Any) -> bool:
    return kind(native) not in ("", "message")


def blocks(native: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(native, list):
        yield from objects(native, "")
    elif _is_block(native):
        yield "", native
    else:
        yield from objects(member(native, "content"), "/content")
