"""The wheels, installed as their users do: no `app`, no repository, no other framework."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import packages
import pytest

from tests.clients.conftest import ALL_SCOPES
from tests.people import make_token

ROOT = Path(__file__).resolve().parents[2]

LIKE_A_LAMBDA = """
import asyncio, importlib.util, json, os
from session_store import AsyncClient, Client, Forbidden
from session_store.in_process import Service

assert importlib.util.find_spec("app") is None
service = Service(os.environ["SESSIONS_TABLE"])
client = Client.in_process(service, tenant="acme", user="alice", agent="query-agent")
session = client.sessions.create(domain_id="d", key="k").session_id
client.messages.append(session, role="assistant", content="Found one.")
try:
    client.tenant_values.put("a", 1)
except Forbidden as refused:
    print(refused.code)

async def read():
    async with AsyncClient.in_process(service, tenant="acme", user="alice") as client:
        return [(m.content, m.created_by) async for m in client.messages.list(session)]

print(json.dumps(asyncio.run(read())))
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    into = tmp_path_factory.mktemp("dist")
    return {"client": packages.build_client(into), "server": packages.build_server(into)}


@pytest.fixture(scope="module")
def target(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both wheels unpacked, beside what this environment has of their requirements."""
    target = tmp_path_factory.mktemp("site")
    _pip(sys.executable, "--no-deps", "--target", str(target), *map(str, wheels.values()))
    return target


def _pip(python: str, *arguments: str) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *arguments], check=True)


def _run(python: str | Path, code: str, **environment: str) -> str:
    """Outside of the repository, without its folders on the path."""
    done = subprocess.run(
        [str(python), "-c", code],
        cwd="/",
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_calls_the_service_within_its_own_process(target, table, alice):
    found = _run(sys.executable, LIKE_A_LAMBDA, PYTHONPATH=str(target), SESSIONS_TABLE=table.name)
    audited, *printed = found.splitlines()
    assert '"message": "audit"' in audited, "the value of the tenant, which was refused"
    assert printed == ["INSUFFICIENT_SCOPE", '[["Found one.", "query-agent"]]']
    [session] = alice.get("/sessions").json["sessions"]
    assert (session["key"], session["message_count"]) == ("k", 1)


def test_the_readmes_program_writes_a_grounded_message(target, table, alice):
    """Unchanged, except for the table's name."""
    session = alice.create_session()["session_id"]
    [snippet] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    named = snippet.replace('Service("sessions")', f'Service("{table.name}")')
    assert named != snippet
    found = _run(sys.executable, f"session_id = {session!r}\n{named}", PYTHONPATH=str(target))
    [message] = alice.get(f"/sessions/{session}").json["messages"]
    assert (found.strip(), message["created_by"]) == (message["message_id"], "query-agent")
    assert message["metadata"]["references"][0]["reference_id"] == "inc_abc123"


def test_without_the_service_its_name_is_told(target, wheels, tmp_path):
    _pip(sys.executable, "--no-deps", "--target", str(tmp_path), str(wheels["client"]))
    code = "from session_store.in_process import Service\nService('sessions')"
    with pytest.raises(AssertionError, match="Install session-store-server"):
        _run(sys.executable, code, PYTHONPATH=str(tmp_path))


def test_the_client_installs_alone_and_runs_its_readme(wheels, address, tmp_path):
    """In an empty environment, with what pip brings: httpx and anyio, and no framework."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path)], check=True)
    python = tmp_path / "bin" / "python"
    _pip(str(python), str(wheels["client"]))
    installed = json.loads(_run(python, _LIST))
    assert {"session-store-client", "httpx", "anyio"} <= set(installed)
    assert set(installed) <= _SMALL, set(installed) - _SMALL
    readme = (ROOT / "clients" / "python" / "README.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert examples
    settings: dict[str, Any] = {
        "SESSION_STORE_URL": f"{address}/api/v1",
        "SESSION_STORE_TOKEN": make_token("acme", "alice", scope=ALL_SCOPES),
    }
    printed = [_run(python, example, **settings) for example in examples]
    assert "doc:house-rules ungoverned Quiet: 22 to 6." in printed[-1]
    assert printed[-1].endswith("1\nIt is quiet from 22 to 6. withdrawn\n")


_LIST = (
    "import json, importlib.metadata as m; "
    "print(json.dumps([d.name.lower() for d in m.distributions()]))"
)
_SMALL = {
    "anyio",
    "certifi",
    "h11",
    "httpcore",
    "httpx",
    "idna",
    "pip",
    "session-store-client",
    "setuptools",
    "sniffio",
    "typing-extensions",
    "typing_extensions",
}
