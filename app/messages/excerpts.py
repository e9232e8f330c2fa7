"""The beginning of a message's text, which the list of sessions shows."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from app import formats
from app.formats.reading import readable
from app.literals import value_of
from app.messages.model import Message, NewMessage

MAX_CHARACTERS, MAX_BYTES = 160, 240

_UNSEEN = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def excerpt(message: NewMessage | Message) -> str:
    """At most 160 characters and 240 bytes of what a person would read, on one line."""
    text = ""
    if message.native is not None:
        text = formats.text(message.format, value_of(message.native))
    if not text:
        pieces = islice(_texts(value_of(message.content)), MAX_CHARACTERS)
        text = " ".join(piece[:_ENOUGH] for piece in pieces)
    line = _UNSEEN.sub(" ", readable(text[:_ENOUGH])).strip()[:MAX_CHARACTERS]
    return line.encode()[:MAX_BYTES].decode(errors="ignore")


_ENOUGH = 4 * MAX_CHARACTERS
"""Characters of a text that are looked at. The others would hardly be shown."""


def _texts(content: Any) -> Iterator[str]:
    """The texts of content: a string, or a list of strings and of blocks with a text."""
    blocks = content if isinstance(content, list) else [content]
    for block in islice(blocks, _ENOUGH):
        text = block.get("text") if isinstance(block, dict) else block
        if isinstance(text, str):
            yield text
