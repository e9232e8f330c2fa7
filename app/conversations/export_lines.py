"""Reads the lines of `app.conversations.exporting` as what the stores keep."""

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from json import JSONDecodeError
from typing import Any

from app.literals import Inside, Literal, NotJson, RepeatedName, Sent, read_object
from app.messages import edges, feedback, rules, sizes
from app.messages.model import MAX_RATERS, Message, NewMessage
from app.sessions.creation import NewSession
from app.sessions.model import Session
from app.table import ids, keys, ranges
from app.table.writes import Item
from app.values.model import JSON, Content, content_of
from app.verdicts.model import NewVerdict, Verdict

INSIDE = {"feedback": Inside(MAX_RATERS, {})}


def read_line(text: str) -> Sent:
    """
    Raises:
        ValueError: not a JSON object.
    """
    try:
        sent = read_object(text, INSIDE)
        if sent.keys() == {"type", "base64"}:
            sent = read_object(base64.b64decode(sent["base64"]).decode(), INSIDE)
    except RepeatedName as error:
        raise ValueError(f"{error} appears twice") from None
    except (JSONDecodeError, NotJson, RecursionError, binascii.Error):
        raise ValueError("not a JSON object") from None
    return sent


def position_of(sent: Sent) -> str:
    """The sort key after which the line after this one is to be found.

    Raises:
        KeyError, ValueError
    """
    session = str(sent.get("session_id", "")).removeprefix(ids.SESSION_PREFIX)
    if "message_id" in sent:
        return end_of_message(session, str(sent["message_id"]).removeprefix(ids.MESSAGE_PREFIX))
    if "hash" in sent:
        return keys.verdict("", sent["hash"])["SK"]
    if "name" in sent:
        return keys.value("", session, sent["name"])["SK"]
    if sent["type"] == "session":
        return keys.session("", session)["SK"]
    return ranges.all_of_session(session)[1]  # of a damaged session, or one that is gone


def end_of_message(session_ulid: str, message_ulid: str) -> str:
    """The sort key after a message's parts and the feedback on it."""
    return ranges.message_with_parts(session_ulid, message_ulid)[1]


def session_in(sent: Sent) -> Session:
    """
    Raises:
        ValidationFailed, KeyError, ValueError
    """
    key = sent.get("key")
    metadata = Literal(sent.texts["metadata"], sent["metadata"])
    new = NewSession(
        domain_id=sent["domain_id"],
        title=sent["title"],
        metadata=metadata,
        archived=sent.get("archived", False),
        pinned=sent.get("pinned", False),
        key=key,
    )
    new.check()
    ulid, born = _ulid(ids.SESSION_PREFIX, sent["session_id"]), _ulid("", sent["born"])
    if ulid != (ids.from_key(key) if key else ulid):
        raise ValueError("session_id is not that of the key")
    made = replace(new.made(born), ulid=ulid, last_activity=_time(sent["last_activity"]))
    origin = sent.get("forked_from") or {}
    source = str(origin.get("session_id", "")).removeprefix(ids.SESSION_PREFIX)
    last = str(origin.get("message_id") or "").removeprefix(ids.MESSAGE_PREFIX)
    return replace(
        made,
        version=int(sent["version"]),
        settings_version=int(sent["settings_version"]),
        last_ulid=_ulid("", sent["etag"]),
        changed=_ulid("", sent["changed"]),
        expires_at=_time(sent["expires_at"]) if sent.get("expires_at") else None,
        forked_from=f"{source}#{last}" if source else None,
        imported=_time(sent["created_at"]) if sent.get("imported") else None,
    )


def message_in(session_ulid: str, sent: Sent, partition: str, *, web_sources: bool) -> Message:
    """
    Raises:
        ValidationFailed, TooLarge, KeyError, ValueError
    """

    def literal(name: str) -> Literal | None:
        return Literal(sent.texts[name], sent[name]) if name in sent else None

    new = NewMessage(
        role=sent["role"],
        content=literal("content"),
        name=sent.get("name"),
        metadata=literal("metadata"),
        format=sent.get("format"),
        native=literal("native"),
        grounding=literal("grounding"),
        status=sent.get("status", "complete"),
    )
    rules.check_many([new], 1)
    created_by = str(sent["created_by"])
    body = sizes.body(0, new, created_by)
    [indexed], _ = edges.choose(edges.find([new], web=web_sources), partition, [body])
    return Message(
        session_ulid,
        _ulid(ids.MESSAGE_PREFIX, sent["message_id"]),
        body,
        role=sent["role"],
        created_by=created_by,
        name=new.name,
        status=new.status,
        edited=_ulid("", sent["edited"]) if "edited" in sent else None,
        imported=bool(sent.get("imported")),
        sources=indexed.sources,
        given=indexed.given,
    )


def feedback_in(partition: str, message: Message, given: Iterable[Sent]) -> Iterator[Item]:
    rated = ""
    for each in given:
        rater = str(each["by"])
        rules.check_feedback(each["rating"], each["comment"])
        body = feedback.body_of(Literal(each.texts["rating"], each["rating"]), each["comment"])
        [rated] = ids.UlidSource().new(after=rated, now=milliseconds_in(each["at"]))
        key = feedback.key_of(partition, message.session_ulid, message.ulid, rater)
        yield {**key, "rater": rater, "rated": rated, "body": body}


def content_in(sent: Sent) -> Content:
    content_type = sent.get("content_type", JSON)
    if "json" in sent:
        return Content(content_type, sent.texts["json"])
    return content_of(content_type, base64.b64decode(sent["base64"], validate=True))


def verdict_in(sent: Sent) -> Verdict:
    """
    Raises:
        ValidationFailed, KeyError, ValueError
    """
    said = NewVerdict(sent["key"], sent["state"], sent.get("version"), sent.get("reason"))
    said.check(sent["hash"])
    return Verdict(said, str(sent["governed_by"]), _ulid("", sent["etag"]))


def _ulid(prefix: str, value: Any) -> str:
    ulid = str(value).removeprefix(prefix)
    if not ids.is_ulid(ulid) or ulid > ids.END_OF_TIME:
        raise ValueError(f"not an id: {str(value)[:40]}")
    return ulid


def _time(value: Any) -> str:
    return ids.iso_time(milliseconds_in(value))


def milliseconds_in(value: Any) -> int:
    if datetime.fromisoformat(str(value)).tzinfo is None:
        raise ValueError(f"a time without its zone: {str(value)[:40]}")
    return ids.milliseconds_of(str(value))
