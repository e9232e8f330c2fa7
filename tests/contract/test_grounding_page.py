"""The commands of docs/grounding.md work, and its tables are complete."""

import json
import os
import re
import subprocess
from pathlib import Path

from app.grounding import READERS, documents, texts
from app.grounding.figures import NAMES
from app.grounding.verdicts import VERDICTS
from tests.people import make_token

PAGE = (Path(__file__).parents[2] / "docs" / "grounding.md").read_text()


def block(kind, name, language):
    [found] = re.findall(rf"<!-- {kind}: {name} -->\n```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


def run(name, address, alice, session_id, **more):
    """What the last command prints."""
    environment = {
        "PATH": os.environ["PATH"],
        "API": f"{address}/api/v1",
        "SESSION": session_id,
        "TOKEN": str(alice.token),
        "AUDITOR": make_token("acme", "auditor", scope="sources:audit"),
        **more,
    }
    commands = block("commands", name, "sh").replace("curl -s", "curl -sSf")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands.replace("\ncurl", "\necho ----\ncurl")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.split("----")[-1])


def test_the_commands_work_as_pasted(address, alice):
    session_id = alice.create_session()["session_id"]
    [citation] = run("bedrock", address, alice, session_id)["citations"]
    [shown] = json.loads(block("answer", "bedrock", "json"))["citations"]
    assert {name: citation[name] for name in shown} == shown
    found = run("references", address, alice, session_id)
    assert [source["key"] for source in found["sources"]] == [shown["source"], "doc:inc_abc123"]
    answers = run("answers", address, alice, session_id)
    [answer], [shown] = (
        answers["answers"],
        json.loads(block("answer", "answers", "json"))["answers"],
    )
    assert answer.keys() == shown.keys()
    assert (answer["user_id"], answer["session_id"]) == ("alice", session_id)
    first, second = run("neutral", address, alice, session_id)["messages"]
    assert first["content"] == "By the house rules, it is quiet from 22 to 6."
    assert second["citations"][0]["source"] == "doc:inc_abc123"
    govern = make_token("acme", "erin", scope="sources:govern")
    first, second = run("withdraw", address, alice, session_id, GOVERN=govern)["messages"]
    assert first["grounding"]["verdict"] == "ungoverned"
    assert second["grounding"]["verdict"] == "withdrawn"
    receipt = run("redact", address, alice, session_id, GOVERN=govern)
    shown = json.loads(block("answer", "redact", "json"))
    assert receipt.keys() == shown.keys() | {"never_indexed", "not_removed"}
    for name in ("hash", "checked_messages", "redacted_messages"):
        assert receipt[name] == shown[name]
    [_, message] = alice.get(f"/sessions/{session_id}/messages").json["messages"]
    assert "Pothole" not in str(message["metadata"])


def test_every_reason_figure_and_format_is_explained():
    reasons = {
        value
        for module in (documents, texts)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and re.fullmatch("[a-z_]+", value)
    }
    assert len(reasons) >= 8
    aliases = {"langchain.aimessage"}
    for name in [*reasons, *NAMES, *VERDICTS, *(READERS.keys() - aliases)]:
        assert f"`{name}`" in PAGE, name
