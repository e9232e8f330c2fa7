"""How much of a text is cited."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate

from app.grounding.sentences import boundaries
from app.grounding.texts import Place

_WORD = re.compile(r"[^\W_]")


def sentences(
    text: str, claims: Iterable[Place], markers: Iterable[Place], masked: Iterable[Place]
) -> tuple[int, int]:
    """How many sentences overlap a claim or are followed by a marker, and how many there are.

    Only what has a letter or a digit counts as a sentence. The characters of `masked`, which are
    those of the markers, count as white space.

    >>> sentences("It is closed[1]. Why?", [], [Place(12, 15)], [Place(12, 15)])
    (1, 2)
    """
    read = _blanked(text, masked)
    starts, ends, start = [], [], 0
    for end in boundaries(read):
        if _WORD.search(read, start, end):
            starts.append(start)
            ends.append(start + len(read[start:end].rstrip()))
        start = end
    changes = [0] * (len(starts) + 1)
    for place in claims:
        first, after = bisect_right(ends, place.start), bisect_left(starts, place.end)
        if first < after:
            changes[first] += 1
            changes[after] -= 1
    for place in markers:
        last = bisect_right(starts, place.start) - 1
        if last >= 0:
            changes[last] += 1
            changes[last + 1] -= 1
    return sum(count > 0 for count in accumulate(changes[:-1])), len(starts)


def characters(places: Iterable[Place]) -> int:
    """How many are in at least one of the places."""
    return sum(end - start for start, end in _joined(places))


def _joined(places: Iterable[Place]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end, *_ in sorted(place[:2] for place in places):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _blanked(text: str, places: Iterable[Place]) -> str:
    pieces: list[str] = []
    done = 0
    for start, end in _joined(places):
        pieces += (text[done:start], " " * (end - start))
        done = end
    return "".join([*pieces, text[done:]])
