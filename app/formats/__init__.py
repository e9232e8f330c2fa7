"""What a provider's own object says: who speaks, which text, which tools. One module a format.

Pure functions over one JSON value, and `history` over several. What is stored is never changed by
them. A format that is not in `FORMATS` is the client's own, and nothing is known of it.
"""

from collections.abc import Mapping
from typing import Any

from app.formats import (
    adk_event,
    anthropic_messages,
    bedrock_converse,
    bedrock_knowledge_bases,
    chainlit_step,
    cohere_chat,
    gemini_content,
    gemini_interactions,
    langchain_message,
    llamaindex_response,
    mistral_chat,
    openai_chat,
    openai_responses,
    perplexity_chat,
    strands_message,
    vercel_uimessage,
)
from app.formats.model import Format, ToolCall, ToolResult

FORMATS: Mapping[str, Format] = {
    "openai.chat": openai_chat,
    "openai.responses": openai_responses,
    "anthropic.messages": anthropic_messages,
    "gemini.generateContent": gemini_content,
    "gemini.interactions": gemini_interactions,
    "bedrock.converse": bedrock_converse,
    "bedrock.retrieveAndGenerate": bedrock_knowledge_bases,
    "cohere.v2.chat": cohere_chat,
    "mistral.chat": mistral_chat,
    "perplexity.chat": perplexity_chat,
    "vercel.uimessage": vercel_uimessage,
    "langchain.message": langchain_message,
    "llamaindex.response": llamaindex_response,
    "adk.event": adk_event,
    "strands.message": strands_message,
    "chainlit.step": chainlit_step,
}


def role(name: str | None, native: Any) -> str | None:
    """
    >>> role("gemini.generateContent", {"role": "model", "parts": []})
    'assistant'
    >>> role("our.own", {"role": "model"})
    """
    known = FORMATS.get(name or "")
    return known.role(native) if known else None


def text(name: str | None, native: Any) -> str:
    """
    >>> text("anthropic.messages", {"role": "user", "content": "When?"})
    'When?'
    """
    known = FORMATS.get(name or "")
    return known.text(native) if known else ""


def tool_calls(name: str | None, native: Any) -> list[ToolCall]:
    known = FORMATS.get(name or "")
    return known.tool_calls(native) if known else []


def tool_results(name: str | None, native: Any) -> list[ToolResult]:
    known = FORMATS.get(name or "")
    return known.tool_results(native) if known else []
