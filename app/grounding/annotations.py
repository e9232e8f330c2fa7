"""OpenAI's annotations, which Gemini Interactions and LangChain hold too. `end_index` is exclusive,
although OpenAI's SDK says that it is the last character."""

from typing import Any

from app.formats.reading import kind, string
from app.grounding import sources
from app.grounding.documents import NO_SOURCE
from app.grounding.model import Anchor, Citation, Source
from app.grounding.texts import Piece, Text, Unit


def of_openai(pointer: str, said: dict[str, Any], text: Text, piece: Piece) -> Citation:
    """`said` is the object with the members, which Chat Completions has one level deeper."""
    if kind(said) == "file_citation" and "start_index" not in said:
        index = said.get("index")
        passage, fault = text.passage(index, index, piece=piece)
        return Citation("point", source(said), pointer, passage, fault=fault)
    if kind(said) == "file_path":  # its index is that of a list
        return Citation("message", source(said), pointer)
    return at_indices("marker", pointer, said, text, piece)


def at_indices(
    anchor: Anchor,
    pointer: str,
    said: dict[str, Any],
    text: Text,
    piece: Piece,
    unit: Unit = "codepoints",
    **about: Any,
) -> Citation:
    start, end = said.get("start_index"), said.get("end_index")
    about = {"source": source(said), **about}
    if (start, end) in ((0, 0), (None, None)):
        return Citation("message", pointer=pointer, **about)
    passage, fault = text.passage(0 if start is None else start, end, unit, piece)
    return Citation(anchor, pointer=pointer, passage=passage, fault=fault, **about)


def source(said: dict[str, Any]) -> Source:
    title = string(said.get("title")) or string(said.get("filename"))
    return (
        sources.file("openai", said.get("file_id"), title=title)
        or sources.url(said.get("url"), title=title)
        or sources.unknown("", NO_SOURCE)
    )
