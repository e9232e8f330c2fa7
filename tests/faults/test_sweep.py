"""The sweep: one user's backlog, fault or damage does not delay the others."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.errors import ClockDisagrees
from app.operations import cli
from app.operations import sweep as sweeping
from app.operations.sweep import SweepFailed, sweep
from app.table import db, ids
from tests.faults.proxy import Call, Exchange, Fault, always, nothing, throttled
from tests.faults.test_budget import LambdaContext
from tests.people import SECRET, Client, make_token

ARN = "arn:aws:lambda:us-east-1:123456789012:function:session-store-production"


def of(user: str, fault: Fault) -> Callable[[Call], Fault | None]:
    """All calls for this user."""
    return lambda call: fault if f"acme#{user}".encode() in call.body else None


def slow(seconds: float) -> Fault:
    def slow(exchange: Exchange) -> None:
        threading.Event().wait(seconds)
        exchange.forward()

    return slow


@pytest.fixture
def person(app: Any) -> Callable[[str], Client]:
    return lambda name: Client(app, make_token("acme", name))


def users_left(items: Callable[[], list[Any]]) -> set[str]:
    """The users who still have sessions."""
    return {i["PK"]["S"] for i in items() if i["SK"]["S"].startswith("SESSION#")}


def test_a_throttled_user_does_not_delay_others(person, far_table, proxy, clock, items, table):
    users = [f"user-{n}" for n in range(20)]
    for user in users:
        for _ in range(2):
            person(user).create_session(expires_in_days=1)
    clock.move(days=2)
    proxy.plan = of("user-7", throttled)
    report = sweep(far_table, clock, seconds=12)
    assert users_left(items) == {"acme#user-7"}
    assert (report.sessions, report.finished) == (38, False)
    assert (report.failed, report.failure) == (1, "ThrottlingException")
    assert abs(report.backlog_seconds - 86_400) < 100
    proxy.plan = nothing
    report = sweep(table, clock)
    assert (report.sessions, report.finished, report.backlog_seconds) == (2, True, 0)
    assert (report.failed, report.failure) == (0, None)


@pytest.mark.parametrize("backlog", ["sessions", "erasure"])
def test_one_users_backlog_does_not_delay_others(
    backlog, person, far_table, proxy, clock, items, hurried_alice
):
    """The user comes first in every order and has far more than a run can do."""
    first, last = "user-8", "user-1"
    if backlog == "sessions":
        for _ in range(60):
            person(first).create_session(expires_in_days=1)
    else:
        person(first).fill(person(first).create_session()["session_id"], 1500)
        cut_off(hurried_alice, first, proxy)
    clock.move(days=2)
    person(last).create_session()
    cut_off(hurried_alice, last, proxy)
    proxy.plan = of(first, slow(0.3))
    report = sweep(far_table, clock, seconds=5)
    assert users_left(items) == {f"acme#{first}"}
    assert (report.finished, report.failed) == (False, 0)
    assert report.backlog_seconds > 80_000


def cut_off(hurried: Client, user: str, proxy: Any) -> None:
    """An erasure that is interrupted after its note."""
    proxy.plan = always(throttled, "TransactWriteItems")
    client = Client(hurried.app, make_token("acme", user))
    assert client.delete("/sessions?confirm=all").status_code == 202
    proxy.plan = nothing


def test_a_large_session_is_removed_in_turns_within_one_run(person, far_table, proxy, clock, items):
    session = person("large").create_session(expires_in_days=1)["session_id"]
    person("large").fill(session, 900)
    person("small").create_session(expires_in_days=1)
    clock.move(days=2)
    proxy.plan = always(slow(0.2), "BatchWriteItem")
    report = sweep(far_table, clock, seconds=10)
    assert (report.sessions, report.messages, report.finished) == (2, 900, True)
    assert users_left(items) == set()


def test_an_unreadable_shard_does_not_stop_the_others(person, far_table, proxy, clock, items):
    for number in range(30):
        person(f"user-{number}").create_session(expires_in_days=1)
    clock.move(days=2)
    proxy.plan = lambda call: throttled if b'"SWEEP#3"' in call.body else None
    report = sweep(far_table, clock, seconds=4)
    shards = {i["GSI2PK"]["S"] for i in items() if "GSI2PK" in i}
    assert shards <= {"SWEEP#3"}
    assert (report.finished, report.failed, report.failure) == (False, 1, "ThrottlingException")
    assert report.sessions > 0


def test_a_run_that_can_read_nothing_fails(far_table, proxy, clock):
    proxy.plan = always(throttled, "Query")
    with pytest.raises(SweepFailed, match="ThrottlingException"):
        sweep(far_table, clock, seconds=2)


def damage_user(raw: Any, table: db.Table, items: Any, partition: str) -> None:
    """Turns the user's count of sessions into text, so that it cannot be changed."""
    [user] = [i for i in items() if (i["PK"]["S"], i["SK"]["S"]) == (partition, "USER")]
    raw.put_item(TableName=table.name, Item={**user, "session_count": {"S": "many"}})


