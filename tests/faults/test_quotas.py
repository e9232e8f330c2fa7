"""Quotas of several processes over one table, and what becomes of them under faults."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from app.config import SEEN_WITHIN
from app.operations.tenant_erasure import erase_tenant, erase_user
from tests.faults.proxy import (
    always,
    bad_gateway,
    broken_inside_after,
    cut_after,
    cut_before,
    nothing,
    once,
    refused,
    throttled,
)
from tests.faults.server import serve
from tests.people import make_token
from tests.quotas import passed, person, report

NOON = 1_796_040_000_000  # 2026-11-30T12:00:00Z


@pytest.fixture
def used(clock):
    """What a report says of today, once these apps have flushed everything."""

    def used(*apps, tenant="acme"):
        for app in apps:
            for _ in range(3):
                clock.move(seconds=1)
                app.extensions["meter"].flush()
        return report(apps[0], tenant)["days"][0]

    return used


# Several processes


@pytest.mark.parametrize("processes", [2, 5])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_processes_together_keep_to_the_rate(make_app, clock, processes, seed):
    """In any time they let through at most rate × time + processes × burst, and in the long run
    hardly more than the rate."""
    rate, burst, seconds = 4, 24, 90
    clock.freeze(NOON)
    dice = random.Random(seed)
    settings = {"quota_tenant_requests_per_second": rate, "quota_tenant_burst": burst}
    people = [person(make_app(**settings)) for _ in range(processes)]
    counts = []
    for _ in range(seconds):
        counts.append(sum(passed(alice, dice.choice([0, 3, 6, 12])) for alice in people))
        clock.move(seconds=1)
    for first in range(seconds):
        for last in range(first + 1, seconds + 1):
            assert sum(counts[first:last]) <= rate * (last - first) + processes * burst
    assert sum(counts) >= rate * (seconds - 10), "nothing is refused that was not used up"


def test_processes_that_ask_at_once_overshoot_by_a_burst_each_at_most(make_app):
    """With real time, in threads."""
    rate, burst, processes = 5, 40, 3
    settings = {"quota_tenant_requests_per_second": rate, "quota_tenant_burst": burst}
    people = [person(make_app(**settings)) for _ in range(processes)]
    with ThreadPoolExecutor(processes * 2) as pool:
        counts = pool.map(partial(passed, count=60), people * 2)
        total = sum(counts)
    assert total <= processes * burst + rate * SEEN_WITHIN
    assert total >= burst - SEEN_WITHIN * rate


def test_a_new_process_knows_what_the_others_used(make_app, clock):
    """As after a cold start: it reads the counters before it lets anything through."""
    clock.freeze(NOON)
    settings = {
        "quota_tenant_requests_per_second": 1,
        "quota_tenant_burst": 15,
        "quota_tenant_write_units_per_day": 100,
    }
    first = person(make_app(**settings))
    assert passed(first, 15) == 10
    clock.move(seconds=1)
    assert passed(first, 15) == 1  # and the rest is flushed with it
    assert passed(person(make_app(**settings)), 15) == 0
    clock.move(seconds=20)
    while first.post("/sessions", {"domain_id": "d"}).status_code == 201:
        clock.move(seconds=2)
    clock.move(seconds=20)
    answer = person(make_app(**settings)).get("/sessions")
    assert answer.json["violated_policies"] == ["tenant-writes"]


def test_a_process_that_was_frozen_catches_up(make_app, clock):
    """As on Lambda. What it tells late counts in its own second, so nobody is refused for it."""
    clock.freeze(NOON)
    settings = {"quota_tenant_requests_per_second": 1, "quota_tenant_burst": 15}
    frozen, other = person(make_app(**settings)), person(make_app(**settings))
    assert passed(frozen, 15) == 10  # one of them is flushed
    clock.move(seconds=15)
    assert passed(frozen, 1) == 1
    assert passed(other, 15) == 9
    clock.move(seconds=60)
    assert passed(frozen, 15) == 10


def test_units_of_several_processes(make_app, clock, used):
    """What is too much is at most what the processes use before they know of each other."""
    clock.freeze(NOON)
    limit, processes = 300, 3
    apps = [make_app(quota_tenant_write_units_per_day=limit) for _ in range(processes)]
    people = [person(app) for app in apps]
    per_second = []
    for _ in range(100):
        answers = [alice.post("/sessions", {"domain_id": "d"}).status_code for alice in people]
        if 201 not in answers:
            break
        per_second.append(answers.count(201))
        clock.move(seconds=1)
    else:
        pytest.fail("the quota was never used up")
    spent = used(*apps)["write_units"]
    each = spent / sum(per_second)
    assert limit <= spent <= limit + processes * each * SEEN_WITHIN


def test_a_users_share_holds_over_processes(make_app, clock):
    clock.freeze(NOON)
    settings = {
        "quota_tenant_requests_per_second": 10,
        "quota_tenant_burst": 100,
        "quota_user_share": 20,
    }
    apps = [make_app(**settings) for _ in range(2)]
    total = 0
    for _ in range(30):
        total += sum(passed(person(app), 4) for app in apps)
        clock.move(seconds=1)
    assert 2 * 30 <= total <= 2 * 30 + 2 * 20
    assert passed(person(apps[0], user="bob"), 30) == 10


def test_the_report_is_exact_over_processes(make_app, clock, used):
    clock.freeze(NOON)
    apps = [make_app(usage_report=True) for _ in range(3)]
    for second in range(12):
        for app in apps[: 1 + second % 3]:
            assert passed(person(app, user=f"u{second}"), 5) == 5
        clock.move(seconds=0.4)
    assert used(*apps)["requests"] == 5 * (4 * 1 + 4 * 2 + 4 * 3)


def test_at_midnight_a_day_ends_for_each_process(make_app, clock, used):
    clock.freeze(NOON + 12 * 60 * 60 * 1000 - 1500)
    apps = [make_app(usage_report=True) for _ in range(2)]
    for _ in range(3):
        for app in apps:
            passed(person(app), 4)
        clock.move(seconds=1)
    used(*apps)
    days = report(apps[0], query="?from=2026-11-30&to=2026-12-01")["days"]
    assert [day["requests"] for day in days] == [2 * 8, 2 * 4 + 1]  # the report itself


def test_midnight_does_not_fill_the_bucket(make_app, clock):
    clock.freeze(NOON + 12 * 60 * 60 * 1000 - 1000)
    alice = person(make_app(quota_tenant_requests_per_second=1, quota_tenant_burst=15))
    assert passed(alice, 20) == 10
    clock.move(seconds=1)
    assert passed(alice, 20) == 1


# The counters cannot be read or written


@pytest.fixture
def far(make_far_app):
    return make_far_app(
        quota_tenant_requests_per_second=2,
        quota_tenant_burst=20,
        quota_tenant_write_units_per_day=10_000,
    )


def counters_only(fault):
    """A plan for the calls that exchange counters."""

    def plan(call):
        return fault if b"USAGE#" in call.body else None

    return plan


@pytest.mark.parametrize(
    "fault", [throttled, cut_before, refused("AccessDeniedException")], ids=lambda f: f.__name__
)
def test_without_counters_requests_go_on_within_the_bucket(far, proxy, clock, logged, used, fault):
    clock.freeze(NOON)
    alice = person(far)
    proxy.plan = counters_only(fault)
    assert passed(alice, 30) == 10
    clock.move(seconds=3)
    assert passed(alice, 30) == 6
    lines = [line for line in logged if line["message"] == "use not exchanged"]
    assert lines
    proxy.plan = nothing
    clock.move(seconds=60)
    assert passed(alice, 1) == 1
    assert used(far)["requests"] == 17, "nothing was lost"


def test_a_broken_table_is_asked_less_and_less(far, proxy, clock):
    clock.freeze(NOON)
    proxy.plan = counters_only(throttled)
    alice = person(far)
    for _ in range(120):
        alice.get("/sessions")
        clock.move(seconds=1)
    assert proxy.faults["throttled"] <= 15


LOST = (cut_after, broken_inside_after, bad_gateway)


@pytest.mark.parametrize("fault", LOST, ids=lambda f: f.__name__)
def test_a_lost_answer_counts_nothing_twice(far, proxy, clock, used, fault):
    """An addition is not repeated if nobody knows whether it was done."""
    clock.freeze(NOON)
    alice = person(far)

    def left():
        fields = alice.get("/sessions").headers["RateLimit"]
        return int(fields.split("r=")[1].split(";")[0])

    assert passed(alice, 5) == 5
    clock.move(seconds=1)
    proxy.plan = once(fault, "UpdateItem")
    assert left() == 10 - 5 + 2 - 1
    assert proxy.faults.total() == 1
    proxy.plan = nothing
    assert left() == 5
    clock.move(seconds=1)
    assert left() == 6
    clock.move(seconds=6)  # long enough to read all again
    assert left() == 9
    assert used(far)["requests"] == 9


def test_an_addition_that_was_not_done_is_forgotten_not_repeated(far, proxy, clock, used):
    """This errs on the tenant's side: a quota may be exceeded by what was in it."""
    clock.freeze(NOON)
    alice = person(far)
    assert passed(alice, 3) == 3  # the first is flushed
    clock.move(seconds=1)
    proxy.plan = once(cut_before, "UpdateItem")
    assert passed(alice, 1) == 1
    proxy.plan = nothing
    assert used(far)["requests"] == 1


