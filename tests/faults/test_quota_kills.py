"""Quotas of several processes, one of which is killed in the middle of the load.

The processes and the kills are real. The clock of all processes is the test's, so the machine's
speed does not decide how many requests are sent in a second.
"""

import itertools
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import pytest
from werkzeug.serving import make_server

from app.config import SEEN_WITHIN, Config
from app.factory import create_app
from app.table import db, ids
from tests.faults.proxy import Call, Exchange, Fault, Proxy
from tests.faults.test_kills import processes
from tests.people import API, SECRET, make_token

NOON = 1_796_040_000_000  # 2026-11-30T12:00:00Z
DAY = 24 * 60 * 60

PROCESSES, THREADS = 3, 4
"""How many processes there are at any time, and how many threads send requests to each of them."""

KILLED_AT = 3
"""The flush at which a process is killed. Under load it flushes once in each second."""

ALICE = make_token("acme", "alice")


def run_server(
    table_name: str, url: str, now: Any, settings: dict[str, Any], started: Connection
) -> None:
    """In the child."""

    def clock() -> int:
        return int(now.value)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    table = db.Table(table_name, db.connect(endpoint_url=url), database_time=clock)
    config = Config(sessions_table=table_name, jwt_secret=SECRET, log_level="ERROR", **settings)
    app = create_app(config, table=table, ulids=ids.UlidSource(clock))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    started.send(server.port)
    server.serve_forever()


@dataclass
class Member:
    child: Any
    port: int

    def ask(self, count: int) -> list[int]:
        """The statuses of `count` requests, one after the other. 0 if there was no answer, and then
        no more are sent."""
        statuses: list[int] = []
        while len(statuses) < count and 0 not in statuses:
            statuses.append(self._status())
        assert set(statuses) <= {200, 429, 0}
        return statuses

    def _status(self) -> int:
        """Reads until the server closes the connection, because then it has flushed as well."""
        request = f"GET {API}/sessions HTTP/1.0\r\nAuthorization: Bearer {ALICE}\r\n\r\n"
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
                connection.sendall(request.encode())
                answer = connection.makefile("rb").read()
        except ConnectionError:
            return 0
        return int(answer.split()[1]) if answer else 0


class Fleet:
    """Processes that serve one table, by one clock. The first one reaches it through the proxy."""

    def __init__(self, table_name: str, proxy: Proxy, settings: dict[str, Any]) -> None:
        self._table_name, self._proxy, self._settings = table_name, proxy, settings
        self._now = processes.RawValue("q", NOON)  # a killed process could keep a lock
        self.started: list[Member] = []
        self.members = [self._start(number) for number in range(PROCESSES)]

    def _start(self, number: int) -> Member:
        url = self._proxy.url if number == 0 else self._proxy.upstream
        here, there = processes.Pipe(duplex=False)
        told = (self._table_name, url, self._now, self._settings, there)
        child = processes.Process(target=run_server, args=told, daemon=True)
        child.start()
        there.close()
        self.started.append(Member(child, here.recv()))
        return self.started[-1]

    def move(self, *, seconds: int) -> None:
        self._now.value += seconds * 1000

    def kill_one(self, *, written: bool) -> None:
        """The first process will be killed at a flush, before or after DynamoDB has written it."""
        flushes = itertools.count(1)
        pid = self.members[0].child.pid

        def killed(exchange: Exchange) -> None:
            if written:
                exchange.forward()
            os.kill(pid, signal.SIGKILL)
            exchange.cut()

        def plan(call: Call) -> Fault | None:
            is_flush = call.operation == "UpdateItem" and b"USAGE#" in call.body
            return killed if is_flush and next(flushes) == KILLED_AT else None

        self._proxy.plan = plan

    def load(self, count: int) -> list[int]:
        """The statuses of a second in which each thread sends `count` requests. A process that does
        not answer must have been killed, and is replaced."""

        def send(number: int) -> list[int]:
            return self.members[number % PROCESSES].ask(count)

        with ThreadPoolExecutor(PROCESSES * THREADS) as pool:
            found = list(pool.map(send, range(PROCESSES * THREADS)))
        for number, member in enumerate(self.members):
            if any(0 in statuses for statuses in found[number::PROCESSES]):
                member.child.join(30)
                assert member.child.exitcode == -signal.SIGKILL
                self.members[number] = self._start(number)
        self.move(seconds=1)
        return [status for statuses in found for status in statuses]

    def stop(self) -> None:
        for member in self.started:
            member.child.kill()
            member.child.join()


