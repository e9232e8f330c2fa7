"""Cohere v2 chat: claims within one of the contents. Its ids of the form `doc:0` are only places in
the request's list."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from app.formats import openai_chat
from app.formats.reading import kind, member, objects, string
from app.grounding import openai_chat as chat
from app.grounding import sources
from app.grounding.documents import NO_SOURCE, Documents, held_in_short_form
from app.grounding.model import MAX_LISTED, Citation, Found, Held, Source
from app.grounding.texts import OUTSIDE_THE_TEXT, Piece, Text, whole_number

_PLACE_IN_A_LIST = re.compile(r"doc:\d+")


def read(native: Any, request: Any) -> Found:
    pointer, message = openai_chat.message(native)
    text = Text()
    chat.add_content(pointer, message, text)
    citations = _citations(pointer, message, text)
    offered = Documents(request, _documents).offered()
    return Found(text, citations, offered, _held(pointer, message, request))


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
        found = list(islice(objects(said.get("sources"), f"{where}/sources"), MAX_LISTED))
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


def _held(pointer: str, message: dict[str, Any], request: Any) -> Iterator[Held]:
    """In the request, with the answers of earlier turns, and in results of tools."""
    short = list(held_in_short_form(request))
    yield from short
    for number, source in () if short else enumerate(_documents(request)):
        yield Held(f"/documents/{number}", source, in_request=True)
    yield from _held_in_result(pointer, message)
    for where, each in objects(member(request, "messages"), "/messages"):
        for held in _held_in_result(where, each):
            yield held._replace(in_request=True)
        for at, said in objects(each.get("citations"), f"{where}/citations"):
            for place, given in objects(said.get("sources"), f"{at}/sources"):
                yield Held(place, _source(given), in_request=True)


def _held_in_result(pointer: str, message: dict[str, Any]) -> Iterator[Held]:
    """Citations call a document of a tool's result by its id, or by the call's and its number."""
    if message.get("role") != "tool":
        return
    content, call = message.get("content"), string(message.get("tool_call_id")) or ""
    for number, each in enumerate(content if isinstance(content, list) else [content]):
        name = string(member(each, "document", "id")) or f"{call}:{number}"
        where = f"{pointer}/content/{number}" if isinstance(content, list) else f"{pointer}/content"
        yield Held(where, _source({"type": "tool", "id": name}))
