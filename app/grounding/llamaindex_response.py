"""LlamaIndex: `[n]` in the response counts the nodes from 1. A node is a chunk of the document that
its relationships name."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from app.formats import llamaindex_response
from app.formats.reading import escaped, member, objects, string
from app.grounding import sources
from app.grounding.documents import NO_SOURCE, NOT_IN_THE_ANSWER
from app.grounding.markers import markers
from app.grounding.model import MAX_LISTED, Citation, Found, Held, Source, locator, score
from app.grounding.texts import Passage, Text


def read(native: Any, _request: Any) -> Found:
    text = Text(separator="\n")
    for path, said in llamaindex_response.strings(native):
        text.add(path, said)
    nodes = list(islice(objects(member(native, "source_nodes"), "/source_nodes"), MAX_LISTED))
    offered = (_source(_node(found)) for _, found in nodes)
    return Found(
        text,
        _citations(text, nodes),
        (source for source in offered if source.key),
        _held(native, nodes),
        quoting=False,
    )


def _held(native: Any, nodes: list[tuple[str, dict[str, Any]]]) -> Iterator[Held]:
    """The nodes, and their metadata, which a response has once more by their ids."""
    for pointer, found in nodes:
        node = _node(found)
        source = _source(node)
        yield Held(pointer, source)
        for name in (node.get("id_"), node.get("node_id")):
            if isinstance(name, str) and isinstance(member(native, "metadata", name), dict):
                yield Held(f"/metadata/{escaped(name)}", source)


def _citations(text: Text, nodes: list[tuple[str, dict[str, Any]]]) -> Iterator[Citation]:
    """Without a marker, each node is a source of the whole message."""
    any_marker = False
    about = [_about(*each) for each in nodes]
    for piece in text.pieces if nodes else ():
        for start, end, number in markers(piece.string):
            any_marker = True
            at = Passage(piece.start + start, piece.start + end, piece)
            if 1 <= number <= len(nodes):
                yield Citation("marker", passage=at, **about[number - 1])
            else:
                unknown = sources.unknown(f"[{number}]", NOT_IN_THE_ANSWER)
                yield Citation("marker", unknown, "/source_nodes", at)
    if not any_marker:
        for each in about:
            yield Citation("message", **each)


def _about(pointer: str, found: dict[str, Any]) -> dict[str, Any]:
    node = _node(found)
    label = string(member(node, "metadata", "page_label")) or ""
    page = int(label) if label.isascii() and label.isdigit() and len(label) < 10 else None
    return {
        "source": _source(node),
        "pointer": pointer,
        "quote": string(node.get("text")) or string(member(node, "text_resource", "text")),
        "locator": locator("page", page, None if page is None else page + 1),
        "score": score(found.get("score")),
    }


def _node(found: dict[str, Any]) -> dict[str, Any]:
    node = found.get("node")
    return node if isinstance(node, dict) else found


def _source(node: dict[str, Any]) -> Source:
    of = member(node, "relationships", "1")
    metadata = node.get("metadata")
    name = string(node.get("id_")) or string(node.get("node_id"))
    title = string(member(metadata, "title")) or string(member(metadata, "file_name"))
    version = string(member(of, "hash"))
    return (
        sources.document(member(of, "node_id"), title, version, raw=name)
        or sources.weak_document("llamaindex", name, title, version)
        or sources.unknown("", NO_SOURCE)
    )
