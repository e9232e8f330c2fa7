"""JSON as RFC 8259 has it, and no more: what is let in must come back exactly as it went in."""

import json
import math
import re
from typing import Any, NoReturn

from app.errors import MalformedJson, ValidationFailed

MAX_DEPTH = 64
"""Levels of arrays and objects."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


def loads(raw: bytes) -> Any:
    """
    Raises:
        MalformedJson: no JSON, or NaN and Infinity, which Python would take.
        ValidationFailed: a number that no double holds, half a surrogate pair, nested too deeply.
    """
    try:
        text = raw.decode()
        if is_too_deep(text):
            raise _refused("", f"Nested more than {MAX_DEPTH} levels deep.")
        value = _DECODER.decode(text)
    except UnicodeDecodeError:
        raise MalformedJson("The request body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"{error.msg}, at line {error.lineno} column {error.colno} of the body."
        ) from None
    except ValueError:  # int() refuses more than 4,300 digits
        raise _refused("", "A number has too many digits.") from None
    if "\\u" in text:
        _check_surrogates(value, "")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not JSON.")


def _parse_float(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise _refused("", "A number is larger than a double holds (1.8e308).")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_parse_float)


def is_too_deep(text: str) -> bool:
    """Whether JSON text is nested more than `MAX_DEPTH` levels deep; how much Python's own parser
    bears differs from one version to the next."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        bracket = token[0]
        depth += (bracket in "[{") - (bracket in "]}")
        if depth > MAX_DEPTH:
            return True
    return False


def _check_surrogates(value: Any, path: str) -> None:
    """An escaped half of a surrogate pair is a string that UTF-8 cannot say."""
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise _refused(path, "Holds half a surrogate pair, which is no character.")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_surrogates(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_surrogates(key, path)
            _check_surrogates(item, f"{path}.{key}".lstrip("."))


def _refused(path: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[{"location": "json", "field": path, "message": message}])
