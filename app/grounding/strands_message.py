"""Strands Agents: as Bedrock Converse."""

from dataclasses import replace
from itertools import chain
from typing import Any

from app.formats import strands_message
from app.formats.reading import member
from app.grounding import bedrock_converse
from app.grounding.model import Found, Held


def read(native: Any, request: Any) -> Found:
    found = bedrock_converse.read_message(*strands_message.message_of(native), request)
    if member(native, "redact_message") is None:
        return found
    # Strands keeps the original message, too.
    original = bedrock_converse.read_message("/message", member(native, "message"), request)
    cited = (Held(each.pointer, each.source) for each in original.citations)
    return replace(found, held=chain(found.held, original.held, cited))
