"""Reads what a tenant used (access pattern 34). Works without Flask."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial

from app.quotas.counters import (
    COST,
    INPUT,
    MAX_MODELS,
    MESSAGES,
    OTHER,
    OUTPUT,
    READ,
    REFUSED,
    REQUESTS,
    WRITTEN,
    models_of,
    number_in,
)
from app.table import keys, ranges
from app.table.db import Table
from app.table.writes import Item


@dataclass(slots=True)
class ModelUse:
    """`cost` is the sum of the costs in the messages, in millionths; None if no message has one."""

    messages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int | None = None


@dataclass(slots=True)
class DayUse:
    day: str
    requests: int = 0
    refused_requests: int = 0
    read_units: float = 0.0
    write_units: float = 0.0
    models: dict[str, ModelUse] = field(default_factory=dict)

    def add(self, item: Item) -> None:
        """What was counted in one shard."""
        self.requests += number_in(item, REQUESTS)
        self.refused_requests += number_in(item, REFUSED)
        self.read_units += number_in(item, READ) / 2
        self.write_units += number_in(item, WRITTEN) / 2
        for name in sorted(models_of(item)):
            # Processes that begin a day together may have counted more of them.
            is_one_too_many = (
                name not in self.models and len(self.models.keys() - {OTHER}) >= MAX_MODELS
            )
            model = self.models.setdefault(OTHER if is_one_too_many else name, ModelUse())
            model.messages += number_in(item, MESSAGES + name)
            model.input_tokens += number_in(item, INPUT + name)
            model.output_tokens += number_in(item, OUTPUT + name)
            if COST + name in item:
                model.cost = (model.cost or 0) + number_in(item, COST + name)


class UsageReader:
    def __init__(self, table: Table) -> None:
        self.table = table

    def days(self, tenant: str, first: date, last: date) -> list[DayUse]:
        """Pattern 34: each day from `first` to `last`, also those without any use. Costs 1 query
        per shard."""
        count = (last - first).days + 1
        days = [(first + timedelta(days=number)).isoformat() for number in range(count)]
        found = {day: DayUse(day) for day in days}
        shards = range(keys.USAGE_SHARDS)
        queries = [partial(self._shard, tenant, shard, days[0], days[-1]) for shard in shards]
        for items in self.table.in_parallel(queries):
            for item in items:
                found[keys.day_of(str(item["SK"]))].add(item)
        return list(found.values())

    def _shard(self, tenant: str, shard: int, first: str, last: str) -> Iterable[Item]:
        partition = keys.tenant_usage(tenant, shard, first)["PK"]
        pages = self.table.query(partition, ranges.days(first, last))
        return [item for page in pages for item in page]
