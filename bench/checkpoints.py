"""Checkpoints of an agent as values, beside AWS's saver for LangGraph and plain boto3.

A saver over this API names its values so that one query finds the latest checkpoint:

    cp/<namespace>/<id>            a checkpoint; LangGraph's ids ascend with time
    cp/<namespace>/<id>/w/<task>   a pending write, right after its checkpoint

In descending order the newest checkpoint comes first, after its pending writes. A list with a limit
of one more than the writes that are usual needs one request. If there are more writes, the
checkpoint is on the next page. If there are fewer, the page also has values of the checkpoint
before it, and the saver leaves them out.

All contestants store the same bytes, as the saver serializes them. Ours are requests to the whole
WSGI app. They take turns on one engine.
"""

import base64
import json
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from math import ceil
from typing import Any

from bench import capacity
from bench.compare import PEERS_PYTHON, Worker, worker_of
from bench.meter import metered
from bench.peers import peer
from bench.world import World, caller

SIZE = 94 * 1024
"""Bytes of a checkpoint."""

HISTORY, TASKS, LIMIT = 10, 2, 3
"""Checkpoints of a thread, pending writes of each, and the limit of a list: 1 more."""

WRITES = 3
"""Writes of a task, to as many channels."""

REPEAT, WARM_UP = 40, 5
USER, THREAD, PLAIN = "checkpoints", "thread", "plain-checkpoints"

OURS, BARE, THEIRS = "this service", "plain boto3", "AWS's saver"

Send = Callable[[], Any]
Prepare = Callable[[], Send]
"""Prepares a request, not timed."""

Found = dict[str, Any]


def measure(world: World) -> Found:
    with worker_of(world, "langgraph_saver", str(PEERS_PYTHON)) as saver:
        saver("create_tables")
        payload = base64.b64decode(saver("call", "payload", SIZE))
        write = base64.b64decode(saver("call", "write_payload"))
        bench = _Bench(world, saver, payload, write)
        rows = [*bench.puts(), *bench.reads(), *bench.writes()]
        sizes = bench.stored_sizes()
        serializing = _median([saver("time", "serialize", SIZE) for _ in range(REPEAT)])
    return {"rows": rows, "sizes": sizes, "serializing": serializing}


