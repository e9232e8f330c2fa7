"""Feedback on messages: one item for each message and rater (access pattern 17)."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import FeedbackNotFound, MessageNotFound, SessionNotFound, TooManyRaters
from app.identity.caller import Caller
from app.literals import text_of
from app.messages import head_writes, rules, sizes
from app.messages.bounds import bounds_of
from app.messages.model import MAX_RATERS
from app.sessions.model import is_live, ulid_of
from app.sessions.write_ids import WriteIds
from app.table import ids, keys, writes
from app.table.db import ConditionFailed, Table
from app.table.writes import Item, Write


@dataclass(frozen=True, slots=True)
class Given:
    """Feedback that was stored. `rated` is the id of the write, and the session's new version.
    `body` is JSON text."""

    rater: str
    rated: str
    body: str


class FeedbackStore:
    def __init__(self, table: Table, ulids: ids.UlidSource | None = None) -> None:
        self.table = table
        self.ulids = ulids or ids.UlidSource()

    def put(
        self,
        caller: Caller,
        session_id: str,
        message_id: str,
        *,
        rating: Any = None,
        comment: str | None = None,
        checked: bool = False,
    ) -> Given:
        """Stores the caller's feedback on a message, in the place of any older one. `rating` is a
        short text, a number or a bool, or a `Literal` of one. Costs 1 transaction; 2 if there is
        older feedback of the caller's.

        Raises:
            ValidationFailed, SessionNotFound, MessageNotFound, TooManyRaters
        """
        if not checked:
            rules.check_feedback(rating, comment)
        body = body_of(rating, comment)
        sizes.check_feedback(caller.writer, body)
        rated = self._write(caller, session_id, message_id, body, is_new=True)
        return Given(caller.writer, rated, body)

    def delete(self, caller: Caller, session_id: str, message_id: str) -> str:
        """Removes the caller's feedback. Returns the session's new version.

        Raises:
            SessionNotFound, MessageNotFound, FeedbackNotFound
        """
        return self._write(caller, session_id, message_id, None, is_new=False)

    def _write(
        self, caller: Caller, session_id: str, message_id: str, body: str | None, *, is_new: bool
    ) -> str:
        session_ulid = ulid_of(session_id)
        # For an id that is none, the session is still looked at first.
        ulid = ids.parse(ids.MESSAGE_PREFIX, message_id) or ids.LEAST
        key = key_of(caller.partition, session_ulid, ulid, caller.writer)
        message_key = keys.message(caller.partition, session_ulid, ulid)
        write_ids = WriteIds(self.table, self.ulids, caller)
        while True:
            [change] = write_ids.take()
            parts = _parts(key, message_key, caller.writer, body, change, is_new=is_new)
            count = 1 if is_new else -1 if body is None else 0
            parts["session"] = head_writes.rate(
                caller.partition, session_ulid, ulid, change, write_ids.now, count
            )
            try:
                self.table.transact(parts)
                return change
            except ConditionFailed as failed:
                head, message = failed.found.get("session"), failed.found.get("message")
                feedback = failed.found.get("feedback")
            if head is not None:
                if not is_live(head, write_ids.now):
                    raise SessionNotFound
                if not bounds_of(head).shows(ulid):
                    raise MessageNotFound
            if body is None and feedback is not None:
                raise FeedbackNotFound if message is None else MessageNotFound
            if feedback is not None:
                is_new = not feedback
            elif message is not None:
                raise TooManyRaters if message else MessageNotFound
            if head is not None:
                write_ids.follow(head, change)


def _parts(
    key: Mapping[str, str],
    message_key: Mapping[str, str],
    rater: str,
    body: str | None,
    change: str,
    *,
    is_new: bool,
) -> dict[str, Write]:
    """The writes, but for that of the session's item. `body` is None to remove feedback.

    The message counts its raters. Its item is not written where older feedback is replaced, because
    feedback is only there as long as its message is.
    """
    attributes: Item = {"rater": rater, "body": str(body), "rated": change}
    there = "attribute_exists(PK)"
    if body is None:
        fewer = writes.change(message_key, {}, {}, there, {"raters": -1})
        return {"message": fewer, "feedback": writes.delete(key, there)}
    if not is_new:
        return {"feedback": writes.put(key, attributes, there)}
    room = f"{there} AND (attribute_not_exists(raters) OR raters < :most)"
    more = writes.change(message_key, {}, {":most": MAX_RATERS}, room, {"raters": 1})
    absent = "attribute_not_exists(PK)"
    return {"message": more, "feedback": writes.put(key, attributes, absent)}


def body_of(rating: Any, comment: str | None) -> str:
    """The text that is stored."""
    return f'{{"rating":{text_of(rating)},"comment":{text_of(comment)}}}'


def key_of(partition: str, session_ulid: str, message_ulid: str, rater: str) -> keys.Key:
    """A hash of the rater, because the name may be too long for a key."""
    digest = hashlib.sha256(rater.encode()).digest()[:16]
    name = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return keys.feedback(partition, session_ulid, message_ulid, name)
