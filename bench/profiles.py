"""Profiles the routes that cost most relative to their bare calls, with pyinstrument, as text."""

from pathlib import Path
from typing import Any

from pyinstrument import Profiler

from bench import overhead
from bench.world import World

REQUESTS = 300
KEPT = 3


def dearest(rows: list[dict[str, Any]]) -> list[str]:
    """The cases with the highest ratio of CPU over the bare calls."""
    ranked = sorted(rows, key=lambda row: row["cpu_over_default"], reverse=True)
    return [row["case"] for row in ranked[:KEPT]]


def write(world: World, names: list[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.txt"):
        path.unlink()
    for case in overhead.cases(world):
        if case.name in names:
            made = "-".join("".join(c if c.isalnum() else " " for c in case.name).split())
            (folder / f"{made}.txt").write_text(profile(case))


def profile(case: overhead.Case) -> str:
    make = case.prepare(f"{case.name} profile")
    requests = [make() for _ in range(min(REQUESTS, max(case.repeat, overhead.BLOCK)))]
    profiler = Profiler(interval=0.0002)
    with profiler:
        for request in requests:
            request()
    text = profiler.output_text(unicode=True, color=False, show_all=True)
    return f"{case.name}: {len(requests)} requests\n{_short(text)}"


def _short(text: str) -> str:
    """The frames that take 1 % or more, indented by depth. The whole tree is too wide to read."""
    lines, total = [], 0.0
    for line in text.splitlines():
        stripped = line.lstrip("│├└─ ")
        seconds, _, frame = stripped.partition(" ")
        try:
            taken = float(seconds)
        except ValueError:
            continue
        total = total or taken
        if taken >= total / 100 and "wrapper  flask_smorest" not in frame:
            depth = (len(line) - len(stripped)) // 3
            lines.append(f"{taken / total:7.1%} {' ' * depth}{frame}")
    return "\n".join(lines) + "\n"
