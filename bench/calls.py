"""Counts the calls, units and bytes of each route at the client, and prices a million requests."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

from app.grounding.sources import key_hash
from app.table.ids import from_key
from bench import prices
from bench.meter import metered
from bench.world import AUDITOR, LARGE, World, message

USER = "calls"
TIMED = 30
DELETED = 20


@dataclass(frozen=True)
class Route:
    """`prepare` sets up what a request needs and returns the request. `promised` is the most calls
    that the issue and the design allow."""

    name: str
    promised: int
    prepare: Callable[[], Callable[[], bytes]]
    repeat: int = TIMED


def measure(world: World) -> list[dict[str, Any]]:
    return [_measure(world, route) for route in routes(world)]


def _measure(world: World, route: Route) -> dict[str, Any]:
    request = route.prepare()
    with metered(world.table.client) as found:
        answer = request()
    cpu = []
    for _ in range(route.repeat):
        request = route.prepare()
        started = time.process_time()
        request()
        cpu.append(time.process_time() - started)
    cpu_ms = statistics.median(cpu) * 1000
    cost = prices.per_million(
        read_units=found.read_units,
        write_units=found.write_units,
        calls=found.count,
        cpu_ms=cpu_ms,
    )
    return {
        "route": route.name,
        "calls": dict(found.calls),
        "call_count": found.count,
        "promised": route.promised,
        "read_units": found.read_units,
        "write_units": found.write_units,
        "worked_out": found.worked_out,
        "db_sent": found.sent,
        "db_received": found.received,
        "answer_bytes": len(answer),
        "cpu_ms": cpu_ms,
        "dollars": cost,
    }


def routes(world: World) -> list[Route]:
    return [*_session_routes(world), *_value_routes(world)]


def _session_routes(world: World) -> list[Route]:
    def request(method: str, path: str, body: Any = None, **headers: str) -> Any:
        return lambda: world.request(USER, method, path, body, **headers)

    world.fill_sessions(USER, 41)
    empty = world.new_session(USER)
    twenty = world.new_session(USER, 20)
    thousand = world.new_session(USER, 1000)
    # 3,000 messages of 2 KB are 6.6 MB. One answer is cut at 4.5 MB.
    long = world.new_session(USER, 3000, 2000)
    cursor = world.send(USER, "GET", "/sessions?limit=20")["pagination"]["next_cursor"]
    known = world.send(USER, "GET", f"/sessions/{twenty}")
    one, seen, last = (known["messages"][at]["message_id"] for at in (0, -2, -1))
    keys = iter(range(10**9))
    new = {"domain_id": "civic_complaints_v1", "title": "Pothole issues"}
    turn = {"messages": [message(role="user"), message()]}

    def with_key(path: str, body: Any) -> Any:
        return lambda: world.request(USER, "POST", path, body, idempotency_key=f"key-{next(keys)}")

    def replayed() -> Any:
        key = f"key-{next(keys)}"
        world.send(USER, "POST", append, message(), idempotency_key=key)
        return world.request(USER, "POST", append, message(), idempotency_key=key)

    def create_replayed() -> Any:
        key = f"key-{next(keys)}"
        world.send(USER, "POST", "/sessions", new, idempotency_key=key)
        return world.request(USER, "POST", "/sessions", new, idempotency_key=key)

    def delete() -> Any:
        return world.request(USER, "DELETE", f"/sessions/{world.new_session(USER, DELETED)}")

    def changing(method: str, path: str, body: Any = None) -> Any:
        """A request that changes a session of 20 messages, a new one each time."""

        def prepare() -> Any:
            made = world.new_session(USER, DELETED)
            said = world.send(USER, "GET", f"/sessions/{made}")["messages"]
            named = {"first": said[0], "tenth": said[9], "last": said[-1]}
            ids = {name: shown["message_id"] for name, shown in named.items()}
            sent = body | {"from": ids["tenth"]} if body is replacement else body
            return world.request(USER, method, f"/sessions/{made}{path.format(**ids)}", sent)

        return prepare

    def making_its_session() -> Any:
        key = f"key-{next(keys)}"
        path = f"/sessions/sess_{from_key(key)}/messages/batch"
        return world.request(USER, "POST", path, {**turn, "session": {**new, "key": key}})

    def hiding() -> Any:
        made = world.new_session(USER, 10_010)
        tenth = world.send(USER, "GET", f"/sessions/{made}/messages?limit=10")["messages"][-1]
        query = f"after={tenth['message_id']}"
        return world.request(USER, "DELETE", f"/sessions/{made}/messages?{query}")

    append = f"/sessions/{empty}/messages"
    source = key_hash("doc:inc_abc123")  # what `message` refers to
    described = world.new_session(USER)
    long_metadata = {"metadata": {"note": "x" * 2000}}
    replacement = {"messages": [message(role="user")]}
    return [
        Route("create", 1, request("POST", "/sessions", new)),
        Route("create, Idempotency-Key", 1, with_key("/sessions", new)),
        Route("create, sent again", 2, create_replayed),
        Route("list, page 1 of 20", 2, request("GET", "/sessions?limit=20")),
        Route("list, by cursor", 2, request("GET", f"/sessions?limit=20&cursor={cursor}")),
        Route("get, no messages", 1, request("GET", f"/sessions/{world.new_session(USER)}")),
        Route("get, 20 messages", 1, request("GET", f"/sessions/{twenty}")),
        Route("get, 1,000 messages", 1, request("GET", f"/sessions/{thousand}")),
        Route("get, 3,000 of 2 KB (cut)", 7, request("GET", f"/sessions/{long}"), 3),
        Route(
            "get, unchanged (304)",
            1,
            request("GET", f"/sessions/{twenty}", if_none_match=f'"{last.removeprefix("msg_")}"'),
        ),
        Route("get, without messages", 1, request("GET", f"/sessions/{twenty}?messages=0")),
        Route("get, the last 10", 3, request("GET", f"/sessions/{twenty}?messages=10")),
        Route("list, by title", 4, request("GET", "/sessions?q=resolved")),
        Route("find by key", 1, request("POST", "/sessions", {**new, "key": "bench"})),
        Route("put", 1, request("PUT", f"/sessions/{twenty}", {"title": "Resolved"})),
        Route("patch, metadata", 2, request("PATCH", f"/sessions/{empty}", {"metadata": {"a": 1}})),
        Route("put, long metadata", 3, request("PUT", f"/sessions/{described}", long_metadata)),
        Route("append", 1, request("POST", append, message())),
        Route("append, Idempotency-Key", 1, with_key(append, message())),
        Route("append, replayed", 2, replayed),
        Route("append, 100 KB", 1, request("POST", append, message(LARGE))),
        Route("batch: a turn of 2", 1, request("POST", append + "/batch", turn)),
        Route(
            "batch of 50",
            1,
            request("POST", append + "/batch", {"messages": [message()] * 50}),
            10,
        ),
        Route(
            "latest 20 messages",
            3,
            request("GET", f"/sessions/{thousand}/messages?order=desc&limit=20"),
        ),
        Route("poll, nothing new", 1, request("GET", f"/sessions/{twenty}/messages?after={last}")),
        Route("poll, one new", 3, request("GET", f"/sessions/{twenty}/messages?after={seen}")),
        Route("one message", 1, request("GET", f"/sessions/{twenty}/messages/{one}")),
        Route("edit, the last message", 1, changing("PUT", "/messages/{last}", message())),
        Route("edit, an earlier message", 2, changing("PUT", "/messages/{first}", message())),
        Route("status", 1, changing("PUT", "/messages/{first}", {"status": "interrupted"})),
        Route("delete one message", 3, changing("DELETE", "/messages/{first}")),
        Route("delete a tail of 10", 3, changing("DELETE", "/messages?from={tenth}")),
        Route("pop", 3, changing("POST", "/messages/pop", {"count": 1})),
        Route("replace a tail of 10", 3, changing("POST", "/messages/replace", replacement)),
        Route("feedback", 1, changing("PUT", "/messages/{first}/feedback", {"rating": "up"})),
        Route("check a history of 20", 2, changing("GET", "/check")),
        Route("grounding of a message", 1, changing("GET", "/messages/{first}/grounding")),
        Route("grounding of 20", 1, changing("GET", "/grounding")),
        Route("answers that cite a source", 2, request("GET", f"/sources/{source}/answers")),
        Route(
            "a tenant's answers that cite a source",
            11,
            lambda: world.request(AUDITOR, "GET", f"/tenant/sources/{source}/answers"),
        ),
        Route("fork, 20 messages", 9, changing("POST", "/fork", {}), 10),
        Route("batch that makes its session", 2, making_its_session),
        Route("delete a tail of 10,000", 23, hiding, 1),
        Route(f"delete, {DELETED} messages", 3 + ceil(DELETED / 25), delete, 10),
    ]


STATE = {"step": 3, "notes": "x" * 200}
VALUES = 10


def _value_routes(world: World) -> list[Route]:
    def request(method: str, path: str, body: Any = None, **headers: str) -> Any:
        return lambda: world.request(USER, method, path, body, **headers)

    def puts(prefix: str, count: int = VALUES) -> list[dict[str, Any]]:
        return [{"put": f"{prefix}/{number:03}", "json": STATE} for number in range(count)]

    def filled(user: str = USER, messages: int = 0, count: int = VALUES) -> str:
        """The path of a session with values `agent/000` and so on."""
        path = f"/sessions/{world.new_session(user, messages)}"
        world.send(user, "POST", f"{path}/values/batch", {"operations": puts("agent", count)})
        return path

    def removing(path: str) -> Any:
        return lambda: world.request(USER, "DELETE", filled() + path)

    def first_put() -> Any:
        path = f"/sessions/{world.new_session(USER)}/values/agent/state"
        return world.request(USER, "PUT", path, STATE)

    def export() -> Any:
        """A user has one session of 20 messages and 10 values, and 10 values of their own."""
        filled("export", 20)
        world.send("export", "POST", "/values/batch", {"operations": puts("own")})
        return lambda: world.request("export", "GET", "/export")()

    def batch(operations: list[dict[str, Any]], *, atomic: bool = False) -> Any:
        body = {"operations": operations, "atomic": atomic}
        return request("POST", f"{session}/values/batch", body)

    session = filled(messages=20)
    value = f"{session}/values/agent/000"
    divided = f"{session}/values/image"
    world.send(USER, "PUT", divided, bytes(1_000_000))
    world.send(USER, "PUT", "/values/theme", "dark")
    etag = world.send(USER, "PUT", value, STATE)["etag"]
    listing = f"{session}/values?prefix=agent/"
    exported = export()
    mixed = [*puts("mixed", 3), {"get": "agent/000"}, {"list": "agent/"}]
    reads = [{"get": f"agent/{number:03}"} for number in range(VALUES)]
    turn = {"messages": [message(role="user"), message()]}
    own = {"session": puts("agent", 2)}
    of_user = {**own, "user": [{"put": "theme", "json": "dark"}]}
    append = f"{session}/messages/batch"
    return [
        Route("value: put, the first of a session", 3, first_put),
        Route("value: put", 2, request("PUT", value, STATE)),
        Route("value: put, If-Match", 2, request("PUT", value, STATE, if_match=f'"{etag}"')),
        Route("value: put, 1 MB", 3, request("PUT", divided, bytes(1_000_000)), 5),
        Route("value: put, the user's own", 2, request("PUT", "/values/theme", "dark")),
        Route("value: patch", 3, request("PATCH", f"{session}/values/agent/001", {"step": 4})),
        Route("value: get", 1, request("GET", value)),
        Route("value: get, unchanged (304)", 1, request("GET", value, if_none_match=f'"{etag}"')),
        Route("value: get, changed (200)", 1, request("GET", value, if_none_match='"of another"')),
        Route("value: get, 1 MB", 2, request("GET", divided), 5),
        Route("value: list 10", 2, request("GET", listing)),
        Route(
            "value: list 3 of 10, descending", 2, request("GET", f"{listing}&order=desc&limit=3")
        ),
        Route("value: list 10, names only", 2, request("GET", f"{listing}&names_only=true")),
        Route("value: delete", 2, removing("/values/agent/000"), 10),
        Route("values: delete 10 by prefix", 2 + VALUES, removing("/values?prefix=agent/"), 10),
        Route("values: batch of 10 puts", 1 + VALUES, batch(puts("agent"))),
        Route("values: batch of 10 puts, atomic", 2, batch(puts("agent"), atomic=True)),
        Route("values: batch of 10 gets", 2, batch(reads)),
        Route("values: batch of 3 puts, a get, a list", 7, batch(mixed)),
        Route("append a turn", 1, request("POST", append, turn)),
        Route("append a turn with 2 values", 2, request("POST", append, {**turn, "values": own})),
        Route(
            "append a turn with 2 values and 1 of the user",
            3,
            request("POST", append, {**turn, "values": of_user}),
        ),
        Route("open: 10 values, no messages", 3, request("GET", f"{session}?messages=0&values=a")),
        Route(
            "open: 10 values, the last 20 messages",
            5,
            request("GET", f"{session}?messages=20&values=agent/"),
        ),
        Route("export a page: 20 messages, 20 values", 3, lambda: exported),
    ]
