"""Messages in an answer. Their stored text goes out as it is."""

from collections.abc import Iterable
from typing import Any

from app.http.answers import JsonText, json_array
from app.messages.model import Message
from app.messages.reader import MessagePage


def message_list(messages: Iterable[Message]) -> JsonText:
    return json_array([message.to_json() for message in messages])


def receipt(message: Message) -> dict[str, str]:
    """What a client cannot know of a message that it has sent."""
    return {
        "message_id": message.message_id,
        "session_id": message.session_id,
        "timestamp": message.timestamp,
    }


def page_members(page: MessagePage) -> dict[str, Any]:
    """The members `messages` and `next_cursor` of an answer."""
    return {"messages": message_list(page.messages), "next_cursor": page.next_cursor}
