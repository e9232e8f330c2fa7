"""Rules for values that hold both over HTTP and for programs that use the stores directly."""

import math
import re
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 64
"""How deeply arrays and objects in JSON may be nested."""

CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")

MAX_DIGITS = 4300
"""Digits of a whole number. Python parses and prints no more (`sys.set_int_max_str_digits`)."""

SURROGATE = re.compile("[\ud800-\udfff]")
HALF_A_PAIR = "Contains half a surrogate pair, which is not a character."
_TOO_LARGE = 10**MAX_DIGITS


def line_fault(value: Any, least: int, most: int) -> str | None:
    """Why a value is not one line of text with `least` to `most` characters; None if it is."""
    if not isinstance(value, str):
        return "Not a string."
    if not least <= len(value) <= most:
        return f"Must have {least} to {most} characters."
    if CONTROL_CHARACTER.search(value):
        return "Control characters are not allowed."
    return HALF_A_PAIR if SURROGATE.search(value) else None


def json_faults(value: Any, path: str, depth: int = 1) -> Iterator[tuple[str, str]]:
    """The parts of a Python value that would not come back the same from JSON, each with its path
    and the reason.

    >>> list(json_faults({"a": [1.5, float("inf")], 1: ()}, "m"))
    [('m.a[1]', 'NaN and Infinity are not JSON.'), ('m', 'A name must be a string, not int.')]
    """
    if isinstance(value, list | dict):
        if depth > MAX_DEPTH:
            yield path, f"Nested more than {MAX_DEPTH} levels deep."
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from json_faults(item, f"{path}[{index}]", depth + 1)
        else:
            yield from _member_faults(value, path, depth)
    elif fault := _scalar_fault(value):
        yield path, fault


def _member_faults(value: dict[Any, Any], path: str, depth: int) -> Iterator[tuple[str, str]]:
    for name, item in value.items():
        if not isinstance(name, str):
            yield path, f"A name must be a string, not {type(name).__name__}."
        else:
            yield from json_faults(item, f"{path}.{name}", depth + 1)


def _scalar_fault(value: Any) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else "NaN and Infinity are not JSON."
    if isinstance(value, int):  # bool, too
        return "A number has too many digits." if abs(value) >= _TOO_LARGE else None
    return None if value is None or isinstance(value, str) else f"Not JSON: {type(value).__name__}."


def is_too_deep(text: str) -> bool:
    """Whether JSON text is nested more than `MAX_DEPTH` levels deep. The limit of Python's own
    parser depends on its version."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        bracket = token[0]
        depth += (bracket in "[{") - (bracket in "]}")
        if depth > MAX_DEPTH:
            return True
    return False


# Possessive, because backtracking would take many times the memory of the text.
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