class _Bench:
    def __init__(self, world: World, saver: Worker, payload: bytes, write: bytes) -> None:
        self.world, self.saver = world, saver
        self.payload, self.write = payload, write
        self.ids = (str(uuid.UUID(int=number)) for number in range(1 << 96, 1 << 97))
        self.session = self._new_session()
        world.raw.create_table(**peer.table(PLAIN, "PK", "SK"))

    def puts(self) -> Iterator[Found]:
        """A new checkpoint each time, as a run of an agent makes them."""
        yield from self._compare(
            "put a checkpoint",
            {OURS: lambda: self._put(f"cp/-/{next(self.ids)}", self.payload), BARE: self._bare_put},
            {THEIRS: ("put", THREAD, SIZE)},
        )

    def reads(self) -> Iterator[Found]:
        for pending, what in (
            (TASKS, f"the latest checkpoint, {TASKS} pending writes"),
            (0, "the latest checkpoint, none pending"),
        ):
            session, newest = self._filled(pending)
            path = f"{session}/values?prefix=cp/-/&order=desc&limit={LIMIT}"
            _check(self.world.send(USER, "GET", path)["values"], newest, pending)
            thread = f"{THREAD} {pending}"
            theirs = self.saver("call", "fill", thread, SIZE, HISTORY, TASKS, pending)
            ours = {OURS: self._get(path)}
            if not pending:
                ours[f"{OURS}, limit=1"] = self._get(path.replace(f"limit={LIMIT}", "limit=1"))
            yield from self._compare(what, ours, {THEIRS: ("get_tuple", thread)})
            if pending:
                path = f"{session}/values?prefix=cp/-/{newest}"
                yield from self._compare(
                    f"a checkpoint by its id, {TASKS} pending writes",
                    {OURS: self._get(path)},
                    {THEIRS: ("get_tuple", thread, theirs)},
                )

    def writes(self) -> Iterator[Found]:
        """Each value is new, and must be: a task's writes are kept if it is run again."""
        checkpoint = self.saver("call", "put", THREAD, SIZE)
        tasks = iter(range(10**9))

        def batch(*, atomic: bool) -> Prepare:
            def prepare() -> Send:
                name = f"cp/-/{checkpoint}/w/{next(tasks)}"
                text = base64.b64encode(self.write).decode()
                operations = [
                    {"put": f"{name}/{number}", "base64": text, "if_none_match": "*"}
                    for number in range(WRITES)
                ]
                body = {"atomic": atomic, "operations": operations}
                return self._request("POST", f"{self.session}/values/batch", body)

            return prepare

        def as_one() -> Send:
            name = f"cp/-/{checkpoint}/w/{next(tasks)}"
            return self._put(name, self.write * WRITES, if_none_match="*")

        yield from self._compare(
            f"put {WRITES} writes of a task",
            {
                f"{OURS}, a batch": batch(atomic=False),
                f"{OURS}, an atomic batch": batch(atomic=True),
                f"{OURS}, one value": as_one,
            },
            {THEIRS: lambda: ("put_writes", THREAD, checkpoint, f"task-{next(tasks)}", WRITES)},
        )

    def stored_sizes(self) -> Found:
        """The bytes of the items of a checkpoint, and their write units by Amazon's rule."""
        ours, bare = next(self.ids), next(self.ids)
        self._put(f"cp/-/{ours}", self.payload)()
        self._bare_put(bare)()
        self.saver("call", "put", "sizes", SIZE)
        partition = caller(USER).partition
        tables = {
            OURS: (self.world.table.name, lambda i: i["PK"] == partition and ours in i["SK"]),
            BARE: (PLAIN, lambda item: bare in item["SK"]),
            THEIRS: ("peer-langgraph", lambda item: "_sizes" in item["PK"]),
        }
        sizes = {}
        for name, (table, wanted) in tables.items():
            found = [
                capacity.item_size(item)
                for item in self._scan(table)
                if wanted({key: item[key]["S"] for key in ("PK", "SK")})
            ]
            sizes[name] = {"bytes": sum(found), "units": sum(ceil(size / 1024) for size in found)}
        return sizes

    def _compare(
        self, operation: str, ours: dict[str, Prepare], theirs: dict[str, Any]
    ) -> Iterator[Found]:
        """Counts one request of each, then measures the time of all in turns."""

        def call(name: str) -> Any:
            made = theirs[name]
            return made() if callable(made) else made

        found: dict[str, Found] = {}
        for name, prepare in ours.items():
            send = prepare()
            with metered(self.world.raw if name == BARE else self.world.table.client) as counted:
                send()
            found[name] = counted.per(1)
        found |= {name: self.saver("meter", *call(name)) for name in theirs}
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in found}
        for turn in range(REPEAT + WARM_UP):
            for name in found:
                once = _time(ours[name]()) if name in ours else self.saver("time", *call(name))
                if turn >= WARM_UP:
                    taken[name].append(once)
        for name, counted in found.items():
            times = _median(taken[name])
            yield {"operation": operation, "peer": name, "supported": True, **counted, **times}

    def _filled(self, pending: int) -> tuple[str, str]:
        """A session with a history of checkpoints, and the id of the newest."""
        session = self._new_session()
        for number in range(HISTORY):
            newest = next(self.ids)
            self._put(f"cp/-/{newest}", self.payload, session)()
            for task in range(pending if number == HISTORY - 1 else TASKS):
                self._put(f"cp/-/{newest}/w/task-{task}", self.write, session)()
        return session, newest

    def _new_session(self) -> str:
        """One that has a value, because the first one costs an update more."""
        path = f"/sessions/{self.world.new_session(USER)}"
        self.world.send(USER, "PUT", f"{path}/values/agent", {"graph": "reports"})
        return path

    def _request(self, method: str, path: str, body: Any = None, **headers: str) -> Send:
        send: Send = self.world.request(USER, method, path, body, **headers)
        return send

    def _get(self, path: str) -> Prepare:
        return lambda: self._request("GET", path)

    def _put(self, name: str, body: bytes, session: str = "", **headers: str) -> Send:
        path = f"{session or self.session}/values/{name}"
        return self._request("PUT", path, body, **headers)

    def _bare_put(self, checkpoint: str = "") -> Send:
        item = {
            "PK": {"S": THREAD},
            "SK": {"S": f"cp/-/{checkpoint or next(self.ids)}"},
            "body": {"B": self.payload},
        }
        return lambda: self.world.raw.put_item(TableName=PLAIN, Item=item)

    def _scan(self, table: str) -> Iterator[Found]:
        pages = self.world.raw.get_paginator("scan").paginate(TableName=table)
        return (item for page in pages for item in page["Items"])


def _check(values: list[Found], newest: str, pending: int) -> None:
    """The page begins with all that belongs to the newest checkpoint."""
    names = [value["name"] for value in values[: pending + 1]]
    wanted = [f"cp/-/{newest}/w/task-{task}" for task in range(pending)]
    if names != [*reversed(wanted), f"cp/-/{newest}"]:
        raise AssertionError(json.dumps(names))


def _time(send: Send) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    send()
    return {
        "cpu_ms": (time.process_time() - cpu) * 1000,
        "wall_ms": (time.perf_counter() - wall) * 1000,
    }


def _median(taken: list[dict[str, float]]) -> dict[str, float]:
    return {kind: statistics.median(once[kind] for once in taken) for kind in taken[0]}
