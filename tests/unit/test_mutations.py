"""The changes that `./scripts/mutate` makes: some once passed all tests."""

import os
import subprocess
import sys
from pathlib import Path

import mutation
import pytest
from mutations import mutants

ROOT = Path(__file__).parents[2]

CHANGES = {
    "request_budget.check()": {"pass"},
    "MOST_REMEMBERED = 1000": {"MOST_REMEMBERED = 100", "MOST_REMEMBERED = 10000"},
    "READS = 3": {"READS = 2", "READS = 4"},
    "x = get(Key=key, ConsistentRead=True)": {
        "x = get(ConsistentRead=True)",
        "x = get(Key=key)",
        "x = get(Key=key, ConsistentRead=False)",
    },
    "if high and low >= high:\n    stop()": {
        "if True:\n    stop()",
        "if False:\n    stop()",
        "if high:\n    stop()",
        "if low >= high:\n    stop()",
        "if high and low > high:\n    stop()",
        "if high and low >= high:\n    pass",
    },
    'removes = ["expires_at", "GSI2PK", "GSI2SK"]': {
        'removes = ["GSI2PK", "GSI2SK"]',
        'removes = ["expires_at", "GSI2SK"]',
        'removes = ["expires_at", "GSI2PK"]',
    },
    'c = "attribute_exists(PK) AND last < :first"': {
        'c = "attribute_exists(PK)"',
        'c = "last < :first"',
        'c = "attribute_exists(PK) AND last <= :first"',
    },
    'name = f"{route}\\n{key}"': {
        'name = f"\\n{key}"',
        'name = f"{route}{key}"',
        'name = f"{route}\\n"',
    },
}


@pytest.mark.parametrize("code", CHANGES)
def test_every_change_is_made_and_no_other(code):
    made = {mutant.apply(code.encode()).decode() for mutant in mutants(code.encode())}
    assert made == CHANGES[code]


def test_code_that_is_not_run_is_not_changed():
    code = (
        b'"""Of 3 parts."""\nfrom a import b\n\ndef f(x: Literal["a", "b"]) -> tuple[int, 3]: ...\n'
    )
    assert mutants(code) == []


@pytest.mark.parametrize("path", mutation.TESTS)
def test_each_change_of_a_module_has_its_own_entry(path):
    text = (ROOT / path).read_bytes()
    changes = mutants(text)
    assert len({mutant.apply(text) for mutant in changes}) == len(changes) > 0
    assert all(mutant.lines for mutant in changes)


TRY = """
import sys

import mutation
from mutations import Mutant, mutants

path, test = "app/http/etags.py", "app/http/etags.py::app.http.etags.accepted_versions"
text = (mutation.ROOT / path).read_bytes()
unchanged = Mutant(0, 0, "", range(1, 2))
comment = Mutant(0, 0, "# A comment\\n", range(1, 2))
start = text.index(b"if if_match is None or _is_any(if_match)")
broken = next(mutant for mutant in mutants(text) if mutant.start >= start)
hits = {line: {test} for mutant in (unchanged, broken) for line in mutant.lines}
if WITHOUT_ROOT:
    sys.path.remove(str(mutation.ROOT))
mutation.check_itself(path, {test: 1.0}, hits)
chosen = [comment, broken]
alive = [m for m, _ in mutation.survivors(path, chosen, {test: 1.0}, hits, 1)]
print("alive:", [chosen.index(mutant) for mutant in alive])
"""
"""Tries two changes of a module: the first breaks nothing, and a doctest notices the second."""


def tried(*, without_root: bool = False) -> subprocess.CompletedProcess[str]:
    """With the path that `python scripts/mutation.py` has, which lacks the project's root."""
    return subprocess.run(
        [sys.executable, "-P", "-c", f"WITHOUT_ROOT = {without_root}\n{TRY}"],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "scripts"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_change_that_breaks_nothing_survives_and_one_that_does_is_noticed():
    done = tried()
    assert done.stdout.splitlines()[-1:] == ["alive: [0]"], done.stdout + done.stderr


def test_it_stops_if_everything_would_count_as_noticed():
    done = tried(without_root=True)
    assert done.returncode == 1
    assert "app/http/etags.py fail without a change" in done.stderr


def test_the_table_of_tests_names_existing_files():
    named = {name for tests in mutation.TESTS.values() for name in tests}
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_accepted_changes_have_the_form_that_the_script_reads():
    lines = mutation.ACCEPTED.read_text().splitlines()
    entries = [line for line in lines if line.startswith("- `app/")]
    assert len(mutation.accepted()) == len(entries) > 0