def test_a_damaged_user_does_not_affect_others(person, table, clock, raw, items):
    for user in ("user-1", "user-2", "user-3"):
        person(user).create_session(expires_in_days=1)
    damage_user(raw, table, items, "acme#user-2")
    clock.move(days=2)
    report = sweep(table, clock)
    left = [i["PK"]["S"] for i in items() if i["SK"]["S"].startswith("SESSION")]
    assert left == ["acme#user-2"]
    assert (report.sessions, report.failed, report.failure) == (2, 1, "ClientError")
    assert report.backlog_seconds > 80_000
    assert not report.finished


def test_a_run_without_time_leaves_everything_for_the_next(person, table, clock, items):
    person("user-1").create_session(expires_in_days=1)
    clock.move(days=2)
    report = sweep(table, clock, seconds=0.1)
    assert (report.sessions, report.finished, report.failed) == (0, False, 0)
    assert users_left(items) == {"acme#user-1"}


# A clock that is wrong


@pytest.mark.parametrize("wrong", [2 * 365 * 86_400, 120, -120], ids="{} s".format)
def test_a_sweep_with_a_wrong_clock_removes_nothing(
    wrong, person, table, far_table, proxy, items, clock
):
    """Not even what is really due: a host with a wrong clock must not delete."""
    person("user-1").create_session(expires_in_days=700)
    person("user-2").create_session(expires_in_days=1)
    before = items()
    unaided = db.Table(table.name, far_table.client)
    with pytest.raises(ClockDisagrees):
        sweep(unaided, lambda: ids.system_clock() + wrong * 1000)
    assert items() == before
    assert proxy.calls == ["GetItem"]  # DynamoDB's time, measured afresh


def test_a_sweep_goes_by_the_date_of_the_database(person, table, far_table, proxy, items):
    """The host's clock seems right, but the database's time differs."""
    person("user-1").create_session(expires_in_days=1)
    before = items()

    def a_year_ago(exchange: Exchange) -> None:
        exchange.forward()
        exchange.redate("Wed, 25 Nov 2020 02:18:15 GMT")

    proxy.plan = always(a_year_ago)
    with pytest.raises(ClockDisagrees):
        sweep(db.Table(table.name, far_table.client))
    assert items() == before


# On Lambda


class Context(LambdaContext):
    invoked_function_arn = ARN


@pytest.fixture
def invoked() -> Iterator[list[tuple[str, str, Any]]]:
    """The requests to Lambda: path, kind of invocation, event."""
    asked: list[tuple[str, str, Any]] = []

    class Lambda(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kind = self.headers["X-Amz-Invocation-Type"]
            asked.append((self.path, kind, json.loads(body)))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Lambda)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{server.server_address[1]}")
        yield asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def handle(table: db.Table, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """The handler as Lambda calls it, with its environment."""
    monkeypatch.setenv("SESSIONS_TABLE", table.name)
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("METRICS_NAMESPACE", "there")
    sweeping._set_up.cache_clear()
    yield lambda event, seconds=20.0: sweeping.handler(event, Context(seconds))
    sweeping._set_up.cache_clear()


EVENT = {"detail-type": "Scheduled Event", "resources": ["rule/x-app.operations.sweep.handler"]}


def test_an_unfinished_run_is_followed_by_another_at_once(handle, invoked):
    assert handle(EVENT)["finished"]
    assert invoked == []
    assert not handle(EVENT, seconds=1.45)["finished"]
    [(path, kind, event)] = invoked
    assert path.endswith("/invocations")
    assert ARN.replace(":", "%3A") in path
    assert (kind, event) == ("Event", {**EVENT, "runs": 2})


def test_the_number_of_runs_in_a_row_is_limited(handle, invoked):
    event: Any = EVENT
    runs = 0
    while event:
        del invoked[:]
        handle(event, seconds=1.45)
        runs += 1
        assert runs < 16, "Lambda stops a function that calls itself so often"
        event = invoked[0][2] if invoked else None
    assert runs == sweeping.RUNS_IN_A_ROW
    for nonsense in (0, -5, "1", None, 10**9):
        handle({**EVENT, "runs": nonsense}, seconds=1.45)
    assert invoked == []


def test_the_log_line_of_a_run_has_the_metrics_of_the_alarms(
    handle, invoked, logged, clock, raw, items
):
    handle(EVENT)
    [line] = [line for line in logged if line["message"] == "sweep"]
    assert (line["sweep_failed"], line["sweep_backlog_seconds"], line["failure"]) == (0, 0, None)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert {m["Name"] for m in directive["Metrics"]} == {"sweep_failed", "sweep_backlog_seconds"}


def test_the_command_reports_what_could_not_be_removed(app, person, clock, table, raw, items):
    from app.config import Config

    cli.init_app(app, Config(sessions_table=table.name, jwt_secret=SECRET))
    person("user-1").create_session(expires_in_days=1)
    [session] = [i for i in items() if i["SK"]["S"].startswith("SESSION")]
    session["expires_at"] = session["GSI2SK"] = {"S": "2026-01-01T00:00:00.000Z"}
    raw.put_item(TableName=table.name, Item=session)
    damage_user(raw, table, items, session["PK"]["S"])
    told = app.test_cli_runner().invoke(args=["sweep"])
    assert told.exit_code == 1
    assert "1 could not be removed: ClientError" in told.output
