"""Cold start: the time from the start of a process to its first answer.

Each contestant runs packaged code with valid bytecode. It takes a canned API Gateway event and
makes one GetItem to DynamoDB Local. The same run measures, with the same boto3, FastAPI (with
Mangum, pydantic and PyJWT, and the same routes and models) and a bare boto3 function. The first
start of each is not counted.

    python -m bench.cold [--rounds 10]
"""

import argparse
import compileall
import hashlib
import json
import os
import py_compile
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dynamodb_local
import jwt

from app.identity.caller import Caller
from app.operations import provision
from app.sessions.creation import NewSession
from app.sessions.store import SessionStore
from app.table import db
from bench.world import AWS, SECRET, TABLE
from deploy import package

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent / "cold_start"
WORK = ROOT / ".local" / "cold"

OURS = "session store"
TARGETS = {"FastAPI": 0.95, "bare boto3": 2.0}

Times = dict[str, list[tuple[float, float]]]
"""For each start: wall seconds and CPU seconds."""


@dataclass(frozen=True)
class Contestant:
    name: str
    folder: Path
    handler: str
    answers: int


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args(arguments).rounds
    runtime, contestants = _prepare()
    with _engine() as (environment, event):
        times: Times = {contestant.name: [] for contestant in contestants}
        for turn in range(rounds + 1):
            for contestant in contestants:
                taken = _start(contestant, runtime, environment, event)
                if turn:
                    times[contestant.name].append(taken)
    result = _summary(times)
    _print(result)
    return result


def _prepare() -> tuple[Path, list[Contestant]]:
    """The folder with the runtime's boto3, and the contestants, each in a folder as on Lambda."""
    WORK.mkdir(parents=True, exist_ok=True)
    ours = _unpack_ours()
    runtime = _install("runtime", _runtime_requirements())
    fastapi = _install("fastapi", (HERE / "requirements.txt").read_text(), "fastapi_app.py")
    bare = _install("bare", "", "bare.py")
    return runtime, [
        Contestant(OURS, ours, "app.lambda_handler.handler", 304),
        Contestant("FastAPI", fastapi, "fastapi_app.handler", 304),
        Contestant("bare boto3", bare, "bare.handler", 200),
    ]


def _unpack_ours() -> Path:
    """Unpacks what `zappa package` builds. No stage is deployed."""
    folder = WORK / "ours"
    shutil.rmtree(folder, ignore_errors=True)
    archive = ROOT / "cold-start.zip"
    environment = {**os.environ, **AWS, "VIRTUAL_ENV": sys.prefix}
    command = [sys.executable, "-m", "zappa.cli", "package", "production", "-o", archive.name]
    try:
        subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
    finally:
        archive.unlink(missing_ok=True)
    return folder


def _runtime_requirements() -> str:
    pinned = (ROOT / "requirements.txt").read_text()
    return package.select(pinned, package.IN_THE_RUNTIME)


