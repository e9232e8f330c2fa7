"""Anthropic: the block of text is the span. Documents and search results count over all messages of
the request."""

from collections.abc import Iterable, Iterator
from typing import Any

from app.formats import anthropic_messages
from app.formats.reading import joined, kind, member, objects, string, texts
from app.grounding import sources
from app.grounding.documents import NO_SOURCE, Documents, blocks_of, held_in_short_form
from app.grounding.model import Citation, Found, Held, Locator, Source, locator
from app.grounding.texts import Piece, Text

_POSITIONS = (("char_index", "char"), ("page_number", "page"), ("block_index", "block"))


def read(native: Any, request: Any) -> Found:
    text = Text()
    blocks = list(_text_blocks(native, text))
    documents, results = Documents(request, read_documents), Documents(request, read_results)

    def citations() -> Iterator[Citation]:
        for pointer, block, piece in blocks:
            yield from of_block(pointer, block, piece, documents, results)

    held_by_blocks = held(anthropic_messages.blocks(native), request)
    return Found(text, citations(), _offered(documents, results), held_by_blocks)


def of_block(
    pointer: str, block: dict[str, Any], piece: Piece, documents: Documents, results: Documents
) -> Iterator[Citation]:
    for where, said in objects(block.get("citations"), f"{pointer}/citations"):
        yield Citation(
            "block",
            _source(said, documents, results),
            where,
            piece.passage,
            quote=string(said.get("cited_text")),
            locator=_locator(said),
        )


def _text_blocks(native: Any, text: Text) -> Iterator[tuple[str, dict[str, Any], Piece]]:
    whole = member(native, "content")
    if isinstance(whole, str):
        text.add("/content", whole)
    for pointer, block in anthropic_messages.blocks(native):
        said = block.get("text")
        if kind(block) == "text" and isinstance(said, str):
            yield pointer, block, text.add(f"{pointer}/text", said)


def _source(said: dict[str, Any], documents: Documents, results: Documents) -> Source:
    title = string(said.get("title")) or string(said.get("document_title"))
    found = sources.file("anthropic", said.get("file_id"), title=title)
    if not found and kind(said) == "search_result_location":
        found = _named(said.get("source"), title)
    found = found or sources.url(said.get("url"), title=title)
    if found:
        return found
    if "document_index" in said:
        return documents.find(said["document_index"], "document_index")
    if "search_result_index" in said:
        return results.find(said["search_result_index"], "search_result_index")
    return sources.unknown(kind(said), NO_SOURCE)


def _locator(said: dict[str, Any]) -> Locator | None:
    for name, unit in _POSITIONS:
        if f"start_{name}" in said:
            return locator(unit, said[f"start_{name}"], said.get(f"end_{name}"))  # type: ignore[arg-type]
    return None


def _offered(*kinds: Documents) -> Iterator[Source]:
    for documents in kinds:
        yield from documents.offered()


def read_documents(request: Any) -> Iterator[Source]:
    for block in _each_of(request, "document"):
        yield _document(block)


def read_results(request: Any) -> Iterator[Source]:
    for block in _each_of(request, "search_result"):
        yield _result(block)


def _each_of(request: Any, name: str) -> Iterator[dict[str, Any]]:
    """In messages, and in the results of tools there."""
    for _, block in blocks_of(request):
        inner = objects(block.get("content"), "") if kind(block) == "tool_result" else ()
        for _, each in (("", block), *inner):
            if kind(each) == name:
                yield each


Blocks = Iterable[tuple[str, dict[str, Any]]]


def held(blocks: Blocks, request: Any) -> Iterator[Held]:
    """In the blocks of a message, and in the request, with the answers of earlier turns."""
    yield from held_in_short_form(request)
    for pointer, block in blocks:
        yield from _held_in(pointer, block)
    documents, results = Documents(request, read_documents), Documents(request, read_results)
    for pointer, block in blocks_of(request):
        for each in _held_in(pointer, block):
            yield each._replace(in_request=True)
        for at, said in objects(block.get("citations"), f"{pointer}/citations"):
            yield Held(at, _source(said, documents, results), in_request=True)


def _held_in(pointer: str, block: dict[str, Any]) -> Iterator[Held]:
    """A block, or what is in a tool's result: an array, or one object."""
    inner: Blocks = ()
    if kind(block).endswith("tool_result"):
        content = block.get("content")
        one = [(f"{pointer}/content", content)] if isinstance(content, dict) else ()
        inner = one or objects(content, f"{pointer}/content")
    for where, each in ((pointer, block), *inner):
        if kind(each) == "document":
            yield Held(where, _document(each))
        elif kind(each) == "search_result":
            yield Held(where, _result(each))
        elif kind(each) in ("web_search_result", "web_fetch_result"):
            yield Held(where, sources.url(each.get("url")) or sources.unknown("", NO_SOURCE))


def _document(block: dict[str, Any]) -> Source:
    given, title = block.get("source"), string(block.get("title"))
    text = member(given, "data")
    if kind(given) == "content":
        text = "".join(piece for piece in texts(member(given, "content")) if isinstance(piece, str))
    if kind(given) in ("text", "content") and isinstance(text, str):
        return sources.content(text, title, held=block)
    return (
        sources.file("anthropic", member(given, "file_id"), title=title)
        or sources.url(member(given, "url"), title=title)
        or sources.encoded_content(member(given, "data"), title=title, held=block)
        or sources.unknown("document", NO_SOURCE)
    )


def _result(block: dict[str, Any]) -> Source:
    text = joined(texts(block.get("content")))
    found = _named(block.get("source"), string(block.get("title")), text=text)
    return found or sources.content(text, held=block)


def _named(name: Any, title: str | None, text: str | None = None) -> Source | None:
    """By what the client called its search result: an address, or any other name."""
    return sources.url(name, title=title, text=text) or sources.document(
        name, title=title, text=text
    )
