"""Values as the stores accept and return them, and their items."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from app.literals import text_of
from app.table import ids
from app.table.item_sizes import PART_BYTES, split
from app.table.writes import Item, Value
from app.values.places import Place

MAX_VALUES = 1000
"""Values of one page."""

MOST_PARTS = 8
"""Items of a value of 3 MB."""

Order = Literal["asc", "desc"]

JSON, BYTES = "application/json", "application/octet-stream"

_JSON_TYPE = re.compile(r"application/json|[^/;]+/[^/;]+\+json", re.IGNORECASE)


def is_json(content_type: str) -> bool:
    """
    >>> is_json("application/json"), is_json("application/geo+json; x=1"), is_json("text/plain")
    (True, True, False)
    """
    return _JSON_TYPE.fullmatch(content_type.partition(";")[0].strip()) is not None


@dataclass(frozen=True)
class Content:
    """What a value holds. `data` is text if it is JSON, as it was sent, and otherwise bytes."""

    content_type: str
    data: str | bytes

    @cached_property
    def raw(self) -> bytes:
        return self.data.encode() if isinstance(self.data, str) else self.data

    @cached_property
    def etag(self) -> str:
        """A hash of all of it, without quotes."""
        digest = hashlib.sha256(self.content_type.encode() + b"\0" + self.raw).digest()[:16]
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def content_of(content_type: str, raw: bytes) -> Content:
    """The content of these bytes, which may be JSON text in UTF-8."""
    if not is_json(content_type):
        return Content(content_type, raw)
    return Content(plain_type(content_type), raw.decode())


def plain_type(content_type: str) -> str:
    """A type of JSON without parameters, because JSON is always UTF-8 (RFC 8259 section 8.1)."""
    return content_type.partition(";")[0].strip().lower()


def json_content(value: Any) -> Content:
    """The content of a program's own JSON value, or of a `Literal`.

    >>> json_content({"a": 1.5})
    Content(content_type='application/json', data='{"a":1.5}')
    """
    return Content(JSON, text_of(value))


@dataclass(frozen=True, slots=True)
class StoredValue:
    """`content` is None if it was not asked for. `written` is the ULID of the write."""

    name: str
    content_type: str
    etag: str
    size: int
    written: str
    content: Content | None = None

    @property
    def updated_at(self) -> str:
        return ids.timestamp(self.written)


def items_of(place: Place, epoch: str, name: str, content: Content, written: str) -> list[Item]:
    """The items to store. The first one tells all but the further bodies, of which each has the id
    of its write, so that a reader sees whether they belong together."""
    first, *further = _divide(content.data)
    about: dict[str, Value | None] = {
        "content_type": None if content.content_type == JSON else content.content_type,
        "total_bytes": len(content.raw),
        "parts": 1 + len(further) if further else None,
    }
    common: Item = {"epoch": epoch, "written": written}
    items: list[Item] = [
        {
            **place.value_key(name),
            **common,
            "etag": content.etag,
            **{attribute: value for attribute, value in about.items() if value is not None},
            "body": first,
        }
    ]
    for number, body in enumerate(further, 1):
        items.append({**place.part_key(name, number), **common, "body": body})
    return items


def _divide(data: str | bytes) -> Sequence[str | bytes]:
    if isinstance(data, str):
        return split(data)
    return [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)] or [b""]


def parts_of(item: Item) -> int:
    """The number of a value's items. A damaged number is read as the greatest, so that none of them
    is left when the value is replaced."""
    parts = item.get("parts", 1)
    return parts if isinstance(parts, int) and 0 < parts < MOST_PARTS else MOST_PARTS


def describe(name: str, first: Item) -> StoredValue | None:
    """The value without its content; None if its item is damaged."""
    size, written, etag = first.get("total_bytes"), str(first.get("written")), first.get("etag")
    if not isinstance(size, int) or not isinstance(etag, str):
        return None
    if not ids.is_ulid(written) or written > ids.END_OF_TIME:
        return None
    return StoredValue(name, str(first.get("content_type", JSON)), etag, size, written)


def assemble(name: str, items: Sequence[Item]) -> StoredValue | None:
    """The value of these items, of which there are as many as the first one tells, and all of the
    same write; None if it is damaged. Its ETag tells, because it is a hash."""
    described = describe(name, items[0])
    bodies = [item.get("body") for item in items]
    if described is None:
        return None
    texts = [body for body in bodies if isinstance(body, str)]
    raws = [body for body in bodies if isinstance(body, bytes)]
    if len(texts) == len(bodies):
        content = Content(described.content_type, "".join(texts))
    elif len(raws) == len(bodies):
        content = Content(described.content_type, b"".join(raws))
    else:
        return None
    if content.etag != described.etag or is_json(content.content_type) != bool(texts):
        return None
    return StoredValue(
        name, content.content_type, content.etag, len(content.raw), described.written, content
    )
