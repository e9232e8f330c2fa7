"""The folders of FileSessionManager of Strands Agents."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from session_store._bodies import segment
from session_store.migrations import Conversation, SourceUnreadable, read_json, utc
from session_store.models import DatedMessage, Write

DOMAIN = "strands"
FORMAT, TEXT_FORMAT = "strands.message", "strands.json"
AGENTS, MULTI_AGENTS = "strands/agents/", "strands/multi-agents/"
"""As in session_store.adapters.strands."""

SESSION, AGENT, MESSAGE, MULTI_AGENT = "session_", "agent_", "message_", "multi_agent_"
"""The beginnings of names of files and folders."""


def read(path: Path) -> Iterator[Conversation]:
    """`path` is the folder of one session, or that which contains those of all."""
    folders = [path] if (path / "session.json").exists() else sorted(path.glob(f"{SESSION}*"))
    if not folders:
        raise SourceUnreadable(f"{path}: has no folder {SESSION}…")
    for folder in folders:
        yield _session(folder)


def _session(folder: Path) -> Conversation:
    about = _read(folder / "session.json", "session_id", "created_at")
    created_at = utc(about["created_at"], str(folder / "session.json"))
    agents = sorted((folder / "agents").glob(f"{AGENT}*"))
    messages = [message for agent in agents for message in _messages(agent)]
    values = [_value(AGENTS, "agent_id", each / "agent.json") for each in agents]
    for each in sorted((folder / "multi_agents").glob(f"{MULTI_AGENT}*")):
        values.append(_value(MULTI_AGENTS, "id", each / "multi_agent.json"))
    key = about.pop("session_id")
    return Conversation(
        session={"key": key, "domain_id": DOMAIN, "metadata": {"strands": about}},
        # Those of each agent stay in their order, because their times do not fall.
        messages=sorted(messages, key=lambda message: message["created_at"]),
        values=values,
        created_at=created_at,
    )


def _messages(folder: Path) -> list[DatedMessage]:
    agent = _read(folder / "agent.json", "agent_id")["agent_id"]
    found: list[DatedMessage] = []
    latest = ""
    for path in sorted((folder / "messages").glob(f"{MESSAGE}*.json"), key=_number):
        native = _read(path, "message", "message_id", "created_at")
        latest = max(latest, utc(native["created_at"], str(path)))
        said = native.get("redact_message") or native["message"]
        message: DatedMessage = {
            "role": said["role"],
            "format": FORMAT,
            "native": native,
            "metadata": {"agent_id": agent},
            "created_at": latest,
        }
        if not _is_json(native):
            message["format"], message["native"] = TEXT_FORMAT, json.dumps(native)
        found.append(message)
    return found


def _number(path: Path) -> int:
    try:
        return int(path.stem.removeprefix(MESSAGE))
    except ValueError:
        raise SourceUnreadable(f"{path}: no number in the name") from None


def _value(prefix: str, id_member: str, path: Path) -> Write:
    content = _read(path, id_member)
    name = prefix + segment(content[id_member])
    if _is_json(content):
        return {"put": name, "json": content}
    text = base64.b64encode(json.dumps(content).encode()).decode()
    return {"put": name, "base64": text, "content_type": "text/plain"}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _read(path: Path, *members: str) -> dict[str, Any]:
    """
    Raises:
        SourceUnreadable: also for a symbolic link, which Strands does not follow, either.
    """
    if path.is_symlink():
        raise SourceUnreadable(f"{path}: is a symbolic link")
    found = read_json(path)
    if not isinstance(found, dict) or not found.keys() >= set(members):
        raise SourceUnreadable(f"{path}: lacks one of {', '.join(members)}")
    return found
