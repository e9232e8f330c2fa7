"""The check of a session's edges: that there is one for each source that a message lists, and no
other.

Edges come in the order of their sources, and messages in the order of time, so they cannot be
compared one by one. Instead both are summed up and the sums compared, which takes the same memory
for any number of them.
"""

import hashlib

from app.operations.value_check import Report
from app.table import keys
from app.table.writes import Item

_MODULUS = 1 << 128


class EdgeCheck:
    def __init__(self, partition: str, report: Report) -> None:
        self._partition = partition
        self._report = report
        self._listed = self._found = 0
        self._lists = self._edges = 0

    def message(self, first: Item) -> None:
        """A message that is shown, by its first item."""
        ulid = keys.message_of(str(first["SK"]))
        for name, cited in (("sources", True), ("given", False)):
            for source in str(first.get(name, "")).split(",") if name in first else ():
                self._lists += 1
                self._listed = (self._listed + _digest(source, ulid, cited=cited)) % _MODULUS

    def edge(self, item: Item) -> None:
        """An edge of a message that is shown."""
        self._edges += 1
        source, ulid = keys.ends_of(str(item["SK"]))
        for cited in (True, False):
            expected = keys.by_source(self._partition, source, ulid, cited=cited)
            if {name: item.get(name) for name in expected} == expected:
                self._found = (self._found + _digest(source, ulid, cited=cited)) % _MODULUS
                return
        self._report(item, "its keys in GSI2 are wrong", str(item.get("GSI2PK")))

    def end(self, head: Item) -> None:
        if self._listed != self._found:
            detail = f"{self._edges}, and the messages list {self._lists} sources"
            self._report(head, "its edges to sources are wrong", detail)


def _digest(source: str, ulid: str, *, cited: bool) -> int:
    text = f"{source}#{ulid}#{cited}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])
