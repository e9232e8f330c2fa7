"""LangChain: its own `Citation`, which is a claim, and annotations that are kept as the provider
wrote them. The unit of its offsets is not defined; they are taken for code points."""

from collections.abc import Iterator
from typing import Any

from app.formats import langchain_message
from app.formats.reading import kind, member, objects, string
from app.grounding import annotations, anthropic_messages, sources
from app.grounding import openai_chat as chat
from app.grounding.documents import NO_SOURCE, Documents
from app.grounding.model import Citation, Found, Source
from app.grounding.texts import Piece, Text


def read(native: Any, request: Any) -> Found:
    pointer, message = langchain_message.message_of(native)
    text = Text()
    chat.add_content(pointer, message, text)
    documents = Documents(request, anthropic_messages.read_documents)
    results = Documents(request, anthropic_messages.read_results)
    citations = _citations(pointer, message, text, documents, results)
    blocks = objects(message.get("content"), f"{pointer}/content")
    held = anthropic_messages.held(blocks, request)
    return Found(text, citations, documents.offered(), held)


def _citations(
    pointer: str, message: dict[str, Any], text: Text, documents: Documents, results: Documents
) -> Iterator[Citation]:
    pieces = {piece.path: piece for piece in text.pieces}
    for where, block in objects(message.get("content"), f"{pointer}/content"):
        piece = pieces.get(f"{where}/text")
        if not piece:
            continue
        yield from anthropic_messages.of_block(where, block, piece, documents, results)
        for at, said in objects(block.get("annotations"), f"{where}/annotations"):
            if kind(said) == "citation":
                yield _citation(at, said, text, piece, documents)
            else:
                inside = said.get("value")
                given = inside if isinstance(inside, dict) else said
                yield annotations.of_openai(at, given, text, piece)


def _citation(
    pointer: str, said: dict[str, Any], text: Text, piece: Piece, documents: Documents
) -> Citation:
    about: dict[str, Any] = {
        "source": _source(said, documents),
        "quote": string(said.get("cited_text")),
    }
    if said.get("start_index") is None and said.get("end_index") is None:
        return Citation("block", pointer=pointer, passage=piece.passage, **about)
    return annotations.at_indices("claim", pointer, said, text, piece, **about)


def _source(said: dict[str, Any], documents: Documents) -> Source:
    title, index = string(said.get("title")), member(said, "extras", "document_index")
    found = sources.url(said.get("url"), title=title) or sources.file(
        "langchain", member(said, "extras", "file_id"), title=title
    )
    if not found and index is not None:
        return documents.find(index, "document_index")
    found = found or sources.weak_document("langchain", title, title=title)
    return found or sources.unknown("", NO_SOURCE)
