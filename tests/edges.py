"""Sources of messages, and the edges to them in the table, without the service's code."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from app.table import keys
from app.table.writes import decode

Place = tuple[str, str]
"""The ids of a session and of a message."""


def references(*names: str) -> dict[str, Any]:
    return {"references": [{"type": "report", "reference_id": name} for name in names]}


def hashes(*names: str) -> set[str]:
    return {hashlib.sha256(f"doc:{name}".encode()).hexdigest()[:32] for name in names}


def found_in(items: Iterable[dict[str, Any]]) -> dict[Place, dict[str, bool]]:
    """The edges in the table: by their sessions and messages, the sources and whether these are
    cited. Each is checked to be a key and nothing else."""
    found: dict[Place, dict[str, bool]] = {}
    for item in map(decode, items):
        sk = str(item["SK"])
        if keys.is_edge(sk):
            source, message = keys.ends_of(sk)
            cited = str(item["GSI2PK"]).startswith("SRC#")
            expected = keys.by_source(str(item["PK"]), source, message, cited=cited)
            assert item == {"PK": item["PK"], "SK": sk, **expected}
            place = f"sess_{keys.session_of(sk)}", f"msg_{message}"
            found.setdefault(place, {})[source] = cited
    return found


def due_in(items: Iterable[dict[str, Any]]) -> dict[Place, set[str]]:
    """The edges that the messages in the table should have by the references in their texts."""
    bodies: dict[Place, str] = defaultdict(str)
    for item in map(decode, items):  # in the order of their keys
        sk = str(item["SK"])
        if keys.is_under_message(sk) and not keys.is_feedback(sk):
            place = f"sess_{keys.session_of(sk)}", f"msg_{keys.message_of(sk)}"
            bodies[place] += str(item["body"])
    read = {place: json.loads(body)["metadata"].get("references") for place, body in bodies.items()}
    return {
        place: hashes(*(each["reference_id"] for each in listed))
        for place, listed in read.items()
        if listed
    }


def cuts_in(items: Iterable[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """The first and last message that each session hides."""
    return {
        f"sess_{keys.session_of(str(item['SK']))}": (
            f"msg_{item['cut_lo']}",
            f"msg_{item['cut_hi']}",
        )
        for item in map(decode, items)
        if "cut_hi" in item
    }


def assert_right(items: list[dict[str, Any]]) -> None:
    """Each message has its edges, and each edge its message. Those of a hidden message go before
    it."""
    found = {place: set(sources) for place, sources in found_in(items).items()}
    due, cuts = due_in(items), cuts_in(items)
    for session, message in found.keys() | due.keys():
        low, high = cuts.get(session, ("~", ""))
        here, listed = (each.get((session, message), set()) for each in (found, due))
        if low <= message <= high:
            assert here <= listed
        else:
            assert here == listed
