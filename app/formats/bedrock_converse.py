"""Amazon Bedrock Converse: a response, a message, an array of content blocks, or one block."""

from collections.abc import Iterator
from typing import Any

from app.formats import reading
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import joined, member, objects, string

RESULTS = Window.NEXT
"""All of them in one message, by `toolUseId`."""


def role(native: Any) -> str | None:
    return role_of(message_of(native)[1])


def text(native: Any) -> str:
    return text_of(message_of(native)[1])


def tool_calls(native: Any) -> list[ToolCall]:
    return calls_of(*message_of(native))


def tool_results(native: Any) -> list[ToolResult]:
    return results_of(*message_of(native))


def role_of(message: Any) -> str | None:
    """A message of nothing but `toolResult` blocks is the tool's, although its role is user."""
    blocks = [block for _, block in blocks_of("", message)]
    if blocks and all(isinstance(block.get("toolResult"), dict) for block in blocks):
        return "tool"
    of_the_model = any(block.get("toolUse") or block.get("reasoningContent") for block in blocks)
    return reading.role(member(message, "role")) or ("assistant" if of_the_model else None)


def text_of(message: Any) -> str:
    """Cited text stands in blocks of its own; the citations cut sentences into several."""
    pieces: list[Any] = []
    is_result = role_of(message) == "tool"
    for _, block in blocks_of("", message):
        if is_result:
            results = objects(member(block, "toolResult", "content"), "")
            pieces += (part.get("text") for _, part in results)
            continue
        cited = objects(member(block, "citationsContent", "content"), "")
        pieces += (block.get("text"), member(block, "guardContent", "text", "text"))
        pieces += (part.get("text") for _, part in cited)
    return joined(pieces)


def calls_of(pointer: str, message: Any) -> list[ToolCall]:
    """Those of type `server_tool_use` are run by Bedrock."""
    return [
        ToolCall(
            string(use.get("toolUseId")),
            string(use.get("name")),
            f"{where}/toolUse",
            by_provider=use.get("type") == "server_tool_use",
        )
        for where, block in blocks_of(pointer, message)
        if isinstance(use := block.get("toolUse"), dict)
    ]


def results_of(pointer: str, message: Any) -> list[ToolResult]:
    return [
        ToolResult(string(result.get("toolUseId")), None, f"{where}/toolResult")
        for where, block in blocks_of(pointer, message)
        if isinstance(result := block.get("toolResult"), dict)
    ]


def message_of(native: Any) -> tuple[str, Any]:
    if isinstance(member(native, "output", "message"), dict):
        return "/output/message", member(native, "output", "message")
    if isinstance(member(native, "message"), dict):
        return "/message", native["message"]
    return "", native


def blocks_of(pointer: str, message: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(message, list):
        yield from objects(message, pointer)
    elif isinstance(member(message, "content"), list):
        yield from objects(message["content"], f"{pointer}/content")
    elif isinstance(message, dict) and message.get("content") is None:
        yield pointer, message
