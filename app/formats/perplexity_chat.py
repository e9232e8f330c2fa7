"""Perplexity chat: a response, a choice, or a message of any role. As OpenAI's, but that reasoning
models put what they think before the answer, in the same string."""

from typing import Any

from app.formats import openai_chat
from app.formats.model import Window
from app.formats.openai_chat import role, tool_calls, tool_results

__all__ = ["RESULTS", "role", "text", "tool_calls", "tool_results"]

RESULTS = Window.RUN


def text(native: Any) -> str:
    said = openai_chat.text(native)
    if role(native) == "assistant" and said.lstrip().startswith("<think>"):
        return said.partition("</think>")[2].lstrip()
    return said
