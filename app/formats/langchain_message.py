"""LangChain messages: as `messages_to_dict` (`type`, `data`), `model_dump` or `dumpd` (`lc`, `id`,
`kwargs`) writes them, in Python or JavaScript."""

from typing import Any

from app.formats import reading
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import calls_in_kwargs, joined, kind, member, objects, string, texts

RESULTS = Window.RUN
"""What the providers behind it ask for."""

_KINDS = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
}


def role(native: Any) -> str | None:
    """By the class's name, `AIMessage` or `AIMessageChunk`, or by the `type`, `ai`."""
    _, said = message_of(native)
    if isinstance(member(native, "kwargs"), dict):
        path = native.get("id")
        name = string(path[-1]) if isinstance(path, list) and path else None
    else:
        name = kind(native)
    name = (name or kind(said)).removesuffix("Chunk").removesuffix("Message").lower()
    special = member(said, "additional_kwargs", "__openai_role__") if name == "system" else None
    return reading.role(special) or _KINDS.get(name) or reading.role(said.get("role"))


def text(native: Any) -> str:
    _, said = message_of(native)
    refusal = string(member(said, "additional_kwargs", "refusal"))
    return joined(texts(said.get("content"))) or refusal or ""


def tool_calls(native: Any) -> list[ToolCall]:
    """With the invalid ones, as a provider that is sent them again wants results of them too."""
    pointer, said = message_of(native)
    calls = [
        ToolCall(string(call.get("id")), string(call.get("name")), where)
        for name in ("tool_calls", "invalid_tool_calls")
        for where, call in objects(said.get(name), f"{pointer}/{name}")
    ]
    return calls or calls_in_kwargs(said, pointer)


def tool_results(native: Any) -> list[ToolResult]:
    """The message itself; an older FunctionMessage goes by its name."""
    pointer, said = message_of(native)
    if role(native) != "tool":
        return []
    return [ToolResult(string(said.get("tool_call_id")), string(said.get("name")), pointer)]


def message_of(native: Any) -> tuple[str, dict[str, Any]]:
    for name in ("kwargs", "data"):
        if isinstance(member(native, name), dict):
            return f"/{name}", native[name]
    return "", native if isinstance(native, dict) else {}
