"""The limits of a session's fields. The schemas (for HTTP) and the store check the same limits."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.errors import ValidationFailed
from app.values import json_faults, line_fault

MAX_DOMAIN, MAX_TITLE = 128, 256

MAX_PAIRS, MAX_NAME, MAX_VALUE = 16, 64, 512
"""Limits of metadata: pairs, characters of a name, characters of a value."""

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


def pair_fault(name: str, text: Any) -> str | None:
    """Why a pair of metadata is invalid; None if it is valid."""
    if len(name) > MAX_NAME:
        return f"The name is longer than {MAX_NAME} characters."
    if not isinstance(text, str):
        return "Not a string."
    return f"Longer than {MAX_VALUE} characters." if len(text) > MAX_VALUE else None


def _domain_faults(value: Any) -> Faults:
    if fault := line_fault(value, 1, MAX_DOMAIN):
        yield "domain_id", fault


def _title_faults(value: Any) -> Faults:
    if fault := line_fault(value, 0, MAX_TITLE):
        yield "title", fault


def _days_faults(value: Any) -> Faults:
    if value is not None and not (type(value) is int and 1 <= value <= MAX_DAYS):
        yield "expires_in_days", f"Must be a whole number from 1 to {MAX_DAYS}, or None."


def _metadata_faults(value: Any) -> Faults:
    if not isinstance(value, dict):
        yield "metadata", "Not an object."
    elif len(value) > MAX_PAIRS:
        yield "metadata", f"More than {MAX_PAIRS} pairs."
    else:
        yield from json_faults(value, "metadata")
        for name, text in value.items():
            if isinstance(name, str) and (fault := pair_fault(name, text)):
                yield f"metadata.{name}", fault


def _flag_faults(name: str) -> Callable[[Any], Faults]:
    def faults(value: Any) -> Faults:
        if not isinstance(value, bool):
            yield name, "Must be true or false."

    return faults


_FAULTS = {
    "domain_id": _domain_faults,
    "title": _title_faults,
    "metadata": _metadata_faults,
    "expires_in_days": _days_faults,
    "archived": _flag_faults("archived"),
    "pinned": _flag_faults("pinned"),
}
"""What a client may set, with the check of each."""

FIXED = {"domain_id"}
"""Set when the session is created, and not changed later."""
