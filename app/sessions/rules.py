"""The limits of a session's fields. The schemas (for HTTP) and the store check the same limits."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from app.errors import MAX_FAULTS, ValidationFailed
from app.json_rules import json_faults, line_fault
from app.literals import Literal, text_of, value_of

MAX_DOMAIN, MAX_TITLE, MAX_KEY = 128, 512, 512

DEFAULT_TITLE = "New Session"

MAX_METADATA = 16 * 1024
"""Bytes of metadata as JSON text in UTF-8."""

MAX_DAYS = 3650


Faults = Iterator[tuple[str, str]]
"""JSON paths, each with what is wrong there."""


def check(fields: Mapping[str, Any]) -> None:
    """Checks the fields of a new session, or those to change.

    Raises:
        ValidationFailed: lists the invalid fields.
    """
    faults: list[tuple[str, str]] = []
    for name, value in fields.items():
        faults += _FAULTS[name](value) if name in _FAULTS else [(name, "Unknown field.")]
    if faults:
        raise ValidationFailed.of_json(faults)


def check_changes(changes: Mapping[str, Any]) -> None:
    """Checks what is to change in a session.

    Raises:
        ValidationFailed: also if a field cannot be changed, or nothing is to change.
    """
    if not changes:
        raise ValidationFailed.of_json([("", "There is nothing to change.")])
    fixed = [(name, "Cannot be changed.") for name in changes if name in FIXED]
    if fixed:
        raise ValidationFailed.of_json(fixed)
    check(changes)


def one_line(title: str) -> str:
    """The title as it is kept: a blank for each line break or tab.

    >>> one_line("Potholes\\r\\nand\\tlights")
    'Potholes and lights'
    """
    return _BREAKS.sub(" ", title)


_BREAKS = re.compile("\r\n|[\t\n\v\f\r\x85\u2028\u2029]")


def _domain_faults(value: Any) -> Faults:
    if fault := line_fault(value, 1, MAX_DOMAIN):
        yield "domain_id", fault


def _title_faults(value: Any) -> Faults:
    if fault := line_fault(one_line(value) if isinstance(value, str) else value, 0, MAX_TITLE):
        yield "title", fault


def _days_faults(value: Any) -> Faults:
    if value is not None and not (type(value) is int and 1 <= value <= MAX_DAYS):
        yield "expires_in_days", f"Must be a whole number from 1 to {MAX_DAYS}, or None."


def _metadata_faults(value: Any) -> Faults:
    if not isinstance(value_of(value), dict):
        yield "metadata", "Not an object."
        return
    if not isinstance(value, Literal):  # those have been parsed
        faults = list(islice(json_faults(value, "metadata"), MAX_FAULTS + 1))
        yield from faults
        if faults:
            return
    if fault := metadata_fault(text_of(value)):
        yield "metadata", fault


def metadata_fault(text: str) -> str | None:
    size = len(text.encode())
    if size > MAX_METADATA:
        return f"Has {size:,} bytes as JSON text. The limit is {MAX_METADATA:,}."
    return None


def _key_faults(value: Any) -> Faults:
    if value is not None and (fault := line_fault(value, 1, MAX_KEY)):
        yield "key", fault


def _flag_faults(name: str) -> Callable[[Any], Faults]:
    def faults(value: Any) -> Faults:
        if not isinstance(value, bool):
            yield name, "Must be true or false."

    return faults


_FAULTS = {
    "domain_id": _domain_faults,
    "title": _title_faults,
    "metadata": _metadata_faults,
    "key": _key_faults,
    "expires_in_days": _days_faults,
    "archived": _flag_faults("archived"),
    "pinned": _flag_faults("pinned"),
}
"""What a client may set, with the check of each."""

FIXED = {"domain_id", "key"}
"""Set when the session is created, and not changed later."""
