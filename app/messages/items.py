"""The items of a message: its text, divided if it is long, and the feedback on it."""

from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring as quoted

from app.literals import text_fault
from app.logs import log_damaged
from app.messages.model import COMPLETE, MEMBERS, STATUSES, Message
from app.table import ids, keys
from app.table.item_sizes import split
from app.table.writes import Item


def items_of(partition: str, message: Message) -> list[Item]:
    """The items to store for a message that has no feedback."""
    first, *further = split(message.body)
    parts: Item = {"parts": 1 + len(further)} if further else {}
    key = keys.message(partition, message.session_ulid, message.ulid)
    items: list[Item] = [{**key, **message.attributes(), "body": first, **parts}]
    for number, body in enumerate(further, 1):
        key = keys.message(partition, message.session_ulid, message.ulid, number)
        items.append({**key, "body": body, **parts})
    return items


def assemble(
    session_ulid: str, items: Iterable[Item], damaged: set[str] | None = None
) -> Iterator[Message]:
    """Builds a session's messages from their items, which may be ascending or descending.

    A message's first item holds the numbers of its parts and of its feedback, so nothing is read
    after the last item. Incomplete messages are left out, because a query may not see all items of
    a transaction yet. Damaged messages are left out and logged, and their ULIDs are added to
    `damaged`.
    """
    pending: list[Item] = []

    def flush() -> Iterator[Message]:
        pieces = _pieces(pending)
        first = pieces[0] if pieces else pending[0]
        if not keys.is_message(str(first["SK"])) or len(pieces) < _number(first, "parts", 1):
            return  # the others are not visible yet
        message = _build(session_ulid, first, pending)
        if message:
            yield message
        else:
            log_damaged(str(first.get("PK")), str(first["SK"]))
            if damaged is not None:
                damaged.add(message_of(first))

    for item in items:
        if pending and message_of(pending[0]) != message_of(item):
            yield from flush()
            pending = []
        pending.append(item)
        if _is_whole(pending):
            yield from flush()
            pending = []
    if pending:
        yield from flush()


def _pieces(items: list[Item]) -> list[Item]:
    """The items of a message's text, in their order. Nearly every message has one."""
    if len(items) == 1:
        return items
    pieces = [item for item in items if not keys.is_feedback(str(item["SK"]))]
    return sorted(pieces, key=lambda item: str(item["SK"]))


def _is_whole(items: list[Item]) -> bool:
    """Whether no more items of the message follow: backwards, its first item is the last."""
    first = items[0]
    if len(items) == 1 and "parts" not in first and "raters" not in first:
        return keys.is_message(str(first["SK"]))
    if keys.is_message(str(items[-1]["SK"])) and len(items) > 1:
        return True
    if not keys.is_message(str(first["SK"])):
        return False
    return len(items) >= _number(first, "parts", 1) + _number(first, "raters", 0)


def _number(item: Item, name: str, absent: int) -> int:
    """A number that may be damaged; the message is then reported when it is built."""
    value = item.get(name, absent)
    return value if isinstance(value, int) else 1


def _build(session_ulid: str, first: Item, items: list[Item]) -> Message | None:
    """None if the message is damaged."""
    try:
        pieces = _pieces(items)
        if len(pieces) != first.get("parts", 1):
            return None
        body = str(first["body"])
        if len(pieces) > 1:
            body = "".join(str(piece["body"]) for piece in pieces)
        edited = first.get("edited")
        message = Message(
            session_ulid,
            message_of(first),
            body,
            role=str(first["message_role"]),
            created_by=str(first["created_by"]),
            name=str(first["message_name"]) if "message_name" in first else None,
            status=str(first.get("message_status", COMPLETE)),
            edited=str(edited) if edited else None,
            imported="imported" in first,
            feedback=tuple(_feedback(items)) if len(items) > 1 else (),
            sources=str(first.get("sources", "")),
            given=str(first.get("given", "")),
        )
    except (IndexError, KeyError, ValueError):
        return None
    ulids = [message.ulid, *([message.edited] if message.edited else [])]
    sound = all(ids.is_ulid(ulid) and ulid < ids.END_OF_TIME for ulid in ulids)
    return message if sound and message.status in STATUSES and is_sound(body) else None


def _feedback(items: Iterable[Item]) -> Iterator[str]:
    """The JSON texts of the feedback among a message's items, in the order in which it was given.
    Damaged feedback is left out."""
    given = [item for item in items if keys.is_feedback(str(item["SK"]))]
    for item in sorted(given, key=lambda item: str(item.get("rated"))):
        rated, body = str(item.get("rated")), str(item.get("body"))
        if ids.is_ulid(rated) and rated < ids.END_OF_TIME and not text_fault(body):
            by = quoted(str(item.get("rater")))
            yield f'{{"by":{by},"at":"{ids.timestamp(rated)}",{body[1:]}'


def is_sound(body: str) -> bool:
    """Whether stored text can be part of a response without making it invalid JSON.

    Parsing every message would cost as much as the rest of the response. So text is parsed only if
    it does not begin and end like that of `NewMessage.body`, or contains NaN or Infinity. The
    `check` command parses all text.
    """
    if not body.startswith(_USUAL_START) or body.rfind(_USUAL_END) < 0 or body[-2:] != "}}":
        return text_fault(body, MEMBERS) is None
    # Finding a single letter is much faster than finding a word.
    capital_n, capital_i = body.find("N"), body.find("I")
    if (capital_n >= 0 and body.find("NaN", capital_n) >= 0) or (
        capital_i >= 0 and body.find("Infinity", capital_i) >= 0
    ):
        return text_fault(body, MEMBERS) is None
    return True


_USUAL_START, _USUAL_END = '{"content":', ',"metadata":{'


def message_of(item: Item) -> str:
    return keys.message_of(str(item["SK"]))
