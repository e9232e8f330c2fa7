"""Messages without the words of a source."""

from dataclasses import dataclass

from app.grounding.redaction import held_by
from app.literals import replaced
from app.messages.model import Message


@dataclass(frozen=True, slots=True)
class Redacted:
    """`places` are JSON Pointers to what was replaced in the text, in `content`, `native`,
    `metadata` or `grounding`. Without any, the text is as it was."""

    body: str
    places: tuple[str, ...]


def redact(body: str, key_hash: str) -> Redacted:
    """The stored text of a message without what the source with this key says
    (`app.grounding.redaction`). All other literals, and the white space, are as they were. A second
    call finds nothing. A damaged text is left alone.

    The text can become longer by at most 1,000 characters (`MAX_MARKS`).
    """
    message = Message("", "", body, role="", created_by="")
    if not body.startswith("{") or not message.is_readable:
        return Redacted(body, ())
    instead = held_by(
        key_hash,
        message.format,
        message.native,
        message.content,
        message.metadata,
        message.request,
    )
    return Redacted(replaced(body, instead) if instead else body, tuple(instead))
