"""A session's ETag is its version. RFC 9110 section 13: If-Match compares strongly, If-None-Match
weakly; `*` stands for any version that exists."""

from werkzeug.http import parse_etags

from app.table.versions import IfMatch

MOST_VERSIONS = 100
"""DynamoDB's IN takes 100 operands; a client knows one version, rarely two."""


def accepted_versions(if_match: str | None) -> IfMatch | None:
    """What a write's condition accepts; None if any version will do.

    >>> accepted_versions('"3", W/"4", "x"'), accepted_versions("*"), accepted_versions(None)
    ((3,), None, None)
    """
    if if_match is None:
        return None
    etags = parse_etags(if_match)
    if etags.star_tag:
        return None
    tags = [
        tag for tag in etags.as_set() if tag and tag.isascii() and tag.isdigit() and len(tag) < 19
    ]
    return tuple(sorted({int(tag) for tag in tags})[:MOST_VERSIONS])


def is_unchanged(version: int, if_none_match: str) -> bool:
    """Whether the client's copy is current, so that 304 is the whole answer."""
    etags = parse_etags(if_none_match)
    return etags.star_tag or etags.contains_weak(str(version))
