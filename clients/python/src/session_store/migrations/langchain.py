"""LangChain's SQLChatMessageHistory (a SQLite file with the table `message_store`) and
FileChatMessageHistory (a JSON file for each session, or a folder of them).

Both keep messages as `messages_to_dict` gives them and no times. The time of all is that of the
file's last change.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from session_store.migrations import (
    Conversation,
    SourceUnreadable,
    modified_at,
    open_sqlite,
    parse_json,
    read_json,
)
from session_store.models import DatedMessage

DOMAIN = "langchain"
FORMAT = "langchain.message"
TEXT_FORMAT = "langchain.json"
"""Of a message with NaN or Infinity, which is kept as Python's JSON text."""

ROLES = {"human": "user", "ai": "assistant"}


def read(path: Path) -> Iterator[Conversation]:
    """A session of a JSON file has the file's name without `.json` as key."""
    if path.is_dir():
        files = sorted(path.glob("*.json"))
        if not files:
            raise SourceUnreadable(f"{path}: no JSON files")
        for file in files:
            yield _file(file)
    elif _is_sqlite(path):
        yield from _database(path)
    else:
        yield _file(path)


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError as error:
        raise SourceUnreadable(f"{path}: {error.strerror}") from None


def _database(path: Path) -> Iterator[Conversation]:
    at = modified_at(path)
    with open_sqlite(path, "message_store") as database:
        query = "SELECT session_id FROM message_store GROUP BY session_id ORDER BY min(id)"
        for (key,) in database.execute(query):
            query = "SELECT id, message FROM message_store WHERE session_id = ? ORDER BY id"
            rows = database.execute(query, (key,))
            yield _conversation(
                key,
                [
                    _message(parse_json(text, f"{path}, row {number}"), at, f"{path}, row {number}")
                    for number, text in rows
                ],
                at,
            )


def _file(path: Path) -> Conversation:
    found = read_json(path)
    if not isinstance(found, list):
        raise SourceUnreadable(f"{path}: no list of messages")
    at = modified_at(path)
    messages = [_message(each, at, f"{path}, message {n}") for n, each in enumerate(found)]
    return _conversation(path.stem, messages, at)


def _conversation(key: str, messages: list[DatedMessage], at: str) -> Conversation:
    return Conversation(session={"key": key, "domain_id": DOMAIN}, messages=messages, created_at=at)


def _message(native: Any, at: str, where: str) -> DatedMessage:
    match native:
        case {"type": str() as kind, "data": {"content": _}}:
            pass
        case _:
            raise SourceUnreadable(f"{where}: no message of LangChain")
    message: DatedMessage = {"format": FORMAT, "native": native, "created_at": at}
    try:
        json.dumps(native, allow_nan=False)
    except ValueError:
        text = json.dumps(native)
        message |= {"format": TEXT_FORMAT, "native": text, "role": ROLES.get(kind, kind)}
    return message
