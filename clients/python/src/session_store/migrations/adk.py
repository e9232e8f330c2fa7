"""SqliteSessionService and DatabaseSessionService (over SQLite) of Google ADK.

Artifacts are not in these databases.
"""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from session_store.migrations import (
    Conversation,
    Record,
    SourceUnreadable,
    Values,
    open_sqlite,
    parse_json,
    utc,
)
from session_store.models import DatedMessage, Write

FORMAT, STATE, NAN_TYPE = "adk.event", "state:", "application/json5"
"""As in session_store.adapters.adk."""


def read(path: Path) -> Iterator[Record]:
    """
    Raises:
        SourceUnreadable: also if the database has ADK's old schema, with pickled events.
    """
    with open_sqlite(path, "sessions", "events", "app_states", "user_states") as database:
        columns = {row["name"] for row in database.execute("PRAGMA table_info(events)")}
        if "event_data" not in columns:
            raise SourceUnreadable(
                f"{path}: has ADK's old schema. `adk migrate session` makes a new database of it"
            )
        for row in database.execute("SELECT * FROM app_states WHERE state != '{}'"):
            app = row["app_name"]
            state = _state(row["state"], f"{path}, state of the app {app}", _shared(app))
            yield Values(place="tenant", values=state)
        for row in database.execute("SELECT * FROM user_states WHERE state != '{}'"):
            app, user = row["app_name"], row["user_id"]
            state = _state(row["state"], f"{path}, state of the user {user}", _shared(app))
            yield Values(place="user", values=state, user=user)
        tie = "id" if _by_sqlalchemy(database) else "rowid"
        for row in database.execute("SELECT * FROM sessions ORDER BY create_time"):
            yield _session(database, path, row, tie)


def _by_sqlalchemy(database: Connection) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE name = 'adk_internal_metadata'"
    return database.execute(query).fetchone() is not None


def _session(database: Connection, path: Path, row: Any, tie: str) -> Conversation:
    app, user, adk_id = row["app_name"], row["user_id"], row["id"]
    where = f"{path}, session {adk_id}"
    query = "SELECT * FROM events WHERE app_name = ? AND user_id = ? AND session_id = ? ORDER BY "
    found = database.execute(f"{query} timestamp, {tie}", (app, user, adk_id))
    return Conversation(
        session={"key": f"{_escape(app)}/{adk_id.strip()}", "domain_id": app},
        messages=[_message(event, f"{where}, event {event['id']}") for event in found],
        values=_state(row["state"], where, STATE),
        created_at=_time(row["create_time"], where),
        user=user,
    )


def _message(row: Any, where: str) -> DatedMessage:
    event = parse_json(row["event_data"] or "{}", where)
    if not isinstance(event, dict):
        raise SourceUnreadable(f"{where}: no event")
    at = _time(row["timestamp"], where)
    known = {"id": row["id"], "invocation_id": row["invocation_id"]}
    event = {"timestamp": datetime.fromisoformat(at).timestamp(), **event, **known}
    message: DatedMessage = {"format": FORMAT, "native": event, "created_at": at}
    if not _is_json(event):
        message["native"] = json.dumps(event)
        message["role"] = "user" if event.get("author") == "user" else "assistant"
    return message


def _state(text: str, where: str, start: str) -> list[Write]:
    state = parse_json(text, where)
    if not isinstance(state, dict):
        raise SourceUnreadable(f"{where}: no state")
    return [_write(start + _escape(key), value) for key, value in state.items()]


def _write(name: str, value: Any) -> Write:
    if _is_json(value):
        return {"put": name, "json": value}
    text = base64.b64encode(json.dumps(value).encode()).decode()
    return {"put": name, "base64": text, "content_type": NAN_TYPE}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("/", "%2F")


def _shared(app: str) -> str:
    return f"adk:{_escape(app)}/{STATE}"


def _time(at: float | str, where: str) -> str:
    """SqliteSessionService keeps seconds since 1970, the other one times in UTC."""
    if isinstance(at, float | int):
        return datetime.fromtimestamp(at, UTC).isoformat()
    return utc(at, where)
