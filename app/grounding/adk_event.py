"""Google ADK: as Gemini, with the metadata beside the content."""

from typing import Any

from app.formats import adk_event
from app.formats.reading import member
from app.grounding import gemini_content
from app.grounding.model import Found
from app.grounding.texts import Text


def read(native: Any, _request: Any) -> Found:
    found = gemini_content.read_content("/content", member(native, "content"), [("", native)])
    for name in adk_event.TRANSCRIPTIONS:  # of a live session
        heard = member(native, name, "text")
        if not found.text.whole and isinstance(heard, str):
            text = Text()
            text.add(f"/{name}/text", heard)
            return Found(text, held=found.held, quoting=False)
    return found
