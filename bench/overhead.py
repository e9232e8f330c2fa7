"""CPU and wall time of each route, relative to the bare boto3 calls that it makes.

The bare calls are recorded from the app. It serves the same requests for another user with the same
data, every call is recorded, and the data is restored. Then the calls are replayed in order, with
nothing around them. App and bare calls take turns in blocks, because a server's requests also
follow each other.
"""

import copy
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.table import db
from bench.world import LARGE, World, message

BLOCK = 20

Send = Callable[[], Any]
Prepare = Callable[[str], Callable[[], Send]]
"""Sets up a user's data for the requests. Returns a function that makes the next request."""


@dataclass(frozen=True)
class Case:
    name: str
    prepare: Prepare
    repeat: int = 200
    target: float | None = None


def measure(world: World) -> list[dict[str, Any]]:
    return [_measure(world, case) for case in cases(world)]


def _measure(world: World, case: Case) -> dict[str, Any]:
    count = max(BLOCK, case.repeat)
    contestants: dict[str, Iterator[Send]] = {}
    contestants["app"] = _requests(case.prepare(f"{case.name} app"))
    for name, client in (("default", world.raw), ("tuned", world.table.client)):
        calls = _record(world, case, f"{case.name} {name}", count + BLOCK)
        contestants[name] = _replays(client, calls)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    gc.collect()
    for block in range(count // BLOCK + 1):
        for name, sends in contestants.items():
            ready = [next(sends) for _ in range(BLOCK)]
            taken = [_time(send) for send in ready]
            if block:  # the first block warms up
                times[name] += taken
    result: dict[str, Any] = {"case": case.name, "target": case.target}
    for name, taken in times.items():
        cpu, wall = zip(*taken, strict=True)
        result[f"{name}_cpu_ms"] = statistics.median(cpu) * 1000
        result[f"{name}_wall_ms"] = statistics.median(wall) * 1000
    for name in ("default", "tuned"):
        for kind in ("cpu", "wall"):
            ratio = result[f"app_{kind}_ms"] / result[f"{name}_{kind}_ms"]
            result[f"{kind}_over_{name}"] = ratio
    return result


def _time(send: Send) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    send()
    return time.process_time() - cpu, time.perf_counter() - wall


def _requests(make: Callable[[], Send]) -> Iterator[Send]:
    while True:
        yield make()


Calls = list[tuple[str, dict[str, Any]]]


def _replays(client: Any, requests: list[Calls]) -> Iterator[Send]:
    for calls in requests:
        yield _replay(client, calls)


def _record(world: World, case: Case, user: str, count: int) -> list[Calls]:
    """The calls of each of `count` requests. Restores the user's data afterwards."""
    make = case.prepare(user)
    before = world.partition(user)
    requests = []
    with recorded(world.table) as calls:
        for _ in range(count):
            make()()
            requests.append(list(calls))
            calls.clear()
    kept = {item["SK"]["S"] for item in before}
    world.delete_items([i for i in world.partition(user) if i["SK"]["S"] not in kept])
    world.put_items(before)
    return requests


@contextmanager
def recorded(table: db.Table) -> Iterator[Calls]:
    calls: Calls = []
    client = table.client
    table.client = _Recorder(client, calls)  # type: ignore[assignment]
    try:
        yield calls
    finally:
        table.client = client


class _Recorder:
    def __init__(self, client: Any, calls: Calls) -> None:
        self._client, self._calls = client, calls

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**parameters: Any) -> Any:
            self._calls.append((operation, copy.deepcopy(parameters)))
            return getattr(self._client, operation)(**parameters)

        return call


def _replay(client: Any, calls: Calls) -> Send:
    made = [(getattr(client, operation), parameters) for operation, parameters in calls]
    for _, parameters in made:
        # DynamoDB would skip a transaction with a token that it has seen. boto3 makes a new one.
        parameters.pop("ClientRequestToken", None)

    def send() -> None:
        for call, parameters in made:
            call(**parameters)

    return send


def cases(world: World) -> list[Case]:
    def on_session(
        method: str, tail: str = "", body: Any = None, *, messages: int = 0, size: int = 250
    ) -> Prepare:
        def prepare(user: str) -> Callable[[], Send]:
            session = world.new_session(user, messages, size)
            return lambda: world.request(user, method, f"/sessions/{session}{tail}", body)

        return prepare

    def one_message(user: str) -> Callable[[], Send]:
        session = world.new_session(user, 20)
        listed = world.send(user, "GET", f"/sessions/{session}/messages?limit=1")
        path = f"/sessions/{session}/messages/{listed['messages'][0]['message_id']}"
        return lambda: world.request(user, "GET", path)

    def unchanged(user: str) -> Callable[[], Send]:
        path = f"/sessions/{world.new_session(user, 20)}"
        etag = f'"{world.send(user, "GET", path)["version"]}"'
        return lambda: world.request(user, "GET", path, if_none_match=etag)

    def create(user: str) -> Callable[[], Send]:
        new = {"domain_id": "civic_complaints_v1", "title": "Pothole issues"}
        world.new_session(user)
        return lambda: world.request(user, "POST", "/sessions", new)

    def list_sessions(user: str) -> Callable[[], Send]:
        world.fill_sessions(user, 41)
        return lambda: world.request(user, "GET", "/sessions?limit=20")

    def delete(user: str) -> Callable[[], Send]:
        sessions = iter([world.new_session(user, 20) for _ in range(3 * BLOCK)])
        return lambda: world.request(user, "DELETE", f"/sessions/{next(sessions)}")

    turn = {"messages": [message(role="user"), message()]}
    fifty = {"messages": [message()] * 50}
    return [
        Case("create", create),
        Case("put", on_session("PUT", body={"title": "Resolved"}), 300, target=1.3),
        Case("append", on_session("POST", "/messages", message()), 300, target=1.3),
        Case("append, 100 KB", on_session("POST", "/messages", message(LARGE)), 60),
        Case("batch: a turn of 2", on_session("POST", "/messages/batch", turn)),
        Case("batch of 50", on_session("POST", "/messages/batch", fifty), 40),
        Case("get, 1 message", on_session("GET", messages=1)),
        Case("get, 20 messages", on_session("GET", messages=20), 300, target=1.3),
        Case("get, 1,000 messages", on_session("GET", messages=1000), 60, target=1.25),
        Case("get, 1 of 100 KB", on_session("GET", messages=1, size=LARGE), 60),
        Case("get, 20 of 100 KB", on_session("GET", messages=20, size=LARGE), 20),
        Case("get, unchanged (304)", unchanged),
        Case(
            "latest 20 messages",
            on_session("GET", "/messages?order=desc&limit=20", messages=1000),
        ),
        Case("one message", one_message),
        Case("list, page 1 of 20", list_sessions),
        Case("delete, 20 messages", delete, 2 * BLOCK),
    ]
