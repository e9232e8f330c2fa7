"""The README's examples work."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_requests_for_values_work_as_pasted(address, alice):
    session_id = alice.create_session()["session_id"]
    [block] = re.findall(r"<!-- commands: values -->\n```sh\n(.*?)```", README, re.DOTALL)
    environment = {
        "PATH": os.environ["PATH"],
        "API": f"{address}/api/v1",
        "SESSION": session_id,
        "TOKEN": str(alice.token),
    }
    done = subprocess.run(
        ["bash", "-euc", block.replace("curl -s", "echo; curl -sSf")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    *_, shown = done.stdout.splitlines()
    assert json.loads(shown)["values"][0]["json"] == {"step": 4, "tools": ["search"]}
    assert alice.get("/values/notes/today.txt").text == "Call the city about the pothole."


def test_the_stores_need_no_web_framework():
    """Uses a new interpreter that cannot import Flask and related packages."""
    code = """
import sys
for name in ("flask", "flask_smorest", "flask_cors", "marshmallow", "werkzeug", "jwt"):
    sys.modules[name] = None
import app.messages.store, app.sessions.store, app.values.store, app.identity.caller
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("path", re.findall(r"\]\(([\w./-]+)\)", README))
def test_every_link_works(path):
    assert (ROOT / path).exists()


def test_no_file_of_the_documentation_is_left_out():
    for path in (ROOT / "docs").glob("*.md"):
        assert f"docs/{path.name}" in README
