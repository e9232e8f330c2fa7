"""`session-store import`: what comes out equals what went in, also after kills and a second run."""

import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from session_store import Client, session_id_of
from session_store.cli import NAMES
from session_store._importing import ChangedMeanwhile, write
from session_store.migrations import Conversation, Values
from tests.people import API, make_token

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "migrations"
LANGCHAIN = FIXTURES / "langchain"
EXPECTED = json.loads((LANGCHAIN / "expected.json").read_text())
SCOPES = (
    "sessions:read sessions:write sessions:import sessions:act-for-user "
    "tenant-values:read tenant-values:write"
)
TOKEN = make_token("acme", "alice", scope=SCOPES)
AT = "2024-05-01T10:00:00Z"


@pytest.fixture
def store(address: str) -> Iterator[Client]:
    with Client(address + API, TOKEN) as store:
        yield store


class Command:
    """Runs the command in a process of its own."""

    def __init__(self, address: str) -> None:
        self._env = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "PYTHONPATH": str(ROOT / "clients" / "python" / "src"),
            "SESSION_STORE_URL": address + API,
            "SESSION_STORE_TOKEN": TOKEN,
        }

    def start(self, *arguments: str | Path, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "session_store", "import", *map(str, arguments)],
            env={**self._env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str | Path, **env: str) -> tuple[int, list[str], str]:
        with self.start(*arguments, **env) as process:
            out, error = process.communicate(timeout=60)
        assert TOKEN not in out + error
        return process.returncode, out.splitlines(), error


@pytest.fixture
def run(address: str) -> Command:
    return Command(address)


def natives(store: Client, key: str) -> list[Any]:
    return [message.native for message in store.messages.list(session_id_of(key))]


def history(path: Path, key: str, messages: list[Any]) -> None:
    """As SQLChatMessageHistory writes it."""
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS message_store "
            "(id INTEGER PRIMARY KEY, session_id TEXT, message TEXT)"
        )
        rows = [(key, json.dumps(message)) for message in messages]
        database.executemany("INSERT INTO message_store (session_id, message) VALUES (?, ?)", rows)
    database.close()


def human(text: str) -> dict[str, Any]:
    return {"type": "human", "data": {"content": text, "type": "human"}}


def test_a_sqlite_history_of_langchain(run: Command, store: Client) -> None:
    code, lines, error = run("--from", "langchain", LANGCHAIN / "history.sqlite")
    assert (code, error) == (0, "")
    assert lines == [
        'imported "thread-1": 5 messages, 0 values',
        'imported "a/b#c é 😀": 2 messages, 0 values',
        "2 imported: 7 messages, 0 values",
    ]
    for key, messages in EXPECTED.items():
        assert natives(store, key) == messages
    session = store.sessions.get(session_id_of("thread-1"), messages=0)
    assert session.imported
    assert session.domain_id == "langchain"
    assert session.last_message and session.last_message.text == "5 of them."


def test_a_sqlite_session_of_the_openai_agents_sdk(
    run: Command, store: Client, tmp_path: Path
) -> None:
    folder = FIXTURES / "openai_agents"
    shutil.copy(folder / "sessions.sqlite", tmp_path)
    code, lines, error = run("--from", "openai_agents", tmp_path / "sessions.sqlite")
    assert (code, error, lines[-1]) == (0, "", "3 imported: 8 messages, 0 values")
    expected = json.loads((folder / "expected.json").read_text())
    del expected["empty"]  # the SDK stores nothing of it
    for key, items in expected.items():
        found = [
            json.loads(native) if isinstance(native, str) else native
            for native in natives(store, key)
        ]
        assert json.dumps(found) == json.dumps(items)  # NaN is not equal to itself
    said = list(store.messages.list(session_id_of("thread-1")))
    assert [message.role for message in said] == [
        "user",
        "assistant",
        "assistant",
        "tool",
        "assistant",
    ]
    assert said[0].timestamp.isoformat() == "2026-11-30T06:52:31+00:00"
    assert [m.format for m in store.messages.list(session_id_of("odd"))] == [
        "openai-agents.json",
        "openai-agents.item",
    ]


def test_branches_of_the_openai_agents_sdk_are_refused(run: Command, tmp_path: Path) -> None:
    path = tmp_path / "sessions.sqlite"
    shutil.copy(FIXTURES / "openai_agents" / "sessions.sqlite", path)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE message_structure (session_id, branch_id)")
        database.execute("INSERT INTO message_structure VALUES ('thread-1', 'main'), ('odd', 'b')")
    database.close()
    assert "session odd has branches" in run("--from", "openai_agents", path)[2]


