"""Google ADK: an Event, in camelCase or snake_case. Its `content` is Gemini's."""

from typing import Any

from app.formats import gemini_content, reading
from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import member, string

RESULTS = Window.LATER
"""ADK puts calls and results together by id before it asks a model."""

TRANSCRIPTIONS = ("outputTranscription", "output_transcription") + (
    "inputTranscription",
    "input_transcription",
)


def role(native: Any) -> str | None:
    """The author is `user` or the name of an agent."""
    content = member(native, "content")
    if gemini_content.holds_only_results(content):
        return "tool"
    author = string(member(native, "author"))
    if author:
        return "user" if author == "user" else "assistant"
    return reading.role(member(content, "role"))


def text(native: Any) -> str:
    """The content's, or what was heard in a live session."""
    heard = (string(member(native, name, "text")) for name in TRANSCRIPTIONS)
    return gemini_content.text_of(member(native, "content")) or next(filter(None, heard), "")


def tool_calls(native: Any) -> list[ToolCall]:
    return gemini_content.calls_of("/content", member(native, "content"))


def tool_results(native: Any) -> list[ToolResult]:
    return gemini_content.results_of("/content", member(native, "content"))
