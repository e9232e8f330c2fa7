"""Finds code changes that no test notices: the program behind `scripts/mutate`.

This process imports the libraries but none of our modules. For each change it forks a child, which
imports the changed module instead of the real one (no file is written) and runs the tests that
reach the changed lines, the fastest first, until one fails.
"""

import argparse
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import dynamodb_local
from mutations import Mutant, mutants

ROOT = Path(__file__).resolve().parent.parent
# `python scripts/mutation.py` has only `scripts` on its path, and the children import our modules.
sys.path.insert(0, str(ROOT))

ACCEPTED = ROOT / "docs/reliability.md"

SESSIONS, MESSAGES = "tests/api/test_sessions.py", "tests/api/test_messages.py"
AFTER, ETAGS = "tests/api/test_after.py", "tests/api/test_etags.py"
BODIES, BOUNDS = "tests/api/test_bodies.py", "tests/api/test_bounds.py"
WIRE = "tests/api/test_wire.py"
REPLAYS, CLOCKS = "tests/faults/test_replay.py", "tests/faults/test_clocks.py"
REMOVAL, ERASURE = "tests/faults/test_removal.py", "tests/faults/test_erasure.py"
BUDGET, OPERATOR = "tests/faults/test_budget.py", "tests/faults/test_operator.py"
CONSISTENCY, HALF_VISIBLE = "tests/faults/test_consistency.py", "tests/faults/test_half_visible.py"
DAMAGE, LIBRARY = "tests/faults/test_damage.py", "tests/faults/test_library.py"
SWEEP = "tests/faults/test_sweep.py"
ATTACKS, ACTING = "tests/identity/test_attacks.py", "tests/identity/test_acting.py"
JWKS, SCOPES = "tests/identity/test_jwks.py", "tests/identity/test_scopes.py"
DOCUMENTED, REFUSALS = "tests/identity/test_documented.py", "tests/identity/test_refusals.py"
ABUSE = "tests/identity/test_abuse.py"
ISSUERS, RECIPES = "tests/identity/test_issuers.py", "tests/identity/test_recipes.py"
ISSUER_FILE = "tests/identity/test_issuer_file.py"

TESTS = {
    "app/messages/store.py": [MESSAGES, AFTER, ETAGS, REPLAYS, CLOCKS, LIBRARY, ACTING],
    "app/messages/reader.py": [MESSAGES, SESSIONS, HALF_VISIBLE, DAMAGE, CONSISTENCY, WIRE],
    "app/messages/sizes.py": ["app/messages/sizes.py", MESSAGES, WIRE, LIBRARY],
    "app/sessions/store.py": [SESSIONS, ETAGS, REPLAYS, REMOVAL, ERASURE, CLOCKS, LIBRARY],
    "app/sessions/listing.py": [SESSIONS, DAMAGE, BUDGET],
    "app/sessions/removal.py": [SESSIONS, REMOVAL, BUDGET],
    "app/sessions/erasure.py": [REMOVAL, ERASURE, REPLAYS, DAMAGE],
    "app/identity/tokens.py": [ATTACKS, ACTING, SCOPES, DOCUMENTED, REFUSALS, JWKS],
    "app/identity/auth.py": [ACTING, SCOPES, ATTACKS, REFUSALS, ABUSE],
    "app/identity/jwks.py": [JWKS, ATTACKS, DOCUMENTED, REFUSALS],
    "app/identity/fetch.py": [JWKS],
    "app/identity/claims.py": ["app/identity/claims.py", RECIPES, SCOPES, ATTACKS],
    "app/identity/issuers.py": [ISSUERS, RECIPES, ATTACKS],
    "app/identity/issuer_file.py": [ISSUER_FILE],
    "app/identity/keys.py": [ISSUERS, RECIPES],
    "app/table/db.py": [SESSIONS, MESSAGES, BUDGET, OPERATOR, CONSISTENCY, REPLAYS, REMOVAL],
    "app/table/retries.py": [BUDGET, OPERATOR, REPLAYS],
    "app/table/idempotency.py": [REPLAYS, ACTING],
    "app/table/database_time.py": [CLOCKS, SWEEP],
    "app/table/ranges.py": ["app/table/ranges.py", MESSAGES, SESSIONS, REMOVAL],
    "app/table/versions.py": ["app/table/versions.py", SESSIONS, ETAGS, CLOCKS, REPLAYS],
    "app/http/etags.py": ["app/http/etags.py", ETAGS, SESSIONS, REPLAYS],
    "app/http/limits.py": [BOUNDS, ABUSE],
    "app/http/bodies.py": [BODIES, ABUSE, BOUNDS],
    "app/http/repeats.py": [REPLAYS, ACTING],
    "app/operations/sweep.py": [SWEEP, REMOVAL, CLOCKS],
    "app/operations/repair.py": ["tests/faults/test_repair.py"],
    "app/http/readiness.py": ["tests/faults/test_ready.py"],
    "app/identity/audit.py": ["tests/identity/test_audit.py"],
}
"""The tests of each module. Tests that run the app in another process do not see the change."""

