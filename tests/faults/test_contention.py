"""Many writers append to one session while one call in ten fails."""

import http.client
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.table import ids
from tests.faults.proxy import nothing, randomly
from tests.faults.server import Server, serve
from tests.people import make_token

TOKEN = make_token("acme", "alice")


class Writer:
    """A client that follows the documentation: it numbers its messages, and repeats each under the
    same key until it has an answer."""

    def __init__(self, server: Server, session: str, name: str, seed: int) -> None:
        self.server = server
        self.path = f"/sessions/{session}/messages"
        self.name = name
        self.dice = random.Random(seed)
        self.outcomes: Counter[str] = Counter()
        self.acknowledged: list[str] = []
        self.longest = 0.0

    def write(self, count: int) -> None:
        for number in range(count):
            started = time.monotonic()
            self.acknowledged.append(self._append(number))
            self.longest = max(self.longest, time.monotonic() - started)

    def _append(self, number: int) -> str:
        body = {"role": "user", "name": self.name, "content": str(number)}
        headers = {"Idempotency-Key": f"{self.name}-{number}"}
        while True:
            try:
                answer = self.server.request(TOKEN, "POST", self.path, body, headers)
            except (OSError, http.client.HTTPException):
                self.outcomes["no answer"] += 1
                continue
            replayed = " replayed" if "Idempotent-Replayed" in answer.headers else ""
            self.outcomes[f"{answer.status}{replayed}"] += 1
            if answer.status == 201:
                if self.dice.random() < 0.1:  # this client's own network loses answers too
                    self.outcomes["answer thrown away"] += 1
                    continue
                message: str = answer.json["message_id"]
                return message
            assert answer.status == 503, answer.text
            time.sleep(int(answer.headers["Retry-After"]) * self.dice.random())


def test_every_message_of_every_writer_is_stored_once_and_in_order(
    table, proxy, full, assert_sound, record_figures
):
    processes, clients, appends = (8, 40, 2000) if full else (2, 10, 200)
    with serve(table.name, proxy.url, workers=processes, threads=clients // processes) as server:
        session = server.request(TOKEN, "POST", "/sessions", {"domain_id": "d"}).json["session_id"]
        writers = [Writer(server, session, f"writer-{n}", n) for n in range(clients)]
        proxy.forget()
        proxy.plan = randomly(0.1, seed=2026)
        started = time.monotonic()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(lambda writer: writer.write(appends // clients), writers))
        seconds = time.monotonic() - started
        proxy.plan = nothing
        messages = server.all_messages(TOKEN, session)
        head = server.request(TOKEN, "GET", f"/sessions/{session}").json

    outcomes = sum((writer.outcomes for writer in writers), Counter())
    record_figures(
        appends=appends,
        seconds=round(seconds, 1),
        longest=round(max(writer.longest for writer in writers), 1),
        calls=len(proxy.calls),
        faults=proxy.faults.total(),
        **outcomes,
    )
    assert len(messages) == appends
    by_id = [message["message_id"] for message in messages]
    assert by_id == sorted(set(by_id))
    for writer in writers:
        own = [message for message in messages if message["name"] == writer.name]
        assert [message["content"] for message in own] == [str(n) for n in range(len(own))]
        assert [message["message_id"] for message in own] == writer.acknowledged
    times = [message["timestamp"] for message in messages]
    assert times == sorted(times)
    assert times == [ids.timestamp(message.removeprefix("msg_")) for message in by_id]
    assert head["message_count"] == appends
    assert head["version"] == 1 + appends
    assert {s for s in outcomes if s[0] == "5"} <= {"503"}
    assert outcomes["201 replayed"] >= 1
    assert_sound()


class Changer:
    """A client that appends, edits, rates, pops and replaces at random, and repeats what gets no
    answer. It keeps account of what it was told."""

    def __init__(self, server: Server, session: str, name: str, seed: int) -> None:
        self.server = server
        self.path = f"/sessions/{session}/messages"
        self.name = name
        self.dice = random.Random(seed)
        self.added: list[str] = []
        self.removed: list[str] = []
        self.outcomes: Counter[str] = Counter()

    def work(self, count: int) -> None:
        for number in range(count):
            step = self.dice.choice([self.append] * 4 + [self.edit, self.rate, self.pop, self.swap])
            step(f"{self.name}-{number}")

    def append(self, key: str) -> None:
        answer = self.ask("POST", "", {"role": "user", "content": key}, key, gone=True)
        self.added += answer["ids"] if "ids" in answer else [answer["message_id"]]

    def edit(self, key: str) -> None:
        if self.added:
            self.ask("PUT", f"/{self.dice.choice(self.added)}", {"content": f"edited {key}"}, key)

    def rate(self, key: str) -> None:
        if self.added:
            path = f"/{self.dice.choice(self.added)}/feedback"
            self.ask("PUT", path, {"rating": key}, key)

    def pop(self, key: str) -> None:
        self.removed += self.ask("POST", "/pop", {"count": 2}, key).get("message_ids", ())

    def swap(self, key: str) -> None:
        """Replaces the message after one of its own, and all later ones."""
        if self.added:
            new = [{"role": "user", "content": f"new {key}"}]
            body = {"after": self.dice.choice(self.added), "messages": new}
            answer = self.ask("POST", "/replace", body, key, gone=True)
            self.added += answer.get("ids", [m["message_id"] for m in answer.get("messages", ())])

    def ask(self, method: str, path: str, body: Any, key: str, *, gone: bool = False) -> Any:
        headers = {"Idempotency-Key": key} if method == "POST" else {}
        while True:
            try:
                answer = self.server.request(TOKEN, method, f"{self.path}{path}", body, headers)
            except (OSError, http.client.HTTPException):
                self.outcomes["no answer"] += 1
                continue
            self.outcomes[str(answer.status)] += 1
            if answer.status == 503:
                time.sleep(int(answer.headers["Retry-After"]) * self.dice.random())
            elif answer.status == 404:  # somebody has removed the message
                return {}
            elif answer.status != 409:
                assert answer.status in ((200, 201, 410) if gone else (200, 201)), answer.text
                return answer.json


def test_changes_by_many_at_once_leave_the_account_right(
    table, proxy, full, assert_sound, record_figures
):
    processes, clients, steps = (8, 24, 60) if full else (2, 6, 20)
    with serve(table.name, proxy.url, workers=processes, threads=clients // processes) as server:
        session = server.request(TOKEN, "POST", "/sessions", {"domain_id": "d"}).json["session_id"]
        changers = [Changer(server, session, f"changer-{n}", n) for n in range(clients)]
        proxy.forget()
        proxy.plan = randomly(0.1, seed=2027)
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(lambda changer: changer.work(steps), changers))
        proxy.plan = nothing
        left = [message["message_id"] for message in server.all_messages(TOKEN, session)]
        head = server.request(TOKEN, "GET", f"/sessions/{session}").json
    added = [message for changer in changers for message in changer.added]
    popped = [message for changer in changers for message in changer.removed]
    outcomes = sum((changer.outcomes for changer in changers), Counter())
    record_figures(steps=clients * steps, faults=proxy.faults.total(), **outcomes)
    assert len(added) == len(set(added)), "each message was added once"
    assert len(popped) == len(set(popped)), "each message was popped once"
    assert left == sorted(left)
    assert set(left) <= set(added)
    assert set(popped) <= set(added)
    assert not set(popped) & set(left)
    assert head["message_count"] == len(left)
    assert {outcome for outcome in outcomes if outcome[0] == "5"} <= {"503"}
    assert_sound()
