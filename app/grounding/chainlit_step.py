"""Chainlit: a step has text and no citations."""

from typing import Any

from app.formats.reading import member
from app.grounding.model import Found
from app.grounding.texts import Text


def read(native: Any, _: Any) -> Found:
    text, output = Text(), member(native, "output")
    if isinstance(output, str):
        text.add("/output", output)
    return Found(text)