@pytest.fixture
def start_fleet(table: db.Table, proxy: Proxy) -> Iterator[Callable[..., Fleet]]:
    fleets: list[Fleet] = []

    def start(**settings: Any) -> Fleet:
        fleets.append(Fleet(table.name, proxy, settings))
        return fleets[-1]

    yield start
    for fleet in fleets:
        fleet.stop()


def test_a_kill_under_load_keeps_the_rate(start_fleet, proxy):
    """The process that is killed counts as one, and the one in its place as another."""
    rate, burst, seconds = 4, 30, 15
    held = burst - SEEN_WITHIN * rate
    fleet = start_fleet(quota_tenant_requests_per_second=rate, quota_tenant_burst=burst)
    fleet.kill_one(written=True)
    statuses = [fleet.load(3) for _ in range(seconds)]
    assert proxy.faults["killed"] == 1
    assert len(fleet.started) == PROCESSES + 1
    counts = [each.count(200) for each in statuses]
    for first in range(seconds):
        for last in range(first + 1, seconds + 1):
            most = rate * (last - first) + len(fleet.started) * burst
            assert sum(counts[first:last]) <= most
    assert 429 in statuses[-1]
    used = sum(counts) + sum(each.count(0) for each in statuses)
    assert used >= held + rate * (seconds - 1), "nothing is refused that was not used up"
    for member in fleet.members:
        fleet.move(seconds=60)
        assert member.ask(held + 3).count(200) == held
        fleet.move(seconds=1)
        assert member.ask(rate + 3).count(200) == rate


def test_a_kill_under_load_keeps_the_units_of_a_day(start_fleet, proxy):
    """On the first day, the rest of the quota is used up after the load, when all processes know of
    each other. On the second day, the quota is used up under load."""
    requests = 80  # each of them reads one unit
    lost = 2 * THREADS  # at most: in the seconds of its last write and of the kill
    fleet = start_fleet(quota_tenant_read_units_per_day=requests)

    fleet.kill_one(written=False)
    statuses = [status for _ in range(4) for status in fleet.load(1)]
    assert proxy.faults["killed"] == 1
    assert 429 not in statuses
    for _ in range(SEEN_WITHIN):
        statuses += [status for member in fleet.members for status in member.ask(1)]
        fleet.move(seconds=1)
    successor = fleet.members[0]
    statuses += successor.ask(requests)
    # A request that got no answer may have used its unit.
    assert requests - statuses.count(0) <= statuses.count(200) <= requests + lost
    fleet.move(seconds=1)
    assert successor.ask(1) == [429]  # and it tells the others
    fleet.move(seconds=SEEN_WITHIN)
    assert [member.ask(1) for member in fleet.members] == [[429]] * PROCESSES

    fleet.move(seconds=DAY)
    fleet.kill_one(written=True)
    statuses = []
    while 200 in (second := fleet.load(1)):
        statuses += second
    assert proxy.faults["killed"] == 2
    late = (PROCESSES + 1) * SEEN_WITHIN * THREADS
    under_way = PROCESSES * THREADS
    assert requests <= statuses.count(200) + statuses.count(0)
    assert statuses.count(200) <= requests + late + under_way + lost

    fleet.move(seconds=DAY)
    assert fleet.members[0].ask(requests + 3).count(200) == requests
