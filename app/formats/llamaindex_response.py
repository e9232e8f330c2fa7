"""LlamaIndex: a Response or AgentChatResponse, a ChatResponse, a CompletionResponse, or a
ChatMessage."""

from typing import Any

from app.formats import reading
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import calls_in_kwargs, joined, member, objects, string

RESULTS = Window.RUN

_ANSWERS = ("response", "response_txt", "text")


def role(native: Any) -> str | None:
    _, said = _message(native)
    answered = any(isinstance(said.get(name), str) for name in _ANSWERS)
    return reading.role(said.get("role")) or ("assistant" if answered else None)


def text(native: Any) -> str:
    """The text blocks, each on a line of its own as in `ChatMessage.content`."""
    _, said = _message(native)
    blocks = (block for _, block in objects(said.get("blocks"), ""))
    written = joined((b.get("text") for b in blocks if b.get("block_type") == "text"), "\n")
    plain = (string(said.get(name)) for name in ("content", *_ANSWERS))
    return written or next((piece for piece in plain if piece), "")


def tool_calls(native: Any) -> list[ToolCall]:
    """Blocks, or OpenAI's objects as older versions kept them."""
    pointer, said = _message(native)
    calls = [
        ToolCall(string(block.get("tool_call_id")), string(block.get("tool_name")), where)
        for where, block in objects(said.get("blocks"), f"{pointer}/blocks")
        if block.get("block_type") == "tool_call"
    ]
    return calls or calls_in_kwargs(said, pointer)


def tool_results(native: Any) -> list[ToolResult]:
    pointer, said = _message(native)
    if reading.role(said.get("role")) != "tool":
        return []
    given = said.get("additional_kwargs")
    return [
        ToolResult(string(member(given, "tool_call_id")), string(member(given, "name")), pointer)
    ]


def _message(native: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(member(native, "message"), dict):
        return "/message", native["message"]
    return "", native if isinstance(native, dict) else {}
