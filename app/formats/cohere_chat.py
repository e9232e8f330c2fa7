"""Cohere v2 chat: a response, or a message of any role. Its members are named as OpenAI's; what it
plans and thinks (`tool_plan`, `thinking`) stands apart from the text."""

from app.formats.model import Window
from app.formats.openai_chat import role, text, tool_calls, tool_results

__all__ = ["RESULTS", "role", "text", "tool_calls", "tool_results"]

RESULTS = Window.RUN
