"""Citations and sources as members of answers."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from app.grounding.model import Citation, Source
from app.grounding.sources import MAX_KEY, key_hash
from app.grounding.texts import Passage, Span, Text

UNGOVERNED = "ungoverned"
"""The verdict of a source of which nobody has said what became of it."""

Verdicts = Mapping[str, str]
"""By the hash of the source's key."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How an answer shows citations: with offsets in UTF-16 code units; with those of the joined
    text, which is a neutral view's `content`."""

    utf16: bool = False
    joined: bool = False
    verdicts: Verdicts = field(default_factory=dict)


_SURROGATE = re.compile("[\ud800-\udfff]")


def readable(text: str) -> str:
    """With U+FFFD for each half of a surrogate pair, so that no offset moves."""
    return _SURROGATE.sub("\ufffd", text)


def source_members(source: Source, shape: Shape, *, cited: bool) -> dict[str, Any]:
    named = key_hash(source.key or "")
    return {
        "hash": named,
        "key": source.key,
        "kind": source.kind,
        "title": _cut(source.title),
        "raw": _cut(source.raw),
        "version": _cut(source.version),
        "identity": source.identity,
        "cited": cited,
        "verdict": shape.verdicts.get(named, UNGOVERNED),
    }


def _cut(name: str | None) -> str | None:
    """A longer name is whole in the provider's own object only."""
    return name if name is None else name[:MAX_KEY]


def citation_members(member: str, citation: Citation, text: Text, shape: Shape) -> dict[str, Any]:
    """`member` is the member of the message into which the pointers lead."""
    passage, key = citation.passage, citation.source.key
    verdict = shape.verdicts.get(key_hash(key), UNGOVERNED) if key else UNGOVERNED
    return {
        "anchor": citation.anchor,
        "text": readable(text.cut(passage)) if passage else None,
        "at": [_members(span) for span in _spans(passage, text, shape)] if passage else [],
        "source": key,
        "resolves": citation.reason is None,
        "reason": citation.reason,
        "quote": citation.quote,
        "locator": asdict(citation.locator) if citation.locator else None,
        "score": citation.score,
        "verdict": verdict,
        "member": member,
        "from": citation.pointer,
    }


def _members(span: Span) -> dict[str, Any]:
    return {"path": span.path, "start": span.start, "end": span.end}


def _spans(passage: Passage, text: Text, shape: Shape) -> Iterable[Span]:
    if shape.joined:
        return [text.joined_span(passage, "/content", utf16=shape.utf16)]
    return text.spans_in_utf16(passage) if shape.utf16 else text.spans(passage)
