"""Strands Agents: a SessionMessage, or a Message. Their content is Bedrock Converse's."""

from typing import Any

from app.formats import bedrock_converse
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import member

RESULTS = Window.NEXT


def role(native: Any) -> str | None:
    return bedrock_converse.role_of(message_of(native)[1])


def text(native: Any) -> str:
    return bedrock_converse.text_of(message_of(native)[1])


def tool_calls(native: Any) -> list[ToolCall]:
    return bedrock_converse.calls_of(*message_of(native))


def tool_results(native: Any) -> list[ToolResult]:
    return bedrock_converse.results_of(*message_of(native))


def message_of(native: Any) -> tuple[str, Any]:
    """A redacted message takes the place of the original one, as Strands reads it."""
    for name in ("redact_message", "message"):
        if isinstance(member(native, name), dict):
            return f"/{name}", native[name]
    return "", native