LEFT_OUT = "not racing"
"""A `-k` expression: leaves out tests that take very long and cover what others cover too."""

LIBRARIES = (
    "pytest", "hypothesis", "boto3", "flask", "flask_cors", "flask_smorest", "jwt", "marshmallow",
    "requests", "ulid", "cryptography.hazmat.primitives.asymmetric.rsa",
)  # fmt: skip

BROKEN = 70
"""How a process ends in which pytest itself could not run. No test has noticed anything then."""

Durations = dict[str, float]
Hits = dict[int, set[str]]


class Changed(importlib.abc.MetaPathFinder):
    """Imports one module from a given text instead of its file."""

    def __init__(self, path: str, text: bytes) -> None:
        self.path, self.text = path, text
        self.name = path.removesuffix(".py").replace("/", ".")

    def find_spec(self, fullname: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        text = self.text

        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, _: str) -> Any:
                return compile(text, self.path, "exec", dont_inherit=True)

        path = str(ROOT / self.path)
        return importlib.machinery.ModuleSpec(fullname, Loader(fullname, path), origin=path)


class Watch:
    """A pytest plugin that records how long each test takes and which lines of which module it
    reaches."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.name = ""
        self.durations: Durations = defaultdict(float)
        self.hits = {str(ROOT / path): defaultdict(set) for path in paths}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.name = nodeid

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.durations[report.nodeid] += report.duration

    def trace(self, frame: FrameType, _event: str, _argument: object) -> Any:
        if (lines := self.hits.get(frame.f_code.co_filename)) is not None:
            lines[frame.f_lineno].add(self.name)
            return self.trace
        return None


class Limit:
    """A pytest plugin that ends the process when one test takes far longer than it should."""

    def __init__(self, durations: Durations) -> None:
        self.durations = durations

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        signal.alarm(int(10 + 5 * self.durations.get(nodeid, 0)))


def in_child(run: Any, output: str = os.devnull) -> int:
    """Forks and returns the child's process id. The child exits with what `run` returns."""
    if pid := os.fork():
        return pid
    told = os.open(output, os.O_WRONLY)
    os.dup2(told, 1)
    os.dup2(told, 2)
    try:
        os._exit(run())
    except BaseException:
        traceback.print_exc()
        os._exit(BROKEN)


def pytest_main(arguments: Iterable[str], *plugins: object) -> int:
    import pytest

    options = ["-q", "-x", "--tb=line", "--assert=plain", "--hypothesis-seed=0"]
    plugins_by_name = ["-p", "_hypothesis_pytestplugin", "-p", "no:cacheprovider"]
    chosen = [*options, *plugins_by_name, "-k", LEFT_OUT, *arguments]
    return int(pytest.main(chosen, plugins=list(plugins)))


