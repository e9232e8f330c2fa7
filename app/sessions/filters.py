"""Which sessions a list shows. The filters look at entries of GSI1 that have been read."""

import json
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from app.literals import read_object
from app.sessions.model import Session


@dataclass(frozen=True)
class Filter:
    """`metadata` maps names to values as they are in a query: a text, or the JSON text of another
    scalar. `created_from` and `created_to` are times, the first included and the second not."""

    domain_id: str | None = None
    archived: bool | None = None
    pinned: bool | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    q: str | None = None
    created_from: str | None = None
    created_to: str | None = None

    def matches(self, session: Session) -> bool:
        return (
            self.domain_id in (None, session.domain_id)
            and self.archived in (None, session.archived)
            and self.pinned in (None, session.pinned)
            and (self.created_from or "") <= session.created_at
            and (self.created_to is None or session.created_at < self.created_to)
            and (self.q is None or self._words in folded(session.title))
            and (not self.metadata or self._has_metadata(session))
        )

    @cached_property
    def _words(self) -> str:
        return folded(self.q or "")

    def _has_metadata(self, session: Session) -> bool:
        if session.metadata is None:
            return False
        found = read_object(session.metadata)
        return all(name in found and _says(found, name, value) for name, value in self.metadata)

    @property
    def tag(self) -> str:
        """A text that is the same only for equal filters. Empty if everything matches."""
        chosen = {name: value for name, value in vars(self).items() if value not in (None, ())}
        return json.dumps(chosen, sort_keys=True) if chosen else ""


def _says(found: Any, name: str, wanted: str) -> bool:
    value = found[name]
    if isinstance(value, str):
        return value == wanted
    return not isinstance(value, list | dict) and found.texts[name] == wanted


def folded(text: str) -> str:
    """For comparing without regard to case and to ways of writing a character.

    https://www.unicode.org/versions/Unicode15.0.0/ch03.pdf (section 3.13)

    >>> folded("STRASSE") in folded("Die Straße")
    True
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
