"""Verdicts as the store accepts and returns them, and the checks of them. The schemas (for HTTP)
and the store check the same limits."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.errors import ValidationFailed
from app.grounding.sources import MAX_KEY, key_hash
from app.grounding.verdicts import STATES, Said
from app.json_rules import HALF_A_PAIR, SURROGATE
from app.table import ids, keys
from app.table.writes import Item, Value

MAX_VERSION = MAX_KEY
"""Characters. Answers show as many of a cited version."""

MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class NewVerdict:
    """What somebody says of a source. `version` is the present one of a source that has changed."""

    key: str
    state: str
    version: str | None = None
    reason: str | None = None

    @property
    def about(self) -> Said:
        """What answers that cite the source show."""
        return Said(self.state, self.version)

    def check(self, source: str) -> None:
        """
        Raises:
            ValidationFailed: something is out of bounds, or `source` is not the hash of the key.
        """
        if faults := list(self._faults(source)):
            raise ValidationFailed.of_json(faults)

    def _faults(self, source: str) -> Iterator[tuple[str, str]]:
        limits = (("key", MAX_KEY), ("version", MAX_VERSION), ("reason", MAX_REASON))
        for name, most in limits:
            value = getattr(self, name)
            if fault := text_fault(value, most) if value is not None or name == "key" else None:
                yield name, fault
            elif name == "key" and key_hash(value) != source:
                yield name, f"Its hash is {key_hash(value)}, which is not the one in the address."
        if self.state not in STATES:
            yield "state", f"Must be one of: {', '.join(STATES)}."


@dataclass(frozen=True, slots=True)
class Verdict:
    """`written` is the ULID of the write, and the ETag."""

    said: NewVerdict
    governed_by: str
    written: str

    @property
    def governed_at(self) -> str:
        return ids.timestamp(self.written)

    @property
    def source(self) -> str:
        return key_hash(self.said.key)

    def attributes(self) -> dict[str, Value | None]:
        return {
            "source_key": self.said.key,
            "source_state": self.said.state,
            "source_version": self.said.version,
            "source_reason": self.said.reason,
            "governed_by": self.governed_by,
            "written": self.written,
        }


def text_fault(value: Any, most: int) -> str | None:
    """Why this is not a text of 1 to `most` characters; None if it is. Control characters are
    allowed, because a source's key comes from a provider's object."""
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        return f"Must be a text of 1 to {most:,} characters."
    return HALF_A_PAIR if SURROGATE.search(value) else None


def from_item(item: Item) -> Verdict | None:
    """None if the item is damaged."""
    key, state, written = (item.get(name) for name in ("source_key", "source_state", "written"))
    by = item.get("governed_by")
    if not isinstance(key, str) or not isinstance(by, str) or state not in STATES:
        return None
    if key_hash(key) != keys.source_of(str(item["SK"])):
        return None
    if not ids.is_ulid(str(written)) or str(written) > ids.END_OF_TIME:
        return None
    told = (item.get("source_version"), item.get("source_reason"))
    version, reason = (str(each) if each is not None else None for each in told)
    return Verdict(NewVerdict(key, str(state), version, reason), by, str(written))