def baseline(paths: list[str]) -> tuple[Durations, dict[str, Hits]]:
    """How long the tests of these modules take, and which tests reach which line of a module."""
    with tempfile.NamedTemporaryFile("w+") as file, tempfile.NamedTemporaryFile("r") as output:

        def run() -> int:
            watch = Watch(paths)
            threading.settrace(watch.trace)
            sys.settrace(watch.trace)
            code = pytest_main(dict.fromkeys(name for path in paths for name in TESTS[path]), watch)
            sys.settrace(None)
            hits = [
                {line: sorted(tests - {""}) for line, tests in lines.items()}
                for lines in watch.hits.values()
            ]
            file.write(json.dumps([watch.durations, hits]))
            file.flush()
            return code

        _, status = os.waitpid(in_child(run, output.name), 0)
        if status:
            sys.exit(f"The tests fail without any change:\n{output.read()}")
        file.seek(0)
        durations, hits = json.load(file)
    return durations, {
        path: {int(line): set(tests) for line, tests in lines.items()}
        for path, lines in zip(paths, hits, strict=True)
    }


def check_itself(path: str, durations: Durations, hits: Hits) -> None:
    """Exits if the module's own text counts as noticed: then every change would."""
    line = next((line for line, tests in hits.items() if tests & durations.keys()), 0)
    unchanged = Mutant(0, 0, "", range(line, line + 1))
    if not list(survivors(path, [unchanged], durations, hits, jobs=1)):
        sys.exit(f"the tests of {path} fail without a change, so they would notice anything")


def tests_for(mutant: Mutant, durations: Durations, hits: Hits) -> list[str]:
    """The tests that reach the change, the fastest first; all tests if it runs on import."""
    lines = [hits[line] for line in mutant.lines if line in hits]
    passing = set().union(*lines) & durations.keys()
    if not passing and lines and not any(lines):
        passing = set(durations)
    return sorted(passing, key=lambda name: durations[name])


def survivors(
    path: str, chosen: list[Mutant], durations: Durations, hits: Hits, jobs: int
) -> Iterator[tuple[Mutant, str]]:
    text = (ROOT / path).read_bytes()
    running: dict[int, Mutant] = {}
    waiting = list(chosen)
    while waiting or running:
        if waiting and len(running) < jobs:
            mutant = waiting.pop(0)
            if not (tests := tests_for(mutant, durations, hits)):
                yield mutant, "no test reaches this"
                continue

            def run(mutant: Mutant = mutant, tests: list[str] = tests) -> int:
                changed = Changed(path, mutant.apply(text))
                sys.meta_path.insert(0, changed)
                try:
                    importlib.import_module(changed.name)
                except Exception:
                    return 1  # every test notices; pytest would call it a wrong usage
                return pytest_main(tests, Limit(durations))

            running[in_child(run)] = mutant
            continue
        pid, status = os.wait()
        if pid in running:
            mutant = running.pop(pid)
            if status == 0:
                yield mutant, ""
            elif os.WIFEXITED(status) and os.WEXITSTATUS(status) in (4, 5, BROKEN):
                sys.exit(f"pytest did not find or could not run the tests of {path}")


def changed_lines(path: str, since: str) -> set[int]:
    command = ["git", "diff", "-U0", since, "--", path]
    diff = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines: set[int] = set()
    for start, count in re.findall(r"^@@ \S+ \+(\d+)(?:,(\d+))? @@", diff, re.MULTILINE):
        lines |= set(range(int(start), int(start) + int(count or 1)))
    return lines


def described(path: str, text: bytes, mutant: Mutant) -> tuple[int, str]:
    """The line number, and the entry for docs/reliability.md, which has no line numbers."""
    before = text[: mutant.start]
    first = before.rpartition(b"\n")[2]
    last = text[mutant.end :].partition(b"\n")[0]
    old = (first + text[mutant.start : mutant.end] + last).decode()
    new = (first + mutant.new.encode() + last).decode()
    flat = [" ".join(side.split()) for side in (old, new)]
    return before.count(b"\n") + 1, f"- `{path}` `{flat[0]}` → `{flat[1]}`"


