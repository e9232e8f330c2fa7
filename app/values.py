"""Rules for values, wherever they come from: what HTTP lets in and what the stores take."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

MAX_DEPTH = 64
"""Levels of arrays and objects in JSON."""

CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")

MAX_DIGITS = 4300
"""Of a whole number; Python reads and writes no more (`sys.set_int_max_str_digits`)."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_HALF_A_PAIR = "Holds half a surrogate pair, which is no character."
_TOO_LARGE = 10**MAX_DIGITS


def line_fault(value: Any, least: int, most: int) -> str | None:
    """What keeps a value from being a line of text of so many characters."""
    if not isinstance(value, str):
        return "Not a string."
    if not least <= len(value) <= most:
        return f"Must have {least} to {most} characters."
    if CONTROL_CHARACTER.search(value):
        return "Control characters are not allowed."
    return _HALF_A_PAIR if _SURROGATE.search(value) else None


def json_faults(value: Any, path: str, depth: int = 1) -> Iterator[tuple[str, str]]:
    """Paths and reasons of all that keeps a Python value from being JSON that comes back the same.

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
    """What keeps stored text from being a JSON object with these members that every parser reads
    the same.

    >>> text_fault('{"a":NaN}'), text_fault('{"a":1,"a":2}'), text_fault("[]"), text_fault("{}")
    ('NaN is not JSON', 'a name is there twice', 'not an object', None)
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
        raise ValueError("a name is there twice")
    return members


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique)


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
