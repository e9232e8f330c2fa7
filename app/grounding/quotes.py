"""Whether what is quoted stands in its source."""

import unicodedata
from typing import Literal

from app.grounding.model import Citation

Standing = Literal["verbatim", "normalised", "absent", "unknowable"]

STANDINGS: tuple[Standing, ...] = ("verbatim", "normalised", "absent", "unknowable")

MAX_SEARCHED = 20_000_000
"""Characters that are searched for the quotes of one response. Beyond it, quotes that are not where
the provider says are unknowable."""


class Quotes:
    """Looks quotes up. What it has done counts for all that it is asked."""

    def __init__(self) -> None:
        self._left = MAX_SEARCHED
        self._found: dict[tuple[str, str], Standing] = {}
        self._plain: dict[str, str] = {}

    def standing(self, citation: Citation) -> Standing:
        quote, source = citation.quote or "", citation.source
        text, passage = source.text, citation.locator
        if text is None:
            return "unknowable"
        is_there = passage and passage.unit == "char" and text.startswith(quote, passage.start)
        if is_there and passage and passage.end - passage.start == len(quote):
            return "verbatim"
        known = (source.key or "", quote)
        if known not in self._found:
            self._found[known] = self._search(quote, text)
        return self._found[known]

    def _search(self, quote: str, text: str) -> Standing:
        self._left -= 2 * (len(text) + len(quote))
        if self._left < 0:
            return "unknowable"
        if quote in text:
            return "verbatim"
        if text not in self._plain:
            self._plain[text] = normalised(text)
        return "normalised" if normalised(quote) in self._plain[text] else "absent"


def normalised(text: str) -> str:
    """Without differences of case, of white space and of compatible characters.

    >>> normalised("Ｅｉｎ  Büro\\n") == normalised("ein büro")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
