"""OpenAI Responses: annotations beside each text, which point at the inline marker and not at the
claim."""

from collections.abc import Iterator
from typing import Any

from app.formats import openai_responses
from app.formats.reading import kind, member, objects, string
from app.grounding import annotations, sources
from app.grounding.model import Citation, Found, Held
from app.grounding.texts import Piece, Text


def read(native: Any, _request: Any) -> Found:
    text = Text()
    items = list(openai_responses.items_of(native))
    parts = [
        part
        for pointer, item in items
        if kind(item) in ("", "message")
        for part in _add(f"{pointer}/content", item.get("content"), text)
    ]
    offered = (found.source for found in _held(items))
    return Found(text, _citations(parts, text), offered, _held(items))


def read_parts(pointer: str, content: Any) -> Found:
    """Of the content of one item."""
    text = Text()
    return Found(text, _citations(list(_add(pointer, content, text)), text))


Part = tuple[str, dict[str, Any], Piece]


def _add(pointer: str, content: Any, text: Text) -> Iterator[Part]:
    if isinstance(content, str):
        text.add(pointer, content)
    for number, part in enumerate(content if isinstance(content, list) else ()):
        where = f"{pointer}/{number}"
        name = "refusal" if kind(part) == "refusal" else "text"
        if isinstance(part, str):
            text.add(where, part)
        elif kind(part) in (*openai_responses.TEXT, "refusal") and isinstance(part.get(name), str):
            yield where, part, text.add(f"{where}/{name}", part[name])


def _citations(parts: list[Part], text: Text) -> Iterator[Citation]:
    for pointer, part, piece in parts:
        for where, said in objects(part.get("annotations"), f"{pointer}/annotations"):
            yield annotations.of_openai(where, said, text, piece)


def _held(items: list[tuple[str, dict[str, Any]]]) -> Iterator[Held]:
    """What the searches of the web and of files found."""
    for pointer, item in items:
        listed = member(item, "action", "sources")
        for where, found in objects(listed, f"{pointer}/action/sources"):
            if source := sources.url(found.get("url"), title=string(found.get("title"))):
                yield Held(where, source)
        for where, found in objects(item.get("results"), f"{pointer}/results"):
            title = string(found.get("filename"))
            if source := sources.file("openai", found.get("file_id"), title=title):
                yield Held(where, source)
