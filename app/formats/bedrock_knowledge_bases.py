"""Amazon Bedrock RetrieveAndGenerate: a response, or the request with the question. It calls no
tools."""

from typing import Any

from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import member, string

RESULTS = Window.SAME


def role(native: Any) -> str | None:
    if isinstance(member(native, "output"), dict):
        return "assistant"
    return "user" if isinstance(member(native, "input"), dict) else None


def text(native: Any) -> str:
    said = "output" if role(native) == "assistant" else "input"
    return string(member(native, said, "text")) or ""


def tool_calls(_native: Any) -> list[ToolCall]:
    return []


def tool_results(_native: Any) -> list[ToolResult]:
    return []
