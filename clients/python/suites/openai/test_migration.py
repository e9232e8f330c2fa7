"""What the SDK's own session has stored comes out of ours as it came out of that one."""

from pathlib import Path

import agents

from session_store import Client
from session_store._importing import write
from session_store.migrations.openai_agents import read
from suites import world

ITEMS = [
    {"role": "user", "content": "Hi \U0001f600 where?"},
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {"type": "function_call", "call_id": "c1", "name": "search", "arguments": '{"r": 1.5}'},
    {"type": "function_call_output", "call_id": "c1", "output": "5"},
    {"role": "assistant", "content": [{"type": "output_text", "text": "5.", "annotations": []}]},
]


async def test_sessions_move_without_loss(open_session, tmp_path: Path) -> None:
    path = tmp_path / "sessions.sqlite"
    ids = ["thread-1", "a/b#c é"]
    for number, session_id in enumerate(ids):
        theirs = agents.SQLiteSession(session_id, path)
        await theirs.add_items(ITEMS[number:])
        theirs.close()
    with Client(world.URL, world.token("alice")) as client:
        for conversation in read(path):
            write(client, conversation)
    for number, session_id in enumerate(ids):
        ours = open_session(session_id)
        assert await ours.get_items() == ITEMS[number:]
        await ours.add_items([{"role": "user", "content": "More?"}])
        assert len(await ours.get_items()) == len(ITEMS) - number + 1
