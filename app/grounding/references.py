"""`metadata.references`: sources of the whole message, by the ids that the client gave them."""

from collections.abc import Iterator
from typing import Any

from app.formats.reading import member, objects, string
from app.grounding import sources
from app.grounding.documents import NO_SOURCE
from app.grounding.model import Citation, Source, score


def read(metadata: Any) -> Iterator[Citation]:
    for pointer, reference in objects(member(metadata, "references"), "/references"):
        source = _source(reference) or sources.unknown("", NO_SOURCE)
        quote = string(reference.get("quote"))
        yield Citation("message", source, pointer, quote=quote, score=score(reference.get("score")))


def by_address(metadata: Any) -> dict[str, Source]:
    """The references that have an address, too, by the key that it would give."""
    found = {}
    for _, reference in objects(member(metadata, "references"), ""):
        address = sources.url(reference.get("url"))
        if address and address.key and (source := _source(reference)):
            found[address.key] = source
    return found


def _source(reference: dict[str, Any]) -> Source | None:
    title = string(reference.get("title")) or string(reference.get("summary"))
    version = _word(reference.get("version"))
    name = _word(reference.get("reference_id"))
    return sources.document(name, kind="reference", title=title, version=version)


def _word(value: Any) -> str | None:
    """Ids and versions are strings or numbers."""
    return str(value) if type(value) in (int, float) else string(value)
