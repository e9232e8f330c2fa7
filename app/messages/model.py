"""Messages as the stores accept and return them.

What a client said is stored as JSON text in one attribute, as it was sent. So every number, escape
and empty value comes back the same, and responses are built without parsing the text.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from json.encoder import encode_basestring as quoted
from typing import Any, Literal

from app import formats
from app.formats.reading import member
from app.literals import Sent, read_object, read_value, text_of, value_of
from app.table import ids
from app.table.writes import Item, Value

Status = Literal["in_progress", "complete", "interrupted"]

STATUSES = ("in_progress", "complete", "interrupted")

COMPLETE = "complete"

MAX_BATCH = 50
"""A transaction takes 100 items: these, the session, the record of the request, and at most 10
further parts of long messages. So this can be 88 at most."""

MAX_IMPORT = 5000
"""Messages of an imported session."""

MAX_RATERS = 16
"""People and agents that can give feedback on one message. It is read with the message."""

MAX_COMMENT, MAX_RATING = 1000, 64

MAX_POP = 50
"""Messages that one pop gives back."""

MAX_ROLE, MAX_NAME = 64, 128

MEMBERS = ("content", "metadata")
"""The members that every stored text has."""

_NO_GROUNDING: dict[str, Any] = {"request": {}}


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to append. `content`, `metadata` (an object) and `native` are JSON values, or
    `Literal`s that keep the client's text. `native` is a provider's own object, and `format` names
    its kind. `grounding` is an object whose `request` is what the provider was sent. `role` is
    needed unless the format tells it."""

    role: str | None = None
    content: Any = None
    name: str | None = None
    metadata: Any = None
    format: str | None = None
    native: Any = None
    grounding: Any = None
    status: str = COMPLETE

    @property
    def spoken_role(self) -> str | None:
        """The role, or what the provider's object tells."""
        return self.role or formats.role(self.format, value_of(self.native))

    def body(self) -> str:
        """The text to store. The metadata is last, so that the end of a sound text is known."""
        native = ""
        if self.native is not None:
            native = f',"format":{quoted(self.format or "")},"native":{text_of(self.native)}'
        grounding = ""
        if self.grounding is not None:
            grounding = f',"grounding":{text_of(self.grounding)}'
        metadata = "{}" if self.metadata is None else text_of(self.metadata)
        content = text_of(self.content)
        return f'{{"content":{content}{native}{grounding},"metadata":{metadata}}}'


@dataclass(frozen=True)
class Message:
    """A stored message. `body` is the text of what was said, which is parsed only when a member is
    read. `edited` is the id of the last edit. `feedback` are JSON texts. `sources` and `given` are
    hashes of indexed sources, separated by commas (`app.messages.edges`)."""

    session_ulid: str
    ulid: str
    body: str
    role: str
    created_by: str
    name: str | None = None
    status: str = COMPLETE
    edited: str | None = None
    imported: bool = False
    feedback: tuple[str, ...] = ()
    sources: str = ""
    given: str = ""

    @property
    def message_id(self) -> str:
        return ids.MESSAGE_PREFIX + self.ulid

    @property
    def session_id(self) -> str:
        return ids.SESSION_PREFIX + self.session_ulid

    @property
    def timestamp(self) -> str:
        return ids.timestamp(self.ulid)

    @property
    def edited_at(self) -> str | None:
        return ids.timestamp(self.edited) if self.edited else None

    @property
    def version(self) -> str:
        """For the ETag."""
        return self.edited or self.ulid

    @cached_property
    def _parsed(self) -> dict[str, Any]:
        """Was checked when it came in, and is only read now."""
        try:
            parsed: dict[str, Any] = json.loads(self.body)
        except ValueError:  # also numbers that int() does not take
            parsed = read_value(self.body)
        return parsed

    @property
    def is_readable(self) -> bool:
        """Whether the text is the JSON that it should be (`app.messages.items.is_sound` looks at
        its beginning and end only)."""
        try:
            parsed = self._parsed
        except (ValueError, RecursionError):
            return False
        return (
            parsed.keys() >= set(MEMBERS)
            and isinstance(parsed["metadata"], dict)
            and isinstance(parsed.get("format"), str | None)
            and isinstance(member(parsed.get("grounding", _NO_GROUNDING), "request"), dict)
        )

    @property
    def sent(self) -> Sent | None:
        """The members with their texts; None if the message is damaged."""
        try:
            return read_object(self.body) if self.is_readable else None
        except (ValueError, RecursionError):  # as a name that appears twice
            return None

    @property
    def content(self) -> Any:
        return self._parsed["content"]

    @property
    def metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = self._parsed["metadata"]
        return metadata

    @property
    def format(self) -> str | None:
        return self._parsed.get("format")

    @property
    def native(self) -> Any:
        return self._parsed.get("native")

    @property
    def request(self) -> Any:
        """What the provider was sent, if the client has said."""
        return member(self._parsed.get("grounding"), "request")

    @cached_property
    def json(self) -> str:
        """The JSON text of a response.

        >>> Message("01S", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "{}", "user", "alice").json[:62]
        '{"message_id":"msg_01ARZ3NDEKTSV4RRFFQ69G5FAV","session_id":"s'
        """
        return f"{self.head}{self.body[1:]}"

    @property
    def head(self) -> str:
        """The JSON text of a response up to what was said."""
        name = "null" if self.name is None else quoted(self.name)
        edited_at = f'"{ids.timestamp(self.edited)}"' if self.edited else "null"
        also = '"imported":true,' if self.imported else ""
        if self.feedback:
            also += f'"feedback":[{",".join(self.feedback)}],'
        return (
            f'{{"message_id":"{ids.MESSAGE_PREFIX}{self.ulid}",'
            f'"session_id":"{ids.SESSION_PREFIX}{self.session_ulid}",'
            f'"timestamp":"{ids.timestamp(self.ulid)}","created_by":{quoted(self.created_by)},'
            f'"role":{quoted(self.role)},"name":{name},"status":"{self.status}",'
            f'"edited_at":{edited_at},{also}'
        )

    def attributes(self) -> Item:
        """The attributes of its first item, but for those of its text."""
        attributes: dict[str, Value | None] = {
            "message_role": self.role,
            "message_name": self.name,
            "created_by": self.created_by,
            "message_status": None if self.status == COMPLETE else self.status,
            "edited": self.edited,
            "imported": 1 if self.imported else None,
            "sources": self.sources or None,
            "given": self.given or None,
        }
        return {name: value for name, value in attributes.items() if value is not None}
