"""Google ADK: as Gemini, with the metadata beside the content."""

from typing import Any

from app.formats.reading import member
from app.grounding import gemini_content
from app.grounding.model import Found


def read(native: Any, _request: Any) -> Found:
    return gemini_content.read_content("/content", member(native, "content"), "", native)
