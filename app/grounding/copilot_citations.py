"""GitHub Copilot: claims in UTF-16 code units. The id of a source holds for its turn only."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from app.formats.reading import member, objects, string
from app.grounding import sources
from app.grounding.documents import NO_SOURCE, NOT_IN_THE_ANSWER
from app.grounding.model import MAX_LISTED, Citation, Found, Held, Source, locator
from app.grounding.texts import Text


def read(native: Any, _request: Any) -> Found:
    text = Text()
    said = member(native, "data", "content")
    if isinstance(said, str):
        text.add("/data/content", said)
    given = objects(member(native, "data", "citations", "sources"), "/data/citations/sources")
    listed = [
        (where, string(each.get("id")), _source(each)) for where, each in islice(given, MAX_LISTED)
    ]
    known = {name: source for _, name, source in listed if name}
    return Found(
        text,
        _citations(native, text, known),
        (source for source in known.values() if source.key),
        (Held(where, source) for where, _, source in listed),
    )


def _citations(native: Any, text: Text, known: dict[str, Source]) -> Iterator[Citation]:
    spans = objects(member(native, "data", "citations", "spans"), "/data/citations/spans")
    for pointer, span in spans:
        passage, fault = text.passage(span.get("startIndex"), span.get("endIndex"), "utf16")
        for where, reference in objects(span.get("references"), f"{pointer}/references"):
            name = string(reference.get("sourceId")) or ""
            location = reference.get("location")
            is_char = member(location, "type") == "char"
            start, end = member(location, "startIndex"), member(location, "endIndex")
            yield Citation(
                "claim",
                known.get(name) or sources.unknown(name, NOT_IN_THE_ANSWER),
                where,
                passage,
                quote=string(reference.get("citedText")),
                locator=locator("char", start, end) if is_char else None,
                fault=fault,
            )


def _source(given: dict[str, Any]) -> Source:
    title = string(given.get("title"))
    return (
        sources.url(given.get("url"), title=title)
        or sources.weak_document("copilot", given.get("path"), title=title, kind="file")
        or sources.unknown("", NO_SOURCE)
    )
