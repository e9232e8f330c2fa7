"""A session too large for one request is removed by a few requests and a sweep, in flat memory."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from app.identity.caller import Caller
from app.messages.model import NewMessage
from app.messages.store import MessageStore
from app.sessions.creation import NewSession
from app.sessions.store import SessionStore
from app.table import budget, db
from tests.faults.server import serve, settings
from tests.people import make_token

ALICE = Caller("acme", "alice")
TOKEN = make_token("acme", "alice")

BUDGET = 5.0
"""Seconds per request. About two are used: a page is not started if it may not finish in time."""


def peak_megabytes(pid: int) -> float:
    """The peak memory of a process."""
    [line] = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) / 1024


SWEEP = ("sweep", "--seconds", "600")


def run(table_name: str, database: str, *arguments: str) -> tuple[str, float]:
    """The output of a flask command, and its peak memory."""
    command = [sys.executable, "-m", "flask", "--app", "app.wsgi", *arguments]
    environment = settings(table_name, database)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while process.poll() is None:  # wait4 would count the memory of this process too
        with suppress(FileNotFoundError, ValueError):  # the process has just ended
            peak = max(peak, peak_megabytes(process.pid))
        time.sleep(0.01)
    output, _ = process.communicate()
    assert process.returncode == 0
    return output, peak


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_few_requests_and_a_sweep_remove_a_large_session_in_flat_memory(
    table, engine, full, items, assert_sound, record_figures
):
    count = 50_000 if full else 2_000
    session = filled_session(table, count, size=500 if full else 2_000)
    idle_output, idle_sweep = run(table.name, engine.url, *SWEEP)
    assert idle_output == "removed 0 sessions, 0 messages; nothing is left to do\n"
    checked, check_peak = run(table.name, engine.url, "check")
    assert (
        f"{count} messages, 0 values, 0 verdicts, 0 records (0 wait for the sweep): 0 findings"
        in checked
    )
    budget = BUDGET if full else 3.05
    with serve(table.name, engine.url, workers=1, threads=2, budget=budget) as server:
        [worker] = server.workers()
        assert server.request(TOKEN, "GET", "/sessions").json["pagination"]["total"] == 1
        idle = peak_megabytes(worker)
        answers = []
        started = time.monotonic()
        for _ in range(3 if full else 2):
            answers.append(server.request(TOKEN, "DELETE", f"/sessions/{session}"))
            assert server.request(TOKEN, "GET", f"/sessions/{session}").status == 404
        seconds = time.monotonic() - started
        grown = peak_megabytes(worker) - idle
    left = len(items())
    assert_sound()
    started = time.monotonic()
    output, sweep_peak = run(table.name, engine.url, *SWEEP)
    record_figures(
        messages=count,
        requests=len(answers),
        seconds=round(seconds, 1),
        left_for_the_sweep=left,
        seconds_of_the_sweep=round(time.monotonic() - started, 1),
        megabytes_above_idle=round(grown),
        megabytes_of_the_sweep_above_idle=round(sweep_peak - idle_sweep),
        megabytes_of_the_check_above_idle=round(check_peak - idle_sweep),
    )
    assert {answer.status for answer in answers} == {202}
    assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
    assert answers[0].json == {"session_id": session, "deleted_messages": count}
    assert output == f"removed 1 sessions, {count} messages; nothing is left to do\n"
    assert [item["SK"]["S"] for item in items()] == ["USER"]
    assert grown < 100
    assert max(sweep_peak, check_peak) - idle_sweep < 100
    # The erasure also removes the user's own item.
    with serve(table.name, engine.url, workers=1, threads=1) as server:
        assert server.request(TOKEN, "DELETE", "/sessions?confirm=all").status == 200
    assert items() == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_erasure_of_many_sessions_runs_in_flat_memory(
    table, engine, full, items, record_figures
):
    sessions, each = (1_000, 10) if full else (100, 5)
    for _ in range(sessions):
        filled_session(table, each, size=200)
    with serve(table.name, engine.url, workers=1, threads=2, budget=BUDGET) as server:
        [worker] = server.workers()
        server.request(TOKEN, "GET", "/sessions")
        idle = peak_megabytes(worker)
        statuses, deleted = [], 0
        started = time.monotonic()
        while not statuses or statuses[-1] == 202:
            answer = server.request(TOKEN, "DELETE", "/sessions?confirm=all")
            statuses.append(answer.status)
            deleted += answer.json["deleted_messages"]
        seconds = time.monotonic() - started
        grown = peak_megabytes(worker) - idle
    record_figures(
        sessions=sessions,
        messages=sessions * each,
        requests=len(statuses),
        seconds=round(seconds, 1),
        megabytes_above_idle=round(grown),
    )
    assert statuses[-1] == 200
    assert deleted == sessions * each
    assert grown < 100
    assert items() == []


def filled_session(table: db.Table, count: int, size: int) -> str:
    """Writes a session with the stores, as another program would. Returns its id."""
    budget.begin()
    made = SessionStore(table).create(ALICE, NewSession(domain_id="d")).session
    store = MessageStore(table)
    message = NewMessage("user", "x" * size)
    for start in range(0, count, 50):
        budget.begin()
        store.append(ALICE, made.session_id, [message] * min(50, count - start))
    return made.session_id
