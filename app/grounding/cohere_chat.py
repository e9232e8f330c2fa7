"""Cohere v2 chat: claims within one of the contents. Its ids of the form `doc:0` are only places in
the request's list."""

import re
from collections.abc import Iterator
from typing import Any

from app.formats import openai_chat
from app.formats.reading import kind, member, objects, string
from app.grounding import openai_chat as chat
from app.grounding import sources
from app.grounding.documents import NO_SOURCE, Documents
from app.grounding.model import Citation, Found, Source
from app.grounding.texts import OUTSIDE_THE_TEXT, Piece, Text, whole_number

_PLACE_IN_A_LIST = re.compile(r"doc:\d+")


def read(native: Any, request: Any) -> Found:
    pointer, message = openai_chat.message(native)
    text = Text()
    chat.add_content(pointer, message, text)
    return Found(text, _citations(pointer, message, text), Documents(request, _documents).offered())


def _citations(pointer: str, message: dict[str, Any], text: Text) -> Iterator[Citation]:
    pieces = {piece.path: piece for piece in text.pieces}
    if isinstance(message.get("content"), str):
        first = f"{pointer}/content"
    else:
        first = f"{pointer}/content/0/text"
    for where, said in objects(message.get("citations"), f"{pointer}/citations"):
        passage, fault = None, None
        in_the_text = kind(said) in ("", "TEXT_CONTENT")
        if in_the_text:
            number = said.get("content_index")
            path = first if not number else f"{pointer}/content/{whole_number(number)}/text"
            piece: Piece | None = pieces.get(path)
            passage, fault = None, OUTSIDE_THE_TEXT
            if piece:
                passage, fault = text.passage(said.get("start"), said.get("end"), piece=piece)
        echo = said.get("text")
        about: dict[str, Any] = {
            "anchor": "claim" if in_the_text else "message",  # others are of plans and thoughts
            "passage": passage,
            "fault": fault,
            "echo": echo if isinstance(echo, str) and in_the_text else None,
        }
        found = list(objects(said.get("sources"), f"{where}/sources"))
        for at, given in found:
            quote = _text(given.get("document"))
            yield Citation(source=_source(given), pointer=at, quote=quote, **about)
        if not found:
            yield Citation(source=sources.unknown("", NO_SOURCE), pointer=where, **about)


def _source(given: dict[str, Any]) -> Source:
    inside = given.get("document")
    name = string(given.get("id")) or string(member(inside, "id"))
    title = string(member(inside, "title"))
    return (
        sources.url(member(inside, "url"), title, kind="document", raw=name)
        or _by_name(given, name, title)
        or sources.unknown("", NO_SOURCE)
    )


def _by_name(given: dict[str, Any], name: str | None, title: str | None) -> Source | None:
    if kind(given) == "tool":
        return sources.weak_document("cohere", name, title, kind="tool")
    if name and _PLACE_IN_A_LIST.fullmatch(name):
        return sources.weak_document("cohere", name, title)
    return sources.document(name, title)


def _text(inside: Any) -> str | None:
    names = ("text", "snippet", "content")
    return next(filter(None, (string(member(inside, name)) for name in names)), None)


def _documents(request: Any) -> Iterator[Source]:
    """The documents of the request. Those without an id are called `doc:` and their number."""
    given = member(request, "documents")
    for number, each in enumerate(given if isinstance(given, list) else ()):
        data = member(each, "data") if isinstance(member(each, "data"), dict) else each
        named = {"id": string(member(each, "id")) or f"doc:{number}", "document": data}
        yield _source(named)
