"""Edges to sources under races, lost answers and damage. In a race, one request runs right before
each call of another one."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.operations.sweep import sweep
from app.table import db
from tests.edges import assert_right, found_in, hashes, references
from tests.faults.proxy import (
    Exchange,
    broken_inside_after,
    cut_after,
    cut_before,
    first,
    nothing,
)
from tests.people import Client

Act = Callable[[Client, str, list[str]], Any]
"""A request by a client on a session with these messages."""

COUNT = 5
LONG = 230
"""Messages of which a cut leaves some for the sweep."""


@pytest.fixture
def right(items, assert_sound):
    """Asserts that every message has its edges, and every edge its message."""

    def look() -> None:
        assert_sound()
        assert_right(items())

    return look


def path(session: str, rest: str = "") -> str:
    return f"/sessions/{session}/messages{rest}"


def said(*names: str, content: Any = "new") -> dict[str, Any]:
    return {"role": "user", "content": content, "metadata": references(*names)}


def edit(number: int, *names: str, content: Any = "new") -> Act:
    body = said(*names, content=content)
    return lambda client, session, sent: client.put(path(session, f"/{sent[number]}"), body)


def append(client: Client, session: str, _: list[str]) -> Any:
    return client.post(path(session), said("a", "appended"), headers={"Idempotency-Key": "k"})


def pop(client: Client, session: str, _: list[str]) -> Any:
    return client.post(path(session, "/pop"), {"count": 2})


def replace(client: Client, session: str, sent: list[str]) -> Any:
    body = {"from": sent[3], "messages": [said("a", "replaced")]}
    return client.post(path(session, "/replace"), body)


def delete_one(client: Client, session: str, sent: list[str]) -> Any:
    return client.delete(path(session, f"/{sent[-1]}"))


def cut(client: Client, session: str, sent: list[str]) -> Any:
    return client.delete(path(session, f"?after={sent[1]}"))


def delete(client: Client, session: str, _: list[str]) -> Any:
    return client.delete(f"/sessions/{session}")


def erase(client: Client, *_: Any) -> Any:
    return client.delete("/sessions?confirm=all")


def fork(client: Client, session: str, _: list[str]) -> Any:
    return client.post(f"/sessions/{session}/fork", {}, headers={"Idempotency-Key": session})


def use_the_key_again(client: Client, session: str, _: list[str]) -> Any:
    client.delete(f"/sessions/{session}")
    new = {"key": "k", "domain_id": "d"}
    body = {"session": new, "messages": [said("a", "again")]}
    return client.post(path(session, "/batch"), body)


RACES: dict[str, tuple[Act, Act]] = {
    "edit, edit": (edit(-1, "b", "c"), edit(-1, "c", "d")),
    "edit, edit without sources": (edit(-1, "b", "c"), edit(-1)),
    "edit of an older one, edit": (edit(0, "b", "c"), edit(0, "c", "d")),
    "edit, edit to many parts": (edit(-1, "b"), edit(-1, "c", content="x" * 900_000)),
    "edit, pop": (edit(-1, "b", "c"), pop),
    "pop, edit": (pop, edit(-1, "b", "c")),
    "edit, delete one": (edit(-1, "b", "c"), delete_one),
    "delete one, edit": (delete_one, edit(-1, "b", "c")),
    "edit, replace": (edit(3, "b", "c"), replace),
    "replace, edit": (replace, edit(3, "b", "c")),
    "replace, append": (replace, append),
    "append, cut": (append, cut),
    "cut, append": (cut, append),
    "edit, cut": (edit(-1, "b", "c"), cut),
    "cut, edit": (cut, edit(-1, "b", "c")),
    "append, delete": (append, delete),
    "delete, append": (delete, append),
    "delete, edit": (delete, edit(-1, "b", "c")),
    "append, erase": (append, erase),
    "erase, append": (erase, append),
    "fork, edit": (fork, edit(1, "b", "c")),
    "fork, append": (fork, append),
    "fork, cut": (fork, cut),
    "delete, use the key again": (delete, use_the_key_again),
    "cut, use the key again": (cut, use_the_key_again),
    "edit, use the key again": (edit(-1, "b"), use_the_key_again),
    "append, use the key again": (append, use_the_key_again),
}


def begin(alice: Client, key: str | None, count: int) -> tuple[str, list[str]]:
    """A session, of which the first and the last messages have sources."""
    session = alice.create_session(**({"key": key} if key else {}))["session_id"]
    sent = alice.fill(session, 3, metadata=references("a", "b"))
    sent += alice.fill(session, count - COUNT)
    return session, sent + alice.fill(session, 2, metadata=references("a", "b"))


UNKEYED = [(name, None) for name in RACES if "key" not in name]
KEYED = [(name, "k") for name in RACES if {*name.split(", ")} & {"cut", "delete"} or "key" in name]
"""What is removed under a key has conditions of its own."""


@pytest.mark.parametrize(("name", "key"), UNKEYED + KEYED)
def test_a_race_leaves_each_message_with_its_edges(
    name, key, alice, far_alice, proxy, table, clock, right, items
):
    one, other = RACES[name]
    for number in itertools.count(1):
        session, sent = begin(alice, key, LONG if "cut" in name and number % 2 else COUNT)
        met = False

        def overtaken(exchange: Exchange, session=session, sent=sent) -> None:
            nonlocal met
            met = True
            assert other(alice, session, sent).status_code < 500
            exchange.forward()

        proxy.forget()
        proxy.plan = lambda call, n=number, fault=overtaken: fault if call.number == n else None
        answer = one(far_alice, session, sent)
        proxy.plan = nothing
        assert answer.status_code < 500, answer.text
        right()
        clock.move(seconds=1)
        assert sweep(table, clock).finished
        right()
        alice.delete("/sessions?confirm=all")
        assert found_in(items()) == {}
        if not met:
            break
    assert number > 1


def test_edits_of_one_message_at_once_leave_the_edges_of_one_of_them(app, alice, right, items):
    session = alice.create_session()["session_id"]
    message = alice.append(session, metadata=references("a"))["message_id"]

    def edits(name: str) -> None:
        client = Client(app, alice.token)
        for number in range(10):
            names = (f"{name}{number}", f"{name}{number + 1}")[: 1 + number % 2]
            assert edit(0, *names)(client, session, [message]).status_code == 200

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(edits, "abcd"))
    right()
    assert len(found_in(items())[session, message]) == 2


@pytest.mark.parametrize("fault", [cut_before, cut_after, broken_inside_after])
@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (append, [*["a"] * COUNT, "a appended"]),
        (edit(-1, "b", "c"), [*["a"] * (COUNT - 1), "b c"]),
        (edit(-1), ["a"] * (COUNT - 1)),
        (pop, ["a"] * (COUNT - 2)),
        (replace, [*["a"] * 3, "a replaced"]),
        (delete_one, ["a"] * (COUNT - 1)),
    ],
    ids=["append", "edit", "edit without sources", "pop", "replace", "delete one"],
)
def test_an_answer_of_dynamodbs_that_is_lost(
    fault, act, expected, alice, far_alice, proxy, right, items
):
    """The transaction is repeated with its token, and carried out once."""
    session = alice.create_session()["session_id"]
    sent = alice.fill(session, COUNT, metadata=references("a"))
    proxy.plan = first(2, fault, "TransactWriteItems")
    answer = act(far_alice, session, sent)
    assert answer.status_code in (200, 201), answer.text
    assert proxy.faults.total() == 2
    right()
    found = sorted(found_in(items()).items())
    assert [set(sources) for _, sources in found] == [hashes(*names.split()) for names in expected]


@pytest.mark.parametrize("key", [None, "k"])
def test_a_sweep_that_is_killed_between_edges_and_messages_is_repeated(
    key, alice, hurried_alice, proxy, table, clock, right, items
):
    """The first call that removes edges succeeds, and no other."""
    session, sent = begin(alice, key, LONG)
    succeeding = iter(range(0))

    def removes(call: Any) -> Any:
        is_one = call.operation == ("TransactWriteItems" if key else "BatchWriteItem")
        is_one = is_one and b"Delete" in call.body and b"cut_lo = :lo" not in call.body
        return cut_before if is_one and next(succeeding, None) is None else None

    proxy.plan = removes
    hurried_alice.delete(path(session, f"?after={sent[1]}"))
    assert len(found_in(items())) == COUNT
    right()
    succeeding = iter(range(1))
    clock.move(seconds=1)
    far = db.Table(table.name, db.connect(endpoint_url=proxy.url), database_time=clock)
    sweep(far, clock, seconds=1)
    assert len(found_in(items())) == 2
    assert [item for item in items() if item["SK"]["S"].endswith(sent[-1][4:])]
    right()
    proxy.plan = nothing
    assert sweep(table, clock).finished
    right()
    assert [message for _, message in sorted(found_in(items()))] == sent[:2]


def test_an_append_that_is_repeated_after_an_edit_has_the_edges_of_the_edit(alice, right, items):
    session = alice.create_session()["session_id"]
    first_answer = append(alice, session, [])
    message = first_answer.json["message_id"]
    assert edit(0, "b")(alice, session, [message]).status_code == 200
    again = append(alice, session, [])
    assert (again.status_code, again.json["message_id"]) == (201, message)
    right()
    assert found_in(items()) == {(session, message): dict.fromkeys(hashes("b"), True)}


# Lists of sources that are damaged

GARBAGE = {
    "a number": {"N": "7"},
    "bytes": {"B": b"\xff"},
    "empty": {"S": ""},
    "commas": {"S": "," * 5_000},
    "very many": {"S": ",".join(f"{n:032x}" for n in range(1_000))},
    "too long for a key": {"S": "x" * 2_000},
    "signs": {"S": "#MSG#,😀,\ud83d".encode(errors="replace").decode()},
    "twice": {"S": f"{'0' * 32},{'0' * 32}"},
}
REQUESTS: dict[str, Act] = {
    "status": lambda c, s, m: c.put(path(s, f"/{m[1]}"), {"status": "interrupted"}),
    "edit": edit(1, "b"),
    "read": lambda c, s, _: c.get(f"/sessions/{s}"),
    "grounding": lambda c, s, _: c.get(f"/sessions/{s}/grounding"),
    "delete one": lambda c, s, m: c.delete(path(s, f"/{m[1]}")),
    "pop": lambda c, s, _: c.post(path(s, "/pop"), {"count": 4}),
    "cut": lambda c, s, m: c.delete(path(s, f"?after={m[0]}")),
    "replace": lambda c, s, m: c.post(path(s, "/replace"), {"after": m[0], "messages": [said()]}),
    "fork": fork,
    "delete": delete,
    "erase": erase,
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_damaged_list_of_sources_spoils_nothing_else(name, alice, change, table, clock, items):
    for garbage in GARBAGE.values():
        session = alice.create_session()["session_id"]
        sent = alice.fill(session, 150 if name == "cut" else COUNT, metadata=references("a"))
        change(f"{session[5:]}#MSG#{sent[1][4:]}$", sources=garbage)
        answer = REQUESTS[name](alice, session, sent)
        assert answer.status_code in (200, 201), (garbage, answer.text)
        clock.move(seconds=1)
        assert sweep(table, clock).finished
        left = [item["SK"]["S"] for item in items() if session[5:] in item["SK"]["S"]]
        if name in ("delete", "erase"):
            assert left == []
        else:
            assert [sk for sk in left if "#SRC#" in sk and sk.endswith(sent[0][4:])]
            assert alice.get(f"/sessions/{session}").status_code == 200
