"""What the answers of the service have in common as dataclasses."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from keyword import iskeyword
from typing import Any, Self

TIMES = {
    *("timestamp", "edited_at", "created_at", "updated_at", "last_activity", "expires_at", "at"),
    *("governed_at", "started_at", "finished_at"),
}


class Answer:
    @classmethod
    def of(cls, members: Mapping[str, Any], **more: Any) -> Self:
        """From a JSON object, and from what is not in it. The member `from` becomes `from_`."""
        known = {each.name for each in fields(cls)}  # type: ignore[arg-type]
        found: dict[str, Any] = {}
        for member, value in members.items():
            name = f"{member}_" if iskeyword(member) else member
            if name in known:
                is_time = name in TIMES and isinstance(value, str)
                found[name] = datetime.fromisoformat(value) if is_time else value
        return cls(**found, **more)
