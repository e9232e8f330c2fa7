"""What a request costs as a user's sessions, a session's messages or the answers that cite a source
grow, and what a delete costs.

Pages hold 5 items, so that the answer has the same size from 10 items on, and only the data behind
it differs. The usual page of 20 is compared from 1,000 items on.
"""

import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from app.grounding.sources import key_hash
from app.sessions.filters import Filter
from app.table import keys
from app.table.cursors import make_cursor
from bench.meter import metered
from bench.world import AUDITOR, TENANT, World, caller, message

SIZES = (10, 1_000, 20_000)
LARGE_SIZES = (*SIZES, 200_000)
DELETES = (100, 1_000, 10_000, 50_000)
REPEAT = 60
BLOCK = 5

Make = Callable[[], Callable[[], bytes]]


def measure(world: World, *, large: bool = False) -> dict[str, Any]:
    sizes = LARGE_SIZES if large else SIZES
    return {
        "sizes": sizes,
        "flat": [*_sessions(world, sizes), *_messages(world, sizes), *_answers(world, sizes)],
        "deletes": [_delete(world, count) for count in DELETES],
    }


def _sessions(world: World, sizes: Sequence[int]) -> list[dict[str, Any]]:
    rows: dict[str, dict[int, Make]] = {}
    for size in sizes:
        user = f"{size} sessions"
        listed = world.fill_sessions(user, size)
        middle = listed[size // 2]
        for name, make in _session_requests(world, user, size, middle).items():
            too_far = "number" in name and size > SIZES[-1]  # takes half a minute each
            if not too_far and ("20" not in name or size > 20):
                rows.setdefault(name, {})[size] = make
    return [
        _compare(world, name, "sessions per user", by_size, flat="number" not in name)
        for name, by_size in rows.items()
    ]


def _session_requests(world: World, user: str, size: int, session: str) -> dict[str, Make]:
    def request(method: str, path: str, body: Any = None) -> Make:
        return lambda: world.request(user, method, path, body)

    partition = caller(user).partition
    item = world.table.get(keys.session(partition, session.removeprefix("sess_")))
    position = str((item or {})["GSI1SK"])
    # Points to the middle of the list. Getting one from the API would mean reading half the list.
    cursor = make_cursor(f"{partition} sessions {Filter().tag} None None", position)
    new = {"domain_id": "civic_complaints_v1"}
    return {
        "list, page 1 of 5": request("GET", "/sessions?limit=5"),
        "list, page 1 of 20": request("GET", "/sessions?limit=20"),
        "list 5 by cursor, middle": request("GET", f"/sessions?limit=5&cursor={cursor}"),
        "list 5 by page number, middle": request("GET", f"/sessions?limit=5&page={size // 10}"),
        "create": request("POST", "/sessions", new),
        "append": request("POST", f"/sessions/{session}/messages", message()),
        "put": request("PUT", f"/sessions/{session}", {"title": "Resolved"}),
    }


def _messages(world: World, sizes: Sequence[int]) -> list[dict[str, Any]]:
    rows: dict[str, dict[int, Make]] = {}
    for size in sizes:
        user = f"{size} messages"
        session = world.new_session(user, size)
        path = f"/sessions/{session}"
        latest = world.send(user, "GET", f"{path}/messages?order=desc&limit=6")["messages"]
        made: dict[str, tuple[str, str, Any]] = {
            "latest 5 messages": ("GET", f"{path}/messages?order=desc&limit=5", None),
            "latest 20 messages": ("GET", f"{path}/messages?order=desc&limit=20", None),
            "first 5 messages": ("GET", f"{path}/messages?limit=5", None),
            "5 messages after one": (
                "GET",
                f"{path}/messages?limit=5&after={latest[-1]['message_id']}",
                None,
            ),
            "append": ("POST", f"{path}/messages", message()),
            "put": ("PUT", path, {"title": "Resolved"}),
        }
        for name, (method, target, body) in made.items():
            if "20" not in name or size > 20:
                rows.setdefault(name, {})[size] = _maker(world, user, method, target, body)
    return [
        _compare(world, name, "messages per session", by_size) for name, by_size in rows.items()
    ]


def _answers(world: World, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """One user's, each in a session of its own, so that a page reads as many sessions as it has
    answers. There is a source for each size, which the latest answers cite."""
    rows: dict[str, dict[int, Make]] = {}
    user = "answers"
    partition = caller(user).partition
    sessions = world.fill_sessions(user, sizes[-1], answered=True)
    for size in sizes:
        source = key_hash(f"doc:{size}")
        world.fill_edges(user, sessions[-size:], source)
        ulid = sessions[1 - size // 2].removeprefix("sess_")
        for of, who, path, scope in (
            ("a user's", user, f"/sources/{source}/answers", partition),
            (
                "a tenant's",
                AUDITOR,
                f"/tenant/sources/{source}/answers",
                keys.tenant_sources(TENANT),
            ),
        ):
            cursor = make_cursor(f"{scope} answers {source}", f"{partition}#{ulid}#{ulid}")
            for name, query in (
                (f"latest 5 of {of} answers", "limit=5"),
                (f"5 of {of} answers, middle", f"limit=5&cursor={cursor}"),
                (f"latest 50 of {of} answers", "limit=50"),
            ):
                if "50" not in name or size > 50:
                    made = _maker(world, who, "GET", f"{path}?{query}", None)
                    rows.setdefault(name, {})[size] = made
    return [
        _compare(world, name, "answers that cite one source", by_size)
        for name, by_size in rows.items()
    ]


def _maker(world: World, user: str, method: str, path: str, body: Any) -> Make:
    return lambda: world.request(user, method, path, body)


def _compare(
    world: World, name: str, grows: str, by_size: dict[int, Make], *, flat: bool = True
) -> dict[str, Any]:
    wall: dict[int, list[float]] = {size: [] for size in by_size}
    cpu: dict[int, list[float]] = {size: [] for size in by_size}
    gc.collect()
    blocks = REPEAT // BLOCK if flat else 1
    for block in range(blocks + 1):
        for size, make in by_size.items():
            for request in [make() for _ in range(BLOCK)]:
                started, worked = time.perf_counter(), time.process_time()
                request()
                if block:  # the first block warms up
                    cpu[size].append(time.process_time() - worked)
                    wall[size].append(time.perf_counter() - started)
    points = []
    for size, make in by_size.items():
        request = make()
        with metered(world.table.client) as found:
            request()
        points.append(
            {
                "size": size,
                "wall_ms": statistics.median(wall[size]) * 1000,
                "cpu_ms": statistics.median(cpu[size]) * 1000,
                "read_units": found.read_units,
                "write_units": found.write_units,
                "calls": found.count,
            }
        )
    first, last = points[0], points[-1]
    return {
        "operation": name,
        "grows": grows,
        "promised_flat": flat,
        "points": points,
        "wall_ratio": last["wall_ms"] / first["wall_ms"],
        "cpu_ratio": last["cpu_ms"] / first["cpu_ms"],
    }


def _delete(world: World, count: int) -> dict[str, Any]:
    user = f"delete {count}"
    session = world.new_session(user, count)
    requests, seconds = 0, 0.0
    with metered(world.table.client) as found:
        while not requests or world.holds_more_than(user, 1):  # the user's own item remains
            request = world.request(user, "DELETE", f"/sessions/{session}")
            started = time.perf_counter()
            answer = json.loads(request())
            seconds += time.perf_counter() - started
            requests += 1
    return {
        "messages": count,
        "seconds": seconds,
        "requests": requests,
        "calls": found.count,
        "promised_calls": 3 + -(-count // 25),
        "read_units": found.read_units,
        "write_units": found.write_units,
        "counted": answer["deleted_messages"],
    }
