"""LlamaIndex: a Response or AgentChatResponse, a ChatResponse, a CompletionResponse, or a
ChatMessage."""

from typing import Any

from app.formats import reading
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import calls_in_kwargs, joined, member, objects, string

RESULTS = Window.RUN

_ANSWERS = ("response", "response_txt", "text")


def role(native: Any) -> str | None:
    _, said = message_of(native)
    answered = any(isinstance(said.get(name), str) for name in _ANSWERS)
    return reading.role(said.get("role")) or ("assistant" if answered else None)


def text(native: Any) -> str:
    """The text blocks, each on a line of its own as in `ChatMessage.content`."""
    return joined((said for _, said in strings(native)), "\n")


def strings(native: Any) -> list[tuple[str, str]]:
    """The texts with their JSON Pointers: those of the blocks, or the one of the message."""
    pointer, said = message_of(native)
    blocks = [
        (f"{where}/text", block["text"])
        for where, block in objects(said.get("blocks"), f"{pointer}/blocks")
        if block.get("block_type") == "text" and isinstance(block.get("text"), str)
    ]
    if any(piece for _, piece in blocks):
        return blocks
    plain = ((f"{pointer}/{name}", string(said.get(name))) for name in ("content", *_ANSWERS))
    return [(where, piece) for where, piece in plain if piece][:1]


def tool_calls(native: Any) -> list[ToolCall]:
    """Blocks, or OpenAI's objects as older versions kept them."""
    pointer, said = message_of(native)
    calls = [
        ToolCall(string(block.get("tool_call_id")), string(block.get("tool_name")), where)
        for where, block in objects(said.get("blocks"), f"{pointer}/blocks")
        if block.get("block_type") == "tool_call"
    ]
    return calls or calls_in_kwargs(said, pointer)


def tool_results(native: Any) -> list[ToolResult]:
    pointer, said = message_of(native)
    if reading.role(said.get("role")) != "tool":
        return []
    given = said.get("additional_kwargs")
    return [
        ToolResult(string(member(given, "tool_call_id")), string(member(given, "name")), pointer)
    ]


def message_of(native: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(member(native, "message"), dict):
        return "/message", native["message"]
    return "", native if isinstance(native, dict) else {}
