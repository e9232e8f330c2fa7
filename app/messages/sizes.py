"""How large messages may be: for the table, and for the answers that have to show them."""

import json
from collections.abc import Sequence

from app.errors import TooLarge
from app.messages.model import MAX_BATCH, Message, NewMessage
from app.sessions.model import MAX_HEAD_WIRE

MAX_MESSAGE_BYTES = 3 * 1024 * 1024
"""Of one message as JSON text in UTF-8."""

MAX_BATCH_BYTES = 4 * 1024 * 1024 - 128 * 1024
"""Of all messages of a batch. A transaction takes 4 MB; the session, the record and the keys use
the rest. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

MAX_WIRE_BYTES = 6_270_000
"""Of an answer's body as it stands in Lambda's answer, which takes 6,291,556 bytes with its
headers: as a JSON string (`wire_size`).
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

MAX_MESSAGE_WIRE = MAX_WIRE_BYTES - MAX_HEAD_WIRE
"""Of one message in such a body: what is larger could be stored and never read. It is read with its
session, too."""


def bodies(
    messages: Sequence[NewMessage], created_by: str, *, answered_whole: bool = False
) -> list[str]:
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
    if answered_whole and _may_exceed(sum(sizes), MAX_WIRE_BYTES):
        _check_answer(texts)
    return texts


def _check_answer(bodies: Sequence[str]) -> None:
    """Whether an answer with all of these messages can leave."""
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
    """Whether it is worth counting: no character of JSON takes more than six times its UTF-8, which
    DELETE (U+007F) does. All others take three times at most."""
    return 6 * utf8_size + MAX_BATCH * WIRE_OF_IDS > most


def wire_size(text: str) -> int:
    """Bytes of JSON text in Lambda's answer, as the strictest runtime escapes it: quotes,
    backslashes, DELETE, and everything that is not ASCII.

    >>> wire_size('["é"]') == len(json.dumps('["é"]')) - 2
    True
    >>> wire_size(chr(127)) == len(json.dumps(chr(127))) - 2
    True
    """
    if text.isascii():  # it is JSON, so DELETE is the only control character that may be in it
        return len(text) + text.count('"') + text.count("\\") + 5 * text.count("\x7f")
    return len(json.dumps(text)) - 2


WIRE_OF_IDS = wire_size(Message("0" * 26, "0" * 26, "{").to_json())
"""Of a message's ids and time, which all have the same length; with the comma after a message."""
