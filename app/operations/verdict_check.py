"""The check of what a tenant says of its sources, and of their redactions. It shares the keys with
the stores, but none of their code.
"""

from collections.abc import Iterable

from app.grounding.sources import key_hash
from app.grounding.verdicts import STATES
from app.operations.partition_check import Checked, Finding
from app.table import ids, keys
from app.table.writes import Item


class VerdictCheck:
    """Call `run` once, then read `findings` and `checked`."""

    def __init__(self, partition: str) -> None:
        self.findings: dict[tuple[str, str], Finding] = {}
        """By sort key and problem."""
        self.checked = Checked()
        self._partition = partition
        self._has_revision = False

    def run(self, items: Iterable[Item]) -> None:
        for item in items:
            sk = str(item["SK"])
            if sk == keys.revision(self._partition)["SK"]:
                self._has_revision = True
                self._written(item)
            elif source := keys.source_of(sk):
                self.checked.verdicts += 1
                self._verdict(source, item)
            elif source := keys.redacted_source(sk):
                self._redaction(source, item)
            else:
                self._report(sk, "unknown item")
        if self.checked.verdicts and not self._has_revision:
            self._report(keys.revision(self._partition)["SK"], "the revision is missing")

    def _verdict(self, source: str, item: Item) -> None:
        sk, key, state = str(item["SK"]), str(item.get("source_key", "")), item.get("source_state")
        if key_hash(key) != source:
            self._report(sk, "its hash is not that of its key", key)
        if state not in STATES:
            self._report(sk, "its state is unknown", str(state))
        if "governed_by" not in item:
            self._report(sk, "an attribute is missing", "governed_by")
        self._written(item)

    def _redaction(self, source: str, item: Item) -> None:
        """One that has not ended must be due, so that the sweep finds it."""
        due = keys.by_due_time(source, str(item.get("GSI2SK"))) if "finished_at" not in item else {}
        found = {name: item[name] for name in ("GSI2PK", "GSI2SK") if name in item}
        if found != due:
            self._report(str(item["SK"]), "its keys in GSI2 are wrong", f"{found}, not {due}")
        if not ids.is_ulid(str(item.get("started"))) or "reached" not in item:
            self._report(str(item["SK"]), "cannot be understood", str(item.get("started")))

    def _written(self, item: Item) -> None:
        written = str(item.get("written"))
        if not ids.is_ulid(written) or written > ids.END_OF_TIME:
            self._report(str(item["SK"]), "its version is wrong", written)

    def _report(self, sk: str, problem: str, detail: str = "") -> None:
        self.findings[sk, problem] = Finding(self._partition, sk, problem, detail)
