"""The text of a message, and where in it the providers' offsets lead.

Offsets here are code points, half-open. Texts are never normalised, as every offset would move.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal, NamedTuple

Unit = Literal["codepoints", "utf8", "utf16"]

NOT_A_POSITION = "not_a_position"
OUTSIDE_THE_TEXT = "outside_the_text"
INSIDE_A_CHARACTER = "inside_a_character"

MAX_INTEGER = 2**53 - 1
"""The largest whole number that every parser reads the same way (RFC 8259 section 6)."""


def whole_number(value: Any) -> int | None:
    """A number that can be an offset or an index.

    >>> whole_number(7), whole_number(-1), whole_number(True), whole_number("7")
    (7, None, None, None)
    """
    good = type(value) is int and 0 <= value <= MAX_INTEGER
    return value if good else None


class Span(NamedTuple):
    """`path` is a JSON Pointer to a string."""

    path: str
    start: int
    end: int


@dataclass(frozen=True)
class Piece:
    """A string of the message, which stands in the whole text from `start` on. Its first `skipped`
    characters are no part of the text: models think in them."""

    path: str
    start: int
    string: str
    skipped: int = 0

    @property
    def end(self) -> int:
        return self.start + len(self.string) - self.skipped

    @property
    def passage(self) -> "Passage":
        return Passage(self.start, self.end, self)

    @cached_property
    def utf8(self) -> "Utf8":
        return Utf8(self.string)

    @cached_property
    def utf16(self) -> "Utf16":
        return Utf16(self.string)

    def codepoint(self, offset: int, unit: Unit) -> int | None:
        """Of an offset into the string; None if it is inside a character."""
        if unit == "codepoints":
            return offset
        return (self.utf8 if unit == "utf8" else self.utf16).codepoint(offset)


class Passage(NamedTuple):
    """Code points of the whole text. `piece` is the string that it is in; None if there may be
    several."""

    start: int
    end: int
    piece: Piece | None = None


class Text:
    """The strings of a message that are read as one text, with a separator between them. All are
    added before anything is asked.

    >>> text = Text()
    >>> [text.add(f"/parts/{n}/text", said).passage[:2] for n, said in enumerate(("Grün", " ist"))]
    [(0, 4), (4, 8)]
    >>> passage, _ = text.passage(4, 7, "utf8")
    >>> text.cut(passage), [(span.path[7:8], span.start, span.end) for span in text.spans(passage)]
    ('n i', [('0', 3, 4), ('1', 0, 2)])
    """

    def __init__(self, separator: str = "") -> None:
        self._separator = separator
        self.pieces: list[Piece] = []
        self._starts: list[int] = []

    def add(self, path: str, string: str, skipped: int = 0) -> Piece:
        start = self.pieces[-1].end + len(self._separator) if self.pieces else 0
        piece = Piece(path, start, string, skipped)
        self.pieces.append(piece)
        self._starts.append(piece.start)
        return piece

    @cached_property
    def whole(self) -> str:
        return self._separator.join(piece.string[piece.skipped :] for piece in self.pieces)

    @cached_property
    def _all(self) -> Piece:
        return Piece("", 0, self.whole)

    def cut(self, passage: Passage) -> str:
        return self.whole[passage.start : passage.end]

    def passage(
        self, start: Any, end: Any, unit: Unit = "codepoints", piece: Piece | None = None
    ) -> tuple[Passage | None, str | None]:
        """Where offsets into one string, or into the whole text, lead. Any JSON values are taken.
        If they lead nowhere, the second value says why."""
        first, last = whole_number(start), whole_number(end)
        if first is None or last is None:
            return None, NOT_A_POSITION
        string = piece or self._all
        low, high = string.codepoint(first, unit), string.codepoint(last, unit)
        if low is None or high is None:
            return None, INSIDE_A_CHARACTER
        if not string.skipped <= low <= high <= len(string.string):
            return None, OUTSIDE_THE_TEXT
        shift = string.start - string.skipped
        return Passage(low + shift, high + shift, piece), None

    def spans(self, passage: Passage) -> Iterator[Span]:
        """The parts of a passage, in the strings of the message."""
        if not self.pieces:
            return
        number = bisect_right(self._starts, passage.start) - 1
        if passage.piece or passage.start == passage.end:
            yield _span(passage.piece or self.pieces[number], passage)
            return
        for piece in self._from(number):
            if piece.start >= passage.end:
                return
            if piece.start < piece.end:
                yield _span(piece, passage)

    def _from(self, number: int) -> Iterator[Piece]:
        return (self.pieces[later] for later in range(number, len(self.pieces)))

    def spans_in_utf16(self, passage: Passage) -> Iterator[Span]:
        for span in self.spans(passage):
            yield _in_utf16(span, self._by_path[span.path])

    def joined_span(self, passage: Passage, path: str, *, utf16: bool) -> Span:
        """The passage in the whole text, which stands at `path`."""
        span = Span(path, passage.start, passage.end)
        return _in_utf16(span, self._all) if utf16 else span

    @cached_property
    def _by_path(self) -> dict[str, Piece]:
        return {piece.path: piece for piece in self.pieces}


def _span(piece: Piece, passage: Passage) -> Span:
    shift = piece.skipped - piece.start
    start, end = max(passage.start, piece.start), min(passage.end, piece.end)
    return Span(piece.path, start + shift, end + shift)


def _in_utf16(span: Span, piece: Piece) -> Span:
    table = piece.utf16
    return Span(span.path, table.offset(span.start), table.offset(span.end))


class Utf8:
    """Offsets in UTF-8 bytes. Every lookup counts at most `_STEP` bytes.

    >>> [Utf8("aé🌙").codepoint(offset) for offset in (0, 1, 2, 3, 7, 8)]
    [0, 1, None, 2, 3, 8]
    """

    def __init__(self, string: str) -> None:
        self._bytes = string.encode("utf-8", "surrogatepass")
        steps = range(0, len(self._bytes), _STEP)
        counts = (_characters(self._bytes[at : at + _STEP]) for at in steps)
        self._before = [0, *accumulate(counts)]
        """The characters that begin before each step."""

    def codepoint(self, offset: int) -> int | None:
        """An offset after the end leads after the end."""
        if offset > len(self._bytes):
            return offset
        if self._bytes[offset : offset + 1].translate(None, _CONTINUATION) == b"":
            return None if offset < len(self._bytes) else self._before[-1]
        at = offset // _STEP
        return self._before[at] + _characters(self._bytes[at * _STEP : offset])


_STEP = 1024
_CONTINUATION = bytes(range(0x80, 0xC0))
"""Bytes that begin no character."""


def _characters(encoded: bytes) -> int:
    return len(encoded.translate(None, _CONTINUATION))


class Utf16:
    """Offsets in UTF-16 code units, as JavaScript counts.

    >>> [Utf16("a🌙b").codepoint(offset) for offset in (0, 1, 2, 3, 4)]
    [0, 1, None, 2, 3]
    >>> [Utf16("a🌙b").offset(codepoint) for codepoint in (0, 1, 2, 3)]
    [0, 1, 3, 4]
    """

    def __init__(self, string: str) -> None:
        found = () if string.isascii() else _ASTRAL.finditer(string)
        self._pairs = [match.start() for match in found]
        """The characters that take two units."""
        self._units = [codepoint + number for number, codepoint in enumerate(self._pairs)]

    def codepoint(self, offset: int) -> int | None:
        before = bisect_left(self._units, offset)
        if before and self._units[before - 1] == offset - 1:
            return None
        return offset - before

    def offset(self, codepoint: int) -> int:
        return codepoint + bisect_left(self._pairs, codepoint)


_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
