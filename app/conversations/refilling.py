"""One session of an export, while it is filled, and until it is shown."""

from dataclasses import dataclass, field, replace

from app.errors import Unavailable
from app.messages.edges import edges_of
from app.messages.excerpts import excerpt
from app.messages.items import items_of
from app.messages.model import Message
from app.sessions import erasure, model, removal, staging
from app.sessions.creation import make_room
from app.sessions.model import Session
from app.sessions.staging import Busy, Stage
from app.table import budget, ids, keys
from app.table.db import ConditionFailed, Table
from app.table.item_sizes import size_of
from app.table.writes import Item
from app.values.model import Content
from app.values.model import items_of as items_of_value
from app.values.places import Place

ROUND_ITEMS, ROUND_BYTES = 200, 4_000_000
"""What is written at a time."""


@dataclass(slots=True)
class Refill:
    """Without a `stage`, its messages and values are passed over: it is there already, or its time
    is over."""

    table: Table
    partition: str
    session: Session
    stage: Stage | None
    messages: int = 0
    values: int = 0

    _feedback: int = field(default=0, init=False)
    _last: Message | None = field(default=None, init=False)
    _pending: list[Item] = field(default_factory=list, init=False)
    _size: int = field(default=0, init=False)

    def add_message(self, message: Message, feedback: list[Item]) -> None:
        """
        Raises:
            ValueError: its id is not greater than that of the message before it.
        """
        if self._last and message.ulid <= self._last.ulid:
            raise ValueError("the messages' ids do not rise")
        items = items_of(self.partition, message)
        if feedback:
            items[0]["raters"] = len(feedback)
        self.messages += 1
        self._feedback += len(feedback)
        self._last = message
        self._add([*items, *edges_of(self.partition, message), *feedback])

    def add_value(self, name: str, content: Content, written: str) -> None:
        self.values += 1
        if self.stage:
            place = Place(self.partition, dict(self.stage.key), self.session.ulid)
            self._add(items_of_value(place, self.stage.epoch, name, content, written))

    def _add(self, items: list[Item]) -> None:
        if not self.stage:
            return
        self._pending += items
        self._size += sum(map(size_of, items))
        if len(self._pending) >= ROUND_ITEMS or self._size >= ROUND_BYTES:
            self._flush()

    def _flush(self) -> None:
        self.table.put_many(self._pending)
        self._pending, self._size = [], 0

    def show(self) -> bool:
        """Shows the session, in one transaction. Returns false if it was passed over.

        Raises:
            Unavailable: the user is being erased, or the session was removed while it was filled.
        """
        if not self.stage:
            return False
        self._flush()
        last = self._last
        session = replace(
            self.session,
            message_count=self.messages,
            feedback_count=self._feedback,
            last_message=last.ulid if last else None,
            last_role=last.role if last else None,
            excerpt=excerpt(last) if last else None,
        )
        parts = staging.publish(self.partition, self.stage, session, with_values=self.values > 0)
        older = erasure.publish_older_session(self.partition, session.born)
        for user in (parts["user"], older):
            try:
                self.table.transact({**parts, "user": user})
                return True
            except ConditionFailed as error:
                failed = error
        raise Unavailable(
            "The session was removed while it was filled."
            if "session" in failed.found
            else "The user is being erased. Run the sweep, then the import again."
        )

    def drop(self) -> None:
        """Removes what was filled."""
        if self.stage:
            removal.remove(self.table, self.partition, self.session.ulid)


def begin(
    table: Table, ulids: ids.UlidSource, key: keys.Key, session: Session, now: int
) -> Stage | None:
    """Returns None if the session is there already. Waits for the lease of an interrupted restore.

    Raises:
        ValueError: there is another session with this id.
        Unavailable: an older session with the key is still being removed.
    """
    about = {"staged_from": session.ulid, "staged_last": session.born}
    started = ulids.clock()
    while True:
        moment = now + ulids.clock() - started
        [staged] = ulids.new(now=moment)
        try:
            name = session.session_key or session.ulid
            return staging.begin(table, key, staged, moment, about, name=name)
        except Busy:
            table.pause(1.0)
            budget.begin()
            continue
        except ConditionFailed as failed:
            found = failed.item
        if model.is_live(found, ids.iso_time(moment)):
            if found.get("born", session.ulid) != session.born:
                raise ValueError("there is another session with this id")
            return None
        make_room(table, key["PK"], found, ids.iso_time(moment))
