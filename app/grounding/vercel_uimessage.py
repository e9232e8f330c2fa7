"""Vercel AI SDK: sources stand beside the text, without a position. A `sourceId` is new for each
call, so it names nothing."""

from collections.abc import Iterator
from typing import Any

from app.formats import vercel_uimessage
from app.formats.reading import kind, member, string
from app.grounding import sources
from app.grounding.documents import NO_SOURCE
from app.grounding.model import Citation, Found, Source
from app.grounding.texts import Text


def read(native: Any, _request: Any) -> Found:
    text = Text()
    parts = list(vercel_uimessage.parts_of(native))
    for pointer, part in parts:
        if kind(part) == "text" and isinstance(part.get("text"), str):
            text.add(f"{pointer}/text", part["text"])
    whole = member(native, "content")
    if not text.whole and isinstance(whole, str):  # version 4
        text = Text()
        text.add("/content", whole)
    return Found(text, _citations(parts))


def _citations(parts: list[tuple[str, dict[str, Any]]]) -> Iterator[Citation]:
    for pointer, part in parts:
        if kind(part) in ("source-url", "source-document"):
            where, given = pointer, part
        elif kind(part) == "source" and isinstance(part.get("source"), dict):  # version 4
            where, given = f"{pointer}/source", part["source"]
        else:
            continue
        quote = string(member(given, "providerMetadata", "anthropic", "citedText"))
        yield Citation("message", _source(given), where, quote=quote)


def _source(given: dict[str, Any]) -> Source:
    title = string(given.get("title"))
    return (
        sources.url(given.get("url"), title=title)
        or sources.file(
            "openai", member(given, "providerMetadata", "openai", "fileId"), title=title
        )
        or sources.weak_document("vercel", given.get("filename"), title=title)
        or sources.unknown(string(given.get("sourceId")) or "", NO_SOURCE)
    )
