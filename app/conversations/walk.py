"""Goes through the items of one partition, in the order of their keys, for an export."""

from collections.abc import Iterator

from app.table import keys, ranges
from app.table.db import Table
from app.table.writes import Item


class Walk:
    """The items from the first session to the last of the user's own values, or those of one
    session. Goes around the further parts of values, which are read with each value. `page` counts
    the pages read."""

    def __init__(self, table: Table, partition: str, after: str, session_ulid: str = "") -> None:
        self.page = 0
        everything = ranges.all_sessions()[0], ranges.values("")[1]
        self._between = ranges.all_of_session(session_ulid) if session_ulid else everything
        self._table = table
        self._partition = partition
        self._after = after

    def __iter__(self) -> Iterator[Item]:
        after: str | None = self._after or None
        while True:
            for item in self._pages(self._table.query(self._partition, self._between, after=after)):
                sk = str(item["SK"])
                if keys.is_value_part(sk):
                    after = ranges.all_values(keys.session_of(sk))[1]
                    break
                yield item
            else:
                return

    def _pages(self, pages: Iterator[list[Item]]) -> Iterator[Item]:
        for page in pages:
            self.page += 1
            yield from page

    def after_message(self, session_ulid: str) -> str:
        """The message after which the walk began, if it is one of this session."""
        in_it = self._after.startswith(keys.session("", session_ulid)["SK"] + "#")
        return keys.message_of(self._after) if in_it else ""
