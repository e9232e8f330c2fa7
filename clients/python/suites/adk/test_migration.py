"""What ADK's own services have stored comes out of our service as it came out of them."""

from pathlib import Path

import pytest
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import database_session_service, sqlite_session_service
from google.genai import types

from session_store import Client
from session_store._importing import write
from session_store.migrations.adk import read
from suites import world


@pytest.mark.parametrize("kind", ["sqlite", "database"])
async def test_sessions_move_without_loss(service, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "sessions.db"
    theirs = (
        sqlite_session_service.SqliteSessionService(str(path))
        if kind == "sqlite"
        else database_session_service.DatabaseSessionService(f"sqlite+aiosqlite:///{path}")
    )
    where = {"app_name": "a/b", "user_id": "é"}
    made = await theirs.create_session(
        **where, session_id="s/1", state={"a": {"z": None}, "user:u": 1, "app:p": [1.5]}
    )
    part = types.Part.from_bytes(data=b"\xff\x00", mime_type="image/png")
    for n in range(3):
        event = Event(
            author="user" if n % 2 == 0 else "agent",
            content=types.Content(role="user", parts=[part, types.Part(text=f"é {n}")]),
            actions=EventActions(state_delta={f"k{n}": n}),
        )
        await theirs.append_event(made, event)
    expected = await theirs.get_session(**where, session_id="s/1")
    await theirs.close()

    client = Client(world.URL, world.token("agent"))
    for record in read(path):
        write(client, record)
    seen = await service.get_session(**where, session_id="s/1")
    assert (seen.id, seen.events, seen.state) == (expected.id, expected.events, expected.state)
    assert seen.last_update_time == pytest.approx(expected.last_update_time, abs=1e-5)
    await service.append_event(seen, Event(author="user"))
