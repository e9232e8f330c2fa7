"""Checks of values. The schemas (for HTTP) and the stores check the same limits."""

import re
from typing import Any

from app import literals
from app.errors import TooLarge, ValidationFailed
from app.json_rules import HALF_A_PAIR, MAX_DEPTH, SURROGATE, is_too_deep
from app.table.keys import MAX_NAME_BYTES
from app.values.model import Content, is_json
from app.wire import AS_SENT, wire_size

MAX_VALUE_BYTES = 3 * 1024 * 1024

MAX_JSON_WIRE = 6_000_000
"""Maximum bytes of a JSON value in a response of Lambda. Raw bytes are sent as base64, of which
3 MB take less."""

MAX_TYPE = 255

_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*;[\t -~]*)?")
"""A media type, loosely with its parameters (RFC 9110 section 8.3.1)."""


def name_fault(name: Any) -> str | None:
    """Why this is not a name; None if it is. Its segments stand between slashes. Clients and
    proxies take `.`, `..` and empty segments out of addresses, so such a name would be another one.

    >>> name_fault("agent/state #1"), name_fault("a//b")
    (None, 'Has a segment that is empty, . or ..')
    """
    if fault := prefix_fault(name):
        return fault
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        return "Has a segment that is empty, . or .."
    return None


def prefix_fault(prefix: Any) -> str | None:
    """Why no name can begin with this; None if one can."""
    if not isinstance(prefix, str):
        return "Not a string."
    if SURROGATE.search(prefix):
        return HALF_A_PAIR
    if (size := len(prefix.encode())) > MAX_NAME_BYTES:
        return f"Has {size:,} bytes in UTF-8. The limit is {MAX_NAME_BYTES}."
    return None


def type_fault(content_type: Any) -> str | None:
    if not isinstance(content_type, str) or len(content_type) > MAX_TYPE:
        return f"Must be a text of at most {MAX_TYPE} characters."
    return None if _TYPE.fullmatch(content_type) else "Not a media type such as text/plain."


def check_name(name: Any) -> None:
    """
    Raises:
        ValidationFailed
    """
    if fault := name_fault(name):
        raise ValidationFailed.of_json([("name", fault)])


def check_content(content: Content, *, parsed: bool = False) -> None:
    """With `parsed`, JSON text is known to be JSON.

    Raises:
        ValidationFailed: the type is none, or the text is not JSON although the type says so.
        TooLarge: the detail has the size and the limit.
    """
    if fault := type_fault(content.content_type):
        raise ValidationFailed.of_json([("content_type", fault)])
    if is_json(content.content_type) != isinstance(content.data, str):
        raise ValidationFailed.of_json([("content_type", "Does not agree with the content.")])
    if isinstance(content.data, str) and not parsed and (fault := json_fault(content.data)):
        raise ValidationFailed.of_json([("json", fault)])
    if len(content.raw) > MAX_VALUE_BYTES:
        raise TooLarge(
            f"The value has {len(content.raw):,} bytes. The limit is {MAX_VALUE_BYTES:,}."
        )
    if isinstance(content.data, str) and 6 * len(content.raw) > MAX_JSON_WIRE:
        wire = wire_size(content.data)
        if wire > MAX_JSON_WIRE:
            raise TooLarge(
                f"The value could not be read again: it has {wire:,} bytes in a response "
                f"{AS_SENT}. The limit is {MAX_JSON_WIRE:,}."
            )


def json_fault(text: str | bytes) -> str | None:
    """Why this is not JSON that every parser reads the same way; None if it is."""
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError:
            return "Not UTF-8."
    if is_too_deep(text):
        return f"Nested more than {MAX_DEPTH} levels deep."
    fault = literals.json_fault(text)
    return f"{fault[0].upper()}{fault[1:]}." if fault else None
