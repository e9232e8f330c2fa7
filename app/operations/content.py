"""Checks whether texts and values in the table can be read. Faults never quote them."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from app.literals import json_fault, text_fault
from app.messages.model import COMPLETE, MEMBERS, STATUSES
from app.table import ids
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


def value_fault(items: Sequence[Item]) -> str | None:
    """Why a value is damaged; None if it is sound. Uses a few times the memory of the value."""
    first = items[0]
    written = str(first.get("written"))
    if not ids.is_ulid(written) or written > ids.END_OF_TIME:
        return "its write has no time"
    content_type = str(first.get("content_type", "application/json"))
    kind = content_type.partition(";")[0].strip().lower()
    is_json = kind == "application/json" or kind.endswith("+json")
    bodies = [item.get("body") for item in items]
    if not all(isinstance(body, str if is_json else bytes) for body in bodies):
        return "not text" if is_json else "not bytes"
    raw = b"".join(body if isinstance(body, bytes) else str(body).encode() for body in bodies)
    if first.get("total_bytes") != len(raw):
        return f"total_bytes is {first.get('total_bytes')!r}, not {len(raw)}"
    digest = hashlib.sha256(b"%b\0%b" % (content_type.encode(), raw)).digest()[:16]
    if str(first.get("etag")) != base64.urlsafe_b64encode(digest).decode().rstrip("="):
        return "its etag is not its hash"
    return json_fault(raw.decode()) if is_json else None
