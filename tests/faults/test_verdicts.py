"""Verdicts while processes die, answers are lost, reads race with writes, and items are damaged."""
# ruff: noqa: F811  A fixture of another module is imported, and arguments have its name.

import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.grounding.sources import key_hash
from app.grounding.verdicts import Said
from app.identity.caller import Caller
from app.operations import check
from app.operations.check import Checked
from app.table import db, ids
from app.verdicts.model import NewVerdict
from app.verdicts.reader import SETTLED, VerdictReader
from app.verdicts.store import VerdictStore
from tests.edges import assert_right, references
from tests.faults.proxy import Call, Exchange, cut_after, cut_before, first, nothing
from tests.faults.test_edges import Act, append, delete, edit, erase
from tests.faults.test_kills import Request, kill_at  # noqa: F401
from tests.people import Client, make_token, problem

KEY = "doc:handbook"
AT = f"/tenant/sources/{key_hash(KEY)}"
SCOPE = "sessions:read sessions:write sources:govern"
ERIN = Caller("acme", "erin")


@pytest.fixture
def editor(app: Any) -> Client:
    return Client(app, make_token("acme", "erin", scope=SCOPE))


@pytest.fixture
def far_editor(make_far_app: Any) -> Client:
    return Client(make_far_app(), make_token("acme", "erin", scope=SCOPE))


@pytest.fixture
def cited(editor: Client) -> str:
    """The grounding of a message that cites the handbook."""
    session = editor.create_session()["session_id"]
    metadata = {"references": [{"reference_id": "handbook"}]}
    message = editor.append(session, role="assistant", metadata=metadata)["message_id"]
    return f"/sessions/{session}/messages/{message}/grounding"


def say(client: Client, state: str, **also: Any) -> Any:
    answer = client.put(AT, {"key": KEY, "state": state, **also})
    assert answer.status_code == 200, answer.text
    return answer


