"""Mistral chat: a reference stands after the text that it is for. What its ids mean is in the
results of tools in the request."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from app.formats import openai_chat
from app.formats.reading import escaped, joined, kind, member, objects, readable, string, texts
from app.grounding import openai_chat as chat
from app.grounding import sources
from app.grounding.documents import (
    NO_REQUEST,
    NO_SOURCE,
    NOT_AN_INDEX,
    NOT_IN_THE_REQUEST,
    held_in_short_form,
)
from app.grounding.documents import Documents as Numbered
from app.grounding.model import MAX_LISTED, Citation, Found, Held, Source
from app.grounding.texts import Passage, Text, whole_number

Results = dict[str, tuple[Source, str | None]]


def read(native: Any, request: Any) -> Found:
    pointer, message = openai_chat.message(native)
    text = Text()
    chat.add_content(pointer, message, text)
    results = _results(request)
    citations = _citations(pointer, message, text, request, results)
    offered = (source for source, _ in results.values())
    return Found(text, citations, offered, _held(pointer, message, request), quoting=False)


def _held(pointer: str, message: dict[str, Any], request: Any) -> Iterator[Held]:
    """The results of tools are text in which each source has a member of its own."""
    for where, chunk in objects(message.get("content"), f"{pointer}/content"):
        if kind(chunk) == "tool_reference" and (found := sources.url(chunk.get("url"))):
            yield Held(where, found)
    yield from held_in_short_form(request)
    for where, each in objects(member(request, "messages"), "/messages"):
        content, place = each.get("content"), f"{where}/content"
        if isinstance(content, list) and len(content) == 1:
            content, place = member(content[0], "text"), f"{place}/0/text"
        if each.get("role") == "tool" and isinstance(content, str):
            for name, result in _parsed(content):
                source = _source(readable(name), result)
                yield Held(place, source, in_request=True, inside=f"/{escaped(name)}")


def _citations(
    pointer: str, message: dict[str, Any], text: Text, request: Any, results: Results
) -> Iterator[Citation]:
    pieces = {piece.path: piece for piece in text.pieces}
    before: Passage | None = None
    for where, chunk in objects(message.get("content"), f"{pointer}/content"):
        if piece := pieces.get(f"{where}/text"):
            before = piece.passage
        about: dict[str, Any] = {"anchor": "block" if before else "message", "passage": before}
        if kind(chunk) == "reference":
            ids = chunk.get("reference_ids")
            for number, identifier in enumerate(ids if isinstance(ids, list) else ()):
                source, quote = _find(identifier, request, results)
                at = f"{where}/reference_ids/{number}"
                yield Citation(source=source, pointer=at, quote=quote, **about)
        elif kind(chunk) == "tool_reference":
            found = sources.url(chunk.get("url"), title=string(chunk.get("title")))
            source = found or sources.unknown("", NO_SOURCE)
            yield Citation(source=source, pointer=where, **about)


def _find(identifier: Any, request: Any, results: Results) -> tuple[Source, str | None]:
    name = _name(identifier)
    if name is None:
        return sources.unknown("reference_ids", NOT_AN_INDEX), None
    raw = f"reference_ids={name}"
    if request is None:
        return sources.unknown(raw, NO_REQUEST), None
    if name not in results:
        return sources.unknown(raw, NOT_IN_THE_REQUEST), None
    return results[name]


def _name(identifier: Any) -> str | None:
    """Ids are numbers or strings."""
    number = whole_number(identifier)
    return str(number) if number is not None else string(identifier)


def _results(request: Any) -> Results:
    """By id. Of two results with one id, the later counts."""
    found: Results = {
        str(number): (source, None) for number, source in Numbered(request, lambda _: ()).numbered()
    }
    for name, result in islice(_entries(request), MAX_LISTED):
        found[name] = _source(name, result), _quote(result)
    return found


def _entries(request: Any) -> Iterator[tuple[str, Any]]:
    for _, message in objects(member(request, "messages"), ""):
        if message.get("role") == "tool":
            for name, each in _parsed(joined(texts(message.get("content")))):
                yield readable(name), each


def _parsed(content: str) -> Iterator[tuple[str, Any]]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return
    if isinstance(value, list):
        yield from ((str(number), each) for number, each in enumerate(value))
    if isinstance(value, dict):
        yield from value.items()


def _source(name: str, result: Any) -> Source:
    title = string(member(result, "title"))
    raw = f"reference_ids={name}"
    return sources.url(member(result, "url"), title=title, raw=raw) or Source(
        sources.bounded(f"doc:mistral:{name}"), "document", raw, title, identity="weak"
    )


def _quote(result: Any) -> str | None:
    """The first snippet, which may be in lists of lists."""
    found = member(result, "snippets") or member(result, "snippet") or member(result, "description")
    for _ in range(3):
        if isinstance(found, list) and found:
            found = found[0]
    return string(found)
