"""Figures that need no model: each a numerator and a denominator, with the kinds of anchor that it
rests on. docs/grounding.md says what each of them means."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from app.grounding import Grounding, coverage
from app.grounding.model import Citation
from app.grounding.quotes import STANDINGS, Quotes
from app.grounding.texts import Passage
from app.grounding.verdicts import CHANGED, WITHDRAWN, Verdicts, of_citation

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
    "citations_changed",
    "citations_withdrawn",
)


class Figures:
    """Of all messages that are added. `said` is what was said of their sources."""

    def __init__(self, said: Verdicts | None = None) -> None:
        self._said = said or {}
        self._sums: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._anchors: dict[str, set[str]] = {name: set() for name in NAMES}
        self._unknown = False
        self._cited: set[str] = set()
        self._offered: set[str] = set()
        self._quotes = Quotes()

    def add(self, grounding: Grounding, *, is_answer: bool) -> None:
        """Only the text of answers should be cited: other messages have no sentences here."""
        citations = [*grounding.citations, *grounding.references]
        self._offered.update(source.key for source in grounding.offered if source.key)
        if not citations:
            if is_answer:
                self._cover(grounding, citations)
            return
        good = [citation for citation in citations if not citation.reason]
        if is_answer:
            self._cover(grounding, good)
        self._add("citations_resolved", len(good), citations)
        verdicts = Counter(of_citation(citation, self._said) for citation in citations)
        self._add("citations_changed", verdicts[CHANGED], citations)
        self._add("citations_withdrawn", verdicts[WITHDRAWN], citations)
        if echoed := [citation for citation in citations if citation.echo is not None]:
            counted = Counter((citation.passage, citation.echo) for citation in echoed)
            good_ones = (n for pair, n in counted.items() if _is_as_echoed(*pair, grounding))
            self._add("spans_as_echoed", sum(good_ones), echoed)
        if quoting := [citation for citation in citations if citation.quote]:
            standings = Counter(self._quotes.standing(citation) for citation in quoting)
            for standing in STANDINGS:
                self._add(f"quotes_{standing}", standings[standing], quoting)
        self._cited.update(citation.source.key for citation in citations if citation.source.key)

    def _cover(self, grounding: Grounding, citations: list[Citation]) -> None:
        placed = [citation for citation in citations if citation.passage]
        claims: list[Citation] = []
        claimed: list[Passage] = []
        markers: list[Passage] = []
        points: list[Passage] = []
        for citation in placed:
            anchor, passage = citation.anchor, citation.passage or _NOWHERE
            if anchor == "marker":
                markers.append(passage)
            elif anchor == "point":
                points.append(_before(passage))
            else:
                claims.append(citation)
                claimed.append(passage)
        text = grounding.text.whole
        cited, of = coverage.sentences(text, claimed, [*markers, *points], markers)
        self._add("sentences_cited", cited, placed, of)
        if claims or not citations:
            self._add("characters_claimed", coverage.characters(claimed), claims, len(text))
        else:
            self._unknown = True

    def _add(
        self, name: str, numerator: int, citations: Sequence[Citation], denominator: int = -1
    ) -> None:
        """The denominator is the number of citations, if it is not given."""
        self._sums[name] += numerator
        self._totals[name] += len(citations) if denominator < 0 else denominator
        self._anchors[name].update([citation.anchor for citation in citations])

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


_NOWHERE = Passage(0, 0)


def _is_as_echoed(passage: Passage | None, echo: str | None, grounding: Grounding) -> bool:
    if passage is None or echo is None or passage.end - passage.start != len(echo):
        return False
    return grounding.text.cut(passage) == echo


def _before(point: Passage) -> Passage:
    """What is inserted after a sentence belongs to it, and not to the next one."""
    return Passage(max(0, point.start - 1), point.start)
