"""Figures that need no model: each a numerator and a denominator, with the kinds of anchor that it
rests on. docs/grounding.md says what each of them means."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from app.grounding import Grounding, coverage
from app.grounding.model import Citation
from app.grounding.quotes import Quotes
from app.grounding.texts import Passage

_CLAIMS = ("claim", "block")

NAMES = (
    "sentences_cited",
    "characters_claimed",
    "citations_resolved",
    "spans_as_echoed",
    "quotes_verbatim",
    "quotes_normalised",
    "quotes_absent",
    "quotes_unknowable",
    "sources_never_cited",
)


class Figures:
    """Of all messages that are added."""

    def __init__(self) -> None:
        self._sums: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._anchors: dict[str, set[str]] = {name: set() for name in NAMES}
        self._unknown = False
        self._cited: set[str] = set()
        self._offered: set[str] = set()
        self._quotes = Quotes()

    def add(self, grounding: Grounding, *, is_answer: bool) -> None:
        """Only the text of answers should be cited: other messages have no sentences here."""
        citations = [citation for _, citation in grounding.each()]
        if is_answer:
            self._cover(grounding, [c for c in citations if not c.reason])
        for citation in citations:
            self._count("citations_resolved", not citation.reason, citation)
            if citation.echo is not None:
                passage = citation.passage
                said = grounding.text.cut(passage) if passage else None
                self._count("spans_as_echoed", said == citation.echo, citation)
            if citation.quote:
                standing = self._quotes.standing(citation)
                for name in ("verbatim", "normalised", "absent", "unknowable"):
                    self._count(f"quotes_{name}", name == standing, citation)
        self._cited |= {citation.source.key for citation in citations if citation.source.key}
        self._offered |= {source.key for source in grounding.offered if source.key}

    def _cover(self, grounding: Grounding, citations: list[Citation]) -> None:
        placed = [(citation.anchor, citation.passage) for citation in citations if citation.passage]
        claims = [passage for anchor, passage in placed if anchor in _CLAIMS]
        markers = [passage for anchor, passage in placed if anchor == "marker"]
        points = [_before(passage) for anchor, passage in placed if anchor == "point"]
        text = grounding.text.whole
        cited, of = coverage.sentences(text, claims, [*markers, *points], markers)
        self._add("sentences_cited", cited, of, (anchor for anchor, _ in placed))
        if claims or not citations:
            shown = (anchor for anchor, _ in placed if anchor in _CLAIMS)
            self._add("characters_claimed", coverage.characters(claims), len(text), shown)
        else:
            self._unknown = True

    def _count(self, name: str, counts: bool, citation: Citation) -> None:
        self._add(name, int(counts), 1, (citation.anchor,))

    def _add(self, name: str, numerator: int, denominator: int, anchors: Iterable[str]) -> None:
        self._sums[name] += numerator
        self._totals[name] += denominator
        self._anchors[name].update(anchors)

    def members(self) -> dict[str, Any]:
        """The numerator of `characters_claimed` is None where no message has a claim, but some have
        citations."""
        self._sums["sources_never_cited"] = len(self._offered - self._cited)
        self._totals["sources_never_cited"] = len(self._offered)
        figures: dict[str, Any] = {
            name: {
                "numerator": self._sums[name],
                "denominator": self._totals[name],
                "anchors": sorted(self._anchors[name]),
            }
            for name in NAMES
        }
        if self._unknown and not self._anchors["characters_claimed"]:
            figures["characters_claimed"]["numerator"] = None
        return figures


def _before(point: Passage) -> Passage:
    """What is inserted after a sentence belongs to it, and not to the next one."""
    return Passage(max(0, point.start - 1), point.start)