def verdict(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    [citation] = answer.json["citations"]
    return str(citation["verdict"])


@pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("old", [None, "withdrawn"])
def test_a_kill_leaves_the_old_or_the_new_verdict(
    old, acts, editor, cited, kill_at, clock, assert_sound
):
    number, killed = 0, True
    while killed:
        number += 1
        if old:
            say(editor, old)
        body = {"key": KEY, "state": "changed", "version": str(number)}
        killed = kill_at(number, acts, Request("PUT", AT, body), "erin", 0)
        assert verdict(editor, cited) in ("changed", old or "ungoverned")
        assert_sound()
        say(editor, "changed", version=str(number))
        assert verdict(editor, cited) == "changed"
        assert_sound()
        clock.move(seconds=SETTLED / 1000)
    assert number > 1


@pytest.mark.parametrize("fault", [cut_before, cut_after])
def test_a_lost_answer_changes_nothing(fault, editor, far_editor, cited, proxy, assert_sound):
    proxy.plan = first(2, fault, "TransactWriteItems")
    said = say(far_editor, "withdrawn", reason="Wrong")
    assert proxy.calls.count("TransactWriteItems") == 3
    assert editor.get(AT).json == said.json
    assert verdict(editor, cited) == "withdrawn"
    assert_sound()


def test_an_outcome_that_is_unknown_is_found_by_the_same_request(
    make_far_app, editor, proxy, assert_sound
):
    hurried = Client(make_far_app(request_budget=0.25), make_token("acme", "erin", scope=SCOPE))
    body, once = {"key": KEY, "state": "withdrawn"}, {"If-None-Match": "*"}
    proxy.plan = first(99, cut_after, "TransactWriteItems")
    problem(hurried.put(AT, body, headers=once), 503, "OUTCOME_UNKNOWN")
    again = editor.put(AT, body, headers=once)
    assert again.status_code == 200
    assert editor.get(AT).json == again.json
    assert_sound()


def test_a_transaction_that_is_seen_in_part_is_not_remembered(
    editor, far_editor, make_far_app, cited, proxy, clock
):
    """The revision is the new one, and the verdict still the old one."""
    say(editor, "current")
    for _ in range(3):
        assert verdict(far_editor, cited) == "current"
        clock.move(seconds=SETTLED / 1000)
    old: list[Any] = []

    def remember(exchange: Exchange) -> None:
        old.append(answer_of(exchange))

    def in_part(exchange: Exchange) -> None:
        now = answer_of(exchange)
        table = next(iter(now["Responses"]))
        assert by_sk(now) != by_sk(old[0])
        items = {**by_sk(now), AT_SK: by_sk(old[0])[AT_SK]}
        exchange.answer(200, {**now, "Responses": {table: list(items.values())}})

    cold = Client(make_far_app(), far_editor.token)  # another process
    proxy.plan = reads_of_verdicts(remember)
    assert verdict(cold, cited) == "current"
    say(editor, "withdrawn")
    proxy.plan = reads_of_verdicts(in_part)
    assert verdict(cold, cited) == "current", "as if it was not said yet"
    assert verdict(cold, cited) == "current"
    proxy.plan = lambda _: None
    for _ in range(3):
        assert verdict(cold, cited) == "withdrawn"
        clock.move(seconds=SETTLED / 1000)


AT_SK = f"SOURCE#{key_hash(KEY)}"


def by_sk(answer: Any) -> dict[str, Any]:
    [items] = answer["Responses"].values()
    return {item["SK"]["S"]: item for item in items}


def answer_of(exchange: Exchange) -> Any:
    _, content = exchange.forward()
    return json.loads(content)


def reads_of_verdicts(fault: Any) -> Any:
    def plan(call: Call) -> Any:
        is_one = call.operation == "BatchGetItem" and b"##SOURCES" in call.body
        return fault if is_one else None

    return plan


class Ticking:
    """A clock that settles whatever was read before, each time it is asked."""

    def __init__(self) -> None:
        self._ticks = itertools.count(ids.system_clock(), 2 * SETTLED)

    def __call__(self) -> int:
        return next(self._ticks)


def test_no_read_that_begins_after_a_put_shows_what_was_said_before(table, full):
    """Readers of several processes, each with several threads, race with puts of two sources."""
    store = VerdictStore(table)
    keys = (KEY, "doc:report")
    done = dict.fromkeys(keys, 0)
    faults: list[str] = []
    stop = threading.Event()
    readers = [VerdictReader(db.Table(table.name, table.client), Ticking()) for _ in range(3)]
    reads = itertools.count()

    def read(reader: VerdictReader) -> None:
        while not stop.is_set():
            before = dict(done)
            found = reader.read("acme", keys)
            for key in keys:
                shown = int((found.get(key) or Said("changed", "0")).version or 0)
                if shown < before[key]:
                    faults.append(f"{key}: {shown} after {before[key]}")
            next(reads)

    threads = [threading.Thread(target=read, args=(reader,)) for reader in readers * 2]
    for thread in threads:
        thread.start()
    end = time.monotonic() + (60 if full else 4)
    for number in itertools.count(1):
        key = keys[number % 2]
        store.put(ERIN, key_hash(key), NewVerdict(key, "changed", str(number)))
        done[key] = number
        if time.monotonic() > end:
            break
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert number > 20
    assert next(reads) > 100


def test_two_who_write_at_the_same_time_leave_one_verdict(table, editor, assert_sound):
    stores = [VerdictStore(db.Table(table.name, table.client)) for _ in range(4)]

    def write(store: VerdictStore, name: str) -> None:
        for number in range(5):
            store.put(ERIN, key_hash(KEY), NewVerdict(KEY, "changed", f"{name}{number}"))

    threads = [
        threading.Thread(target=write, args=(store, name))
        for store, name in zip(stores, "abcd", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert editor.get(AT).json["version"] in {f"{name}4" for name in "abcd"}
    assert_sound()


ACTS: dict[str, Act] = {
    "append": append,
    "edit": edit(-1, "handbook"),
    "delete": delete,
    "erase": erase,
}


@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("verdict_first", [True, False], ids=["put inside", "put around"])
def test_a_verdict_races_with_writes_of_messages(
    name, verdict_first, editor, far_editor, proxy, items, assert_sound
):
    """One of the two runs right before each call of the other."""

    def act(client: Client, session: str, sent: list[str]) -> Any:
        answer = ACTS[name](client, session, sent)
        assert answer.status_code < 300, answer.text
        return answer

    def govern(client: Client, *_: Any) -> Any:
        return say(client, "withdrawn", reason=str(number))

    one, other = (act, govern) if verdict_first else (govern, act)
    for number in itertools.count(1):
        session = editor.create_session()["session_id"]
        sent = editor.fill(session, 3, metadata=references("handbook"))
        met = False

        def overtaken(exchange: Exchange, session=session, sent=sent, other=other) -> None:
            nonlocal met
            met = True
            other(editor, session, sent)
            exchange.forward()

        proxy.forget()
        proxy.plan = lambda call, n=number, fault=overtaken: fault if call.number == n else None
        one(far_editor, session, sent)
        proxy.plan = nothing
        assert_sound()
        assert_right(items())
        if not met:
            break
        assert editor.get(AT).json["reason"] == str(number)
        for path in () if name in ("delete", "erase") else (f"/sessions/{session}/grounding",):
            citations = editor.get(path).json["citations"]
            cited = [each for each in citations if each["source"] == KEY]
            assert {each["verdict"] for each in cited} == {"withdrawn"}
    assert number > 1


# Damage


@pytest.fixture
def said(editor: Client) -> Iterator[None]:
    say(editor, "withdrawn", reason="Wrong")
    answer = editor.put(
        f"/tenant/sources/{key_hash('doc:b')}", {"key": "doc:b", "state": "current"}
    )
    assert answer.status_code == 200
    yield


@pytest.mark.usefixtures("said")
def test_verdicts_that_are_sound_are_counted(table, clock):
    seen = Checked()
    assert list(check.check(table, clock, seen)) == []
    assert seen == Checked(verdicts=2)


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize(
    ("attributes", "problems"),
    [
        ({"source_key": {"S": "doc:other"}}, ["its hash is not that of its key"]),
        ({"source_key": None}, ["its hash is not that of its key"]),
        ({"source_state": {"S": "gone"}}, ["its state is unknown"]),
        ({"source_state": None}, ["its state is unknown"]),
        ({"written": {"S": "x"}}, ["its version is wrong"]),
        ({"written": None}, ["its version is wrong"]),
        ({"governed_by": None}, ["an attribute is missing"]),
    ],
    ids=str,
)
def test_a_damaged_verdict_is_found_and_spoils_only_itself(
    editor, cited, change, findings, attributes, problems
):
    change(f"SOURCE#{key_hash(KEY)}", **attributes)
    assert findings() == problems
    problem(editor.get(AT), 500, "VERDICT_DAMAGED")
    assert verdict(editor, cited) == "ungoverned"
    assert editor.get(f"/tenant/sources/{key_hash('doc:b')}").status_code == 200
    say(editor, "changed")
    assert (verdict(editor, cited), findings()) == ("changed", [])


@pytest.mark.usefixtures("said")
def test_verdicts_without_their_revision_are_found(change, findings, editor):
    change("REVISION", written={"S": "x"})
    assert findings() == ["its version is wrong"]
    change("REVISION")
    assert findings() == ["the revision is missing"]
    say(editor, "changed")
    assert findings() == []


@pytest.mark.usefixtures("said")
def test_an_unknown_item_beside_verdicts_is_found(raw, table, findings):
    item = {"PK": {"S": "acme##SOURCES"}, "SK": {"S": "SOMETHING"}}
    raw.put_item(TableName=table.name, Item=item)
    assert findings() == ["unknown item"]