@pytest.mark.parametrize("service", ["sqlite", "database"])
def test_databases_of_google_adk(service: str, run: Command, store: Client, tmp_path: Path) -> None:
    folder = FIXTURES / "adk"
    shutil.copy(folder / f"{service}.db", tmp_path)
    code, lines, error = run("--from", "adk", tmp_path / f"{service}.db")
    assert (code, error) == (0, "")
    assert lines == [
        "imported values of the tenant: 0 messages, 1 values",
        'imported values of the user of "ann": 0 messages, 2 values',
        'imported "my%2Fapp/s-1" of "ann": 4 messages, 2 values',
        'imported "my%2Fapp/s-1" of "bob": 0 messages, 0 values',
        "4 imported: 4 messages, 5 values",
    ]
    expected = json.loads((folder / "expected.json").read_text())[service]["ann"]
    ann, session_id = store.acting_for("ann"), session_id_of("my%2Fapp/s-1")
    opened = ann.sessions.get(session_id, values="state:")
    assert opened.domain_id == "my/app"
    for message, event in zip(opened.messages, expected["events"], strict=True):
        assert (message.format, message.native["id"]) == ("adk.event", event["id"])
        assert message.native["timestamp"] == event["timestamp"] == message.timestamp.timestamp()
        assert message.native["actions"]["state_delta"] == event["actions"]["state_delta"]
    state = {value.name: value.content for value in opened.values}
    assert state == {"state:step": 2, "state:a%2Fb 50%25": None}
    shared = {v.name: v.content for v in [*ann.values.list(), *store.tenant_values.list()]}
    assert shared == {
        "adk:my%2Fapp/state:name": "Ann é 😀",
        "adk:my%2Fapp/state:seen": [1.0, 2],
        "adk:my%2Fapp/state:theme": "dark",
    }
    assert run("--from", "adk", tmp_path / f"{service}.db")[1][-1].startswith("4 skipped")


def test_folders_of_strands(run: Command, store: Client) -> None:
    folder = FIXTURES / "strands"
    code, lines, error = run("--from", "strands", folder / "sessions")
    assert (code, error) == (0, "")
    assert lines[-1] == "2 imported: 14 messages, 3 values"
    session = store.sessions.get(session_id_of("thread-1"), values="strands/")
    about = json.loads((folder / "sessions" / "session_thread-1" / "session.json").read_text())
    assert session.metadata == {
        "strands": {name: member for name, member in about.items() if name != "session_id"}
    }
    values = {value.name: value.content for value in session.values}
    for agent, kept in json.loads((folder / "expected.json").read_text()).items():
        assert values.pop(f"strands/agents/{agent}") == kept["agent"]
        found = [
            json.loads(message.native) if message.format == "strands.json" else message.native
            for message in session.messages
            if message.metadata == {"agent_id": agent}
        ]
        assert json.dumps(found) == json.dumps(kept["messages"])  # NaN is not equal to itself
    [(name, graph)] = values.items()
    assert (name, graph["id"]) == ("strands/multi-agents/graph-1", "graph-1")
    assert run("--from", "strands", folder / "sessions" / "session_thread-1")[1] == [
        'skipped "thread-1": is there already',
        "1 skipped: 0 messages, 0 values",
    ]


def test_damaged_folders_of_strands(run: Command, tmp_path: Path) -> None:
    assert "has no folder session_" in run("--from", "strands", tmp_path)[2]
    shutil.copytree(FIXTURES / "strands" / "sessions" / "session_thread-1", tmp_path / "session_1")
    file = tmp_path / "session_1" / "agents" / "agent_planner" / "messages" / "message_3.json"
    file.write_text("{}")
    assert f"{file}: lacks one of message" in run("--from", "strands", tmp_path)[2]
    file.unlink()
    file.symlink_to("/etc/hostname")
    assert f"{file}: is a symbolic link" in run("--from", "strands", tmp_path)[2]
    file.rename(file.with_name("message_x.json"))
    assert "message_x.json: no number" in run("--from", "strands", tmp_path)[2]


