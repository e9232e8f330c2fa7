"""Reads If-Match and If-None-Match. The ETag of a session or message is a ULID
(`app.table.versions`), that of a value a hash.

If-Match compares strongly, If-None-Match weakly; `*` matches any version (RFC 9110 section 13). A
malformed header matches nothing, even if some of its tags are well-formed. Examples are a tag
without quotes, `"3" "4"`, and `*` with other tags (RFC 9110 section 8.8.3).
"""

import re

from app.errors import ValidationFailed
from app.table import ids
from app.table.versions import MOST_VERSIONS, IfMatch

# All quantifiers are possessive, so that the time is proportional to the header's length.
_ELEMENT = re.compile(
    r'[ \t]*+(?:(?P<weak>W/)?+"(?P<tag>[\x21\x23-\x7e\x80-\xff]*+)"[ \t]*+)?+(?:,|\Z)'
)


def accepted_versions(if_match: str | None) -> IfMatch | None:
    """The versions that an If-Match header accepts. None accepts any version.

    >>> accepted_versions('"01ARZ3NDEKTSV4RRFFQ69G5FAV", W/"01ARZ3NDEKTSV4RRFFQ69G5FB0", "x"')
    ('01ARZ3NDEKTSV4RRFFQ69G5FAV',)
    >>> accepted_versions("*"), accepted_versions(None), accepted_versions('"x", 4')
    (None, None, ())

    Raises:
        ValidationFailed: there are more versions than one condition can hold.
    """
    if if_match is None or _is_any(if_match):
        return None
    tags = _entity_tags(if_match)
    return _bounded({tag for weak, tag in tags if not weak and ids.is_ulid(tag)})


def accepted_tags(if_match: str | None) -> tuple[str, ...] | None:
    """The ETags of values that an If-Match header accepts, `*` if it accepts any. None if there is
    no such header.

    >>> accepted_tags('"a", W/"b", "c"'), accepted_tags("*"), accepted_tags("a")
    (('a', 'c'), ('*',), ())

    Raises:
        ValidationFailed: there are more ETags than one condition can hold.
    """
    if if_match is None:
        return None
    if _is_any(if_match):
        return ("*",)
    return _bounded({tag for weak, tag in _entity_tags(if_match) if not weak and tag != "*"})


def _bounded(tags: set[str]) -> tuple[str, ...]:
    if len(tags) > MOST_VERSIONS:
        message = f"Lists {len(tags)} versions. At most {MOST_VERSIONS} are allowed."
        raise ValidationFailed(
            errors=[{"location": "headers", "field": "If-Match", "message": message}]
        )
    return tuple(sorted(tags))


def is_unchanged(version: str, if_none_match: str) -> bool:
    """Whether the client's copy is current, so that the response is 304.

    >>> is_unchanged("01A", 'W/"01A"'), is_unchanged("01A", '"01B"'), is_unchanged("01A", "01A")
    (True, False, False)
    """
    tags = (tag for _, tag in _entity_tags(if_none_match))
    return _is_any(if_none_match) or version in tags


def _is_any(header: str) -> bool:
    return header.strip(" \t") == "*"


def _entity_tags(header: str) -> list[tuple[bool, str]]:
    """Pairs of whether a tag is weak and its text. Empty if the header is malformed."""
    tags, position = [], 0
    while position < len(header):
        element = _ELEMENT.match(header, position)
        if not element:
            return []
        if element["tag"] is not None:
            tags.append((element["weak"] is not None, element["tag"]))
        position = element.end()
    return tags
