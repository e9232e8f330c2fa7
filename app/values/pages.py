"""One page of a list of values, and how much of an answer a value takes."""

from dataclasses import dataclass, replace

from app.table.cursors import make_cursor
from app.values.model import StoredValue
from app.wire import wire_size

ABOUT = 3_000
"""More bytes in an answer than a value has besides its name and content."""


@dataclass(frozen=True, slots=True)
class ValuePage:
    """`end` is the name after which the next page begins, None if no values follow. `start` is that
    of this page, empty for the first one."""

    values: list[StoredValue]
    end: str | None
    scope: str
    start: str = ""

    @property
    def next_cursor(self) -> str | None:
        return None if self.end is None else make_cursor(self.scope, self.end)

    def within(self, room: int) -> "ValuePage":
        """As much of the page as has at most so many bytes in an answer."""
        for number, value in enumerate(self.values):
            room -= wire_of(value)
            if room < 0:
                end = self.values[number - 1].name if number else self.start
                return replace(self, values=self.values[:number], end=end)
        return self


def wire_of(value: StoredValue) -> int:
    """At most so many bytes of an answer are this value."""
    size = ABOUT + 12 * len(value.name)
    if not value.content:
        return size
    data = value.content.data
    return size + (wire_size(data) if isinstance(data, str) else len(data) * 4 // 3)