def test_json_files_of_langchain(run: Command, store: Client) -> None:
    os.utime(LANGCHAIN / "files" / "thread-1.json", (1_700_000_000, 1_700_000_000))
    code, lines, _ = run("--from", "langchain", LANGCHAIN / "files", "--domain-id", "support")
    assert (code, lines[-1]) == (0, "2 imported: 7 messages, 0 values")
    assert natives(store, "thread-1") == EXPECTED["thread-1"]
    session = store.sessions.get(session_id_of("thread-1"))
    assert session.domain_id == "support"
    assert {message.timestamp.timestamp() for message in session.messages} == {1_700_000_000}
    assert run("--from", "langchain", LANGCHAIN / "files" / "thread-2.json")[1] == [
        'skipped "thread-2": is there already',
        "1 skipped: 0 messages, 0 values",
    ]


def test_a_second_run_makes_nothing_twice(run: Command, store: Client) -> None:
    run("--from", "langchain", LANGCHAIN / "history.sqlite")
    store.messages.append(session_id_of("thread-1"), role="user", content="And now?")
    code, lines, _ = run("--from", "langchain", LANGCHAIN / "history.sqlite")
    assert (code, lines[-1]) == (0, "2 skipped: 0 messages, 0 values")
    assert len(natives(store, "thread-1")) == 6
    assert len(list(store.sessions.list())) == 2


def test_a_dry_run_needs_no_service_and_sends_nothing(run: Command, store: Client) -> None:
    code, lines, _ = run(
        "--from", "langchain", LANGCHAIN / "history.sqlite", "--dry-run", SESSION_STORE_TOKEN=""
    )
    assert (code, lines[-1]) == (0, "2 read: 7 messages, 0 values")
    assert list(store.sessions.list()) == []


def test_the_token_in_a_file(run: Command, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    source = ("--from", "langchain", LANGCHAIN / "history.sqlite")
    assert run(*source, "--token-file", file, SESSION_STORE_TOKEN="")[0] == 0
    code, _, error = run(*source, SESSION_STORE_TOKEN="")
    assert code == 2 and "SESSION_STORE_TOKEN or --token-file" in error
    code, _, error = run(*source, "--token-file", tmp_path / "none", SESSION_STORE_TOKEN="")
    assert code == 2 and "No such file" in error


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no JSON"),
        (b"\x89PNG\r\n\x1a\n\xff", "no JSON"),
        (b'{"a": 1}', "no list of messages"),
        (b'[{"type": "human", "data": {"content": "x"}}, {}]', "message 1: no message of"),
        (b'[{"type": "human", "data": {"content": "x"', "no JSON"),
        (b"SQLite format 3\0" + bytes(90), "file is not a database"),
    ],
)  # fmt: skip
def test_foreign_and_damaged_files(content: bytes, said: str, run: Command, tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(content)
    code, lines, error = run("--from", "langchain", path)
    assert (code, lines) == (1, [])
    assert error.startswith(f"session-store: {path}") and said in error
    assert "Traceback" not in error


def test_a_missing_file_an_empty_folder_and_another_database(run: Command, tmp_path: Path) -> None:
    assert "No such file" in run("--from", "langchain", tmp_path / "none")[2]
    assert "no JSON files" in run("--from", "langchain", tmp_path)[2]
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE other (x)")
    assert "has no table message_store" in run("--from", "langchain", tmp_path / "other.db")[2]


def test_a_damaged_row_says_where(run: Command, store: Client, tmp_path: Path) -> None:
    """What came before it stays, and is skipped when the row has been repaired."""
    path = tmp_path / "history.db"
    history(path, "good", [human("1")])
    history(path, "bad", [human("2"), {"type": "human"}])
    code, lines, error = run("--from", "langchain", path)
    assert (code, lines) == (1, ['imported "good": 1 messages, 0 values'])
    assert "row 3: no message of LangChain" in error
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE message_store SET message = ? WHERE id = 3", (json.dumps(human("3")),)
        )
    database.close()
    code, lines, _ = run("--from", "langchain", path)
    assert (code, lines[-1]) == (0, "1 imported, 1 skipped: 2 messages, 0 values")
    assert natives(store, "bad") == [human("2"), human("3")]


