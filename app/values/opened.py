"""Changes of values in one transaction: their writes, and what its failure says about each."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import ApiError, TooLarge
from app.table.db import ConditionFailed
from app.table.item_sizes import MAX_ITEMS, most_together
from app.table.writes import Item, Write
from app.values.changes import Change, Done
from app.values.places import Place


@dataclass(frozen=True, slots=True)
class Opened:
    """A place to write to, with its head and the epoch of its values."""

    place: Place
    head: Item
    epoch: str
    changes: Sequence[Change] = ()

    def writes(self, written: str) -> dict[str, Write]:
        """The writes of all changes, by the keys of their items."""
        together: dict[str, Write] = {}
        for change in self.changes:
            parts = change.writes(self.place, self.epoch, written)
            together |= {f"{self.place.partition} {sk}": write for sk, write in parts.items()}
        return together

    @property
    def size(self) -> int:
        """Bytes of names and contents."""
        return sum(change.size for change in self.changes)

    def judge(self, failed: ConditionFailed, written: str) -> list[Done | ApiError | None]:
        """What a failed transaction says of each change: an error, or None if it was not the cause.

        Raises:
            Reopen
        """
        outcomes: list[Done | ApiError | None] = []
        for change in self.changes:
            found = failed.found.get(self._name(change))
            try:
                outcomes.append(
                    None
                    if found is None
                    else change.judge(found, self.epoch, written, repeated=failed.repeated)
                )
            except ApiError as error:
                outcomes.append(error)
        return outcomes

    def is_cause(self, failed: ConditionFailed) -> bool:
        """Whether a condition of one of the changes did not hold."""
        return any(self._name(change) in failed.found for change in self.changes)

    def _name(self, change: Change) -> str:
        """The name of the write of a change's first item. It begins with the partition, because two
        places may have values of the same name."""
        return f"{self.place.partition} {self.place.value_key(change.name)['SK']}"

    def done(self, written: str) -> list[Done]:
        return [change.done(written) for change in self.changes]


def check_together(items: int, size: int, partition: str) -> None:
    """Checks that all fits into one transaction.

    Raises:
        TooLarge: the detail has the sizes and the limits.
    """
    most = most_together(items, partition)
    if items > MAX_ITEMS or size > most:
        raise TooLarge(
            f"Together these are {items} items and {size:,} bytes. One DynamoDB transaction takes "
            f"{MAX_ITEMS} items and {most:,} bytes. Nothing was written."
        )
