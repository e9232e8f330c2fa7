"""The index from sources to messages: which sources of a message are in it, and its items.

A message has an edge to each indexed source (`app.table.keys`). Its own item lists their hashes, so
that whoever edits, moves or removes the message takes its edges along without looking for them. An
edge has no attributes but its keys. Only the queries of the index look for it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app import grounding
from app.formats.reading import member
from app.grounding.model import Source
from app.grounding.redaction import sources_held
from app.grounding.sources import key_hash
from app.literals import value_of
from app.messages.model import Message, NewMessage
from app.table import keys
from app.table.item_sizes import MAX_ITEMS, MAX_TRANSACTION, PART_BYTES
from app.table.writes import Item, Value, Write

MAX_SOURCES = 30
"""Indexed sources of one request. Its transaction has room for these beside 50 messages, further
parts of long ones, the session, the user and the records of the request."""

DOCUMENTS = frozenset({"reference", "file", "document"})
"""Kinds of sources that are indexed by default. An answer after a web search cites about ten pages,
and each edge costs 3 write units."""

WEB = ("url:http:", "url:https:")
"""How the keys of web pages begin."""

ITEMS_BESIDE = 5
"""The session, its long metadata, the user, and two records of the request."""

BYTES_BESIDE = 1_000
"""At most, of an item besides its keys and its text."""

_HASH = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Found:
    """Hashes of the sources of one message that are to be indexed. `given` are those that it does
    not cite but may hold words of, such as documents that the model was given."""

    cited: tuple[str, ...] = ()
    given: tuple[str, ...] = ()


NOTHING = Found()


@dataclass(frozen=True, slots=True)
class Indexed:
    """The hashes that a message's item lists, separated by commas."""

    sources: str = ""
    given: str = ""


def find(messages: Iterable[NewMessage], *, web: bool) -> list[Found]:
    """The sources of each message that are to be indexed; with `web`, those of every kind."""
    return [
        _find(
            message.format,
            value_of(message.native),
            value_of(message.content),
            value_of(message.metadata),
            member(value_of(message.grounding), "request"),
            web=web,
        )
        for message in messages
    ]


def _find(
    format: str | None, native: Any, content: Any, metadata: Any, request: Any, *, web: bool
) -> Found:
    is_plain = native is None and request is None and isinstance(content, str)
    if is_plain and not member(metadata, "references"):
        return NOTHING  # as most messages
    read = grounding.read(format, native, content, metadata, request)
    cited = _hashes((citation.source for _, citation in read.each()), web=web)
    held = _hashes(sources_held(format, native, content, metadata, request), web=web)
    return Found(tuple(cited), tuple(source for source in held if source not in cited))


def _hashes(sources: Iterable[Source], *, web: bool) -> dict[str, None]:
    """Each once, in order of first use."""
    indexed = (source for source in sources if source.key and (web or _is_document(source)))
    return {key_hash(key): None for key in dict.fromkeys(str(each.key) for each in indexed)}


def _is_document(source: Source) -> bool:
    is_object = source.kind == "url" and not str(source.key).startswith(WEB)  # as in S3
    return source.kind in DOCUMENTS or is_object


def choose(
    found: Sequence[Found],
    partition: str,
    bodies: Sequence[str],
    values: Mapping[str, Write] | None = None,
    size: int = 0,
) -> tuple[list[Indexed], int]:
    """The sources that the transaction of these messages has room for, and how many are left out.
    `values` are its other writes, of `size` bytes. No request is refused because of its sources.
    """
    if all(each == NOTHING for each in found):
        return [Indexed()] * len(found), 0
    room = _room(partition, bodies, len(values or ()), size)
    sources, left = _take([each.cited for each in found], room)
    given, left = _take([each.given for each in found], left)
    total = sum(len(each.cited) + len(each.given) for each in found)
    return [Indexed(*pair) for pair in zip(sources, given, strict=True)], total - (room - left)


def _room(partition: str, bodies: Sequence[str], values: int, size: int) -> int:
    sizes = [len(body.encode()) for body in bodies]
    items = ITEMS_BESIDE + values + sum(1 + size // (PART_BYTES - 3) for size in sizes)
    key_bytes = 2 * len(partition) + 250
    bytes_left = MAX_TRANSACTION - sum(sizes) - size - items * (key_bytes + BYTES_BESIDE)
    return max(0, min(MAX_SOURCES, MAX_ITEMS - items, bytes_left // key_bytes))


def _take(lists: Iterable[tuple[str, ...]], room: int) -> tuple[list[str], int]:
    """The first of each, as far as there is room, and what room is left.

    >>> _take([("a", "b"), ("c", "d")], 3)
    (['a,b', 'c'], 0)
    """
    taken = []
    for hashes in lists:
        taken.append(",".join(hashes[:room]))
        room -= min(room, len(hashes))
    return taken, room


def edges_of(partition: str, message: Message) -> list[Item]:
    """The items to store beside those of a message."""
    if not message.sources and not message.given:
        return []  # as most messages
    key = keys.message(partition, message.session_ulid, message.ulid)
    return list(edges_at(key, message.sources, message.given).values())


def edges_beside(item: Item) -> list[Item]:
    """The edges of a stored message, by its first item, of which `PK`, `SK`, `sources` and `given`
    are needed. Other items have none."""
    key = {"PK": str(item["PK"]), "SK": str(item["SK"])}
    return list(edges_at(key, item.get("sources"), item.get("given")).values())


def edges_at(key: keys.Key, cited: Value | None, given: Value | None) -> dict[str, Item]:
    """By their sort keys. `key` is that of the message, and the others are its lists of hashes, of
    which damaged parts are passed over."""
    partition, message_ulid = key["PK"], keys.message_of(key["SK"])
    edges: dict[str, Item] = {}
    for listed, is_cited in ((cited, True), (given, False)):
        for source in _HASH.findall(str(listed or "")):
            if len(edges) < MAX_SOURCES:
                edge = keys.edge(partition, keys.session_of(key["SK"]), source, message_ulid)
                index = keys.by_source(partition, source, message_ulid, cited=is_cited)
                edges[edge["SK"]] = {**edge, **index}
    return edges


def unindexed(messages: Iterable[Message], *, web: bool) -> int:
    """How many sources of stored messages are not in the index, because there were too many."""
    count = 0
    for each in messages:
        if each.is_readable:
            found = _find(
                each.format, each.native, each.content, each.metadata, each.request, web=web
            )
            listed = {*each.sources.split(","), *each.given.split(",")}
            count += len({*found.cited, *found.given} - listed)
    return count
