"""Checks whether the texts in the table can be read. Faults never quote a text."""

from collections.abc import Iterator, Sequence
from typing import TypeGuard

from app.literals import text_fault
from app.messages.model import COMPLETE, MEMBERS, STATUSES
from app.table.writes import Item, Value

SESSION_ATTRIBUTES = ("domain_id", "title", "changed", "version", "settings_version")
"""Attributes that every session has and that the rest of the check does not read."""


def session_faults(head: Item) -> Iterator[tuple[str, str]]:
    """Pairs of a kind of damage and its detail."""
    if missing := [name for name in SESSION_ATTRIBUTES if name not in head]:
        yield "an attribute is missing", ", ".join(missing)
    if fault := text_fault(str(head.get("metadata", "{}"))):
        yield "its metadata is damaged", fault
    version, settings = head.get("version", 1), head.get("settings_version", 1)
    if not _is_count(version):
        yield "version is wrong", str(version)
    elif not (_is_count(settings) and settings <= version):
        yield "settings_version is wrong", f"{settings!r}, and the version is {version}"


def _is_count(value: Value) -> TypeGuard[int]:
    """Whether this counts writes, of which the first is the creation."""
    return isinstance(value, int) and value >= 1


def message_fault(parts: Sequence[Item]) -> str | None:
    """Why a message's text is damaged; None if it is sound. Uses as much memory as the message."""
    if any("body" not in part for part in parts):
        return "there is none"
    if missing := [name for name in ("message_role", "created_by") if name not in parts[0]]:
        return f"without {', '.join(missing)}"
    if parts[0].get("message_status", COMPLETE) not in STATUSES:
        return "an unknown status"
    return text_fault("".join(str(part["body"]) for part in parts), MEMBERS)
