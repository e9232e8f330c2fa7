"""Parses JSON strictly by RFC 8259, and keeps the text of each member (`app.literals`)."""

import json
from collections.abc import Mapping
from typing import Any

from app.errors import MalformedJson, ValidationFailed
from app.json_rules import MAX_DEPTH, is_too_deep
from app.literals import Inside, NotJson, RepeatedName, TooManyElements, read_object, read_value


def decode(raw: bytes) -> str:
    """
    Raises:
        MalformedJson: not UTF-8.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise MalformedJson("The request body is not UTF-8.") from None


def loads(text: str, inside: Mapping[str, Inside] | None = None) -> Any:
    """An object becomes a `Sent`. `inside` is that of `read_object`.

    Raises:
        MalformedJson: not JSON. NaN and Infinity, which Python accepts, are not JSON.
        ValidationFailed: nested too deeply, a name appears twice in an object, or an array of
            `inside` is too long.
    """
    if is_too_deep(text):
        raise _refused("", f"Nested more than {MAX_DEPTH} levels deep.")
    try:
        return read_object(text, inside) if text.lstrip(" \t\n\r")[:1] == "{" else read_value(text)
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


def _refused(path: str, message: str) -> ValidationFailed:
    return ValidationFailed.of_json([(path, message)])
