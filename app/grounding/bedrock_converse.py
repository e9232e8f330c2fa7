"""Bedrock Converse: cited text stands in blocks of its own, or in the block of text before."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from app.formats import bedrock_converse
from app.formats.reading import joined, member, objects, string
from app.grounding import sources
from app.grounding.documents import NO_SOURCE, Documents, blocks_of, held_in_short_form
from app.grounding.model import Citation, Found, Held, Locator, Source, locator
from app.grounding.texts import Passage, Text

_POSITIONS = (
    ("documentChar", "char"),
    ("documentPage", "page"),
    ("documentChunk", "chunk"),
    ("searchResultLocation", "block"),
)


def read(native: Any, request: Any) -> Found:
    return read_message(*bedrock_converse.message_of(native), request)


def read_message(pointer: str, message: Any, request: Any) -> Found:
    text = Text()
    cited = list(_cited(pointer, message, text))
    documents, results = Documents(request, read_documents), Documents(request, read_results)

    def citations() -> Iterator[Citation]:
        for where, block, passage in cited:
            for at, said in objects(block.get("citations"), f"{where}/citations"):
                yield _citation(at, said, passage, documents, results)

    offered = chain(documents.offered(), results.offered())
    held_by_blocks = held(bedrock_converse.blocks_of(pointer, message), request)
    return Found(text, citations(), offered, held_by_blocks)


def _cited(
    pointer: str, message: Any, text: Text
) -> Iterator[tuple[str, dict[str, Any], Passage | None]]:
    """The blocks with citations, and the passage of what is cited."""
    before: Passage | None = None
    for where, block in bedrock_converse.blocks_of(pointer, message):
        said = (
            ("/text", block.get("text")),
            ("/guardContent/text/text", member(block, "guardContent", "text", "text")),
        )
        for path, string_ in said:
            if isinstance(string_, str):
                before = text.add(f"{where}{path}", string_).passage
        inside = block.get("citationsContent")
        if not isinstance(inside, dict):
            continue
        where = f"{where}/citationsContent"
        pieces = [
            text.add(f"{at}/text", part["text"])
            for at, part in objects(inside.get("content"), f"{where}/content")
            if isinstance(part.get("text"), str)
        ]
        if len(pieces) == 1:
            before = pieces[0].passage
        elif pieces:
            before = Passage(pieces[0].start, pieces[-1].end)
        yield where, inside, before


def _citation(
    pointer: str,
    said: dict[str, Any],
    passage: Passage | None,
    documents: Documents,
    results: Documents,
) -> Citation:
    quoted = joined(part.get("text") for _, part in objects(said.get("sourceContent"), ""))
    return Citation(
        "block" if passage else "message",
        _source(said, documents, results),
        pointer,
        passage,
        quote=quoted or None,
        locator=_locator(said.get("location")),
    )


def _source(said: dict[str, Any], documents: Documents, results: Documents) -> Source:
    location, title = said.get("location"), string(said.get("title"))
    found = sources.url(member(location, "web", "url"), title=title) or _named(
        said.get("source"), title
    )
    if found:
        return found
    for name, _ in _POSITIONS:
        inside = member(location, name)
        if isinstance(inside, dict):
            known, index = documents, "documentIndex"
            if name == "searchResultLocation":
                known, index = results, "searchResultIndex"
            return known.find(inside.get(index), index)
    return sources.unknown("", NO_SOURCE)


def _locator(location: Any) -> Locator | None:
    for name, unit in _POSITIONS:
        inside = member(location, name)
        if isinstance(inside, dict):
            return locator(unit, inside.get("start"), inside.get("end"))  # type: ignore[arg-type]
    return None


def read_documents(request: Any) -> Iterator[Source]:
    return (_document(block) for block in _each_of(request, "document"))


def read_results(request: Any) -> Iterator[Source]:
    return (_result(block) for block in _each_of(request, "searchResult"))


def _each_of(request: Any, name: str) -> Iterator[dict[str, Any]]:
    """In messages, and in the results of tools there."""
    for _, block in blocks_of(request):
        inner = objects(member(block, "toolResult", "content"), "")
        for _, each in (("", block), *inner):
            if isinstance(each.get(name), dict):
                yield each[name]


def _document(block: dict[str, Any]) -> Source:
    given, title = block.get("source"), string(block.get("name"))
    text = member(given, "text")
    if isinstance(member(given, "content"), list):
        text = "".join(
            part["text"]
            for _, part in objects(member(given, "content"), "")
            if isinstance(part.get("text"), str)
        )
    if isinstance(text, str):
        return sources.content(text, title, held=block)
    return (
        sources.url(member(given, "s3Location", "uri"), title=title)
        or sources.encoded_content(member(given, "bytes"), title=title, held=block)
        or sources.unknown("document", NO_SOURCE)
    )


def _result(block: dict[str, Any]) -> Source:
    text = joined(part.get("text") for _, part in objects(block.get("content"), ""))
    found = _named(block.get("source"), string(block.get("title")), text)
    return found or sources.content(text, held=block)


def held(blocks: Iterable[tuple[str, dict[str, Any]]], request: Any) -> Iterator[Held]:
    """In the blocks of a message, and in the request, with the answers of earlier turns."""
    yield from held_in_short_form(request)
    for pointer, block in blocks:
        yield from _held_in(pointer, block)
    documents, results = Documents(request, read_documents), Documents(request, read_results)
    for pointer, block in blocks_of(request):
        for each in _held_in(pointer, block):
            yield each._replace(in_request=True)
        cited = member(block, "citationsContent", "citations")
        for at, said in objects(cited, f"{pointer}/citationsContent/citations"):
            yield Held(at, _source(said, documents, results), in_request=True)


def _held_in(pointer: str, block: dict[str, Any]) -> Iterator[Held]:
    """A block, or what is in a tool's result."""
    inner = objects(member(block, "toolResult", "content"), f"{pointer}/toolResult/content")
    for where, each in ((pointer, block), *inner):
        if isinstance(each.get("document"), dict):
            yield Held(f"{where}/document", _document(each["document"]))
        if isinstance(each.get("searchResult"), dict):
            yield Held(f"{where}/searchResult", _result(each["searchResult"]))


def _named(name: Any, title: str | None, text: str | None = None) -> Source | None:
    return sources.url(name, title=title, text=text) or sources.document(
        name, title=title, text=text
    )
