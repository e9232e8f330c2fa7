"""Messages without a known format: text, and blocks that only one provider writes."""

from itertools import chain
from typing import Any

from app.formats.reading import kind, objects
from app.grounding import anthropic_messages, bedrock_converse, openai_responses
from app.grounding.model import Found
from app.grounding.texts import Text


def read(content: Any, request: Any) -> Found:
    blocks = content if isinstance(content, list) else []
    for block in blocks:
        if not isinstance(block, dict):
            continue
        if isinstance(block.get("citationsContent"), dict):
            return bedrock_converse.read(blocks, request)
        if kind(block) == "text" and isinstance(block.get("citations"), list):
            return anthropic_messages.read(blocks, request)
        if kind(block) == "output_text":
            return openai_responses.read_parts("", blocks)
    text = Text()
    if isinstance(content, str):
        text.add("", content)
    for number, block in enumerate(blocks):
        if isinstance(block, str):
            text.add(f"/{number}", block)
        elif isinstance(block, dict) and isinstance(block.get("text"), str):
            text.add(f"/{number}/text", block["text"])
    readers = (anthropic_messages, bedrock_converse)
    held = chain.from_iterable(each.held(objects(blocks, ""), request) for each in readers)
    return Found(text, held=held)
