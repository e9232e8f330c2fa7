"""What messages rest on, as answers show it (`app.grounding` finds it)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from app import grounding
from app.grounding import Grounding
from app.grounding.answers import Shape, citation_text, source_text
from app.grounding.figures import Figures
from app.grounding.texts import Text
from app.http.answers import JsonText, json_array
from app.messages.model import Message
from app.wire import MAX_ANSWER, wire_size

NOTHING = Grounding("content", Text())

NOT_ANSWERS = {"user", "system", "developer", "tool"}
"""Roles whose text rests on nothing."""


def grounding_of(message: Message) -> Grounding:
    """Nothing if the message is damaged, which `check` reports."""
    if not message.is_readable:
        return NOTHING
    return grounding.read(
        message.format, message.native, message.content, message.metadata, message.request
    )


@dataclass
class Listed:
    """JSON texts of citations, and of sources by their keys, as far as there is room for them.
    `size` is what they take."""

    room: int
    size: int = 0
    citations: list[str] = field(default_factory=list)
    cited: dict[str, str] = field(default_factory=dict)
    offered: dict[str, str] = field(default_factory=dict)
    truncated: bool = False

    def has_room(self, text: str) -> bool:
        """The first always has room."""
        size = wire_size(text) + 1
        if self.size and self.size + size > self.room:
            self.truncated = True
            return False
        self.size += size
        return True

    def add(self, other: "Listed") -> None:
        self.citations += other.citations
        for ours, theirs in ((self.cited, other.cited), (self.offered, other.offered)):
            for key, text in theirs.items():
                ours.setdefault(key, text)
        self.truncated |= other.truncated

    def sources(self) -> JsonText:
        """Each once: the cited ones in order of first use, then those that were only offered."""
        only_offered = (text for key, text in self.offered.items() if key not in self.cited)
        return json_array([*self.cited.values(), *only_offered])


def listed(
    found: Grounding,
    shape: Shape,
    message_id: str | None = None,
    *,
    room: int = MAX_ANSWER,
    size: int = 0,
) -> Listed:
    """The citations and sources of one message. Each citation names the message if `message_id` is
    given. `size` bytes of the room are taken."""
    listed = Listed(room, size, truncated=found.more)
    for member, citation in found.each():
        key, source = citation.source.key, ""
        if key and key not in listed.cited:
            source = source_text(citation.source, shape, cited=True)
        text = citation_text(member, citation, found.text, shape, message_id)
        if not listed.has_room(f"{text},{source}"):
            return listed
        listed.citations.append(text)
        if key and source:
            listed.cited[key] = source
    for each in found.offered:
        if each.key and not (each.key in listed.cited or each.key in listed.offered):
            text = source_text(each, shape, cited=False)
            if not listed.has_room(text):
                break
            listed.offered[each.key] = text
    return listed


@dataclass(frozen=True, slots=True)
class Grounded:
    """A message with what is found in it."""

    found: Grounding
    listed: Listed
    is_answer: bool


def ground(message: Message, shape: Shape, *, named: bool = False) -> Grounded:
    """With `named`, each citation names the message."""
    is_answer = message.role not in NOT_ANSWERS
    if not is_answer and not may_cite(message):
        return Grounded(NOTHING, Listed(room=0), is_answer)
    found = grounding_of(message)
    return Grounded(found, listed(found, shape, message.message_id if named else None), is_answer)


def ground_many(messages: Iterable[Message], shape: Shape) -> list[Grounded]:
    """As many of the first messages as one response has room for; at least one, if there is any."""
    grounded: list[Grounded] = []
    size = 0
    for message in messages:
        new = ground(message, shape, named=True)
        size += new.listed.size
        if grounded and size > MAX_ANSWER:
            break
        grounded.append(new)
    return grounded


def members_of(messages: Iterable[Grounded]) -> dict[str, Any]:
    """The members of an answer."""
    together, figures = Listed(room=0), Figures()
    for message in messages:
        together.add(message.listed)
        figures.add(message.found, is_answer=message.is_answer)
    return {
        "citations": json_array(together.citations),
        "sources": together.sources(),
        "figures": figures.members(),
        "truncated": together.truncated,
    }


def may_cite(message: Message) -> bool:
    """False for plain text without metadata, as most questions are."""
    body = message.body
    is_plain = body.startswith('{"content":"') and body.endswith(',"metadata":{}}')
    return not is_plain or '"native":' in body
