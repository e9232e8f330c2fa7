"""Conditions that make a write depend on a session's version."""

from collections.abc import Mapping

from app.table.writes import Value

MOST_VERSIONS = 100
"""DynamoDB's IN takes 100 operands.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

IfMatch = tuple[int, ...]
"""The versions that a write accepts. Empty if no version can match."""


def match_version(if_match: IfMatch | None) -> tuple[str, Mapping[str, Value]]:
    """A clause to append to a condition, and its values. Both are empty for None, which accepts any
    version.

    >>> match_version((3, 4))
    (' AND version IN (:version0, :version1)', {':version0': 3, ':version1': 4})
    >>> match_version(())
    (' AND version IN (:version0)', {':version0': -1})
    """
    if if_match is None:
        return "", {}
    versions = {f":version{i}": version for i, version in enumerate(if_match or (-1,))}
    return f" AND version IN ({', '.join(versions)})", versions
