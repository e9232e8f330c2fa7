"""DynamoDB dies under load and restarts. No acknowledged write may be lost.

DynamoDB Local answers a transaction a moment before its own database has stored it. If it is killed
at that moment, it loses a write that it has acknowledged, with or without this app. The real
DynamoDB does not. The proxy therefore passes such an answer on only after a read, which DynamoDB
Local serves after the write is stored.
"""

import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dynamodb_local
import pytest

from app.operations import check, provision
from app.table import db
from tests.faults.proxy import Exchange, Proxy, always, with_length
from tests.faults.server import Server, free_port, serve
from tests.people import make_token

TABLE = "mortal"
_any_key = {"PK": {"S": "any"}, "SK": {"S": "any"}}

TOKEN = make_token("acme", "alice")


class Load(threading.Thread):
    """Appends without pause until stopped, and records what was acknowledged."""

    def __init__(self, server: Server, session: str, name: str) -> None:
        super().__init__()
        self.server, self.path, self.name = server, f"/sessions/{session}/messages", name
        self.statuses: Counter[int] = Counter()
        self.acknowledged: dict[str, str] = {}
        self.bare_503s = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.stopped.is_set():
            content = f"{self.name}-{number}"
            answer = self.server.request(
                TOKEN,
                "POST",
                self.path,
                {"role": "user", "content": content},
                {"Idempotency-Key": content},
            )
            self.statuses[answer.status] += 1
            if answer.status == 201:
                self.acknowledged[answer.json["message_id"]] = content
                number += 1
            elif "Retry-After" not in answer.headers:
                self.bare_503s += 1


def answered_when_kept(exchange: Exchange) -> None:
    exchange.forward()
    answer = exchange.answer_to_send
    read = json.dumps({"TableName": TABLE, "Key": _any_key, "ConsistentRead": True}).encode()
    head = exchange.head.replace(b"TransactWriteItems", b"GetItem")
    exchange.upstream.ask(with_length(head, read) + read)
    exchange.answer_to_send = answer


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder in memory if possible. It outlives the killed process as one on disk would, and
    waiting for a disk would reduce the load."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.usefixtures("engine")  # for its environment; the test kills another engine
def test_no_acknowledged_write_is_lost_when_the_engine_is_killed(data_dir, full, record_figures):
    port, deaths, between = free_port(), *((20, 30) if full else (2, 8))
    mortal = dynamodb_local.start(port, data_dir)
    table = db.Table(TABLE, db.connect(endpoint_url=mortal.url))
    list(provision.create(table))
    try:
        with (
            Proxy(mortal.url, always(answered_when_kept, "TransactWriteItems")) as proxy,
            serve(table.name, proxy.url, workers=2, threads=4, budget=0.5) as server,
        ):
            created = server.request(TOKEN, "POST", "/sessions", {"domain_id": "d"})
            session = created.json["session_id"]
            load = [Load(server, session, f"writer-{n}") for n in range(4)]
            for writer in load:
                writer.start()
            recoveries = []
            for _ in range(deaths):
                wait_for_more(load, 201, between)
                mortal.process.kill()
                mortal.process.wait()
                mortal.stop()
                wait_for_more(load, 503, 8)
                mortal = dynamodb_local.start(port, data_dir)
                started = time.monotonic()
                wait_for_more(load, 201, 1)
                recoveries.append(time.monotonic() - started)
            wait_for_more(load, 201, between)
            for writer in load:
                writer.stopped.set()
            for writer in load:
                writer.join()
            kept = server.all_messages(TOKEN, session)
            head = server.request(TOKEN, "GET", f"/sessions/{session}").json
        findings = [str(finding) for finding in check.check(table)]
    finally:
        mortal.stop()

    acknowledged = {k: v for writer in load for k, v in writer.acknowledged.items()}
    statuses = sum((writer.statuses for writer in load), Counter())
    record_figures(
        deaths=deaths,
        acknowledged=len(acknowledged),
        refused=statuses[503],
        slowest_recovery=round(max(recoveries), 2),
    )
    by_id = {message["message_id"]: message["content"] for message in kept}
    assert {m: c for m, c in by_id.items() if m in acknowledged} == acknowledged
    contents = [message["content"] for message in kept]
    assert len(contents) == len(set(contents)) == head["message_count"] == head["version"] - 1
    assert set(statuses) == {201, 503}
    assert sum(writer.bare_503s for writer in load) == 0
    assert findings == []


def wait_for_more(load: list[Load], status: int, count: int) -> None:
    """Waits until all writers together have `count` more answers with this status."""

    def total() -> int:
        return sum(writer.statuses[status] for writer in load)

    wanted, deadline = total() + count, time.monotonic() + 60
    while total() < wanted:
        assert time.monotonic() < deadline, f"no {status} any more"
        assert all(writer.is_alive() for writer in load)
        time.sleep(0.005)
