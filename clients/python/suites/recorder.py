"""Pytest plugin of every suite: leaves out what does not apply, and notes what became of the rest.

The framework's plugin (`<name>_plugin.py`) has NOT_APPLICABLE: {reason: tests it is the reason
for}, each as `file.py::test`, `file.py::test[parameters]` or a whole `file.py`.
"""

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from suites import world
from suites.frameworks import OURS

PLUGIN = importlib.import_module(f"suites.{os.environ['SUITES_FRAMEWORK']}_plugin")

outcomes: dict[str, dict[str, Any]] = {}
left_out: dict[str, list[str]] = {}
unknown: list[str] = []


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if world.BACKEND != OURS:
        return
    reasons = {test: why for why, tests in PLUGIN.NOT_APPLICABLE.items() for test in tests}
    found, kept = set(), []
    for item in items:
        file, _, rest = item.nodeid.partition("::")
        name = rest.partition("[")[0]
        ids = [item.nodeid, f"{file}::{name}", file]
        listed = next((test for test in ids if test in reasons), None)
        if listed is None:
            kept.append(item)
        else:
            found.add(listed)
            left_out.setdefault(reasons[listed], []).append(item.nodeid)
    # The table may list tests of other suites of the framework.
    files = {item.nodeid.partition("::")[0] for item in items}
    here = {test for test in reasons if test.partition("::")[0] in files}
    unknown.extend(sorted(here - found))
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    world.begin()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    note = outcomes.setdefault(report.nodeid, {"outcome": "passed", "why": ""})
    if hasattr(report, "wasxfail"):
        note["outcome"] = "xfailed" if report.skipped else "passed"
        note["why"] = report.wasxfail
    elif report.failed:
        note.update(outcome="failed", why=str(report.longrepr).strip().rpartition("\n")[2])
    elif report.skipped:
        why = report.longrepr
        note.update(outcome="skipped", why=why[2] if isinstance(why, tuple) else str(why))
    if report.when == "teardown":
        note["used"] = world.used()


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        outcomes[report.nodeid] = {"outcome": "failed", "why": str(report.longrepr), "used": True}


def pytest_sessionfinish() -> None:
    result = {"outcomes": outcomes, "left_out": left_out, "unknown": unknown}
    Path(os.environ["SUITES_RESULT"]).write_text(json.dumps(result))
