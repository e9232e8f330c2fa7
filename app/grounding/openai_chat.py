"""OpenAI Chat Completions: annotations of the message, with the members one level deeper."""

from collections.abc import Iterator
from typing import Any

from app.formats import openai_chat
from app.formats.reading import kind, member, objects
from app.grounding import annotations
from app.grounding.model import Citation, Found
from app.grounding.texts import Piece, Text


def read(native: Any, _request: Any) -> Found:
    pointer, message = openai_chat.message(native)
    text = Text()
    piece = add_content(pointer, message, text)
    return Found(text, _citations(pointer, message, text, piece))


def add_content(pointer: str, message: dict[str, Any], text: Text) -> Piece | None:
    """Returns the first string of the message."""
    content = message.get("content")
    pieces = []
    if isinstance(content, str):
        pieces.append(text.add(f"{pointer}/content", content))
    for number, block in enumerate(content if isinstance(content, list) else ()):
        where = f"{pointer}/content/{number}"
        for path, said in _strings(where, block):
            if isinstance(said, str):
                pieces.append(text.add(path, said))
    for names in (("refusal",), ("audio", "transcript"), ("additional_kwargs", "refusal")):
        instead = member(message, *names)
        if not any(piece.string for piece in pieces) and isinstance(instead, str):
            pieces = [text.add(f"{pointer}/{'/'.join(names)}", instead)]
    return next(iter(pieces), None)


def _strings(where: str, block: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(block, str):
        yield where, block
    elif kind(block) == "text":
        yield f"{where}/text", block.get("text")
    elif kind(block) == "refusal":
        yield f"{where}/refusal", block.get("refusal")


def _citations(
    pointer: str, message: dict[str, Any], text: Text, piece: Piece | None
) -> Iterator[Citation]:
    for where, said in objects(message.get("annotations"), f"{pointer}/annotations"):
        inside = said.get(kind(said))
        given = {"type": kind(said), **inside} if isinstance(inside, dict) else said
        if piece:
            yield annotations.of_openai(where, given, text, piece)
        else:
            yield Citation("message", annotations.source(given), where)
