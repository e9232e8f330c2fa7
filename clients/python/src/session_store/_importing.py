"""Writes what `session_store.migrations` reads. Carried out again, it adds only what is missing.

A conversation that takes one request is there or not. For any other, a value of the user is written
first and deleted last. A session without that value was finished, or is somebody else's, and is
left alone. One with it is completed.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Generic, TypeVar

from session_store._bodies import encode
from session_store._retries import REPEATABLE, pause
from session_store._sync.client import Client
from session_store._sync.values import Values as ValuesOf
from session_store.errors import Conflict, NotFound, SessionStoreError, error_of
from session_store.ids import session_id_of
from session_store.migrations import Conversation, Record
from session_store.models import DatedMessage, NewMessage, OpenedSession, Write

MARK = "session-store-import/"
"""The beginning of the value's name. The session's id follows."""

MAX_IMPORT, MAX_BATCH, MAX_VALUES = 5000, 50, 100
"""Messages with dates, messages and values in a request."""

ROOM, BATCH_ROOM = 5_500_000, 3_500_000
"""Bytes of a request, and of a batch of messages. The service takes a little more."""

TRIES = 5
"""Of writing values that the service was too busy for."""

EXISTS = 412
"""The status of a value that was there already."""

Item = TypeVar("Item")


class ChangedMeanwhile(SessionStoreError):
    """The session was written to between two runs, so that the rest does not belong there."""


@dataclass
class Done:
    """What became of a record. `undated` counts messages that had to be appended, so that their
    time is the present: an import takes 5,000 messages and 5.5 MB."""

    what: str = "imported"
    messages: int = 0
    values: int = 0
    undated: int = 0


class _Queue(Generic[Item]):
    """Items that are taken in parts which fit into a request."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._next: list[Item] = list(islice(self._items, 1))

    def __bool__(self) -> bool:
        return bool(self._next)

    def take(self, most: int, room: int) -> list[Item]:
        """At least one, if there is any."""
        taken: list[Item] = []
        while self._next and len(taken) < most:
            room -= _size(self._next[0])
            if taken and room < 0:
                break
            taken += self._next
            self._next = list(islice(self._items, 1))
        return taken

    def __iter__(self) -> Iterator[Item]:
        while self._next:
            yield from self.take(1, 0)


def write(client: Client, record: Record) -> Done:
    """
    Raises:
        ChangedMeanwhile, ApiError, ConnectionFailed
        ValueError: a number that JSON does not have.
    """
    client = client if record.user is None else client.acting_for(record.user)
    if isinstance(record, Conversation):
        return _write_conversation(client, record)
    place = client.values if record.place == "user" else client.tenant_values
    written = _put(place, _Queue(record.values))
    return Done("imported" if written else "skipped", values=written)


def count(record: Record) -> Done:
    """Reads it and sends nothing."""
    done = Done("read", values=sum(1 for _ in record.values))
    if isinstance(record, Conversation):
        done.messages = sum(1 for _ in record.messages)
    return done


def _write_conversation(client: Client, record: Conversation) -> Done:
    messages, values = _Queue(_in_order(record)), _Queue(record.values)
    first = messages.take(MAX_IMPORT, ROOM)
    if not messages and not values and not record.ratings:
        return Done(messages=len(first)) if _import(client, record, first) else Done("skipped")

    session_id = session_id_of(str(record.session["key"]))
    mark = MARK + session_id
    done = Done(messages=len(first))
    try:
        found = client.sessions.get(session_id, messages=1)
    except NotFound:
        client.values.put(mark, {"key": record.session["key"]})
        if not _import(client, record, first):
            client.values.delete(mark)
            return Done("skipped")
        found = client.sessions.get(session_id, messages=1)
        rest = _Queue(iter(messages))
    else:
        if not (found.imported and client.values.find(mark)):
            return Done("skipped")
        rest = _Queue(_after(found, chain(first, messages)))
        done = Done("completed")
    done.undated = _append(client, found, rest)
    done.messages += done.undated
    done.values = _put(client.session_values(session_id), values)
    if record.ratings:
        for number, message in enumerate(client.messages.list(session_id)):
            if number in record.ratings and not message.feedback:
                rating = record.ratings[number]
                client.messages.put_feedback(session_id, message.message_id, rating)
    client.values.delete(mark)
    return done


def _import(client: Client, record: Conversation, messages: list[DatedMessage]) -> bool:
    """False if there is a session with this key."""
    created_at = record.created_at and _text(_time(record.created_at))
    if messages and created_at:
        created_at = min(created_at, messages[0]["created_at"])
    try:
        client.sessions.import_(messages, created_at=created_at, **record.session)
    except Conflict as error:
        if error.code != "SESSION_EXISTS":
            raise
        return False
    return True


def _in_order(record: Conversation) -> Iterator[DatedMessage]:
    """Times that do not fall, as the service wants them."""
    latest = ""
    for message in record.messages:
        latest = max(latest, _text(_time(message["created_at"])))
        yield {**message, "created_at": latest}


def _time(text: str) -> datetime:
    """Not in the future."""
    return min(datetime.fromisoformat(text).astimezone(UTC), datetime.now(UTC))


def _text(moment: datetime) -> str:
    """All of the same length, so that they can be compared."""
    return moment.isoformat(timespec="milliseconds")


def _after(found: OpenedSession, messages: Iterator[DatedMessage]) -> Iterator[DatedMessage]:
    """Those that an earlier run has not written.

    Raises:
        ChangedMeanwhile
    """
    written = list(islice(messages, found.message_count - 1, found.message_count))
    [last] = found.messages[-1:] or [None]
    same = last is not None and [(last.content, last.native)] == [
        (message.get("content"), message.get("native")) for message in written
    ]
    if found.message_count and not same:
        raise ChangedMeanwhile("The session was changed after an import that was not finished.")
    return messages


def _append(client: Client, found: OpenedSession, rest: _Queue[DatedMessage]) -> int:
    """Returns how many."""
    after = found.messages[-1].message_id if found.messages else None
    appended = 0
    while rest:
        batch = [_undated(message) for message in rest.take(MAX_BATCH, BATCH_ROOM)]
        stored = client.messages.append_many(found.session_id, batch, after=after)
        after = stored.messages[-1].message_id
        appended += len(batch)
    return appended


def _undated(message: DatedMessage) -> NewMessage:
    said: Any = {
        name: member for name, member in message.items() if name not in ("created_at", "created_by")
    }
    new: NewMessage = said
    return new


def _put(place: ValuesOf, values: _Queue[Write]) -> int:
    """Writes those that are not there. Returns how many.

    Raises:
        ApiError: of the first one that the service refuses.
    """
    written = 0
    while values:
        left: list[Any] = [{**each, "if_none_match": "*"} for each in values.take(MAX_VALUES, ROOM)]
        for attempt in range(TRIES):
            results = place.batch(left)
            written += sum(result.ok for result in results)
            pairs = zip(left, results, strict=True)
            failed = [pair for pair in pairs if not pair[1].ok and pair[1].status != EXISTS]
            for _, result in failed:
                if result.status not in REPEATABLE or attempt == TRIES - 1:
                    raise error_of(result.status, result.problem)
            left = [operation for operation, _ in failed]
            if not left:
                break
            time.sleep(pause(attempt, {}) or 0)
    return written


def _size(item: Any) -> int:
    """Bytes in the request, as it stands in the event of a Lambda function."""
    text = encode(item)
    return len(text) + text.count(b'"') + text.count(b"\\")
