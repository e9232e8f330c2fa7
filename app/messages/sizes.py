"""The maximum sizes of messages, from the limits of DynamoDB and of Lambda's responses."""

from collections.abc import Sequence
from json.encoder import encode_basestring as quoted

from app.errors import TooLarge, ValidationFailed
from app.identity.caller import Caller
from app.messages.model import MAX_BATCH, MAX_RATERS, STATUSES, Message, NewMessage
from app.sessions.model import MAX_HEAD_WIRE
from app.table import ids
from app.table.item_sizes import most_together
from app.wire import AS_SENT, MAX_WIRE_BYTES, wire_size

MAX_MESSAGE_BYTES = 3 * 1024 * 1024
"""Maximum bytes of one message as JSON text in UTF-8."""

MAX_FEEDBACK_WIRE = 3_000
"""Maximum bytes of one feedback on a message in such a body."""

MAX_MESSAGE_WIRE = MAX_WIRE_BYTES - MAX_HEAD_WIRE - MAX_RATERS * MAX_FEEDBACK_WIRE
"""Maximum bytes of one message in such a body. A larger message could be stored, but never read.
There must be room for the session and for feedback, too."""

MAX_IDS_WIRE = 16_000
"""More bytes in such a body than a message has besides its text: its ids, role, name and so on."""


def body(index: int, message: NewMessage, created_by: str) -> str:
    """The text to store for one message of a request.

    Raises:
        TooLarge: the detail has the size and the limit.
    """
    text = message.body()
    size = len(text.encode())
    if size > MAX_MESSAGE_BYTES:
        raise TooLarge(
            f"Message {index} has {size:,} bytes as JSON; "
            f"the limit for a message is {MAX_MESSAGE_BYTES:,}."
        )
    if _may_exceed(size, MAX_MESSAGE_WIRE):
        wire = _wire(message, text, created_by, edited=True)
        if wire > MAX_MESSAGE_WIRE:
            raise TooLarge(
                f"Message {index} could not be read again: it has {wire:,} bytes in a response "
                f"{AS_SENT}. The limit is {MAX_MESSAGE_WIRE:,}."
            )
    return text


def check_feedback(rater: str, body: str) -> None:
    """
    Raises:
        ValidationFailed: it is too long to come with its message.
    """
    wire = wire_size(body) + wire_size(quoted(rater)) + MAX_FEEDBACK_WIRE // 10
    if wire > MAX_FEEDBACK_WIRE:
        fault = f"Too long: the feedback has {wire:,} bytes {AS_SENT}, of {MAX_FEEDBACK_WIRE:,}."
        raise ValidationFailed.of_json([("comment", fault)])


def bodies(
    messages: Sequence[NewMessage], caller: Caller, *, answered_whole: bool = False
) -> list[str]:
    """The texts to store, which the caller sends together.

    With `answered_whole`, one response must have room for all of the messages.

    Raises:
        TooLarge: the detail has the size and the limit.
    """
    texts = [body(index, message, caller.writer) for index, message in enumerate(messages)]
    sizes = [len(text.encode()) for text in texts]
    most = most_together(len(texts), caller.partition, caller.writer)
    if sum(sizes) > most:
        raise TooLarge(
            f"The messages have {sum(sizes):,} bytes as JSON. The limit for a batch is "
            f"{most:,}, because it is one DynamoDB transaction. Send smaller batches."
        )
    if answered_whole and _may_exceed(sum(sizes), MAX_WIRE_BYTES):
        wires = (_wire(*each, caller.writer) for each in zip(messages, texts, strict=True))
        wire = sum(wires) + wire_size('{"messages":[]}') - 1
        if wire > MAX_WIRE_BYTES:
            raise TooLarge(
                f"The response would have {wire:,} bytes {AS_SENT}. The limit is "
                f"{MAX_WIRE_BYTES:,}. Send Prefer: return=minimal to get only ids and times, or "
                "send smaller batches. Nothing was written."
            )
    return texts


def _wire(message: NewMessage, body: str, created_by: str, *, edited: bool = False) -> int:
    """Bytes of a message in a response, with the comma after it. With `edited`, the most that they
    are after an edit."""
    whole = Message(
        ids.LEAST,
        ids.LEAST,
        body,
        role=message.spoken_role or "",
        created_by=created_by,
        name=message.name,
        status=max(STATUSES, key=len) if edited else message.status,
        edited=ids.LEAST if edited else None,
    )
    return wire_size(whole.json) + 1


def _may_exceed(utf8_size: int, most: int) -> bool:
    """Whether the wire size must be counted. No character of JSON takes more than six times its
    size in UTF-8: DELETE (U+007F) takes six, all others three at most."""
    return 6 * utf8_size + MAX_BATCH * MAX_IDS_WIRE > most
