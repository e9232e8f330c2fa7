"""Compares our stores with other ways to store conversations: calls, units, time, lost messages."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dynamodb_local

from bench.world import World, message

ROOT = Path(__file__).resolve().parent.parent
PEERS_PYTHON = ROOT / ".local" / "bench" / "peers" / "bin" / "python"

PEERS = {
    "this service": ("service", sys.executable),
    "two tables": ("two_tables", sys.executable),
    "LangChain": ("langchain_history", str(PEERS_PYTHON)),
    "Chainlit": ("chainlit_layer", str(PEERS_PYTHON)),
    "one document": ("one_document", sys.executable),
}
LENGTHS = (20, 500)
"""How many messages the conversation already has."""
SESSIONS = 200
WRITERS = 40
REPEAT = 25
HOLD = 1500


class Worker:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, method: str, *arguments: Any) -> Any:
        assert self._process.stdin and self._process.stdout  # noqa: S101  for the types
        print(json.dumps([method, *arguments]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._process.args} ended at {method}")
        return json.loads(answer)


@contextmanager
def worker_of(world: World, module: str, python: str) -> Iterator[Worker]:
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL_DYNAMODB": world.engine.url,
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(
        [python, "-m", "bench.peers.worker", module],
        cwd=ROOT / ".local" / "bench",  # Chainlit writes files to its working directory
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=dynamodb_local.die_with_parent,
    )
    try:
        yield Worker(process)
    finally:
        process.kill()
        process.wait()


def measure(world: World) -> dict[str, Any]:
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(worker_of(world, *peer)) for name, peer in PEERS.items()
        }
        keeps = {name: worker("create_tables") for name, worker in workers.items()}
        user, turn = "alice", [message(role="user"), message()]
        rows: list[dict[str, Any]] = []
        sessions = {}
        for name, worker in workers.items():
            sessions[name] = worker("start", user, SESSIONS)
            for session, length in zip(sessions[name], LENGTHS, strict=False):
                worker("fill", user, session, message(), length)
        for index, length in enumerate(LENGTHS):
            for operation in ("get", "turn"):
                calls = {
                    name: ("get", user, own[index])
                    if operation == "get"
                    else ("append", user, own[index], turn)
                    for name, own in sessions.items()
                }
                rows += _operation(workers, f"{operation}, {length} messages", calls)
        listing = {name: ("list_latest", user) for name in workers}
        rows += _operation(workers, f"list 20 of {SESSIONS}", listing)
        rows += [_delete(name, worker, user) for name, worker in workers.items()]
        at_once = {name: _at_once(worker) for name, worker in workers.items()}
        held = {
            name: worker("try_to_hold", "bob", message(), HOLD) for name, worker in workers.items()
        }
    return {"keeps": keeps, "rows": rows, "at_once": at_once, "held": held}


def _operation(
    workers: dict[str, Worker], operation: str, calls: dict[str, Any]
) -> list[dict[str, Any]]:
    metered = {name: worker("meter", *calls[name]) for name, worker in workers.items()}
    able = [name for name, found in metered.items() if found["supported"]]
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in able}
    for turn in range(REPEAT + 3):
        for name in able:
            once = workers[name]("time", *calls[name])
            if turn >= 3:  # the first turns warm up
                taken[name].append(once)
    return [
        {
            "operation": operation,
            "peer": name,
            **found,
            **{
                kind: statistics.median(once[kind] for once in taken[name])
                if name in able
                else None
                for kind in ("cpu_ms", "wall_ms")
            },
        }
        for name, found in metered.items()
    ]


def _delete(name: str, worker: Worker, user: str) -> dict[str, Any]:
    times = []
    for _ in range(5):
        [session] = worker("start", user, 1)
        worker("fill", user, session, message(), 100)
        times.append(worker("time", "delete", user, session))
    [session] = worker("start", user, 1)
    worker("fill", user, session, message(), 100)
    found = worker("meter", "delete", user, session)
    medians = {k: statistics.median(t[k] for t in times) for k in ("cpu_ms", "wall_ms")}
    return {"operation": "delete, 100 messages", "peer": name, **found, **medians}


def _at_once(worker: Worker) -> dict[str, Any]:
    [session] = worker("start", "carol", 1)
    found: dict[str, Any] = worker("append_at_once", "carol", session, message(), WRITERS)
    return found
