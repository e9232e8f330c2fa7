"""What was said of sources, and what that means for an answer that cites them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from app.grounding.model import Citation, Source

CURRENT, CHANGED, WITHDRAWN = "current", "changed", "withdrawn"

STATES = (CURRENT, CHANGED, WITHDRAWN)
"""What can be said of a source."""

DANGLING = "dangling"
"""The verdict on a citation that leads nowhere."""

UNGOVERNED = "ungoverned"
"""The verdict on a source of which nobody has said what became of it."""

VERDICTS = (WITHDRAWN, CHANGED, DANGLING, UNGOVERNED, CURRENT)
"""The worst first."""


class Said(NamedTuple):
    """`version` is the present one of a source that has changed."""

    state: str
    version: str | None = None


Verdicts = Mapping[str, Said]
"""By the key of the source."""


def of_source(source: Source, said: Verdicts) -> str:
    """For the version of the source that is cited.

    >>> handbook = Source("doc:handbook", "document", version="2")
    >>> [of_source(handbook, {"doc:handbook": Said("changed", now)}) for now in ("2", "3", None)]
    ['current', 'changed', 'changed']
    """
    found = said.get(source.key or "")
    if not found:
        return UNGOVERNED
    is_present = found.state == CHANGED and found.version is not None
    return CURRENT if is_present and found.version == source.version else found.state


def of_citation(citation: Citation, said: Verdicts) -> str:
    verdict = of_source(citation.source, said)
    return DANGLING if citation.reason and verdict in (CURRENT, UNGOVERNED) else verdict


def worst(verdicts: Iterable[str]) -> str:
    """
    >>> worst(["current", "ungoverned", "changed", "dangling"])
    'changed'
    """
    return min(verdicts, key=VERDICTS.index)
