"""`./scripts/bench`: runs benchmarks, prints the figures, and with --docs writes them to docs/."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import (
    calls,
    checkpoints,
    compare,
    growth,
    machine,
    overhead,
    profiles,
    report,
    sources,
    throughput,
    turn_costs,
)
from bench.world import World, world

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

NAMES = (
    "calls",
    "overhead",
    "growth",
    "throughput",
    "peers",
    "checkpoints",
    "sources",
    "cold",
    "verification",
)

ONLY_IF_NAMED = ("turns",)
"""Each framework needs an environment of its own, which takes minutes to make."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="./scripts/bench", description="Measure what a request costs."
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"any of {', '.join(NAMES + ONLY_IF_NAMED)} (default: all but "
        f"{', '.join(ONLY_IF_NAMED)})",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--docs", action="store_true", help="write them to docs/")
    parser.add_argument(
        "--large", action="store_true", help="grow to 200,000 (takes minutes longer)"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - {*NAMES, *ONLY_IF_NAMED}:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    started = time.monotonic()
    found: dict[str, Any] = {"machine": machine.describe()}
    for name in NAMES + ONLY_IF_NAMED:
        if name in (arguments.names or NAMES):
            found[name] = _run(name, arguments)
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    found["machine"]["seconds"] = f"{time.monotonic() - started:.0f}"
    found["targets"] = report.targets(found)
    print(json.dumps(found, indent=2) if arguments.json else report.text(found))
    if arguments.docs:
        report.write(found, DOCS)


def _run(name: str, arguments: argparse.Namespace) -> Any:
    """Each benchmark has its own engine, so that data left by one cannot slow the next."""
    if name == "cold":
        return _elsewhere("from bench import cold; found = cold.main([])")
    if name == "verification":
        return _elsewhere("from bench import verification; found = verification.measure()")
    measures: dict[str, Callable[[World], Any]] = {
        "calls": calls.measure,
        "overhead": _overhead(arguments.docs),
        "growth": lambda world: growth.measure(world, large=arguments.large),
        "throughput": throughput.measure,
        "peers": compare.measure,
        "checkpoints": checkpoints.measure,
        "sources": sources.measure,
        "turns": turn_costs.measure,
    }
    with world() as made:
        return measures[name](made)


def _overhead(write: bool) -> Callable[[World], Any]:
    def measure(world: World) -> Any:
        rows = overhead.measure(world)
        if write:
            profiles.write(world, profiles.dearest(rows), DOCS / "profiles")
        return rows

    return measure


def _elsewhere(code: str) -> Any:
    """Runs `code` in the project's .venv, which has the deployment tools."""
    program = f"{code}\nimport json, sys; print(json.dumps(found), file=sys.stderr)"
    environment = {name: value for name, value in os.environ.items() if "DYNAMODB" not in name}
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "python", "-c", program],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stderr.splitlines()[-1])


if __name__ == "__main__":
    main()
