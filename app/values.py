"""Rules for values that hold both over HTTP and for programs that use the stores directly."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

MAX_DEPTH = 64
"""How deeply arrays and objects in JSON may be nested."""

CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")

MAX_DIGITS = 4300
"""Digits of a whole number. Python parses and prints no more (`sys.set_int_max_str_digits`)."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_HALF_A_PAIR = "Contains half a surrogate pair, which is not a character."
_TOO_LARGE = 10**MAX_DIGITS


def line_fault(value: Any, least: int, most: int) -> str | None:
    """Why a value is not one line of text with `least` to `most` characters; None if it is."""
    if not isinstance(value, str):
        return "Not a string."
    if not least <= len(value) <= most:
        return f"Must have {least} to {most} characters."
    if CONTROL_CHARACTER.search(value):
        return "Control characters are not allowed."
    return _HALF_A_PAIR if _SURROGATE.search(value) else None


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
        elif _SURROGATE.search(name):
            yield path, _HALF_A_PAIR
        else:
            yield from json_faults(item, f"{path}.{name}", depth + 1)


def _scalar_fault(value: Any) -> str | None:
    if isinstance(value, str):
        return _HALF_A_PAIR if _SURROGATE.search(value) else None
    if isinstance(value, float):
        return None if math.isfinite(value) else "NaN and Infinity are not JSON."
    if isinstance(value, int):  # bool, too
        return "A number has too many digits." if abs(value) >= _TOO_LARGE else None
    return None if value is None else f"Not JSON: {type(value).__name__}."


def text_fault(text: str, members: Sequence[str] = ()) -> str | None:
    """Why stored text is not a JSON object with these members, or not one that every parser reads
    the same way; None if it is.

    >>> text_fault('{"a":NaN}'), text_fault('{"a":1,"a":2}'), text_fault("[]"), text_fault("{}")
    ('NaN is not JSON', 'a name appears twice', 'not an object', None)
    """
    if not text.startswith("{"):
        return "not an object"
    try:
        value = _DECODER.decode(text)
        missing = [name for name in members if name not in value]
        return f"without {', '.join(missing)}" if missing else None
    except json.JSONDecodeError:
        return "not JSON"
    except RecursionError:
        return "nested too deeply"
    except ValueError as error:
        return str(error)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name appears twice")
    return members


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique)


def surrogate_path(value: Any) -> str | None:
    """The path of half a surrogate pair in a JSON value, which UTF-8 cannot encode; None if there
    is none.

    >>> surrogate_path({"a": ["x", {"b": chr(0xD800)}]})
    'a[1].b'
    """
    path = _surrogate_path(value)
    return path if path is None else path.lstrip(".")


def _surrogate_path(value: Any) -> str | None:
    # The path is built on the way back up. Built on the way down, it would take many times the
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
