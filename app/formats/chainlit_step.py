"""Chainlit: a StepDict. Messages are steps too."""

from typing import Any

from app.formats.model import ToolCall, ToolResult, Window
from app.formats.reading import joined, kind, member
from app.formats.reading import role as role_of

RESULTS = Window.SAME


def role(native: Any) -> str | None:
    """`user_message` is of the user; the type of another step, `tool` or `run`, is its role."""
    return role_of(kind(native).removesuffix("_message"))


def text(native: Any) -> str:
    return joined([member(native, "output")])


def tool_calls(_: Any) -> list[ToolCall]:
    """None: a tool's step is its call and its result."""
    return []


def tool_results(_: Any) -> list[ToolResult]:
    return []
