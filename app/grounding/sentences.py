"""Where sentences begin and end: the default rules of Unicode Standard Annex #29, version 16.

https://www.unicode.org/reports/tr29/tr29-45.html#Sentence_Boundaries

Departures: of the characters that the rules ignore (Extend and Format), only those that stand after
punctuation in practice are known; and which letters are small or capital, and which digits are, is
what Python says. The comments name the rules.
"""

import re
from collections.abc import Iterator

_IGNORED = (
    r"\u0300-\u036f\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f"
    r"\ufeff"
)
_END_OF_PARAGRAPH = r"\r\n|[\n\r\x85\u2028\u2029]"
_AMBIGUOUS = r".\u2024\ufe52\uff0e"
"""ATerm: full stops, which also stand in numbers and after abbreviations."""
_CONTINUES = (
    r",\-:;\u037e\u055d\u060c\u060d\u07f8\u1802\u1808\u2013\u2014\u3001\ufe10\ufe11\ufe13\ufe14"
    r"\ufe31\ufe32\ufe50\ufe51\ufe54\ufe55\ufe58\ufe63\uff0c\uff0d\uff1a\uff1b\uff64"
)
_SPACES = r"\t\x0b\x0c \xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_CLOSING = (
    r"\x22\x27-)\[\]{}\xab\xbb\u0f3a-\u0f3d\u169b\u169c\u2018-\u201f\u2039\u203a\u2045\u2046\u207d"
    r"\u207e\u208d\u208e\u2308-\u230b\u2329\u232a\u275b-\u2760\u2768-\u2775\u27c5\u27c6\u27e6-\u27ef"
    r"\u2983-\u2998\u29d8-\u29db\u29fc\u29fd\u2e00-\u2e0d\u2e1c\u2e1d\u2e20-\u2e29\u2e42"
    r"\u2e55-\u2e5c\u3008-\u3011\u3014-\u301b\u301d-\u301f\ufd3e\ufd3f\ufe17\ufe18\ufe35-\ufe44"
    r"\ufe47\ufe48\ufe59-\ufe5e\uff08\uff09\uff3b\uff3d\uff5b\uff5d\uff5f\uff60\uff62\uff63"
    r"\U0001f676-\U0001f678"
)
_TERMINAL = (
    r"!?\u0589\u061d-\u061f\u06d4\u0700-\u0702\u07f9\u0837\u0839\u083d\u083e\u0964\u0965\u104a"
    r"\u104b\u1362\u1367\u1368\u166e\u1735\u1736\u17d4\u17d5\u1803\u1809\u1944\u1945\u1aa8-\u1aab"
    r"\u1b4e\u1b4f\u1b5a\u1b5b\u1b5e\u1b5f\u1b7d-\u1b7f\u1c3b\u1c3c\u1c7e\u1c7f\u203c\u203d"
    r"\u2047-\u2049\u2cf9-\u2cfb\u2e2e\u2e3c\u2e53\u2e54\u3002\ua4ff\ua60e\ua60f\ua6f3\ua6f7"
    r"\ua876\ua877\ua8ce\ua8cf\ua92f\ua9c8\ua9c9\uaa5d-\uaa5f\uaaf0\uaaf1\uabeb\ufe12\ufe15"
    r"\ufe16\ufe56\ufe57\uff01\uff1f\uff61\U00010a56\U00010a57\U00010f55-\U00010f59"
    r"\U00010f86-\U00010f89\U00011047\U00011048\U000110be-\U000110c1\U00011141-\U00011143"
    r"\U000111c5\U000111c6\U000111cd\U000111de\U000111df\U00011238\U00011239\U0001123b"
    r"\U0001123c\U000112a9\U000113d4\U000113d5\U0001144b\U0001144c\U000115c2\U000115c3"
    r"\U000115c9-\U000115d7\U00011641\U00011642\U0001173c-\U0001173e\U00011944\U00011946"
    r"\U00011a42\U00011a43\U00011a9b\U00011a9c\U00011c41\U00011c42\U00011ef7\U00011ef8"
    r"\U00011f43\U00011f44\U00016a6e\U00016a6f\U00016af5\U00016b37\U00016b38\U00016b44"
    r"\U00016d6e\U00016d6f\U00016e98\U0001bc9f\U0001da88"
)

_PARAGRAPH = r"\n\r\x85\u2028\u2029"
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")


def _maybe_end(closing: str, terminal: str) -> re.Pattern[str]:
    """A boundary is at the end of a match, unless what stands around it forbids that. All
    quantifiers are possessive, so that the time is proportional to the text's length. `around` is
    None after a paragraph."""
    return re.compile(
        rf"(?P<term>[{_AMBIGUOUS}{terminal}{_PARAGRAPH}])(?:(?<![{_PARAGRAPH}])[{_IGNORED}]*+"
        rf"(?P<around>[{closing}{_IGNORED}]*+[{_SPACES}{_IGNORED}]*+)"
        rf"(?P<paragraph>{_END_OF_PARAGRAPH})?|(?<=\r)\n)?+"
    )


def _below_astral(characters: str) -> str:
    return re.sub(r"\\U[0-9a-f]{8}(-\\U[0-9a-f]{8})?", "", characters)


_MAYBE_END = _maybe_end(_CLOSING, _TERMINAL)
_MAYBE_END_BELOW_ASTRAL = _maybe_end(_below_astral(_CLOSING), _below_astral(_TERMINAL))
"""For nearly all texts. Python finds a character of a set fifty times faster if the set has none
beyond U+FFFF."""

_NEXT_LETTER = re.compile(rf"(?:[^\w{_PARAGRAPH}{_AMBIGUOUS}{_TERMINAL}]|[\d_])*+(\w)")
_SIGN = re.compile(f"[{_CONTINUES}{_AMBIGUOUS}{_TERMINAL}]")
_AMBIGUOUS_SIGN = re.compile(f"[{_AMBIGUOUS}]")


def boundaries(text: str) -> Iterator[int]:
    """The ends of the sentences, in order; the last is that of the text.

    >>> text = "Mr. x paid 3.50 (e.g. for tea). Then? Yes."
    >>> list(boundaries(text)), list(boundaries(""))
    ([32, 38, 42], [])
    """
    last, length = 0, len(text)
    maybe_end = _MAYBE_END if _ASTRAL.search(text) else _MAYBE_END_BELOW_ASTRAL
    for match in maybe_end.finditer(text):
        term, around, paragraph = match.groups()
        end = match.end()
        if around is not None and not paragraph and end < length:
            plainly_over = around and text[end].isupper()  # which most ends are
            if not plainly_over and _goes_on(text, match, term, around):
                continue
        yield end
        last = end
    if last < length:
        yield length


def _goes_on(text: str, match: re.Match[str], term: str, around: str) -> bool:
    """Whether the sentence goes on after the match."""
    end = match.end()
    following = text[end]
    if not following.isalnum() and _SIGN.match(following):  # SB8a
        return True
    if term != "." and not _AMBIGUOUS_SIGN.match(term):
        return False
    if not around:
        before = text[match.start() - 1 : match.start()]
        if following.isdecimal():  # SB6
            return True
        if (before.islower() or before.isupper()) and following.isupper():  # SB7
            return True
    if following.isalpha():
        return following.islower()
    letter = _NEXT_LETTER.match(text, end)  # SB8
    return letter is not None and letter[1].islower()
