"""OpenAI Responses: a Response, the event that completes one, one item, or an array of items."""

from collections.abc import Iterator
from typing import Any

from app.formats import reading
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import joined, kind, member, objects, string, texts

RESULTS = Window.LATER
"""By `call_id`, whatever is between."""

TEXT = ("text", "input_text", "output_text")
_CALLS = {
    "function_call",
    "custom_tool_call",
    "computer_call",
    "shell_call",
    "apply_patch_call",
    "tool_search_call",
}
_RESULTS = {f"{name}_output" for name in _CALLS} | {"tool_search_output"}
_OF_THE_MODEL = {"reasoning", "mcp_list_tools", "mcp_approval_request", "compaction", "program"}


def role(native: Any) -> str | None:
    if _response(native):
        return "assistant"
    roles = {_role(item) for _, item in items_of(native)}
    return roles.pop() if len(roles) == 1 else None


def text(native: Any) -> str:
    """All messages' text put together, as the SDK's `output_text`; refusals too."""
    items = [item for _, item in items_of(native)]
    if role(native) == "tool":
        return joined(piece for item in items for piece in texts(item.get("output"), TEXT))
    messages = (item for item in items if kind(item) in ("", "message"))
    return joined(piece for item in messages for piece in texts(item.get("content"), TEXT))


def tool_calls(native: Any) -> list[ToolCall]:
    """Those that the client answers: searches and the like carry their result with them."""
    return [
        ToolCall(string(item.get("call_id")), string(item.get("name")), pointer)
        for pointer, item in items_of(native)
        if kind(item) in _CALLS and not _by_provider(item)
    ]


def tool_results(native: Any) -> list[ToolResult]:
    return [
        ToolResult(string(item.get("call_id")), string(item.get("name")), pointer)
        for pointer, item in items_of(native)
        if kind(item) in _RESULTS and not _by_provider(item)
    ]


def _response(native: Any) -> tuple[str, Any] | None:
    """Where a whole response has its items, and these. An item may have an `output` too."""
    if kind(native).startswith("response.") and isinstance(member(native, "response"), dict):
        return "/response/output", member(native, "response", "output")
    if not kind(native) and isinstance(member(native, "output"), list):
        return "/output", native["output"]
    return None


def items_of(native: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    response = _response(native)
    if response:
        yield from objects(response[1], response[0])
    elif isinstance(native, dict):
        yield "", native
    else:
        yield from objects(native, "")


def _by_provider(item: dict[str, Any]) -> bool:
    """A search for tools that OpenAI makes itself has no `call_id`."""
    return kind(item).startswith("tool_search") and item.get("call_id") is None


def _role(item: dict[str, Any]) -> str | None:
    name = kind(item)
    if item.get("role"):
        return reading.role(item["role"])
    if name in _RESULTS:
        return "tool"
    if name == "mcp_approval_response":
        return "user"
    return "assistant" if name.endswith("_call") or name in _OF_THE_MODEL else None
