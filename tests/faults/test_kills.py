"""The process is killed at every call to DynamoDB, before and after DynamoDB acted."""

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.config import Config
from app.conversations.restoring import Restorer
from app.factory import create_app
from app.identity.caller import Caller
from app.operations.sweep import sweep
from app.operations.transfer import restore_from
from app.sessions import removal
from app.table import db, ids
from tests.faults.proxy import Exchange, Proxy, nothing
from tests.people import SECRET, Client, make_token

# A server that has imported the app and forks: each child is a process, and starts fast.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["app.factory", "app.operations.sweep", "tests.people"])

DAY = 24 * 60 * 60 * 1000


@dataclass
class Request:
    """What the child does: a request, the sweep, the import of the file `path`, or a restore from
    the table `path`."""

    method: str
    path: str
    json: Any = None
    headers: dict[str, str] | None = None


def carry_out(request: Request, user: str, table_name: str, url: str, late: int) -> None:
    """In the child: one app, one request."""

    def clock() -> int:
        return ids.system_clock() + late

    table = db.Table(table_name, db.connect(endpoint_url=url), database_time=clock)
    if request.method == "SWEEP":
        sweep(table, clock)
        return
    if request.method == "IMPORT":
        lines = Path(request.path).read_text().splitlines()
        list(Restorer(table, ids.UlidSource(clock)).restore(lines, "acme"))
        return
    if request.method == "RESTORE":
        source = db.Table(request.path, table.client)
        list(restore_from(source, table, Caller("acme", user), clock=clock))
        return
    config = Config(sessions_table=table_name, jwt_secret=SECRET, log_level="ERROR")
    app = create_app(config, table=table, ulids=ids.UlidSource(clock))
    client = Client(app, make_token("acme", user, scope=SCOPE))
    client.request(request.method, request.path, json=request.json, headers=request.headers)


class Killing:
    """A fault: the process that makes this call is killed, then the database acts or does not."""

    __name__ = "killed"

    def __init__(self, *, acts: bool) -> None:
        self.acts = acts
        self.reached = threading.Event()
        self.killed = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        if self.acts:
            exchange.forward()
        self.reached.set()
        self.killed.wait(30)
        exchange.cut()


@pytest.fixture
def kill_at(proxy: Proxy, table: db.Table) -> Callable[..., bool]:
    """Carries out a request in a process that is killed at its Nth call; False where it ends by
    itself before that."""

    def run(number: int, acts: bool, request: Request, user: str, late: int) -> bool:
        killing = Killing(acts=acts)
        proxy.forget()
        proxy.plan = lambda call: killing if call.number == number else None
        child = processes.Process(
            target=carry_out, args=(request, user, table.name, proxy.url, late)
        )
        child.start()
        while child.is_alive() and not killing.reached.wait(0.005):
            pass
        if killing.reached.is_set():
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        killing.killed.set()
        proxy.plan = nothing
        assert child.exitcode == (-signal.SIGKILL if killing.reached.is_set() else 0)
        return killing.reached.is_set()

    return run


KEY = {"Idempotency-Key": "once"}
CITED = {"references": [{"reference_id": "inc_1"}, {"reference_id": "inc_2"}]}
"""Every message has two edges to sources, so that every kill is one in the middle of those, too."""
SAID = {"role": "user", "content": "Any potholes near me?", "metadata": CITED}
LARGE = {"role": "tool", "content": "x" * 500_000, "metadata": CITED}
FEW, MANY = 3, 28  # messages; a batch write takes 25


class Alice(Client):
    name = "alice"
    size = 20  # of her messages; with 40 KB each, MANY are two pages of DynamoDB's

    def append(self, session_id: str, content: Any = "Hello", **message: Any) -> dict[str, Any]:
        return super().append(session_id, content, metadata=CITED, **message)

    def fill(self, session_id: str, count: int, size: int = 20, **message: Any) -> list[str]:
        return super().fill(session_id, count, size, metadata=CITED, **message)


def begin(alice: Alice, messages: int = 0, **body: Any) -> str:
    session: str = alice.create_session(**body)["session_id"]
    alice.fill(session, messages, size=alice.size)
    return session


def create(_: Alice) -> Request:
    return Request("POST", "/sessions", {"domain_id": "d", "expires_in_days": 30}, KEY)


