"""What Strands' own manager has stored comes out of ours as it came out of that one."""

from pathlib import Path
from typing import Any

from fake_model import FakeModel
from strands import Agent, tool
from strands.session.file_session_manager import FileSessionManager

from session_store._importing import write
from session_store.adapters.strands import SessionStoreSessionManager
from session_store.migrations.strands import read


@tool
def find_reports(street: str) -> str:
    """Finds reports."""
    return f"5 on {street}"


def agent_with(manager: Any, *answers: Any) -> Agent:
    return Agent(
        agent_id="planner",
        model=FakeModel(*answers),
        session_manager=manager,
        tools=[find_reports],
        callback_handler=None,
    )


def test_sessions_move_without_loss(client, tmp_path: Path) -> None:
    call = {"tool": "find_reports", "input": {"street": "Köprü \U0001f600"}}
    theirs = agent_with(FileSessionManager("thread-1", str(tmp_path)), call, "Five.")
    theirs.state.set("step", 3)
    theirs("Where?")
    for conversation in read(tmp_path):
        write(client, conversation)
    ours = agent_with(SessionStoreSessionManager("thread-1", client=client), "Yes.")
    assert ours.messages == theirs.messages
    assert ours.state.get("step") == 3
    ours("Sure?")
    again = agent_with(SessionStoreSessionManager("thread-1", client=client))
    assert again.messages == ours.messages
    assert len(again.messages) == len(theirs.messages) + 2
