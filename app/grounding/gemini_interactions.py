"""Gemini Interactions: OpenAI's names, but claims, and UTF-8 bytes."""

from collections.abc import Iterator
from typing import Any

from app.formats import gemini_interactions
from app.formats.reading import kind, objects, string
from app.grounding import annotations, sources
from app.grounding.documents import NO_SOURCE
from app.grounding.model import Citation, Found, Source
from app.grounding.texts import Piece, Text


def read(native: Any, _request: Any) -> Found:
    text = Text()
    parts = [
        (pointer, part, text.add(f"{pointer}/text", part["text"]))
        for pointer, part in _parts(native, text)
        if kind(part) == "text" and isinstance(part.get("text"), str)
    ]
    return Found(text, _citations(parts, text))


def _parts(native: Any, text: Text) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of a whole interaction, what the model said and not what it was asked. A content that is a
    string is added to the text."""
    is_whole = gemini_interactions.whole(native)
    said = ("model_output",) if is_whole else ("", "model_output", "user_input")
    for pointer, step in gemini_interactions.steps_of(native):
        if kind(step) == "text":
            yield pointer, step
        elif kind(step) in said:
            content = step.get("content")
            if isinstance(content, str):
                text.add(f"{pointer}/content", content)
            yield from objects(content, f"{pointer}/content")


def _citations(parts: list[tuple[str, dict[str, Any], Piece]], text: Text) -> Iterator[Citation]:
    for pointer, part, piece in parts:
        for where, said in objects(part.get("annotations"), f"{pointer}/annotations"):
            about = {"source": _source(said), "quote": string(said.get("snippet"))}
            yield annotations.at_indices("claim", where, said, text, piece, "utf8", **about)


def _source(said: dict[str, Any]) -> Source:
    title = string(said.get("title")) or string(said.get("file_name")) or string(said.get("name"))
    return (
        sources.place(said.get("place_id"), title=title)
        or sources.url(said.get("document_uri"), title=title)
        or sources.document(said.get("document_uri"), title=title)
        or sources.url(said.get("url"), title=title)
        or sources.unknown("", NO_SOURCE)
    )
