"""SQLiteSession, AsyncSQLiteSession and SQLAlchemySession (over SQLite) of the OpenAI Agents SDK.
Their tables have the default names."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from session_store.migrations import (
    Conversation,
    SourceUnreadable,
    open_sqlite,
    parse_json,
    utc,
)
from session_store.models import DatedMessage

DOMAIN = "openai-agents"
FORMAT = "openai.responses"
OTHER_FORMAT = "openai-agents.item"
TEXT_FORMAT = "openai-agents.json"
"""As in session_store.adapters.openai_agents."""


def read(path: Path) -> Iterator[Conversation]:
    """Branches of an AdvancedSQLiteSession are not known to the adapter.

    Raises:
        SourceUnreadable: also if a session has branches.
    """
    with open_sqlite(path, "agent_sessions", "agent_messages") as database:
        _refuse_branches(database, path)
        for key, created_at in database.execute(
            "SELECT session_id, created_at FROM agent_sessions ORDER BY created_at, session_id"
        ):
            rows = database.execute(
                "SELECT id, message_data, created_at FROM agent_messages "
                "WHERE session_id = ? ORDER BY id",
                (key,),
            )
            yield Conversation(
                session={"key": key, "domain_id": DOMAIN},
                messages=[_message(text, at, f"{path}, row {number}") for number, text, at in rows],
                created_at=utc(created_at, f"{path}, session {key}"),
            )


def _refuse_branches(database: Any, path: Path) -> None:
    query = "SELECT 1 FROM sqlite_master WHERE name = 'message_structure'"
    if not database.execute(query).fetchone():
        return
    query = "SELECT session_id FROM message_structure WHERE branch_id != 'main'"
    if found := database.execute(query).fetchone():
        raise SourceUnreadable(f"{path}: session {found[0]} has branches")


def _message(text: str, created_at: str, where: str) -> DatedMessage:
    item = parse_json(text, where)
    if not isinstance(item, dict):
        raise SourceUnreadable(f"{where}: no item of the SDK")
    role, kind = item.get("role"), str(item.get("type", ""))
    if not isinstance(role, str) or not role:
        role = "tool" if kind.endswith("_output") else "assistant"
    message: DatedMessage = {
        "role": role,
        "format": FORMAT if kind or "role" in item else OTHER_FORMAT,
        "native": item,
        "created_at": utc(created_at, where),
    }
    try:
        json.dumps(item, allow_nan=False)
    except ValueError:
        message["format"], message["native"] = TEXT_FORMAT, json.dumps(item)
    return message
