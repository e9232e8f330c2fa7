"""ETags, and conditions that make a write depend on them.

A session's ETag is the greatest id that any write to it has been given, its `last_ulid`. So every
write knows the new ETag without reading. A message's ETag is the id of its last edit, or its own.
"""

from collections.abc import Mapping

from app.table.writes import Value

MOST_VERSIONS = 100
"""DynamoDB's IN takes 100 operands.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

IfMatch = tuple[str, ...]
"""The ETags that a write accepts, as ULIDs. Empty if none can match."""

NO_VERSION = "-"


def etag(ulid: str) -> str:
    """The ETag of an answer.

    >>> etag("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    '"01ARZ3NDEKTSV4RRFFQ69G5FAV"'
    """
    return f'"{ulid}"'


def match_version(if_match: IfMatch | None) -> tuple[str, Mapping[str, Value]]:
    """A clause to append to a condition on a session, and its values. Both are empty for None,
    which accepts any version.

    >>> match_version(("01A", "01B"))
    (' AND last_ulid IN (:version0, :version1)', {':version0': '01A', ':version1': '01B'})
    >>> match_version(())
    (' AND last_ulid IN (:version0)', {':version0': '-'})
    """
    if if_match is None:
        return "", {}
    versions = {f":version{i}": version for i, version in enumerate(if_match or (NO_VERSION,))}
    return f" AND last_ulid IN ({', '.join(versions)})", versions


def match_message(if_match: IfMatch, ulid: str) -> tuple[str, Mapping[str, Value]]:
    """A condition on a message's item, and its values.

    >>> match_message(("01A", "01B"), "01A")
    ('(edited IN (:version0) OR attribute_not_exists(edited))', {':version0': '01B'})
    """
    edits = [version for version in if_match if version != ulid] or [NO_VERSION]
    versions = {f":version{i}": version for i, version in enumerate(edits)}
    match = f"edited IN ({', '.join(versions)})"
    if ulid in if_match:
        match = f"({match} OR attribute_not_exists(edited))"
    return match, versions