def accepted() -> dict[str, str]:
    """The survivors that are accepted, with the reason, from docs/reliability.md."""
    text = ACCEPTED.read_text()
    return dict(re.findall(r"^(- `app/\S+` `.+` → `.*`): (.+)$", text, re.MULTILINE))


def main() -> None:
    parser = argparse.ArgumentParser(prog="./scripts/mutate", description=__doc__.split("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TESTS)}")
    parser.add_argument("--changed", metavar="REV", help="only lines changed since this revision")
    parser.add_argument("--sample", type=int, metavar="N", help="only one change in N, at random")
    parser.add_argument(
        "--jobs", type=int, default=2, help="how many changes to try at a time (default 2)"
    )
    parser.add_argument("--list", action="store_true", help="list the changes without trying them")
    arguments = parser.parse_args()
    modules = arguments.modules or list(TESTS)
    if unknown := {name for name in modules if name not in TESTS or not (ROOT / name).exists()}:
        parser.error(f"not in TESTS of scripts/mutation.py, or no such file: {', '.join(unknown)}")

    os.chdir(ROOT)
    chosen = {path: choose(path, arguments) for path in modules}
    if arguments.list:
        for path, changes in chosen.items():
            for mutant in changes:
                line, entry = described(path, (ROOT / path).read_bytes(), mutant)
                print(f"{entry}  (line {line})")
        return
    started = time.monotonic()
    with engine():
        paths = [path for path in modules if chosen[path]]
        durations, hits = baseline(paths)
        print(f"{len(durations)} tests without a change: {time.monotonic() - started:.0f} s")
        unexplained = sum(
            try_module(path, chosen[path], durations, hits[path], arguments) for path in paths
        )
    print(f"{unexplained} to explain or to fix; {time.monotonic() - started:.0f} s in all")
    sys.exit(unexplained > 0)


def choose(path: str, arguments: argparse.Namespace) -> list[Mutant]:
    chosen = mutants((ROOT / path).read_bytes())
    if arguments.changed:
        lines = changed_lines(path, arguments.changed)
        chosen = [mutant for mutant in chosen if lines & set(mutant.lines)]
    if arguments.sample:
        chosen = random.sample(chosen, len(chosen) // arguments.sample)
    return chosen


def try_module(
    path: str, chosen: list[Mutant], durations: Durations, hits: Hits, arguments: argparse.Namespace
) -> int:
    """Tries changes of a module and returns how many are neither noticed nor explained."""
    started = time.monotonic()
    text, known = (ROOT / path).read_bytes(), accepted()
    durations = {
        name: seconds
        for name, seconds in durations.items()
        if any(name.startswith(f"{file}::") for file in TESTS[path])
    }
    check_itself(path, durations, hits)
    alive: set[str] = set()
    for mutant, remark in survivors(path, chosen, durations, hits, arguments.jobs):
        line, entry = described(path, text, mutant)
        alive.add(entry)
        if entry not in known:
            print(f"{entry}: {remark or '?'}  (line {line})", flush=True)
    if not (arguments.changed or arguments.sample):
        for entry in sorted(known):
            if entry.startswith(f"- `{path}` ") and entry not in alive:
                print(
                    f"{entry}: is noticed now, or no longer exists; remove it from {ACCEPTED.name}"
                )
    explained, took = len(alive & known.keys()), time.monotonic() - started
    print(
        f"{path}: {len(chosen)} changes, {len(alive)} not noticed, of which {explained} are "
        f"explained; {took:.0f} s",
        flush=True,
    )
    return len(alive) - explained


def engine() -> Any:
    """One DynamoDB Local for all tests. Imports the libraries before the first fork."""
    for name in LIBRARIES:
        __import__(name)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    if "TEST_ENGINE_URL" in os.environ:
        return nullcontext()
    started = dynamodb_local.start()
    os.environ["TEST_ENGINE_URL"] = started.url
    return started


if __name__ == "__main__":
    main()
