"""Messages in responses. Their stored text is sent unchanged."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.http.answers import JsonText, json_array
from app.messages.editor import Edit
from app.messages.model import Message
from app.messages.reader import MessagePage
from app.table.ids import MESSAGE_PREFIX, SESSION_PREFIX, timestamp


def message_list(messages: Iterable[Message]) -> JsonText:
    return json_array([message.json for message in messages])


def previous_member(query: Mapping[str, str]) -> dict[str, str | None]:
    """The member `previous`, if the request named the previous message in `after`."""
    if "after" not in query:
        return {}
    after = query["after"]
    return {"previous": after if after.startswith(MESSAGE_PREFIX) else None}


def unindexed_member(count: int) -> dict[str, int]:
    """The member `unindexed`, if a request had more sources than are indexed."""
    return {"unindexed": count} if count else {}


def receipt(message: Message) -> dict[str, str]:
    """The members of a stored message that its sender does not know yet."""
    return {
        "message_id": message.message_id,
        "session_id": message.session_id,
        "timestamp": message.timestamp,
    }


def page_members(page: MessagePage) -> dict[str, Any]:
    """The members `messages`, `next_cursor` and `changed` of a response."""
    return {
        "messages": message_list(page.messages),
        "next_cursor": page.next_cursor,
        "changed": page.changed,
    }


def edit_members(edit: Edit) -> dict[str, Any]:
    """What the sender of an edit does not know yet."""
    return {
        "message_id": MESSAGE_PREFIX + edit.ulid,
        "session_id": SESSION_PREFIX + edit.session_ulid,
        "timestamp": timestamp(edit.ulid),
        "edited_at": timestamp(edit.edited),
        "status": edit.status,
        **unindexed_member(edit.unindexed),
    }
