"""A message as the stores take and return it, and how its text is divided into items.

A message is stored as JSON text in one attribute. So floats, large integers, nulls and empty
strings come back exactly as they came, and an answer is put together without parsing them.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from app.errors import TooLarge
from app.sessions.model import MAX_HEAD_WIRE
from app.table import ids, keys
from app.table.writes import Item

Role = Literal["user", "assistant", "system", "tool"]

MAX_MESSAGE_BYTES = 3 * 1024 * 1024
"""Of one message as JSON text in UTF-8."""

MAX_BATCH_BYTES = 4 * 1024 * 1024 - 128 * 1024
"""Of all messages of a batch. A transaction takes 4 MB; the session, the record and the keys use
the rest. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

MAX_BATCH = 50

MAX_WIRE_BYTES = 6_270_000
"""Of an answer's body as it stands in Lambda's answer, which takes 6,291,556 bytes with its
headers: as a JSON string (`wire_size`).
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

MAX_MESSAGE_WIRE = MAX_WIRE_BYTES - MAX_HEAD_WIRE
"""Of one message in such a body: what is larger could be stored and never read. It is read with its
session, too."""

PART_BYTES = 400_000
"""Of the text in one item. An item takes 409,600 bytes, keys and names included."""


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to append. `content` is a string or a list of objects with a `type`. `metadata` is
    any JSON object; its `references` are checked by the schema, not here."""

    role: Role
    content: str | list[dict[str, Any]]
    name: str | None = None
    metadata: dict[str, Any] | None = None

    def body(self, created_by: str) -> str:
        """The text that is stored."""
        return _ENCODER.encode(
            {
                "role": self.role,
                "name": self.name,
                "content": self.content,
                "metadata": self.metadata or {},
                "created_by": created_by,
            }
        )


