"""Requests per second and latency through gunicorn on loopback, measured with locust.

The load generator, gunicorn and the engine share this machine's cores. For comparison, the same
load goes to the engine alone, and to boto3 alone behind the same server. The generator's own CPU is
reported.
"""

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dynamodb_local

from bench.overhead import recorded
from bench.world import SECRET, TABLE, World, message, token

CLIENTS = (1, 8, 64)
SECONDS = 8
WARM_UP = 8
WORKERS = 2
THREADS = 32
ROOT = Path(__file__).resolve().parent.parent
NEW_ULID, NEW_TIME = "NEW-ULID-NEW-ULID-NEW-ULID", "NEW-TIME-NEW-TIME-NEW-TI"
"""Placeholders, of equal length, for the values that change with each append to the engine."""

TARGETS = {
    "service": ("ServiceUser", "app.wsgi:app"),
    "boto3": ("BareUser", "bench.bare:app"),
    "engine": ("EngineUser", None),
}


def measure(world: World, *, seconds: int = SECONDS) -> dict[str, Any]:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        # The engine runs on Java and is slow at first. The first target must not pay for that.
        warm = Path(name) / "warm.json"
        warm.write_text(json.dumps(_plan(world, "warm", 8)))
        _run(world.engine.url, "EngineUser", warm, 8, WARM_UP)
        for clients in CLIENTS:
            for target, (user, wsgi) in TARGETS.items():
                plan = Path(name) / f"{target}-{clients}.json"
                plan.write_text(json.dumps(_plan(world, f"{target}-{clients}", clients)))
                with _server(world, wsgi) if wsgi else _engine(world) as server:
                    found = _run(server, user, plan, clients, seconds)
                rows.append({"target": target, "clients": clients, **found})
    for row in rows:
        same = {other["target"]: other for other in rows if other["clients"] == row["clients"]}
        row["of_engine"] = row["per_second"] / same["engine"]["per_second"]
        row["of_boto3"] = row["per_second"] / same["boto3"]["per_second"]
    return {"workers": WORKERS, "threads": THREADS, "seconds": seconds, "rows": rows}


def _plan(world: World, run: str, clients: int) -> dict[str, Any]:
    """What each user needs, and the DynamoDB calls that the service makes for each operation."""
    users = []
    for number in range(clients):
        user = f"{run}-{number}"
        world.fill_sessions(user, 20)
        own, known = world.new_session(user, 1), world.new_session(user, 20)
        latest = world.send(user, "GET", f"/sessions/{own}/messages?order=desc&limit=1")
        after = latest["messages"][0]["message_id"]
        operations = {
            "append": ("POST", f"/sessions/{own}/messages", message()),
            "read": ("GET", f"/sessions/{own}/messages?limit=20&after={after}", None),
            "get": ("GET", f"/sessions/{known}", None),
            "list": ("GET", "/sessions?limit=20", None),
        }
        calls = {name: _calls(world, user, *request) for name, request in operations.items()}
        users.append(
            {
                "token": token(user),
                "own": own,
                "known": known,
                "after": after,
                "calls": calls,
                "number": 0,
            }
        )
    return {
        "users": users,
        "message": json.dumps(message()),
        "new": [NEW_ULID, NEW_TIME],
        "authorization": "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/dynamodb/"
        "aws4_request, SignedHeaders=host, Signature=0",
    }


def _calls(world: World, user: str, method: str, path: str, body: Any) -> list[tuple[str, str]]:
    with recorded(world.table) as calls:
        world.send(user, method, path, body)
    made = []
    for operation, parameters in calls:
        parameters.pop("ClientRequestToken", None)
        if "TransactItems" in parameters:
            update = parameters["TransactItems"][0]["Update"]
            values = update["ExpressionAttributeValues"]
            text = json.dumps(parameters).replace(values[":first"]["S"], NEW_ULID)
            activity, _, _ = values[":GSI1SK"]["S"].partition("#")
            text = text.replace(activity, NEW_TIME)
        else:
            text = json.dumps(parameters)
        made.append(("".join(word.title() for word in operation.split("_")), text))
    return made


@contextmanager
def _server(world: World, wsgi: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "SESSIONS_TABLE": TABLE,
        "JWT_SECRET": SECRET,
        "AWS_ENDPOINT_URL_DYNAMODB": world.engine.url,
        "PYTHONPATH": str(ROOT),
    }
    command = [
        *(sys.executable, "-m", "gunicorn", wsgi, "--bind", f"127.0.0.1:{port}"),
        *("--workers", str(WORKERS), "--worker-class", "gthread", "--threads", str(THREADS)),
        *("--log-level", "error", "--keep-alive", "30"),
    ]
    server = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,  # the service's log
        preexec_fn=dynamodb_local.die_with_parent,
    )
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


@contextmanager
def _engine(world: World) -> Iterator[str]:
    yield world.engine.url


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing answers on port {port}")


def _run(server: str, user: str, plan: Path, clients: int, seconds: int) -> dict[str, Any]:
    """Runs locust once. Requests sent before all users have started are not counted."""
    environment = {**os.environ, "BENCH_PLAN": str(plan)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    made = subprocess.run(
        [
            *(sys.executable, "-m", "locust", "--locustfile", str(ROOT / "bench" / "users.py")),
            *("--headless", "--json", "--host", server, "--users", str(clients)),
            *("--spawn-rate", str(clients), "--run-time", f"{seconds}s", "--reset-stats"),
            *("--loglevel", "ERROR", user),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        stats = json.loads(made.stdout[made.stdout.index("[") :])
    except ValueError:
        raise RuntimeError(f"locust: {made.stdout[-2000:]} {made.stderr[-2000:]}") from None
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**_summary(stats), "generator_cpus": used / seconds}


def _summary(stats: list[dict[str, Any]]) -> dict[str, Any]:
    times: dict[float, int] = {}
    for entry in stats:
        for milliseconds, count in entry["response_times"].items():
            times[float(milliseconds)] = times.get(float(milliseconds), 0) + count
    count = sum(entry["num_requests"] for entry in stats)
    started = min(entry["start_time"] for entry in stats)
    ended = max(entry["last_request_timestamp"] for entry in stats)
    return {
        "per_second": count / (ended - started),
        "p50_ms": _percentile(times, 0.5),
        "p99_ms": _percentile(times, 0.99),
        "requests": count,
        "failures": sum(entry["num_failures"] for entry in stats),
        "by_operation": {entry["name"]: entry["num_requests"] for entry in stats},
    }


def _percentile(times: dict[float, int], share: float) -> float:
    wanted, seen = share * sum(times.values()), 0
    for milliseconds, count in sorted(times.items()):
        seen += count
        if seen >= wanted:
            return milliseconds
    return 0.0