def test_a_kill_loses_what_was_not_flushed_and_no_more(make_app, clock, used):
    clock.freeze(NOON)
    settings = {"quota_tenant_requests_per_second": 2, "quota_tenant_burst": 20}
    killed = make_app(**settings)
    assert passed(person(killed), 4) == 4
    clock.move(seconds=1)
    assert passed(person(killed), 4) == 4  # three of them are lost
    del killed
    after = make_app(**settings)
    assert used(after)["requests"] == 5
    assert passed(person(after), 30) <= 20


@pytest.mark.parametrize("fault", [throttled, cut_before, cut_after], ids=lambda f: f.__name__)
def test_deletes_pass_while_everything_is_used_up_and_counters_fail(far, proxy, clock, fault):
    clock.freeze(NOON)
    alice = person(far)
    session = alice.create_session()["session_id"]
    passed(alice, 30)
    proxy.plan = counters_only(fault)
    clock.move(seconds=0.1)
    assert alice.get("/sessions").status_code == 429
    assert alice.get("/export").status_code == 200
    assert alice.delete(f"/sessions/{session}").status_code == 200
    assert alice.delete("/sessions?confirm=all").status_code == 200


def test_a_table_that_refuses_everything_gives_503_not_500(far, proxy):
    proxy.plan = always(refused("AccessDeniedException"))
    assert person(far).get("/sessions").status_code == 503


