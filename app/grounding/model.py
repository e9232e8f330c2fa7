"""Citations and sources in one form for every provider. They are derived and never stored.

They are tuples because a session may have thousands, and these are made in a fraction of the time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from app.grounding.texts import MAX_INTEGER, Passage, Text, whole_number

Anchor = Literal["claim", "marker", "point", "block", "message"]
"""What a citation stands at: the claim itself, a marker beside it (`[1]` or a link), a point
between two characters, the block of text that is cited for, or no place in the message."""

LocatorUnit = Literal["char", "page", "block", "chunk"]


MAX_LISTED = 10_001
"""Entries of one list of sources that are looked at: one more than are shown. Two bytes of JSON can
make one."""


class Source(NamedTuple):
    """What an answer rests on. `raw` is what the provider calls it. `text` is its content, where
    the request holds it.

    `identity` says how well the key holds: `strong`; `weak` for a place in a list, a name, or an id
    that is new for each call; `redirect` for an address that the provider made. If it is not known
    what is cited, the key is None and `fault` says why.
    """

    key: str | None
    kind: str
    raw: str = ""
    title: str | None = None
    version: str | None = None
    identity: str = "strong"
    text: str | None = None
    fault: str | None = None


class Locator(NamedTuple):
    """Where in the source, half-open. Characters, blocks and chunks count from 0, pages from 1."""

    unit: LocatorUnit
    start: int
    end: int


class Citation(NamedTuple):
    """`pointer` is a JSON Pointer to the provider's own object. `passage` is None if there is no
    position, or none that is in the text; then `fault` says why. `echo` is the cited text as the
    provider repeats it."""

    anchor: Anchor
    source: Source
    pointer: str
    passage: Passage | None = None
    quote: str | None = None
    locator: Locator | None = None
    score: float | None = None
    echo: str | None = None
    fault: str | None = None

    @property
    def reason(self) -> str | None:
        """Why it does not lead from a text to a source; None if it does."""
        return self.fault or self.source.fault


class Held(NamedTuple):
    """Where something stands that one source says: an object of that source alone, or a string.
    `pointer` leads into the provider's object, or into the request. If the string there is JSON,
    `inside` leads on in that."""

    pointer: str
    source: Source
    in_request: bool = False
    inside: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a provider's object. `offered` are the sources that the model was given, whether
    or not it cites them. The citations are not looked for before somebody takes them.

    `held` is for redaction: what stands outside the objects of citations. `quoting` is False if
    those hold nothing that a source says."""

    text: Text
    citations: Iterable[Citation] = ()
    offered: Iterable[Source] = ()
    held: Iterable[Held] = ()
    quoting: bool = True


def locator(unit: LocatorUnit, start: Any, end: Any) -> Locator | None:
    first, last = whole_number(start), whole_number(end)
    if first is None or last is None or last < first:
        return None
    return Locator(unit, first, last)


def score(value: Any) -> float | None:
    good = type(value) in (int, float) and abs(value) <= MAX_INTEGER
    return value if good else None
