"""Runs the suites and prints what became of their tests. See `scripts/suites`."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dynamodb_local
from app.operations import provision
from app.table import db
from suites.environments import HOME, ROOT, SuiteError, environment, tests
from suites.frameworks import OURS, SUITES, Suite
from tests.faults.server import serve
from tests.people import API, SECRET

AT_A_TIME = 2
CLIENT = ROOT / "clients" / "python"
TABLE = "suites"
SECONDS = 900
"""For one suite with one backend."""
TEST_SECONDS = 30
"""For one test. A test may wait for something that only its own backend does."""


@dataclass(frozen=True)
class Run:
    """One suite with one backend. `output` is pytest's."""

    suite: Suite
    backend: str
    outcomes: dict[str, dict[str, Any]]
    left_out: dict[str, list[str]]
    unknown: list[str]
    output: str
    completed: bool

    def with_backend(self, outcome: str) -> list[str]:
        """The tests with that outcome that had a backend to test, or failed before they had."""
        return [
            test
            for test, note in self.outcomes.items()
            if note["outcome"] == outcome and (note.get("used") or outcome == "failed")
        ]

    @property
    def without_backend(self) -> int:
        return sum(
            not note.get("used") and note["outcome"] != "failed" for note in self.outcomes.values()
        )

    @property
    def faults(self) -> list[str]:
        """Why the run with our adapter is not as it should be."""
        found = [f"{test}: {self.outcomes[test]['why']}" for test in self.with_backend("failed")]
        found += [
            f"{test}: is listed as not applicable, but does not exist" for test in self.unknown
        ]
        if not self.completed and not found:
            found.append(f"pytest did not run the tests:\n{self.output[-3000:]}")
        return found


@contextmanager
def server() -> Iterator[dict[str, str]]:
    """The environment variables that lead to a running service."""
    local = {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }
    os.environ.pop("AWS_PROFILE", None)
    with dynamodb_local.start() as engine:
        os.environ.update(local, AWS_ENDPOINT_URL_DYNAMODB=engine.url)
        list(provision.create(db.Table(TABLE, db.connect())))
        with serve(TABLE, engine.url) as service:
            yield {
                **local,
                "SESSION_STORE_URL": f"http://127.0.0.1:{service.port}{API}",
                "SESSION_STORE_SECRET": SECRET,
                "SUITES_DYNAMODB_URL": engine.url,
            }