def append(alice: Alice) -> Request:
    return Request("POST", f"/sessions/{begin(alice)}/messages", SAID, KEY)


def append_large(alice: Alice) -> Request:
    return Request("POST", f"/sessions/{begin(alice)}/messages", LARGE, KEY)


def batch(alice: Alice) -> Request:
    body = {"messages": [SAID, LARGE, SAID]}
    return Request("POST", f"/sessions/{begin(alice, 2)}/messages/batch", body, KEY)


def put(alice: Alice) -> Request:
    return Request("PUT", f"/sessions/{begin(alice)}", {"title": "New", "expires_in_days": 1})


def delete(alice: Alice) -> Request:
    created = alice.post("/sessions", {"domain_id": "d"}, headers=KEY).json["session_id"]
    alice.fill(created, MANY, size=alice.size)
    alice.post(f"/sessions/{created}/messages", SAID, headers=KEY)
    return Request("DELETE", f"/sessions/{created}")


WITH_KEY = {"domain_id": "d", "key": "user_123", "metadata": {"notes": "x" * 500}}


def old_with_key(alice: Alice) -> str:
    """A session with a key that is being deleted, with all kinds of items."""
    session = begin(alice, FEW, **WITH_KEY)
    alice.post(f"/sessions/{session}/messages", SAID, headers={"Idempotency-Key": "old"})
    table = alice.app.extensions["session_store"].table
    partition, ulid = Caller("acme", alice.name).partition, session.removeprefix("sess_")
    removal.mark(table, partition, ulid, ids.iso_time(ids.system_clock()), "attribute_exists(PK)")
    return session


def create_with_key(alice: Alice) -> Request:
    old_with_key(alice)
    return Request("POST", "/sessions", WITH_KEY, KEY)


def batch_with_session(alice: Alice) -> Request:
    body = {"messages": [SAID, LARGE], "session": WITH_KEY}
    return Request("POST", f"/sessions/{old_with_key(alice)}/messages/batch", body, KEY)


def delete_with_key(alice: Alice) -> Request:
    session = begin(alice, MANY, **WITH_KEY)
    alice.post(f"/sessions/{session}/messages", SAID, headers=KEY)
    return Request("DELETE", f"/sessions/{session}")


def delete_all(alice: Alice) -> Request:
    delete(alice)
    begin(alice, FEW, expires_in_days=1)
    begin(alice)
    return Request("DELETE", "/sessions?confirm=all")


def sweeping(alice: Alice) -> Request:
    begin(alice, FEW)  # is kept
    begin(alice, MANY, expires_in_days=1)
    alice.post("/sessions", {"domain_id": "d", "expires_in_days": 1}, headers=KEY)
    return Request("SWEEP", "")


@pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("prepare", "at_least"),
    [
        (create, 1),
        (append, 1),
        (append_large, 1),
        (batch, 1),
        (put, 1),
        (delete, 5),  # mark, query, 2 batches, the session itself
        (create_with_key, 5),  # a try, query, the items, the session itself, another try
        (batch_with_session, 5),  # the same, the first try being an append
        (delete_with_key, 4),  # mark, query, the items, the session itself
        (delete_all, 8),
        (sweeping, 16),
    ],
)
def test_a_kill_at_any_call_leaves_nothing_wrong(
    prepare, at_least, acts, full, app, table, clock, kill_at, assert_sound, record_figures
):
    number = 0
    killed = True
    while killed:
        number += 1
        user = f"alice-{uuid4()}"
        alice = Alice(app, make_token("acme", user))
        alice.name = user
        alice.size = 40_000 if full else 20
        request = prepare(alice)
        late = 2 * DAY if request.method == "SWEEP" else 0
        before = shown(alice)
        killed = kill_at(number, acts, request, user, late)
        assert_sound()
        assert_all_or_nothing(request, alice, before, acts=acts, killed=killed)
        clock.offset = late
        assert sweep(table, clock).finished
        clock.offset = 0
        assert_sound()
        assert_done_once_by_repeating(request, alice, before)
        assert_sound()
        alice.delete("/sessions?confirm=all")
    assert number > at_least
    if full:
        record_figures(kills=number - 1)


