"""Parses JSON strictly by RFC 8259. Only values that can be returned exactly as sent are
accepted."""

import json
import math
import re
from typing import Any, NoReturn

from app.errors import MalformedJson, ValidationFailed
from app.values import MAX_DEPTH, surrogate_path

# Possessive, because backtracking would take many times the memory of the text.
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)

_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F]"
_HALF_A_PAIR = re.compile(rf"{_HIGH}(?!{_LOW})|(?<!{_HIGH}){_LOW}|\\\\u[dD]")
"""Finds every escape that is half a surrogate pair. It also finds an escaped backslash followed by
`ud`, which may be harmless; `surrogate_path` decides."""


def loads(raw: bytes) -> Any:
    """
    Raises:
        MalformedJson: not JSON. NaN and Infinity, which Python accepts, are not JSON.
        ValidationFailed: a number is too large, or half a surrogate pair, or nested too deeply.
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
    # The search for the two letters is fast; the regular expression takes 24 ms per MB.
    may_have_surrogates = "\\ud" in text or "\\uD" in text
    if (
        may_have_surrogates
        and _HALF_A_PAIR.search(text)
        and (path := surrogate_path(value)) is not None
    ):
        raise _refused(path, "Contains half a surrogate pair, which is not a character.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not JSON.")


def _parse_float(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise _refused("", "A number is larger than a double can hold (1.8e308).")
    if number == 0 and _NOT_ZERO.search(literal):
        raise _refused("", "A number is smaller than a double can hold (5e-324).")
    return number


_NOT_ZERO = re.compile(r"^-?[0.]*[1-9]")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_parse_float)


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


def _refused(path: str, message: str) -> ValidationFailed:
    return ValidationFailed.of_json([(path, message)])
