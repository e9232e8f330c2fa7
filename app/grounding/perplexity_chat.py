"""Perplexity chat: `[n]` in the text counts `citations` from 1."""

from collections.abc import Iterator
from typing import Any

from app.formats import openai_chat, perplexity_chat
from app.formats.reading import member, string
from app.grounding import openai_chat as chat
from app.grounding import sources
from app.grounding.documents import NO_SOURCE, NOT_IN_THE_ANSWER
from app.grounding.markers import markers
from app.grounding.model import MAX_LISTED, Citation, Found, Held, Source
from app.grounding.texts import Passage, Text


def read(native: Any, _request: Any) -> Found:
    pointer, message = openai_chat.message(native)
    text = Text()
    said = message.get("content")
    if isinstance(said, str):
        text.add(f"{pointer}/content", said, perplexity_chat.thought(native, said))
    else:
        chat.add_content(pointer, message, text)
    name = "citations" if isinstance(member(native, "citations"), list) else "search_results"
    listed = [_source(address, result) for address, result in _listed(native)]
    offered = (source for source, _ in listed if source.key)
    citations = _citations(f"/{name}", text, listed)
    return Found(text, citations, offered, _held(native, listed), quoting=False)


def _held(native: Any, listed: list[tuple[Source, str | None]]) -> Iterator[Held]:
    """A result is that of its own address, and of the one in the list with the same number."""
    results = member(native, "search_results")
    for number, result in enumerate(results if isinstance(results, list) else ()):
        if isinstance(result, dict):
            pointer = f"/search_results/{number}"
            if number < len(listed):
                yield Held(pointer, listed[number][0])
            if found := sources.url(result.get("url")):
                yield Held(pointer, found)


def _citations(
    pointer: str, text: Text, listed: list[tuple[Source, str | None]]
) -> Iterator[Citation]:
    for piece in text.pieces if listed else ():
        for start, end, number in markers(piece.string[piece.skipped :]):
            at = Passage(piece.start + start, piece.start + end, piece)
            if 1 <= number <= len(listed):
                source, quote = listed[number - 1]
                yield Citation("marker", source, f"{pointer}/{number - 1}", at, quote=quote)
            else:
                unknown = sources.unknown(f"[{number}]", NOT_IN_THE_ANSWER)
                yield Citation("marker", unknown, pointer, at)


def _listed(native: Any) -> Iterator[tuple[Any, Any]]:
    """The addresses, each with the result of the search that goes with it."""
    addresses, results = member(native, "citations"), member(native, "search_results")
    results = results if isinstance(results, list) else []
    if not isinstance(addresses, list):
        addresses = [member(result, "url") for result in results[:MAX_LISTED]]
    for number, address in enumerate(addresses[:MAX_LISTED]):
        yield address, results[number] if number < len(results) else None


def _source(address: Any, result: Any) -> tuple[Source, str | None]:
    title = string(member(result, "title"))
    version = string(member(result, "last_updated"))
    source = sources.url(address, title=title, version=version)
    return source or sources.unknown("", NO_SOURCE), string(member(result, "snippet"))
