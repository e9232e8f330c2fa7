"""Mistral chat: a response, a choice, or a message of any role. As OpenAI's, but that a tool's
message may go without the call's id."""

from typing import Any

from app.formats import openai_chat
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.openai_chat import message, role, text
from app.formats.reading import string

__all__ = ["RESULTS", "role", "text", "tool_calls", "tool_results"]

RESULTS = Window.RUN


def tool_calls(native: Any) -> list[ToolCall]:
    return [
        ToolCall(_id(call.id), call.name, call.pointer) for call in openai_chat.tool_calls(native)
    ]


def tool_results(native: Any) -> list[ToolResult]:
    pointer, said = message(native)
    if said.get("role") != "tool":
        return []
    return [ToolResult(_id(string(said.get("tool_call_id"))), string(said.get("name")), pointer)]


def _id(given: str | None) -> str | None:
    """The SDK fills in the word "null" where the API gave no id."""
    return None if given == "null" else given
