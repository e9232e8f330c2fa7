"""What messages rest on, as answers show it (`app.grounding` finds it)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from app import grounding
from app.grounding import Grounding
from app.grounding.answers import Shape, citation_text, source_text
from app.grounding.figures import Figures
from app.grounding.texts import Text
from app.grounding.verdicts import Verdicts, of_citation, worst
from app.http.answers import JsonText, json_array
from app.messages.model import Message
from app.wire import MAX_ANSWER, MAX_WIRE_BYTES, wire_size

NOTHING = Grounding("content", Text())

NOT_ANSWERS = {"user", "system", "developer", "tool"}
"""Roles whose text rests on nothing."""

MAX_FIRST = MAX_WIRE_BYTES - 10_000
"""Bytes of a first citation, beside which there are the figures and cursors."""

MOST_LISTED = 50_000
"""Citations and sources that one answer may have room for. Each takes more than 130 bytes."""

Ask = Callable[[Iterable[str]], Verdicts]
"""Tells what was said of sources, by their keys."""


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
        """The first has room unless no response has, because the places of its text take more than
        the message does."""
        size = wire_size(text) + 1
        if self.size + size > (self.room if self.size else MAX_FIRST):
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
    """What is listed of each message, and the figures of all."""

    listed: list[Listed]
    figures: Figures

    def members(self) -> dict[str, Any]:
        """The members of an answer."""
        together = Listed(room=0)
        for listed in self.listed:
            together.add(listed)
        return {
            "citations": json_array(together.citations),
            "sources": together.sources(),
            "figures": self.figures.members(),
            "truncated": together.truncated,
        }


def found_in(messages: Iterable[Message], needed: Callable[[Message], bool]) -> list[Grounding]:
    """What as many of the first messages rest on as one answer may have room for; at least of one,
    if there is any. Those that are not `needed` rest on nothing."""
    found: list[Grounding] = []
    size = 0
    for message in messages:
        if size > MOST_LISTED:
            break
        found.append(grounding_of(message) if needed(message) else NOTHING)
        size += sum(map(len, (found[-1].citations, found[-1].references, found[-1].offered)))
    return found


def keys_of(found: Iterable[Grounding], *, offered: bool = True) -> Iterator[str]:
    """The keys of all sources that may be shown. With `offered`, those that are not cited, too."""
    for each in found:
        cited = (citation.source for _, citation in each.each())
        sources = chain(cited, each.offered if offered else ())
        yield from (source.key for source in islice(sources, MOST_LISTED) if source.key)


def ground(messages: Iterable[Message], shape: Shape, ask: Ask, *, named: bool = False) -> Grounded:
    """Of as many of the first messages as one response has room for; at least one, if there is any.
    With `named`, each citation names its message."""
    messages = list(messages)
    found = found_in(messages, lambda message: is_answer(message) or may_cite(message))
    shape = replace(shape, verdicts=ask(keys_of(found)))
    grounded = Grounded([], Figures(shape.verdicts))
    size = 0
    for message, each in zip(messages, found, strict=False):
        if each is NOTHING:
            grounded.listed.append(NOTHING_LISTED)
            continue
        new = listed(each, shape, message.message_id if named else None)
        size += new.size
        if grounded.listed and size > MAX_ANSWER:
            break
        grounded.listed.append(new)
        grounded.figures.add(each, is_answer=is_answer(message))
    return grounded


NOTHING_LISTED = Listed(room=0)


def is_answer(message: Message) -> bool:
    return message.role not in NOT_ANSWERS


def may_cite(message: Message) -> bool:
    """False for plain text without metadata, as most questions are."""
    body = message.body
    is_plain = body.startswith('{"content":"') and body.endswith(',"metadata":{}}')
    return not is_plain or '"native":' in body


def summary(found: Grounding, said: Verdicts) -> dict[str, Any]:
    """The members of a short answer; none if the message cites nothing."""
    citations = [citation for _, citation in found.each()]
    if not citations:
        return {}
    return {
        "citations": len(citations),
        "sources": len({citation.source.key for citation in citations} - {None}),
        "dangling": sum(citation.reason is not None for citation in citations),
        "verdict": worst({of_citation(citation, said) for citation in citations}),
    }