def _install(name: str, requirements: str, program: str | None = None) -> Path:
    """A folder with these packages and this program, compiled in the same way as ours."""
    source = (HERE / program).read_text() if program else ""
    made_from = "\n".join([sys.version, requirements, source])
    folder = WORK / f"{name}-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"
    if folder.exists():
        return folder
    unfinished = WORK / f"{name}-unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    if requirements:
        listed = WORK / f"{name}.txt"
        listed.write_text(requirements)
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--quiet", "--no-deps"),
                *("--disable-pip-version-check", "--require-hashes", "--no-compile"),
                *("--target", unfinished, "--requirement", listed),
            ],
            check=True,
        )
    if program:
        shutil.copy(HERE / program, unfinished)
    compileall.compile_dir(
        unfinished,
        quiet=2,
        legacy=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    for path in unfinished.rglob("*.py"):
        path.unlink()
    unfinished.rename(folder)
    return folder


@contextmanager
def _engine() -> Iterator[tuple[dict[str, str], str]]:
    """Starts DynamoDB Local with one session. Yields the environment that points to it, and an
    event that requests the session."""
    with dynamodb_local.start() as engine:
        environment = {
            **AWS,
            "AWS_ENDPOINT_URL_DYNAMODB": engine.url,
            "SESSIONS_TABLE": TABLE,
            "JWT_SECRET": SECRET,
            "INSTANTIATE_LAMBDA_HANDLER_ON_IMPORT": "1",
            "AWS_LAMBDA_FUNCTION_NAME": "cold",
            "METRICS_NAMESPACE": "cold",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        os.environ.update(AWS | {"AWS_ENDPOINT_URL_DYNAMODB": engine.url})
        table = db.Table(TABLE)
        list(provision.create(table))
        store = SessionStore(table)
        new = NewSession(domain_id="cold", title="Cold")
        session = store.create(Caller("acme", "alice"), new).session
        yield environment, json.dumps(_event(session.session_id, session.etag))


def _event(session_id: str, etag: str) -> dict[str, Any]:
    """What API Gateway (v1, proxy) sends for `GET /api/v1/sessions/{id}` with If-None-Match."""
    claims = {"tenant_id": "acme", "sub": "alice", "exp": int(time.time()) + 3600}
    headers = {
        "Accept": "*/*",
        "Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}",
        "Host": "abcdef1234.execute-api.us-east-1.amazonaws.com",
        "If-None-Match": etag,
        "User-Agent": "curl/8.5.0",
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    path = f"/api/v1/sessions/{session_id}"
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": "GET",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path[1:]},
        "stageVariables": None,
        "requestContext": {
            "resourcePath": "/{proxy+}",
            "httpMethod": "GET",
            "path": f"/production{path}",
            "stage": "production",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "identity": {"sourceIp": "203.0.113.7"},
        },
        "body": None,
        "isBase64Encoded": False,
    }


def _start(
    contestant: Contestant, runtime: Path, environment: dict[str, str], event: str
) -> tuple[float, float]:
    """Wall seconds from the start of the process to its answer, and its CPU seconds."""
    command = [sys.executable, "-S", str(HERE / "start.py"), contestant.handler, event]
    path = f"{contestant.folder}{os.pathsep}{runtime}"
    with tempfile.TemporaryFile() as complaints:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=contestant.folder,
            env={**environment, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        )
        said = _answer(process)
        taken = time.perf_counter() - started
        process.communicate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if said != f"answered {contestant.answers}":
            complaints.seek(0)
            raise RuntimeError(f"{contestant.name} said {said!r}\n{complaints.read().decode()}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return taken, cpu


def _answer(process: "subprocess.Popen[str]") -> str | None:
    for line in process.stdout or ():
        if line.startswith("answered"):
            return line.strip()
    return None


def _summary(times: Times) -> dict[str, Any]:
    wall = {name: statistics.median(t for t, _ in taken) * 1000 for name, taken in times.items()}
    cpu = {name: statistics.median(c for _, c in taken) * 1000 for name, taken in times.items()}
    return {
        "median_ms": wall,
        "median_cpu_ms": cpu,
        "ratios": {name: wall[OURS] / wall[name] for name in TARGETS},
        "cpu_ratios": {name: cpu[OURS] / cpu[name] for name in TARGETS},
        "targets": TARGETS,
    }


def _print(result: dict[str, Any]) -> None:
    print("Cold start, from process start to first answer: median wall ms and CPU ms")
    for name, median in result["median_ms"].items():
        print(f"  {name:<14} {median:7.1f} {result['median_cpu_ms'][name]:7.1f}")
    for name, ratio in result["ratios"].items():
        target = result["targets"][name]
        verdict = "met" if ratio <= target else "missed"
        cpu = result["cpu_ratios"][name]
        print(f"  over {name:<11} {ratio:5.2f}  (CPU {cpu:.2f}; target {target}: {verdict})")


if __name__ == "__main__":
    main()
