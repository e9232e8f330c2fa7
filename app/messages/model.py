"""Messages as the stores accept and return them, and how their text is divided into items.

A message is stored as JSON text in one attribute. So floats, large integers, nulls and empty
strings come back exactly as sent, and responses are built without parsing the text.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from app.logs import log_damaged
from app.table import ids, keys
from app.table.writes import Item
from app.values import text_fault

Role = Literal["user", "assistant", "system", "tool"]

MAX_BATCH = 50
"""A transaction takes 100 items: these, the session, the record of the request, and at most 10
further parts of long messages. So this can be 88 at most."""

ROLES = ("user", "assistant", "system", "tool")

MAX_NAME = 128

PART_BYTES = 400_000
"""Maximum bytes of text in one item. A whole item may have 409,600, with keys and names."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

MEMBERS = ("role", "name", "content", "metadata", "created_by")
"""The members of the stored text."""

_USUAL_STARTS = tuple(f'{{"role":"{role}","name":' for role in ROLES)
_USUAL_END = '},"created_by":"'


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to append. `content` is a string or a list of objects with a `type`. `metadata` is
    any JSON object. Only the HTTP schema checks its `references`."""

    role: Role
    content: str | list[dict[str, Any]]
    name: str | None = None
    metadata: dict[str, Any] | None = None

    def body(self, created_by: str) -> str:
        """The text to store."""
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
    """A stored message. `body` is its text, which is parsed only when a member is read."""

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
        """The JSON of a response. Its wire size is `sizes.wire_size(body) + sizes.WIRE_OF_IDS`.

        >>> Message("01S", "01ARZ3NDEKTSV4RRFFQ69G5FAV", '{"role":"user"}').to_json()[:62]
        '{"message_id":"msg_01ARZ3NDEKTSV4RRFFQ69G5FAV","session_id":"s'
        """
        return (
            f'{{"message_id":"{ids.MESSAGE_PREFIX}{self.ulid}",'
            f'"session_id":"{ids.SESSION_PREFIX}{self.session_ulid}",'
            f'"timestamp":"{ids.timestamp(self.ulid)}",{self.body[1:]}'
        )


def split(body: str, size: int = PART_BYTES) -> list[str]:
    """Divides text into pieces of at most `size` bytes, without splitting a character.

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
        while end < len(raw) and raw[end] & 0xC0 == 0x80:  # inside a UTF-8 sequence
            end -= 1
        pieces.append(raw[start:end].decode())
        start = end
    return pieces


def assemble(
    session_ulid: str, items: Iterable[Item], damaged: set[str] | None = None
) -> Iterator[Message]:
    """Builds a session's messages from their items, which may be ascending or descending.

    Each item of a divided message holds the number of its items, so nothing is read after the last
    one. Incomplete messages are left out, because a query may not see all items of a transaction
    yet. Damaged messages are left out and logged, and their ULIDs are added to `damaged`.
    """
    pending: list[Item] = []
    for item in items:
        message = None
        try:
            if "parts" in item:
                if pending and _message_of(pending[0]) != _message_of(item):
                    pending = []
                pending.append(item)
                if len(pending) < int(item["parts"]):
                    continue
                whole, pending = sorted(pending, key=lambda part: str(part["SK"])), []
                body = "".join(str(part["body"]) for part in whole)
                message = Message(session_ulid, _message_of(whole[0]), body)
            else:
                message = Message(session_ulid, _message_of(item), str(item["body"]))
        except (IndexError, KeyError, ValueError):
            pending = []
        ulid = message.ulid if message else ""
        if message and len(ulid) == 26 and ulid < ids.END_OF_TIME and is_sound(message.body):
            yield message
        else:
            log_damaged(str(item.get("PK")), str(item["SK"]))
            if damaged is not None:
                damaged.add(ulid)


def is_sound(body: str) -> bool:
    """Whether stored text can be part of a response without making it invalid JSON.

    Parsing every message would cost as much as the rest of the response. So text is parsed only if
    it does not begin and end like that of `NewMessage.body`, or contains NaN or Infinity. The
    `check` command parses all text.
    """
    if not body.startswith(_USUAL_STARTS) or body.rfind(_USUAL_END) < 0 or body[-2:] != '"}':
        return text_fault(body, MEMBERS) is None
    # Finding a single letter is much faster than finding a word.
    capital_n, capital_i = body.find("N"), body.find("I")
    if (capital_n >= 0 and body.find("NaN", capital_n) >= 0) or (
        capital_i >= 0 and body.find("Infinity", capital_i) >= 0
    ):
        return text_fault(body, MEMBERS) is None
    return True


def _message_of(item: Item) -> str:
    return keys.message_of(str(item["SK"]))
