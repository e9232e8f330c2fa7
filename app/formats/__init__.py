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
from app.formats.reading import kind, member, objects, string

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


def recognise(name: str | None, native: Any, content: Any) -> tuple[Format | None, Any, str]:
    """The format, what to read with it, and where in the message that is."""
    known = FORMATS.get(name or "")
    if known and native is not None:
        return known, native, "/native"
    for _, block in objects(content, ""):
        found = _format_of(block)
        if found:
            return FORMATS[found], content, "/content"
    return None, None, ""


def _format_of(block: dict[str, Any]) -> str | None:
    """Of a plain message, by a block that only one provider writes."""
    for name in ("toolUse", "toolResult"):
        if string(member(block, name, "toolUseId")):
            return "bedrock.converse"
    if kind(block).endswith("tool_use") and string(block.get("id")):
        return "anthropic.messages"
    if kind(block).endswith("tool_result") and string(block.get("tool_use_id")):
        return "anthropic.messages"
    if kind(block) in ("function_call", "function_call_output") and string(block.get("call_id")):
        return "openai.responses"
    if member(block, "functionCall", "name") or member(block, "functionResponse", "name"):
        return "gemini.generateContent"
    return None