def run(suite: Suite, backend: str, folder: Path, options: list[str], given: dict[str, str]) -> Run:
    python = environment(suite.framework)
    with tempfile.TemporaryDirectory() as temporary:
        result = Path(temporary) / "result.json"
        # The framework's own `addopts` ask for reports and plugins of no use here.
        command = [python, "-m", "pytest", "-o", "addopts=", "-o", "asyncio_mode=auto", "-q"]
        # Its `filterwarnings` may make errors of what other packages' versions warn of.
        # One without a configuration of its own would get ours.
        command += ["--rootdir", ".", "-o", "filterwarnings=default"]
        command += ["-p", "no:cacheprovider", "--timeout", str(TEST_SECONDS)]
        command += ["-p", "suites.recorder", "-p", f"suites.{suite.framework}_plugin"]
        command += [*options, *suite.tests]
        ended = subprocess.run(
            command,
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": temporary,
                "PYTHONPATH": f"{CLIENT}{os.pathsep}{CLIENT / 'src'}",
                "PYTHONDONTWRITEBYTECODE": "1",
                "SUITES_FRAMEWORK": suite.framework,
                "SUITES_BACKEND": backend,
                "SUITES_RESULT": str(result),
                **given,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        noted = json.loads(result.read_text()) if result.exists() else {}
    return Run(
        suite,
        backend,
        noted.get("outcomes", {}),
        noted.get("left_out", {}),
        noted.get("unknown", []),
        ended.stdout,
        completed=ended.returncode in (0, 1),
    )


def has_sound_types(framework: str) -> bool:
    """Checks the adapter with the framework's own types."""
    adapter = "openai_agents" if framework == "openai" else framework
    command = [sys.executable, "-m", "mypy", "--strict", "-p", f"session_store.adapters.{adapter}"]
    command += ["--python-executable", str(environment(framework))]
    command += ["--cache-dir", str(HOME / framework / ".mypy_cache")]
    print(framework, flush=True)
    return subprocess.run(command, cwd=CLIENT / "src", check=False).returncode == 0


def report(runs: list[Run]) -> list[str]:
    """Prints a suite's results with all backends. Returns the faults of our adapter."""
    print(f"\n{runs[0].suite.title}")
    head = f"{'passed':>8}{'failed':>8}{'not applicable':>16}{'skipped':>9}{'no backend':>12}"
    print(f"  {'':50}{head}")
    for each in runs:
        skipped = len(each.with_backend("skipped")) + len(each.with_backend("xfailed"))
        print(
            f"  {each.suite.backends[each.backend]:50}{len(each.with_backend('passed')):>8}"
            f"{len(each.with_backend('failed')):>8}{sum(map(len, each.left_out.values())):>16}"
            f"{skipped:>9}{each.without_backend:>12}"
        )
        if not each.completed:
            print("    did not run")
    faults: list[str] = []
    for each in runs:
        for why, ids in each.left_out.items():
            print(f"  not applicable, {len(ids)}: {why}")
        skips = Counter(
            note["why"]
            for note in each.outcomes.values()
            if note["outcome"] in ("skipped", "xfailed")
        )
        for why, count in skips.items():
            print(f"  skipped by the suite, {each.backend}, {count}: {why}")
        if each.backend == OURS:
            faults += each.faults
        else:
            for fault in each.faults:
                print(f"  {each.backend}: {fault}")
    return faults


def main() -> None:
    names = list(dict.fromkeys(suite.framework for suite in SUITES))
    parser = argparse.ArgumentParser(prog="scripts/suites")
    parser.add_argument("frameworks", nargs="*", metavar="FRAMEWORK", help=", ".join(names))
    parser.add_argument("--ci", action="store_true", help="those that CI runs")
    parser.add_argument("--tests", type=Path, help="a checkout of the framework")
    parser.add_argument("--only", help="one backend: ours, builtin or dynamodb")
    parser.add_argument("--types", action="store_true", help="check the adapters' types instead")
    parser.add_argument("--verbose", action="store_true", help="print what pytest prints")
    own, after = sys.argv[1:], []
    if "--" in own:
        own, after = own[: own.index("--")], own[own.index("--") + 1 :]
    arguments = parser.parse_args(own)
    if strangers := set(arguments.frameworks) - set(names):
        parser.error(f"unknown: {', '.join(sorted(strangers))}")
    chosen = arguments.frameworks or names
    if arguments.types:
        sys.exit(any([not has_sound_types(name) for name in chosen]))
    suites = [
        suite for suite in SUITES if suite.framework in chosen and (suite.ci or not arguments.ci)
    ]

    try:
        folders = [tests(suite, arguments.tests) for suite in suites]
        for framework in dict.fromkeys(suite.framework for suite in suites):
            environment(framework)
    except SuiteError as error:
        sys.exit(str(error))
    with server() as given, ThreadPoolExecutor(AT_A_TIME) as pool:
        started = [
            [
                pool.submit(run, suite, backend, folder, after, given)
                for backend in suite.backends
                if arguments.only in (None, backend)
            ]
            for suite, folder in zip(suites, folders, strict=True)
        ]
        faults: list[str] = []
        ours: list[Run] = []
        for of_suite in started:
            runs = [future.result() for future in of_suite]
            if arguments.verbose:
                print(*(each.output for each in runs), sep="\n")
            faults += report(runs)
            ours += [each for each in runs if each.backend == OURS]
    if faults:
        print("\nFaults:", *faults, sep="\n")
    passed = sum(len(each.with_backend("passed")) for each in ours)
    print(f"\n{passed} passed, {len(faults)} failed", flush=True)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
