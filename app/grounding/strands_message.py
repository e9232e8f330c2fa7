"""Strands Agents: as Bedrock Converse."""

from typing import Any

from app.formats import strands_message
from app.grounding import bedrock_converse
from app.grounding.model import Found


def read(native: Any, request: Any) -> Found:
    return bedrock_converse.read_message(*strands_message.message_of(native), request)
