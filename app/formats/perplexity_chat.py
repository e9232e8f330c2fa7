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
    return said[thought(native, said) :]


def thought(native: Any, said: str) -> int:
    """How many characters at the beginning of an answer are what the model thought."""
    if role(native) != "assistant" or not said.lstrip().startswith("<think>"):
        return 0
    end = said.find("</think>")
    after = said[end + len("</think>") :] if end >= 0 else ""
    return len(said) - len(after.lstrip())
