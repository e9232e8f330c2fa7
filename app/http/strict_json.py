"""Parses JSON strictly by RFC 8259, and keeps the text of each member (`app.literals`)."""

import json
import re
from collections.abc import Mapping
from typing import Any

from app.errors import MalformedJson, ValidationFailed
from app.literals import NotJson, RepeatedName, TooManyElements, read_object, read_value
from app.values import MAX_DEPTH

# Possessive, because backtracking would take many times the memory of the text.
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def decode(raw: bytes) -> str:
    """
    Raises:
        MalformedJson: not UTF-8.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise MalformedJson("The request body is not UTF-8.") from None


def loads(text: str, arrays: Mapping[str, int] | None = None) -> Any:
    """An object becomes a `Sent`. `arrays` is that of `read_object`.

    Raises:
        MalformedJson: not JSON. NaN and Infinity, which Python accepts, are not JSON.
        ValidationFailed: nested too deeply, a name appears twice in an object, or an array of
            `arrays` is too long.
    """
    if is_too_deep(text):
        raise _refused("", f"Nested more than {MAX_DEPTH} levels deep.")
    try:
        return read_object(text, arrays) if text.lstrip(" \t\n\r")[:1] == "{" else read_value(text)
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"{error.msg}, at line {error.lineno} column {error.colno} of the body."
        ) from None
    except NotJson as error:
        raise MalformedJson(f"{error}.") from None
    except RepeatedName as error:
        raise _refused(str(error), "The name appears twice in one object.") from None
    except TooManyElements as error:
        raise _refused(error.name, f"Longer than maximum length {error.most}.") from None


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
