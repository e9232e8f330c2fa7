"""How much of a text is cited."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from app.grounding.sentences import boundaries
from app.grounding.texts import Passage

_WORD = re.compile(r"[^\W_]")


def sentences(
    text: str, claims: Sequence[Passage], markers: Sequence[Passage], masked: Sequence[Passage]
) -> tuple[int, int]:
    """How many sentences overlap a claim or are followed by a marker, and how many there are.

    Only what has a letter or a digit counts as a sentence. The characters of `masked`, which are
    those of the markers, count as white space.

    >>> sentences("It is closed[1]. Why?", [], [Passage(12, 15)], [Passage(12, 15)])
    (1, 2)
    """
    read = _blanked(text, masked)
    starts, ends, start = [], [], 0
    has_word = _WORD.search
    for end in boundaries(read):
        if has_word(read, start, end):
            starts.append(start)
            ends.append(end)
        start = end
    if not claims and not markers:
        return 0, len(starts)
    ends = [start + len(read[start:end].rstrip()) for start, end in zip(starts, ends, strict=True)]
    changes = [0] * (len(starts) + 1)
    for passage in claims:
        first, after = bisect_right(ends, passage.start), bisect_left(starts, passage.end)
        if first < after:
            changes[first] += 1
            changes[after] -= 1
    for passage in markers:
        last = bisect_right(starts, passage.start) - 1
        if last >= 0:
            changes[last] += 1
            changes[last + 1] -= 1
    return sum(count > 0 for count in accumulate(changes[:-1])), len(starts)


def characters(passages: Iterable[Passage]) -> int:
    """How many are in at least one of the passages."""
    return sum(end - start for start, end in _joined(passages))


def _joined(passages: Iterable[Passage]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end, *_ in sorted(passage[:2] for passage in passages):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _blanked(text: str, passages: Sequence[Passage]) -> str:
    if not passages:
        return text
    pieces: list[str] = []
    done = 0
    for start, end in _joined(passages):
        pieces += (text[done:start], " " * (end - start))
        done = end
    return "".join([*pieces, text[done:]])
