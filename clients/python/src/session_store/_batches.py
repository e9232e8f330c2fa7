"""Messages in the portions that one request takes."""

from collections.abc import Iterable, Iterator
from typing import Any

from session_store._bodies import encode
from session_store.errors import TooLarge
from session_store.models import NewMessage

MAX_BATCH = 50

ROOM = 3_500_000
"""Bytes of a batch. The service takes a little more."""

MAX_BODY = 6_000_000
"""Bytes of a message that the service could answer. It ends the connection if there are more."""


def batches(messages: Iterable[NewMessage], *, most: int = MAX_BATCH) -> Iterator[list[NewMessage]]:
    """
    Raises:
        TooLarge: before the first batch, if a message has more than 6 MB.
        ValueError: NaN or Infinity, which JSON does not have.
        TypeError: a message is not JSON.
    """
    sized = [(message, size(message)) for message in messages]
    largest = max((bytes_ for _, bytes_ in sized), default=0)
    if largest > MAX_BODY:
        detail = f"A message has {largest:,} bytes. The limit is 3 MB."
        raise TooLarge(413, {"code": "TOO_LARGE", "title": "Too large", "detail": detail})
    batch: list[NewMessage] = []
    room = ROOM
    for message, bytes_ in sized:
        room -= bytes_
        if batch and (room < 0 or len(batch) == most):
            yield batch
            batch, room = [], ROOM - bytes_
        batch.append(message)
    if batch:
        yield batch


def size(body: Any) -> int:
    """Bytes in a request, as they stand in the event of a Lambda function: as a JSON string."""
    text = encode(body)
    return len(text) + text.count(b'"') + text.count(b"\\")
