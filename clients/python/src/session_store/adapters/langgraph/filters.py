"""Filters of LangGraph's store, as `SearchOp` and `MatchCondition` describe them."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from langgraph.store.base import MatchCondition

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def matches(value: Any, wanted: Any) -> bool:
    """Whether a value is as a filter wants it. An object or a list is compared member by member,
    and an object may have more members.

    >>> matches({"score": 5, "tags": ["a"]}, {"score": {"$gt": 4.9}})
    True
    >>> matches({"score": None}, {"score": {"$gt": 4.9}})
    False

    Raises:
        ValueError: unknown operator
    """
    if isinstance(wanted, Mapping):
        if any(name.startswith("$") for name in wanted):
            return all(_holds(value, name, than) for name, than in wanted.items())
        return isinstance(value, Mapping) and all(
            matches(value.get(name), part) for name, part in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(wanted)
            and all(map(matches, value, wanted))
        )
    return bool(value == wanted)


def _holds(value: Any, name: str, than: Any) -> bool:
    if name not in _OPERATORS:
        raise ValueError(f"Unsupported operator: {name}")
    try:
        return bool(_OPERATORS[name](value, than))
    except TypeError:  # for example None and a number
        return False


def matches_namespace(namespace: tuple[str, ...], condition: MatchCondition) -> bool:
    """
    >>> matches_namespace(("users", "7", "notes"), MatchCondition("suffix", ("*", "notes")))
    True

    Raises:
        ValueError: neither prefix nor suffix
    """
    path = condition.path
    if condition.match_type == "prefix":
        part = namespace[: len(path)]
    elif condition.match_type == "suffix":
        part = namespace[max(0, len(namespace) - len(path)) :]
    else:
        raise ValueError(f"Unsupported match type: {condition.match_type}")
    return len(part) == len(path) and all(
        wanted in ("*", label) for label, wanted in zip(part, path, strict=True)
    )
