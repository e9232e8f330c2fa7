"""The README's examples work."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.table.db import Table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_library_snippet_appends_a_grounded_message(alice, table, client, monkeypatch, capsys):
    """Unchanged, except for the table's name."""
    session_id = alice.create_session()["session_id"]
    [snippet] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    named = snippet.replace('Table("sessions")', f'Table("{table.name}")')
    assert named != snippet
    exec(compile(named, "README.md", "exec"), {"session_id": session_id})  # noqa: S102
    [message] = alice.get(f"/sessions/{session_id}").json["messages"]
    assert capsys.readouterr().out.splitlines()[-1] == f"{message['message_id']} query-agent"
    assert message["metadata"]["references"][0]["reference_id"] == "inc_abc123"
    assert Table(table.name, client).name == table.name


def test_the_stores_need_no_web_framework():
    """Uses a new interpreter that cannot import Flask and related packages."""
    code = """
import sys
for name in ("flask", "flask_smorest", "flask_cors", "marshmallow", "werkzeug", "jwt"):
    sys.modules[name] = None
import app.messages.store, app.sessions.store, app.identity.caller
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("path", re.findall(r"\]\(([\w./-]+)\)", README))
def test_every_link_works(path):
    assert (ROOT / path).exists()


def test_no_file_of_the_documentation_is_left_out():
    for path in (ROOT / "docs").glob("*.md"):
        assert f"docs/{path.name}" in README
