"""Segments of the names of values, made of any text."""

import hashlib
from urllib.parse import quote, unquote

_SAFE = " !\"#$&'()*+,:;<=>?@[\\]^`{|}"
_RESERVED = {"": "-", "-": "%2D", ".": "%2E", "..": "%2E%2E"}

HASHED = "%-"
"""The beginning of a segment that is a hash. No percent-encoded text begins so."""


def escaped(text: str, longest: int) -> str:
    """A segment of at most `longest` bytes, at least 66, another one for every text. It is
    percent-encoded, or a hash if that is too long.

    >>> escaped("child:1/é", 100), escaped("", 100), escaped("a" * 101, 100)[:10]
    ('child:1%2F%C3%A9', '-', '%-9d079339')
    """
    segment = _RESERVED.get(text) or quote(text, _SAFE, errors="surrogatepass")
    if len(segment) <= longest:
        return segment
    return HASHED + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def unescaped(segment: str) -> str:
    """The text of a segment that is no hash."""
    return "" if segment == "-" else unquote(segment, errors="surrogatepass")
