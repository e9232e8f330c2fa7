"""Reads what was said of many sources (access pattern 30)."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

from app.grounding.sources import key_hash
from app.grounding.verdicts import Said, Verdicts
from app.logs import log_damaged
from app.table import ids, keys
from app.table.db import Table
from app.table.keys import Key
from app.table.writes import Item
from app.verdicts.model import from_item

AT_ONCE = 100
"""Keys of one BatchGetItem."""

MOST_TENANTS, MOST_SOURCES = 100, 5_000
"""How many tenants one process remembers, and how many sources of each."""

SETTLED = 10_000
"""Milliseconds after which all of a transaction is visible. Usually it is within moments."""

Found = Mapping[str, Said | None]
"""By the hash of the source. None for a source of which nobody has said anything."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found while the tenant's revision was this one. `since` is when this process first
    saw it. The revision is None if nothing was ever said of any source."""

    revision: str | None
    since: int
    found: Found = field(default_factory=dict)


UNKNOWN = _Known(None, 0)
"""Of a tenant that was not asked about yet."""


class VerdictReader:
    """Remembers what it has found. Several threads may use it.

    Each verdict is written in one transaction with the tenant's revision, which is a new id each
    time. Each read begins with the revision, and what was found is used as long as that is the
    same. For a moment, a reader may see the new revision and still the old verdict. So nothing is
    remembered before the revision has settled. From then on, each verdict that is read is at least
    as new as the revision, and a newer one comes with another revision. So what is remembered is
    exact: once a verdict is written, no process shows the old one.
    """

    def __init__(self, table: Table, clock: ids.Clock = ids.system_clock) -> None:
        self.table = table
        self.clock = clock
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def read(self, tenant: str, source_keys: Iterable[str]) -> Verdicts:
        """What was said of these sources. Those of which nothing was said are left out.

        Costs 1 get of the revision if all of them are known, or nothing was ever said of any
        source; otherwise 1 batch get per 99. If the revision is a new one, as many again as were
        known. No call without sources.
        """
        wanted = {key_hash(key): key for key in source_keys}
        if not wanted:
            return {}
        partition, now = keys.tenant_sources(tenant), self.clock()
        known = self._known.get(partition, UNKNOWN)
        is_silent = known.revision is None and known is not UNKNOWN
        unknown = () if is_silent else [each for each in wanted if each not in known.found]
        first = unknown[: AT_ONCE - 1]
        revision, found = self._with_revision(partition, first)
        if revision is None:
            self._remember(partition, _Known(None, now), {})
            return {}
        if revision != known.revision:
            known = _Known(revision, now)
        rest = [each for each in wanted if each not in found and each not in known.found]
        found |= self._rest(partition, rest)
        self._remember(partition, known, found if known.since + SETTLED <= now else {})
        found = {**known.found, **found}
        return {key: said for source, key in wanted.items() if (said := found[source])}

    def _with_revision(
        self, partition: str, sources: Sequence[str]
    ) -> tuple[str | None, dict[str, Said | None]]:
        key = keys.revision(partition)
        if not sources:
            head, found = self.table.get(key), {}
        else:
            items = self.table.get_many([key, *_keys(partition, sources)])
            head, found = items.get(key["SK"]), _found(partition, sources, items)
        return str(head.get("written")) if head else None, found

    def _rest(self, partition: str, sources: Sequence[str]) -> dict[str, Said | None]:
        batches = [sources[at : at + AT_ONCE] for at in range(0, len(sources), AT_ONCE)]
        reads = [partial(self.table.get_many, _keys(partition, batch)) for batch in batches]
        items: dict[str, Item] = {}
        for some in self.table.in_parallel(reads):
            items |= some
        return _found(partition, sources, items)

    def _remember(self, partition: str, known: _Known, new: Found) -> None:
        with self._lock:
            present = self._known.pop(partition, known)
            if present.revision == known.revision:
                known = present
            if new:
                together = {**known.found, **new}
                kept = together if len(together) <= MOST_SOURCES else new
                known = replace(known, found=dict(islice(kept.items(), MOST_SOURCES)))
            while len(self._known) >= MOST_TENANTS:
                del self._known[next(iter(self._known))]
            self._known[partition] = known


def _keys(partition: str, sources: Sequence[str]) -> list[Key]:
    return [keys.verdict(partition, source) for source in sources]


def _found(
    partition: str, sources: Sequence[str], items: Mapping[str, Item]
) -> dict[str, Said | None]:
    found: dict[str, Said | None] = {}
    for source, key in zip(sources, _keys(partition, sources), strict=True):
        item = items.get(key["SK"])
        verdict = from_item(item) if item else None
        if item and not verdict:
            log_damaged(partition, key["SK"])
        found[source] = verdict.said.about if verdict else None
    return found
