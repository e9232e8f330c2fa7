"""What a tenant says of its sources, with one method per access pattern, numbered as in
`app.table.keys`. Works without Flask.
"""

from app.errors import VerdictChanged, VerdictDamaged, VerdictNotFound
from app.grounding.sources import is_hash
from app.identity.caller import Caller
from app.logs import log_damaged
from app.table import ids, keys, writes
from app.table.database_time import checked_time
from app.table.db import ConditionFailed, Table
from app.table.writes import Write
from app.verdicts.model import NewVerdict, Verdict, from_item
from app.verdicts.reader import VerdictReader

IfMatch = tuple[str, ...]
"""ETags, or `*` for any. Empty if none can match."""

ANY, NONE = "*", "-"

ABSENT = "attribute_not_exists(PK)"


class VerdictStore:
    def __init__(self, table: Table, ulids: ids.UlidSource | None = None) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()
        self.reader = VerdictReader(table, self.ulids.clock)

    def get(self, caller: Caller, source: str) -> Verdict:
        """What the caller's tenant says of the source with this hash. Costs 1 get.

        Raises:
            VerdictNotFound, VerdictDamaged
        """
        partition = keys.tenant_sources(caller.tenant)
        item = self.table.get(keys.verdict(partition, source)) if is_hash(source) else None
        if not item:
            raise VerdictNotFound
        verdict = from_item(item)
        if not verdict:
            log_damaged(partition, str(item["SK"]))
            raise VerdictDamaged
        return verdict

    def put(
        self,
        caller: Caller,
        source: str,
        said: NewVerdict,
        *,
        if_match: IfMatch | None = None,
        only_new: bool = False,
    ) -> Verdict:
        """Pattern 31: says what became of the source with this hash, in place of what was said
        before. Costs 1 transaction of 2 items. If a precondition does not hold because the same
        was said before, as by a request that is repeated, that is the answer.

        Raises:
            ValidationFailed
            VerdictChanged: a precondition does not hold.
        """
        said.check(source)
        partition = keys.tenant_sources(caller.tenant)
        now = checked_time(self.table, self.ulids.clock, partition)
        [written] = self.ulids.new(now=now)
        verdict = Verdict(said, caller.writer, written)
        condition, values = _condition(if_match, only_new=only_new)
        try:
            self.table.transact(
                {
                    "verdict": _verdict_write(partition, verdict, condition, values),
                    "revision": _revision_write(partition, written),
                }
            )
        except ConditionFailed as failed:
            found = from_item(failed.found["verdict"])
            if found and (found.said, found.governed_by) == (said, caller.writer):
                return found
            etag = failed.found["verdict"].get("written")
            raise VerdictChanged(str(etag) if etag else None) from None
        return verdict

    def restore(self, caller: Caller, verdict: Verdict) -> bool:
        """Writes a verdict as it was, unless there is one. Returns whether it was written. Costs 1
        transaction."""
        partition = keys.tenant_sources(caller.tenant)
        [revision] = self.ulids.new()
        try:
            self.table.transact(
                {
                    "verdict": _verdict_write(partition, verdict, ABSENT),
                    "revision": _revision_write(partition, revision),
                }
            )
        except ConditionFailed:
            return False
        return True


def _verdict_write(
    partition: str,
    verdict: Verdict,
    condition: str | None = None,
    values: dict[str, str] | None = None,
) -> Write:
    return writes.put(
        keys.verdict(partition, verdict.source), verdict.attributes(), condition, values
    )


def _revision_write(partition: str, revision: str) -> Write:
    """Belongs to each transaction that changes a verdict. `revision` must be a new id."""
    return writes.put(keys.revision(partition), {"written": revision})


def _condition(
    if_match: IfMatch | None, *, only_new: bool
) -> tuple[str | None, dict[str, str] | None]:
    if only_new:
        return ABSENT, None
    if if_match is None:
        return None, None
    if ANY in if_match:
        return "attribute_exists(PK)", None
    tags = {f":tag{number}": tag for number, tag in enumerate(if_match or (NONE,))}
    return f"written IN ({', '.join(tags)})", tags