def shown(alice: Alice) -> dict[str, Any]:
    """Everything that Alice can see."""
    listed = alice.get("/sessions").json["sessions"]
    return {s["session_id"]: alice.get(f"/sessions/{s['session_id']}").json for s in listed}


def assert_all_or_nothing(
    request: Request, alice: Alice, before: dict[str, Any], *, acts: bool, killed: bool
) -> None:
    """Without any repair, Alice sees the state from before the request or from after it."""
    if request.method in ("SWEEP",) or "confirm" in request.path:
        for session_id, session in shown(alice).items():
            assert session == before[session_id]  # complete while it is visible
        return
    now = shown(alice)
    if request.method == "DELETE":
        assert now in (before, {})
    elif not acts and killed:
        assert now == before  # only the last call shows anything, and it was not carried out
    elif killed and "user_123" in str(request.json):
        whole = len(request.json.get("messages", ()))
        assert [session["message_count"] for session in now.values()] in ([], [whole])
    else:
        assert now != before


def assert_done_once_by_repeating(request: Request, alice: Alice, before: dict[str, Any]) -> None:
    if request.method == "SWEEP":
        assert [s["message_count"] for s in shown(alice).values()] == [FEW]
        return
    answer = alice.request(request.method, request.path, json=request.json, headers=request.headers)
    now = shown(alice)
    if request.method == "DELETE":
        assert answer.status_code in (200, 404)
        assert now == {}
    elif request.method == "PUT":
        assert answer.status_code == 200
        [session] = now.values()
        assert session["title"] == "New"
    elif request.path == "/sessions":
        assert answer.status_code == 201
        assert list(now) == [answer.json["session_id"]]
    else:
        assert answer.status_code == 201
        [(session_id, session)] = now.items()
        sent = request.json.get("messages", [request.json])
        new = session["messages"][len(before.get(session_id, {"messages": []})["messages"]) :]
        assert [m["content"] for m in new] == [m["content"] for m in sent]
        assert session["message_count"] == len(session["messages"])


# Changes of what was said. Each begins with a session of five messages; `done` tells from its texts
# whether it has been carried out.

TEXTS = ["m0", "m1", "m2", "m3", "m4"]


def change(method: str, path: str, body: Any = None) -> Callable[..., Request]:
    """`{n}` in the path or body stands for the id of that message."""

    def prepare(alice: Alice) -> Request:
        session = begin(alice)
        said = [alice.append(session, text)["message_id"] for text in TEXTS]

        def filled(text: str) -> str:
            for number, message_id in enumerate(said):
                text = text.replace(f"{{{number}}}", message_id)
            return text

        sent = None if body is None else json.loads(filled(json.dumps(body)))
        return Request(method, f"/sessions/{session}{filled(path)}", sent, KEY)

    return prepare


def hide_a_long_tail(alice: Alice) -> Request:
    request = change("DELETE", "/messages?after={1}")(alice)
    session = request.path.split("/")[2]
    alice.fill(session, 250)
    return request


OTHERS = {"references": [{"reference_id": "inc_2"}, {"reference_id": "inc_3"}]}
NEW = [{"role": "user", "content": "new", "metadata": OTHERS}]

CHANGES: dict[str, tuple[Callable[..., Request], Any]] = {
    "edit": (
        change("PUT", "/messages/{2}", {"content": "new", "metadata": OTHERS}),
        ["m0", "m1", "new", "m3", "m4"],
    ),
    "edit to many parts": (
        change("PUT", "/messages/{4}", {"content": "x" * 900_000}),
        [*TEXTS[:4], "x" * 900_000],
    ),
    "delete one": (change("DELETE", "/messages/{2}"), ["m0", "m1", "m3", "m4"]),
    "delete the last": (change("DELETE", "/messages/{4}"), TEXTS[:4]),
    "delete a tail": (change("DELETE", "/messages?from={1}"), TEXTS[:1]),
    "hide a long tail": (hide_a_long_tail, TEXTS[:2]),
    "pop": (change("POST", "/messages/pop", {"count": 2}), TEXTS[:3]),
    "replace": (
        change("POST", "/messages/replace", {"from": "{3}", "messages": NEW}),
        [*TEXTS[:3], "new"],
    ),
}


@pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_kill_during_a_change_leaves_it_whole(
    name, acts, app, table, clock, kill_at, assert_sound
):
    prepare, expected = CHANGES[name]
    number, killed = 0, True
    while killed:
        number += 1
        user = f"alice-{uuid4()}"
        alice = Alice(app, make_token("acme", user))
        request = prepare(alice)
        [before] = texts(alice)
        killed = kill_at(number, acts, request, user, 0)
        assert_sound()
        [now] = texts(alice)
        assert now in (before, expected)
        again = alice.request(
            request.method, request.path, json=request.json, headers=request.headers
        )
        assert again.status_code in ((200, 404) if request.method == "DELETE" else (200,))
        assert texts(alice) == [expected]
        assert_sound()
        clock.move(seconds=1)
        assert sweep(table, clock).finished
        assert texts(alice) == [expected]
        assert_sound()
        alice.delete("/sessions?confirm=all")
    assert number > 1


def texts(alice: Alice) -> list[list[str]]:
    return [[m["content"] for m in session["messages"]] for session in shown(alice).values()]


def rate(alice: Alice) -> Request:
    return change("PUT", "/messages/{1}/feedback", {"rating": "up"})(alice)


def long_metadata(alice: Alice) -> Request:
    return Request("PUT", f"/sessions/{begin(alice)}", {"metadata": {"a": "x" * 500}})


def shorter_metadata(alice: Alice) -> Request:
    made = begin(alice, metadata={"a": "x" * 500})
    return Request("PATCH", f"/sessions/{made}", {"metadata": {"a": None}})


@pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("prepare", [rate, long_metadata, shorter_metadata])
def test_a_kill_during_another_write_leaves_it_whole(prepare, acts, app, kill_at, assert_sound):
    number, killed = 0, True
    while killed:
        number += 1
        user = f"alice-{uuid4()}"
        alice = Alice(app, make_token("acme", user))
        request = prepare(alice)
        before = shown(alice)
        killed = kill_at(number, acts, request, user, 0)
        assert_sound()
        now = shown(alice)
        again = alice.request(request.method, request.path, json=request.json)
        assert again.status_code == 200
        if now != before:
            [[kept], [session]] = [now.values(), shown(alice).values()]
            for member in ("metadata", "message_count", "feedback_count", "title"):
                assert kept[member] == session[member], "it had been carried out whole"
        assert_sound()
        alice.delete("/sessions?confirm=all")
    assert number > 1


def fork(alice: Alice) -> Request:
    session = begin(alice, metadata={"a": "x" * 500})
    alice.fill(session, 60)
    return Request("POST", f"/sessions/{session}/fork", {}, KEY)


def load(_: Alice) -> Request:
    """An import."""
    said = [{**SAID, "content": f"{n}", "created_at": EARLIER} for n in range(60)]
    body = {"session": {"domain_id": "d", "metadata": {"a": "x" * 500}}, "messages": said}
    return Request("POST", "/import", body, KEY)


EARLIER = "2024-01-01T00:00:00Z"

SCOPE = (
    "sessions:read sessions:write sessions:import tenant-values:read tenant-values:write"
    " sources:govern"
)


@pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("prepare", [fork, load])
def test_a_kill_while_a_session_is_filled_leaves_nothing_to_see(
    prepare, acts, app, table, clock, kill_at, assert_sound
):
    number, killed = 0, True
    while killed:
        number += 1
        user = f"alice-{uuid4()}"
        alice = Alice(app, make_token("acme", user, scope=SCOPE))
        request = prepare(alice)
        before = shown(alice)
        killed = kill_at(number, acts, request, user, 0)
        assert_sound()
        now = shown(alice)
        assert {name: now[name] for name in before} == before
        assert {session["message_count"] for session in now.values()} <= {60}
        clock.move(seconds=120)  # the lease of the killed request is over
        again = alice.post(request.path, request.json, headers=request.headers)
        assert again.status_code == 201, again.text
        found = shown(alice)
        assert [s["message_count"] for s in found.values()] == [60] * (len(before) + 1)
        assert_sound()
        clock.move(seconds=7200)
        assert sweep(table, clock).finished
        assert_sound()
        assert shown(alice) == found
        alice.delete("/sessions?confirm=all")
        clock.offset = 0
    assert number > 5
