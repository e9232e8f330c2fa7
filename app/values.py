"""Rules for values, wherever they come from: what HTTP lets in and what the stores take."""

import re
from typing import Any

MAX_DEPTH = 64
"""Levels of arrays and objects in JSON."""

CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")

_SURROGATE = re.compile("[\ud800-\udfff]")


def surrogate_path(value: Any) -> str | None:
    """Where a JSON value holds half a surrogate pair, which UTF-8 cannot say; None if nowhere.

    >>> surrogate_path({"a": ["x", {"b": chr(0xD800)}]})
    'a[1].b'
    """
    path = _surrogate_path(value)
    return path if path is None else path.lstrip(".")


def _surrogate_path(value: Any) -> str | None:
    # The path is put together on the way back: built on the way in, it would take many times the
    # memory of the value.
    if isinstance(value, str):
        return "" if _SURROGATE.search(value) else None
    if isinstance(value, list):
        for index, item in enumerate(value):
            if (below := _surrogate_path(item)) is not None:
                return f"[{index}]{below}"
    elif isinstance(value, dict):
        for name, item in value.items():
            if _SURROGATE.search(name):
                return ""
            if (below := _surrogate_path(item)) is not None:
                return f".{name}{below}"
    return None
