"""The bounds of docs/quotas.md, with random traffic on several meters over a table in memory.

tests/faults/test_quotas.py has the real table. Here there are many more requests.
"""

import random
from typing import Any

import pytest

from app.config import SEEN_WITHIN, Config
from app.errors import RateExceeded
from app.identity.caller import Caller
from app.quotas.meter import Meter

ALICE = Caller("acme", "alice")
SECONDS = 60


class Table:
    """Carries out what `app.quotas.counters` sends."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}

    def get_all(self, keys: Any, *, once: bool) -> list[dict[str, Any]]:
        wanted = [(key["PK"], key["SK"]) for key in keys]
        return [dict(self.items[key]) for key in wanted if key in self.items]

    def execute(self, write: Any, *, once: bool) -> dict[str, Any]:
        update = write["Update"]
        pk, sk = (update["Key"][name]["S"] for name in ("PK", "SK"))
        item = self.items.setdefault((pk, sk), {"PK": pk, "SK": sk})
        names = update.get("ExpressionAttributeNames", {})
        values = update["ExpressionAttributeValues"]
        adds, _, removes = update["UpdateExpression"].partition(" REMOVE ")
        for name in removes.split(", ") if removes else ():
            item.pop(names[name], None)
        for pair in adds.partition(" ADD ")[2].split(", "):
            name, value = pair.split(" ")
            item[names[name]] = item.get(names[name], 0) + int(values[value]["N"])
        return dict(item)


@pytest.mark.parametrize("seed", range(40))
def test_together_they_let_through_what_one_bucket_would_and_not_much_more(seed):
    dice = random.Random(seed)
    rate, processes = dice.choice([0.7, 3, 8]), dice.choice([2, 4, 9])
    burst = int(SEEN_WITHIN * rate + 2 + dice.choice([0, 3, 5 * rate]))
    config = Config(
        sessions_table="abc",
        jwt_secret="x" * 32,
        quota_tenant_requests_per_second=rate,
        quota_tenant_burst=burst,
    )
    start = now = 1_796_040_000_000 + dice.randrange(1000)
    table: Any = Table()
    meters = [Meter(table, lambda: now, config) for _ in range(processes)]
    busy = dice.choice([0.05, 0.3, 1])  # how often a process gets requests
    capacity = level = burst - SEEN_WITHIN * rate
    at, passed, by_one_bucket = now, [], 0
    while now < start + SECONDS * 1000:
        now += dice.randrange(1, 300)
        for meter in meters:
            for _ in range(dice.choice([1, 1, 2, 10]) if dice.random() < busy else 0):
                level, at = min(capacity, level + rate * (now - at) / 1000), now
                if level >= 1:
                    level -= 1
                    by_one_bucket += 1
                counters = meter.counters(ALICE)
                try:
                    meter.admit(counters, always=False)
                    passed.append(now)
                except RateExceeded:
                    pass
                meter.flush()
    assert len(passed) >= by_one_bucket, "nothing is refused that was not used up"
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            seconds = (passed[last] - passed[first]) / 1000
            assert last - first + 1 <= rate * (seconds + 1) + processes * burst
