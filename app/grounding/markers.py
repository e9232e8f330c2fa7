"""Markers such as `[1]`, which count a list from 1."""

import re
from collections.abc import Iterator, Sequence

_MARKER = re.compile(r"\[([0-9]{1,9})\]")
_TICKS = re.compile("`+")


def markers(text: str) -> Iterator[tuple[int, int, int]]:
    """The start, the end and the number of each. In code, `[1]` is none.

    >>> list(markers("So[2]. `list[1]`"))
    [(2, 5, 2)]
    """
    if "`" not in text:
        for match in _MARKER.finditer(text):
            yield match.start(), match.end(), int(match[1])
        return
    code = iter([*_code(text), (len(text), len(text))])
    start, end = next(code)
    for match in _MARKER.finditer(text):
        while match.start() >= end and start < len(text):
            start, end = next(code)
        if not start <= match.start() < end:
            yield match.start(), match.end(), int(match[1])


def _code(text: str) -> Iterator[tuple[int, int]]:
    """Code between backticks: it ends at as many as it began with. A fence that is left open, as in
    an answer that was cut off, goes on to the end.
    https://spec.commonmark.org/0.31.2/#code-spans"""
    runs = list(_TICKS.finditer(text))
    closing = _next_of_same_length(runs)
    number = 0
    while number < len(runs):
        start = runs[number].start()
        if closing[number] is not None:
            number = closing[number] or 0
            yield start, runs[number].end()
        elif len(runs[number][0]) >= 3:
            yield start, len(text)
            return
        number += 1


def _next_of_same_length(runs: Sequence[re.Match[str]]) -> list[int | None]:
    following: dict[int, int] = {}
    found: list[int | None] = [None] * len(runs)
    for number in reversed(range(len(runs))):
        length = len(runs[number][0])
        found[number] = following.get(length)
        following[length] = number
    return found
