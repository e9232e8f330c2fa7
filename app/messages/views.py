"""Messages in responses as a query asks for them: as they were stored, in the neutral view, and
with a summary of what they rest on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.grounding import Grounding
from app.grounding.answers import Shape
from app.grounding.verdicts import Verdicts
from app.http.answers import json_array, json_object
from app.identity.caller import Caller
from app.literals import read_object
from app.messages.answers import page_members
from app.messages.grounding import Ask, found_in, keys_of, may_cite, summary
from app.messages.model import Message
from app.messages.neutral import neutral
from app.messages.reader import MessagePage, Order, first_of
from app.wire import MAX_ANSWER, wire_size

DERIVED = ("view", "include")
"""Parameters of a query. With any of them, more than the messages may change an answer."""


def shown_members(
    caller: Caller,
    session_id: str,
    page: MessagePage,
    order: Order,
    query: Mapping[str, Any],
    ask: Ask,
    *,
    latest: bool = False,
) -> dict[str, Any]:
    """The members `messages`, `next_cursor` and `changed` of a response, as the query asks for
    them. A page ends early if the response would become too large. With `latest`, the page is the
    end of a session, oldest message first, and ends early at its beginning."""
    if not any(name in query for name in DERIVED):
        return page_members(page)
    step = -1 if latest else 1
    texts: list[str] = []
    size = 0
    for text in shown(page.messages[::step], query, ask):
        size += wire_size(text) + 1
        if texts and size > MAX_ANSWER:
            break
        texts.append(text)
    if len(texts) < len(page.messages):
        in_order = replace(page, messages=page.messages[::step])
        page = first_of(caller, session_id, in_order, len(texts), order)
    return {**page_members(page), "messages": json_array(texts[::step])}


def shown(messages: Sequence[Message], query: Mapping[str, Any], ask: Ask) -> Iterator[str]:
    """The JSON texts of the first messages, of as many as one response may have room for."""
    is_neutral, is_summed = query.get("view") == "neutral", "include" in query
    found = found_in(messages, lambda message: is_neutral or may_cite(message))
    said = ask(keys_of(found, offered=is_neutral))
    shape = Shape(utf16=query.get("offsets") == "utf16", joined=True, verdicts=said)
    for message, each in zip(messages, found, strict=False):
        if is_neutral:
            member = _member(each, said) if is_summed else ""
            yield neutral(message, each, shape, member)
        else:
            yield _with_summary(message, each, said)


def _member(found: Grounding, said: Verdicts) -> str:
    """The text of the member `grounding`, with a comma; empty if nothing is cited."""
    members = summary(found, said)
    return f'"grounding":{json_object(members)},' if members else ""


def _with_summary(message: Message, found: Grounding, said: Verdicts) -> str:
    """All members but `grounding` stay as they are. A client can send only `request` in it."""
    members = summary(found, said)
    if not members or not (sent := message.sent):
        return message.json
    texts = sent.texts
    if "grounding" not in texts:
        return f"{message.head}{_member(found, said)}{message.body[1:]}"
    request = read_object(texts["grounding"]).texts["request"]
    texts["grounding"] = f'{{"request":{request},{str(json_object(members))[1:]}'
    said_again = ",".join(f'"{name}":{text}' for name, text in texts.items())
    return f"{message.head}{said_again}}}"
