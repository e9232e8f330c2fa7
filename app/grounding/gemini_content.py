"""Gemini: claims in UTF-8 bytes of the joined text of all parts, without the model's thoughts. A
support cites one or more of the chunks that were found."""

from collections.abc import Iterator
from typing import Any

from app.formats import gemini_content
from app.formats.reading import either, member, objects, string
from app.grounding import sources
from app.grounding.documents import NO_SOURCE, NOT_AN_INDEX, NOT_IN_THE_ANSWER
from app.grounding.model import (
    MAX_LISTED,
    Citation,
    Found,
    Held,
    Locator,
    Source,
    locator,
    score,
)
from app.grounding.texts import Text, whole_number


def read(native: Any, _request: Any) -> Found:
    candidates = list(objects(member(native, "candidates"), "/candidates")) or [("", native)]
    return read_content(*gemini_content.content_of(native), candidates)


def read_content(content_pointer: str, content: Any, candidates: list[tuple[str, Any]]) -> Found:
    """`candidates` are the objects that hold metadata. The first is beside the content, and the
    others are only for what they hold of sources."""
    pointer, grounded = candidates[0]
    text = Text()
    for where, part in gemini_content.parts_of(content, content_pointer):
        if isinstance(part.get("text"), str) and not part.get("thought"):
            text.add(f"{where}/text", part["text"])
    name, metadata = either(grounded, "groundingMetadata")
    chunks = [_chunk(chunk) for chunk in _list(either(metadata, "groundingChunks")[1])[:MAX_LISTED]]
    citations = _citations(f"{pointer}/{name}", metadata, chunks, text)
    offered = (chunk.source for chunk in chunks if chunk.source.key)
    held = (each for candidate in candidates for each in _held(*candidate))
    return Found(text, citations, offered, held, quoting=False)


def _held(pointer: str, grounded: Any) -> Iterator[Held]:
    name, metadata = either(grounded, "groundingMetadata")
    list_name, chunks = either(metadata, "groundingChunks")
    for where, chunk in objects(chunks, f"{pointer}/{name}/{list_name}"):
        yield Held(where, _chunk(chunk).source)


def _citations(
    pointer: str, metadata: Any, chunks: list["_Chunk"], text: Text
) -> Iterator[Citation]:
    name, supports = either(metadata, "groundingSupports")
    for where, support in objects(supports, f"{pointer}/{name}"):
        segment = support.get("segment")
        start, end = (either(segment, name)[1] for name in ("startIndex", "endIndex"))
        echo = member(segment, "text")
        about: dict[str, Any] = {"echo": echo if isinstance(echo, str) else None}
        if start in (None, 0) and end in (None, 0):
            about["anchor"] = "message"
        else:
            passage, fault = text.passage(0 if start is None else start, end, "utf8")
            about |= {"anchor": "claim", "passage": passage, "fault": fault}
        indices = _list(either(support, "groundingChunkIndices")[1])
        scores = _list(either(support, "confidenceScores")[1])
        for number, index in enumerate(indices):
            chunk = _at(chunks, index)
            yield Citation(
                source=chunk.source,
                pointer=where,
                quote=chunk.quote,
                locator=chunk.locator,
                score=score(scores[number]) if number < len(scores) else None,
                **about,
            )
        if not indices:
            yield Citation(source=sources.unknown("", NO_SOURCE), pointer=where, **about)


class _Chunk:
    def __init__(
        self, source: Source, quote: str | None = None, locator: Locator | None = None
    ) -> None:
        self.source, self.quote, self.locator = source, quote, locator


def _at(chunks: list[_Chunk], index: Any) -> _Chunk:
    number = whole_number(index)
    if number is None:
        return _Chunk(sources.unknown("groundingChunkIndices", NOT_AN_INDEX))
    if number >= len(chunks):
        return _Chunk(sources.unknown(f"groundingChunkIndices={number}", NOT_IN_THE_ANSWER))
    return chunks[number]


def _chunk(chunk: Any) -> _Chunk:
    _, retrieved = either(chunk, "retrievedContext")
    _, rag = either(retrieved, "ragChunk")
    maps, web = member(chunk, "maps"), member(chunk, "web")
    given = next((each for each in (web, retrieved, maps) if isinstance(each, dict)), None)
    title = string(member(given, "title"))
    source = (
        sources.url(member(web, "uri"), title=title)
        or sources.url(member(retrieved, "uri"), title=title)
        or sources.document(either(retrieved, "documentName")[1], title=title)
        or sources.place(either(maps, "placeId")[1], title=title)
        or sources.url(member(maps, "uri"), title=title)
        or sources.unknown("", NO_SOURCE)
    )
    _, pages = either(rag, "pageSpan")
    last = whole_number(either(pages, "lastPage")[1])
    return _Chunk(
        source,
        string(member(rag, "text")) or string(member(given, "text")),
        locator("page", either(pages, "firstPage")[1], None if last is None else last + 1),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
