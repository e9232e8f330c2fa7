"""Values that are written in the same transaction as messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.errors import ApiError, SessionNotFound, ValuesNotWritten
from app.sessions.leftovers import epoch_of
from app.sessions.model import is_live
from app.table.db import ConditionFailed
from app.table.writes import Item, Write
from app.values.changes import Change, Done, Reopen
from app.values.opened import Opened, check_together
from app.values.operations import check, check_once
from app.values.places import Place
from app.values.store import ValueStore

SESSION = "session"

UNBORN = "-"
"""The birth of a session that does not exist yet, so that nothing is written to it."""


@dataclass(slots=True)
class Beside:
    """`changes` are those of each place, by a name of the place that the caller chooses; that of
    the session itself is `session`."""

    store: ValueStore
    changes: Mapping[str, tuple[Place, Sequence[Change]]]

    _opened: dict[str, Opened] = field(default_factory=dict, init=False)

    def check(self, *, parsed: bool) -> None:
        """
        Raises:
            ValidationFailed, TooLarge
        """
        for _, changes in self.changes.values():
            check(changes, parsed=parsed)
            check_once(changes)

    def open(self, *, may_create: bool) -> None:
        """Reads the head of each place. Costs 1 get each; before the first value of a user or a
        tenant 1 update more. For the session, the messages' own write notes it.

        Raises:
            SessionNotFound: unless the session may be created.
        """
        for name, (place, changes) in self.changes.items():
            if name != SESSION:
                self._opened[name] = self.store.open(place, changes)
                continue
            head = self.store.table.get(place.head_key)
            if not is_live(head, self.store.now()):
                if not may_create:
                    raise SessionNotFound
                head = {"born": UNBORN}
            self.open_session(head)

    def open_session(self, head: Item) -> None:
        """Takes the session as it was read, or as it is going to be."""
        if SESSION in self.changes:
            place, changes = self.changes[SESSION]
            epoch = epoch_of(head, place.session_ulid)
            self._opened[SESSION] = Opened(place, head, epoch, changes)

    @property
    def noted(self) -> Item:
        """What the write of the session's item must set."""
        changes = self.changes[SESSION][1] if SESSION in self.changes else ()
        return {"has_values": 1} if any(change.content for change in changes) else {}

    @property
    def born(self) -> str | None:
        """What the session must be: there may be another one with its key since. None for any."""
        opened = self._opened.get(SESSION)
        return str(opened.head["born"]) if opened and "born" in opened.head else None

    def writes(self, written: str) -> dict[str, Write]:
        together: dict[str, Write] = {}
        for opened in self._opened.values():
            together |= opened.writes(written)
        return together

    @property
    def size(self) -> int:
        """Bytes of names and contents."""
        return sum(opened.size for opened in self._opened.values())

    def check_size(self, items: int, messages: Sequence[str]) -> None:
        """`items` are all items of the transaction.

        Raises:
            TooLarge
        """
        if self.changes:
            longest = max((each.place.partition for each in self._opened.values()), key=len)
            check_together(items, self.size + sum(map(_bytes, messages)), longest)

    def follow(
        self, failed: ConditionFailed, session: Item | None, written: str, *, may_create: bool
    ) -> bool:
        """Takes note of what a failed try has found. `session` is the item of the session if that
        failed, too. Returns whether the next try is another one because of that.

        Raises:
            ValuesNotWritten: a precondition does not hold.
            SessionNotFound
        """
        is_another = session and self.born not in (None, session.get("born"))
        try:
            if not is_another:
                return self.judge(failed, written)
        except Reopen:
            pass
        self.open(may_create=may_create)
        return True

    def judge(self, failed: ConditionFailed, written: str) -> bool:
        """Returns whether a value was the cause of the failure, so that the next try may succeed.

        Raises:
            ValuesNotWritten: a precondition does not hold.
            Reopen
        """
        outcomes = {name: each.judge(failed, written) for name, each in self._opened.items()}
        if any(isinstance(outcome, ApiError) for each in outcomes.values() for outcome in each):
            raise ValuesNotWritten(outcomes)
        return any(each.is_cause(failed) for each in self._opened.values())

    def done(self, written: str) -> dict[str, list[Done]]:
        return {name: opened.done(written) for name, opened in self._opened.items()}


def _bytes(text: str) -> int:
    return len(text.encode())