def test_a_message_with_nan_is_kept_as_text(run: Command, store: Client, tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    message = {"type": "ai", "data": {"content": "", "additional_kwargs": {"p": [math.nan, 1.0]}}}
    history(path, "nan", [message, human("1")])
    assert run("--from", "langchain", path)[0] == 0
    first, second = store.messages.list(session_id_of("nan"))
    assert (first.role, first.format) == ("assistant", "langchain.json")
    assert first.native == json.dumps(message)
    assert second.native == human("1")


def test_one_that_the_service_refuses_does_not_stop_the_others(
    run: Command, store: Client, tmp_path: Path
) -> None:
    path = tmp_path / "history.db"
    history(path, "large", [human("x" * 3_200_000)])
    history(path, "k" * 513, [human("long")])
    history(path, "fine", [human("1")])
    code, lines, _ = run("--from", "langchain", path)
    assert code == 1
    assert lines[0].startswith('failed "large": 413')
    assert lines[1].startswith('failed "kkk')
    assert lines[-1] == "1 imported, 2 failed: 1 messages, 0 values"
    assert natives(store, "fine") == [human("1")]


def test_a_refused_token_stops_the_run(run: Command) -> None:
    token = make_token("acme", "alice", scope="sessions:read sessions:write")
    code, lines, error = run(
        "--from", "langchain", LANGCHAIN / "history.sqlite", SESSION_STORE_TOKEN=token
    )
    assert (code, lines) == (1, [])
    assert error.startswith("session-store: 403") and token not in error


def test_nobody_answers(run: Command) -> None:
    source = ("--from", "langchain", LANGCHAIN / "history.sqlite")
    code, lines, error = run(*source, "--url", "http://127.0.0.1:9/api/v1")
    assert (code, lines) == (1, [])
    assert error.startswith("session-store: ConnectError")


def test_a_long_history_is_killed_and_run_again(
    run: Command, store: Client, tmp_path: Path
) -> None:
    """An import takes 5,000 messages. The rest is appended."""
    path = tmp_path / "history.db"
    messages = [human(f"{number}") for number in range(6000)]
    history(path, "long", messages)
    with run.start("--from", "langchain", path) as process:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            found = list(store.sessions.list())
            if found and found[0].message_count > 5100:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert 5100 < next(store.sessions.list()).message_count < 6000
    code, lines, error = run("--from", "langchain", path)
    assert (code, error) == (0, "")
    assert lines[0].startswith('completed "long": ')
    assert natives(store, "long") == messages
    assert list(store.values.list()) == []


class Killed(BaseException):
    """Nothing of ours catches it, as nothing runs after a kill."""


class Dying(httpx.HTTPTransport):
    """Kills the program before or after the nth request was carried out."""

    def __init__(self, number: int, *, answered: bool) -> None:
        super().__init__()
        self.left, self.answered = number, answered

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.left -= 1
        if self.left == 0 and not self.answered:
            raise Killed
        answer = super().handle_request(request)
        if self.left == 0:
            answer.read()
            raise Killed
        return answer


LARGE = "x" * 2_000_000
"""Two of them fit into an import or a batch of values, one into a batch of messages."""


def talk(messages: int = 4, values: int = 4) -> Conversation:
    return Conversation(
        session={"key": "talk", "domain_id": "d", "title": "A talk", "metadata": {"a": 1}},
        created_at=AT,
        messages=[
            {"role": "user", "content": f"{n}{LARGE}", "created_at": AT} for n in range(messages)
        ],
        values=[{"put": f"v/{n}", "json": f"{n}{LARGE}"} for n in range(values - 1)]
        + [{"put": "v/bytes", "base64": "/wA=", "content_type": "image/png"}],
    )


REQUESTS = 9
"""Of `talk()`: get, mark, import, get, 2 batches of messages, 2 of values, the mark is deleted."""


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_killed_at_each_request(number: int, answered: bool, address: str, store: Client) -> None:
    kill(address, number, answered=answered)
    again = write(store, talk())
    finished = (number, answered) == (REQUESTS, True)
    imported = number > 3 or (number, answered) == (3, True)
    assert again.what == ("skipped" if finished else "completed" if imported else "imported")
    session = store.sessions.get(session_id_of("talk"), messages=0)
    assert (session.title, session.metadata, session.message_count) == ("A talk", {"a": 1}, 4)
    contents = [message.content for message in store.messages.list(session.session_id)]
    assert contents == [f"{n}{LARGE}" for n in range(4)]
    found = {each.name: each.content for each in store.session_values(session.session_id).list()}
    assert found == {f"v/{n}": f"{n}{LARGE}" for n in range(3)} | {"v/bytes": b"\xff\0"}
    assert write(store, talk()).what == "skipped"
    assert list(store.values.list()) == []


def kill(address: str, number: int, *, answered: bool) -> None:
    transport = Dying(number, answered=answered)
    with Client(address + API, TOKEN, transport=transport) as dying, pytest.raises(Killed):
        write(dying, talk())


def test_that_is_all_its_requests(address: str) -> None:
    transport = Dying(0, answered=False)
    with Client(address + API, TOKEN, transport=transport) as counted:
        write(counted, talk())
    assert -transport.left == REQUESTS


def test_what_was_deleted_after_an_import_does_not_come_back(store: Client) -> None:
    write(store, talk(3, 3))
    session_id = session_id_of("talk")
    store.messages.pop(session_id)
    store.session_values(session_id).delete("v/0")
    assert write(store, talk(3, 3)).what == "skipped"
    assert len(list(store.messages.list(session_id))) == 2
    assert store.session_values(session_id).find("v/0") is None


def test_somebody_elses_session_of_the_same_key_is_left_alone(store: Client) -> None:
    session = store.sessions.create(domain_id="d", key="talk")
    assert write(store, talk(3, 3)).what == "skipped"
    assert list(store.messages.list(session.session_id)) == []
    assert list(store.session_values(session.session_id).list()) == []


def test_a_message_between_two_runs(address: str, store: Client) -> None:
    kill(address, 4, answered=True)
    store.messages.append(session_id_of("talk"), role="user", content="Something else")
    with pytest.raises(ChangedMeanwhile):
        write(store, talk())


def test_times_that_fall_or_are_in_the_future(store: Client) -> None:
    times = ["2024-05-01T10:00:00+02:00", "2024-05-01T07:59:59.999999Z", "2999-01-01T00:00:00Z"]
    write(store, Conversation(
        session={"key": "times", "domain_id": "d"},
        created_at="2024-06-01T00:00:00Z",
        messages=[{"role": "user", "content": at, "created_at": at} for at in times],
    ))  # fmt: skip
    session = store.sessions.get(session_id_of("times"))
    assert [message.content for message in session.messages] == times
    first, second, third = (message.timestamp for message in session.messages)
    assert first == second == session.created_at
    assert first.isoformat() == "2024-05-01T08:00:00+00:00"
    assert abs(third.timestamp() - time.time()) < 60


def test_ratings_of_messages(address: str, store: Client) -> None:
    def record() -> Conversation:
        return Conversation(
            session={"key": "rated", "domain_id": "d"},
            messages=[{"role": "user", "content": n, "created_at": AT} for n in range(3)],
            ratings={0: 1, 2: "up"},
        )

    transport = Dying(7, answered=False)  # the second rating
    with Client(address + API, TOKEN, transport=transport) as dying, pytest.raises(Killed):
        write(dying, record())
    assert store.sessions.get(session_id_of("rated")).feedback_count == 1
    assert [write(store, record()).what for _ in range(2)] == ["completed", "skipped"]
    session = store.sessions.get(session_id_of("rated"))
    assert [[each.rating for each in message.feedback] for message in session.messages] == [
        [1],
        [],
        ["up"],
    ]
    assert session.feedback_count == 2


def test_values_of_users_and_of_the_tenant(store: Client) -> None:
    """A second run does not write over what has changed since."""
    records = [
        Values(place="user", user="bob", values=[{"put": "theme", "json": "dark"}]),
        Values(place="tenant", values=[{"put": "app/x", "json": 1}, {"put": "app/y", "json": 2}]),
        Conversation(session={"key": "k", "domain_id": "d"}, user="bob",
                     messages=[{"role": "user", "content": 1, "created_at": AT}]),
    ]  # fmt: skip
    assert [write(store, record).what for record in records] == ["imported"] * 3
    store.tenant_values.put("app/x", 3)
    assert [write(store, record).what for record in records] == ["skipped"] * 3
    assert store.acting_for("bob").values.get("theme").content == "dark"
    assert store.tenant_values.get("app/x").content == 3
    assert [each.key for each in store.acting_for("bob").sessions.list()] == ["k"]
    assert list(store.sessions.list()) == []


def test_large_messages_and_values_are_sent_in_parts(store: Client) -> None:
    done = write(store, talk())
    assert (done.messages, done.undated, done.values) == (4, 2, 4)


@pytest.mark.parametrize("name", NAMES)
def test_each_framework_needs_the_standard_library_only(
    name: str, run: Command, tmp_path: Path
) -> None:
    """None of the frameworks is installed here."""
    code, lines, error = run("--from", name, tmp_path / "none", "--dry-run")
    assert (code, lines) == (1, [])
    assert error.startswith(f"session-store: {tmp_path / 'none'}") and "Traceback" not in error


def test_a_console_script_is_declared() -> None:
    text = (ROOT / "clients" / "python" / "pyproject.toml").read_text()
    assert 'session-store = "session_store.cli:main"' in text
