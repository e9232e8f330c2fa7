"""The limits of a session's fields. The schemas (for HTTP) and the store check the same limits."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.errors import ValidationFailed
from app.values import json_faults, line_fault

MAX_DOMAIN, MAX_TITLE = 128, 256

MAX_PAIRS, MAX_NAME, MAX_VALUE = 16, 64, 512
"""Limits of metadata: pairs, characters of a name, characters of a value."""

MAX_DAYS = 3650


def check(fields: Mapping[str, Any]) -> None:
    """Checks the fields of a new session, or those to change.

    Raises:
        ValidationFailed: lists the invalid fields.
    """
    faults = [fault for name, value in fields.items() for fault in _faults(name, value)]
    if faults:
        raise ValidationFailed.of_json(faults)


def pair_fault(name: str, text: Any) -> str | None:
    """Why a pair of metadata is invalid; None if it is valid."""
    if len(name) > MAX_NAME:
        return f"The name is longer than {MAX_NAME} characters."
    if not isinstance(text, str):
        return "Not a string."
    return f"Longer than {MAX_VALUE} characters." if len(text) > MAX_VALUE else None


def _faults(name: str, value: Any) -> Iterator[tuple[str, str]]:
    fault = None
    if name == "domain_id":
        fault = line_fault(value, 1, MAX_DOMAIN)
    elif name == "title":
        fault = line_fault(value, 0, MAX_TITLE)
    elif name == "metadata":
        yield from _metadata_faults(value)
    elif name != "expires_in_days":
        fault = "Unknown field."
    elif value is not None and not (type(value) is int and 1 <= value <= MAX_DAYS):
        fault = f"Must be a whole number from 1 to {MAX_DAYS}, or None."
    if fault:
        yield name, fault


def _metadata_faults(value: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield "metadata", "Not an object."
    elif len(value) > MAX_PAIRS:
        yield "metadata", f"More than {MAX_PAIRS} pairs."
    else:
        yield from json_faults(value, "metadata")
        for name, text in value.items():
            if isinstance(name, str) and (fault := pair_fault(name, text)):
                yield f"metadata.{name}", fault
