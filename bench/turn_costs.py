"""What a turn of each framework costs: requests, DynamoDB calls and units.

The framework runs in its own environment and process, and sends real HTTP to the app, which is
served by this process. The first turn creates things, so the second one is counted. CPU is that of
the app, without the framework's.
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import dynamodb_local
import jwt
from suites.environments import environment
from werkzeug.serving import WSGIRequestHandler, make_server

from bench import prices
from bench.meter import metered
from bench.world import API, SECRET, World

ROOT = Path(__file__).resolve().parent.parent
TURNS = ROOT / "bench" / "turns"
TIMED = 5
SCOPES = (
    "sessions:read sessions:write sessions:import sessions:act-for-user "
    "tenant-values:read tenant-values:write"
)


@dataclass(frozen=True)
class Framework:
    """`environment` is that of `suites`; None is the project's own. A turn may take `requests`, and
    no more write units than the turn `like` it without the service; with `reads`, fewer read units,
    too."""

    title: str
    distribution: str
    environment: str | None
    requests: int | None = None
    like: str | None = None
    reads: bool = False


FRAMEWORKS = {
    "plain": Framework("Python client", "", None),
    "openai": Framework("OpenAI Agents SDK", "openai-agents", "openai", 4),
    "strands": Framework("Strands Agents", "strands-agents", "strands", 4),
    "langgraph": Framework("LangGraph", "langgraph", "langgraph", 10, "langgraph_aws"),
    "langgraph_delta": Framework(
        "LangGraph, delta channels",
        "langgraph",
        "langgraph",
        11,  # LangGraph asks for the history, too
        "langgraph_aws_delta",
        reads=True,
    ),
    "langgraph_aws": Framework(
        "LangGraph, AWS's DynamoDBSaver", "langgraph-checkpoint-aws", "langgraph"
    ),
    "langgraph_aws_delta": Framework(
        "LangGraph, AWS's DynamoDBSaver, delta channels", "langgraph-checkpoint-aws", "langgraph"
    ),
    "adk": Framework("Google ADK", "google-adk", "adk", 5),
    "pydantic_ai": Framework("Pydantic AI", "pydantic-ai-slim", "pydantic_ai"),
    "langchain": Framework("LangChain", "langchain-core", "langchain"),
    "chainlit": Framework("Chainlit", "chainlit", "chainlit"),
    "chainlit_aws": Framework("Chainlit, DynamoDBDataLayer", "chainlit", "chainlit"),
}
"""By their modules in bench/turns, in the order of the table."""


@dataclass
class Served:
    """Requests that the app has answered, one at a time, and the CPU they took."""

    app: Any
    requests: list[str] = field(default_factory=list)
    cpu: float = 0.0
    lock: Lock = field(default_factory=Lock)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        with self.lock:
            return self._answer(environ, start_response)

    def _answer(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix(API)
        started = time.process_time()
        answered = []

        def start(status: str, headers: Any, *rest: Any) -> Any:
            answered.append(status[:3])
            return start_response(status, headers, *rest)

        body = b"".join(self.app(environ, start))
        self.cpu += time.process_time() - started
        self.requests.append(f"{method} {path} {answered[0]}")
        return [body]


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        pass


def measure(world: World, names: Iterable[str] = FRAMEWORKS) -> list[dict[str, Any]]:
    """Of those whose module is there."""
    there = [name for name in names if (TURNS / f"{name}.py").exists()]
    with _serving(Served(world.app)) as (served, url):
        return [_measure(world, served, url, name) for name in there]


def _measure(world: World, served: Served, url: str, name: str) -> dict[str, Any]:
    framework = FRAMEWORKS[name]
    python = environment(framework.environment) if framework.environment else _own_python()
    with _worker(world, python, name, url) as run:
        run("warm up")
        served.requests.clear()
        with metered(world.table.client) as counted:
            own = run("meter")
        requests = list(served.requests)
        found = counted.per(1) if requests else own
        cpu = []
        for _ in range(TIMED):
            served.cpu = 0.0
            run("time")
            cpu.append(served.cpu * 1000)
    cost = prices.per_million(
        read_units=found["read_units"],
        write_units=found["write_units"],
        calls=found["call_count"],
        cpu_ms=statistics.median(cpu),
        requests=len(requests),
    )
    return {
        "name": name,
        "title": framework.title,
        "version": _version(python, framework.distribution),
        "requests": requests,
        "cpu_ms": statistics.median(cpu),
        "dollars": cost,
        "most_requests": framework.requests,
        "like": framework.like,
        "reads": framework.reads,
        **found,
    }


@contextmanager
def _serving(served: Served) -> Iterator[tuple[Served, str]]:
    server = make_server("127.0.0.1", 0, served, threaded=True, request_handler=_Quiet)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield served, f"http://127.0.0.1:{server.port}{API}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _worker(world: World, python: Path, name: str, url: str) -> Iterator[Any]:
    """Each framework has a tenant of its own."""
    home = ROOT / ".local" / "bench" / "turns"  # some frameworks write to where they are
    home.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [python, "-m", "bench.turn_worker", name],
        cwd=home,
        env={
            **os.environ,
            "AWS_ENDPOINT_URL_DYNAMODB": world.engine.url,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'clients' / 'python' / 'src'}",
            "SESSION_STORE_URL": url,
            "SESSION_STORE_TOKEN": _token(name),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=dynamodb_local.die_with_parent,
    )
    assert process.stdin and process.stdout  # noqa: S101  for the types
    pipes = process.stdin, process.stdout

    def run(what: str) -> Any:
        print(what, file=pipes[0], flush=True)
        answer = pipes[1].readline()
        if not answer:
            raise RuntimeError(f"bench/turns/{name}.py ended at: {what}")
        return json.loads(answer)

    try:
        yield run
    finally:
        process.kill()
        process.wait()


def _token(tenant: str) -> str:
    expires = int(time.time()) + 7200
    claims = {"tenant_id": f"turns-{tenant}", "sub": "alice", "exp": expires, "scope": SCOPES}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def _own_python() -> Path:
    return ROOT / ".venv" / "bin" / "python"


def _version(python: Path, distribution: str) -> str:
    if not distribution:
        return ""
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()