@dataclass(frozen=True)
class Message:
    """A stored message. `body` is its text, parsed only when one of its members is read."""

    session_ulid: str
    ulid: str
    body: str

    @property
    def message_id(self) -> str:
        return ids.MESSAGE_PREFIX + self.ulid

    @property
    def session_id(self) -> str:
        return ids.SESSION_PREFIX + self.session_ulid

    @property
    def timestamp(self) -> str:
        return ids.timestamp(self.ulid)

    @cached_property
    def _parsed(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def role(self) -> str:
        return str(self._parsed["role"])

    @property
    def name(self) -> str | None:
        name: str | None = self._parsed["name"]
        return name

    @property
    def content(self) -> Any:
        return self._parsed["content"]

    @property
    def metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = self._parsed["metadata"]
        return metadata

    @property
    def created_by(self) -> str:
        return str(self._parsed["created_by"])

    def to_json(self) -> str:
        """The message in an answer. Its wire size is `wire_size(body) + WIRE_OF_IDS`.

        >>> Message("01S", "01ARZ3NDEKTSV4RRFFQ69G5FAV", '{"role":"user"}').to_json()[:62]
        '{"message_id":"msg_01ARZ3NDEKTSV4RRFFQ69G5FAV","session_id":"s'
        """
        return (
            f'{{"message_id":"{ids.MESSAGE_PREFIX}{self.ulid}",'
            f'"session_id":"{ids.SESSION_PREFIX}{self.session_ulid}",'
            f'"timestamp":"{ids.timestamp(self.ulid)}",{self.body[1:]}'
        )


def bodies(messages: Sequence[NewMessage], created_by: str) -> list[str]:
    """The texts to store.

    Raises:
        TooLarge: which limit, and by how much.
    """
    texts = [message.body(created_by) for message in messages]
    sizes = [len(text.encode()) for text in texts]
    for index, size in enumerate(sizes):
        if size > MAX_MESSAGE_BYTES:
            raise TooLarge(
                f"Message {index} has {size:,} bytes as JSON; "
                f"one message takes {MAX_MESSAGE_BYTES:,}."
            )
        if _may_exceed(size, MAX_MESSAGE_WIRE):
            wire = wire_size(texts[index]) + WIRE_OF_IDS
            if wire > MAX_MESSAGE_WIRE:
                raise TooLarge(
                    f"Message {index} could not be read again: it has {wire:,} bytes in an answer, "
                    f"{_AS_SENT}; {MAX_MESSAGE_WIRE:,} is the limit."
                )
    if sum(sizes) > MAX_BATCH_BYTES:
        raise TooLarge(
            f"The messages have {sum(sizes):,} bytes as JSON; one batch, which is one DynamoDB "
            f"transaction of at most 4 MB, takes {MAX_BATCH_BYTES:,}. Send them in smaller batches."
        )
    return texts


def check_answer(bodies: Sequence[str]) -> None:
    """Whether an answer with all of these messages can leave.

    Raises:
        TooLarge: by how much it could not.
    """
    if not _may_exceed(sum(len(body.encode()) for body in bodies), MAX_WIRE_BYTES):
        return
    wire = sum(wire_size(body) + WIRE_OF_IDS for body in bodies) + wire_size('{"messages":[]}')
    if wire > MAX_WIRE_BYTES:
        raise TooLarge(
            f"The answer would have {wire:,} bytes, {_AS_SENT}; {MAX_WIRE_BYTES:,} is the limit. "
            "Send Prefer: return=minimal to get ids and times only, or smaller batches. "
            "This request has written nothing."
        )


_AS_SENT = (
    "as AWS Lambda sends it (6 for a letter that is not ASCII, 12 for an emoji, one more for each "
    "quote and backslash)"
)


def _may_exceed(utf8_size: int, most: int) -> bool:
    """Whether it is worth counting: no character of JSON takes more than three times its UTF-8."""
    return 3 * utf8_size + MAX_BATCH * WIRE_OF_IDS > most


def wire_size(text: str) -> int:
    """Bytes of JSON text in Lambda's answer, as the strictest runtime escapes it: quotes,
    backslashes, and everything that is not ASCII.

    >>> wire_size('["é"]') == len(json.dumps('["é"]')) - 2
    True
    """
    if text.isascii():  # it is JSON, so there are no control characters in it
        return len(text) + text.count('"') + text.count("\\")
    return len(json.dumps(text)) - 2


WIRE_OF_IDS = wire_size(Message("0" * 26, "0" * 26, "{").to_json())
"""Of a message's ids and time, which all have the same length; with the comma after a message."""


def split(body: str, size: int = PART_BYTES) -> list[str]:
    """Divides text into pieces of at most `size` bytes, never inside a character.

    >>> split("añb", size=2)
    ['a', 'ñ', 'b']
    """
    raw = body.encode()
    if len(raw) <= size:
        return [body]
    pieces = []
    start = 0
    while start < len(raw):
        end = min(start + size, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:  # the middle of a UTF-8 sequence
            end -= 1
        pieces.append(raw[start:end].decode())
        start = end
    return pieces


def assemble(session_ulid: str, items: Iterable[Item]) -> Iterator[Message]:
    """The messages of a session from their items, in the items' order, ascending or descending.

    Every item of a divided message says how many there are, so nothing is read beyond the last. A
    message that is not complete (a query may see a transaction's items one after another) is left
    out.
    """
    pending: list[Item] = []
    for item in items:
        if "parts" in item:
            if pending and _message_of(pending[0]) != _message_of(item):
                pending = []
            pending.append(item)
            if len(pending) < int(item["parts"]):
                continue
            pending.sort(key=lambda part: str(part["SK"]))
            item = {"SK": pending[0]["SK"], "body": "".join(str(p["body"]) for p in pending)}
            pending = []
        yield Message(session_ulid, _message_of(item), str(item["body"]))


def _message_of(item: Item) -> str:
    return keys.message_of(str(item["SK"]))
