"""Counts what a boto3 client sends and receives, from botocore's events. Independent of the app."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import boto3

from bench import capacity

READS = {"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"}


@dataclass
class Metered:
    calls: Counter[str] = field(default_factory=Counter)
    read_units: float = 0.0
    write_units: float = 0.0
    worked_out: bool = False
    """Whether a transaction's units were calculated. The engine reports them wrong."""
    sent: int = 0
    received: int = 0
    """`sent` and `received` are bytes of HTTP bodies."""

    @property
    def count(self) -> int:
        return sum(self.calls.values())

    def per(self, times: int) -> dict[str, Any]:
        return {
            "calls": {name: count / times for name, count in self.calls.items()},
            "call_count": self.count / times,
            "read_units": self.read_units / times,
            "write_units": self.write_units / times,
            "worked_out": self.worked_out,
            "bytes": (self.sent + self.received) / times,
        }


@contextmanager
def metered(client: Any) -> Iterator[Metered]:
    """Counts what `client` does within the block.

    The items of a transaction are read before and after it, by another client that is not counted.
    """
    found, probe = Metered(), boto3.client("dynamodb")
    events = client.meta.events
    hooks = {
        "before-parameter-build.dynamodb": _Before(probe),
        "before-send.dynamodb": lambda request, **_: _sent(found, request),
        "after-call.dynamodb": _After(found, probe),
    }
    for name, hook in hooks.items():
        events.register_last(name, hook)
    try:
        yield found
    finally:
        for name, hook in hooks.items():
            events.unregister(name, hook)


class _Before:
    def __init__(self, probe: Any) -> None:
        self._probe = probe

    def __call__(self, params: Any, model: Any, context: Any, **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "INDEXES"
        if model.name == "TransactWriteItems":
            actions = [action for write in params["TransactItems"] for action in write.values()]
            targets = [(a["TableName"], a.get("Key") or _key(self._probe, a)) for a in actions]
            context["targets"] = [(*target, _read(self._probe, *target)) for target in targets]


class _After:
    def __init__(self, found: Metered, probe: Any) -> None:
        self._found, self._probe, self._lock = found, probe, Lock()

    def __call__(self, http_response: Any, parsed: Any, model: Any, context: Any, **_: Any) -> None:
        with self._lock:  # a batch of values makes calls in several threads
            self._count(http_response, parsed, model, context)

    def _count(self, http_response: Any, parsed: Any, model: Any, context: Any) -> None:
        found = self._found
        found.calls[model.name] += 1
        found.received += len(http_response.content)
        if model.name == "TransactWriteItems":
            # A failed condition counts too: it costs as much as a write that changes nothing.
            found.worked_out = True
            found.write_units += self._transaction(context["targets"])
            return
        if http_response.status_code >= 300:
            return
        consumed = parsed.get("ConsumedCapacity") or ()
        tables = [consumed] if isinstance(consumed, dict) else consumed
        units = sum(table["CapacityUnits"] for table in tables)
        if model.name in READS:
            found.read_units += units
        else:
            found.write_units += units

    def _transaction(self, targets: Any) -> float:
        table = targets[0][0]
        indexes = capacity.indexes(self._probe.describe_table(TableName=table)["Table"])
        writes = [
            capacity.Write(before, _read(self._probe, table, key)) for table, key, before in targets
        ]
        return capacity.transaction(writes, indexes)


def _sent(found: Metered, request: Any) -> None:
    found.sent += len(request.body or b"")


def _key(probe: Any, action: Any) -> Any:
    schema = probe.describe_table(TableName=action["TableName"])["Table"]["KeySchema"]
    return {part["AttributeName"]: action["Item"][part["AttributeName"]] for part in schema}


def _read(probe: Any, table: str, key: Any) -> Any:
    return probe.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