# Operators


def test_erasing_a_tenant_removes_what_it_used(make_app, clock, items, table):
    clock.freeze(NOON)
    app = make_app(quota_tenant_requests_per_second=1000, quota_user_share=50)
    for _ in range(5):
        for tenant in ("acme", "globex"):
            person(app, tenant).post("/sessions", {"domain_id": "d"})
        clock.move(seconds=1)
    assert of_use(items(), "acme") == of_use(items(), "globex") == 4
    erase_tenant(table, "acme", clock)
    assert of_use(items(), "acme") == 0
    assert of_use(items(), "globex") == 4


def test_erasing_a_user_removes_what_the_user_used(make_app, clock, items, table):
    clock.freeze(NOON)
    app = make_app(quota_tenant_requests_per_second=1000, quota_user_share=50)
    for user in ("alice", "bob"):
        person(app, user=user).post("/sessions", {"domain_id": "d"})
    erase_user(table, "acme", "alice", clock)
    assert [i["PK"]["S"] for i in items() if i["SK"]["S"].startswith("USAGE#")] == ["acme#bob"]


def of_use(items, tenant):
    own = [item for item in items if item["PK"]["S"].startswith(f"{tenant}#")]
    return len([item for item in own if "USAGE#" in item["PK"]["S"] + item["SK"]["S"]])


def test_the_checker_knows_the_counters(make_app, clock, assert_sound):
    app = make_app(quota_tenant_requests_per_second=1000, quota_user_share=50)
    for _ in range(5):
        person(app).post("/sessions", {"domain_id": "d"})
        person(app, user="bob").get("/sessions")
        clock.move(seconds=1)
    assert_sound()


@pytest.mark.parametrize("where", ["##USAGE#", " USAGE#"])
@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"request_count": {"N": "-1"}}, "its counts are wrong"),
        ({"read_halves": {"S": "7"}}, "its counts are wrong"),
        ({"delete_after": None}, "cannot be understood"),
        ({"SK": {"S": "USAGE#today"}}, "cannot be understood"),
    ],
)
def test_the_checker_finds_damaged_counters(
    make_app, change, findings, where, attributes, expected
):
    person(make_app(quota_tenant_requests_per_second=1000, quota_user_share=50)).get("/sessions")
    change(where, **attributes)
    assert findings() == [expected]


@pytest.mark.parametrize("where", ["##USAGE#", " USAGE#"])
def test_damaged_counters_count_as_nothing(make_app, clock, change, where):
    settings = {"quota_tenant_requests_per_second": 1000, "quota_user_share": 50}
    assert passed(person(make_app(**settings)), 2) == 2
    odd = {"request_count": {"S": "x"}, "s17x": {"N": "1"}, "messages#a": {"BOOL": True}}
    change(where, **odd, **{"s": {"L": []}})
    app = make_app(**settings)
    assert passed(person(app), 2) == 2
    assert report(app)["days"][0]["models"] == []


def test_under_a_real_server(table, engine, monkeypatch):
    """Two workers of gunicorn. A response is closed after the client has it."""
    rate, burst = 5, 40
    monkeypatch.setenv("QUOTA_TENANT_REQUESTS_PER_SECOND", str(rate))
    monkeypatch.setenv("QUOTA_TENANT_BURST", str(burst))
    alice = make_token("acme", "alice")
    admin = make_token("acme", "admin", scope="tenant:usage")
    with serve(table.name, engine.url, workers=2) as server:
        began = time.monotonic()

        def ask(_):
            return server.request(alice, "GET", "/sessions").status

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(ask, range(150)))
        most = rate * (time.monotonic() - began + 1) + 2 * burst
        assert set(statuses) == {200, 429}
        assert burst - SEEN_WITHIN * rate <= statuses.count(200) <= most
        deadline = time.monotonic() + 30
        asked = 0
        while time.monotonic() < deadline:
            asked += 1
            [day] = server.request(admin, "GET", "/tenant/usage").json["days"]
            if day["refused_requests"] == statuses.count(429):
                break
            time.sleep(0.3)
        assert day["refused_requests"] == statuses.count(429)
        assert 0 <= day["requests"] - statuses.count(200) <= asked
