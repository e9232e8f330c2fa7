"""Writers whose clocks disagree: the order is that of the commits, whatever the clocks say."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from itertools import count
from typing import Any

import pytest

from app.config import Config
from app.errors import PreconditionFailed
from app.factory import create_app
from app.identity.caller import Caller
from app.messages.model import NewMessage
from app.messages.reader import MessageReader
from app.messages.store import MessageStore
from app.sessions.creation import NewSession
from app.sessions.store import SessionStore
from app.table import db, ids
from tests.faults.proxy import Exchange, Fault, always, nothing, once, refused
from tests.people import SECRET, Client, problem

HALF_A_MINUTE = 30 * 1000
ALICE = Caller("acme", "alice")

Clock = Callable[[], int]


def shifted(milliseconds: int) -> Clock:
    return lambda: ids.system_clock() + milliseconds


def jumping_back() -> Clock:
    """Jumps back after its tenth reading, as when NTP corrects a clock."""
    readings = count()
    return lambda: ids.system_clock() + (HALF_A_MINUTE if next(readings) < 10 else 0)


CLOCKS: dict[str, Callable[[], Clock]] = {
    "exact": lambda: shifted(0),
    "fast": lambda: shifted(10_000),
    "slow": lambda: shifted(-10_000),
    "jumps back": jumping_back,
}


@pytest.fixture
def session(table: db.Table) -> str:
    made = SessionStore(table).create(ALICE, NewSession(domain_id="d")).session
    return made.session_id


def writers(table: db.Table) -> dict[str, MessageStore]:
    return {name: MessageStore(table, ids.UlidSource(make())) for name, make in CLOCKS.items()}


def append(store: MessageStore, session: str, content: str) -> str:
    [message] = store.append(ALICE, session, [NewMessage("user", content)]).messages
    return message.message_id


def read(table: db.Table, session: str) -> list[Any]:
    page = MessageReader(table).page(ALICE, session, limit=1000)
    assert page.next_cursor is None
    return page.messages


def assert_times_are_those_of_the_ids(messages: list[Any]) -> None:
    for message in messages:
        milliseconds = ids.milliseconds(message.message_id.removeprefix("msg_"))
        assert message.timestamp == ids.iso_time(milliseconds)
    times = [message.timestamp for message in messages]
    assert times == sorted(times)


def test_messages_are_in_the_order_in_which_they_were_acknowledged(table, session, assert_sound):
    stores = writers(table)
    names = [name for _ in range(6) for name in stores]
    acknowledged = [append(stores[name], session, f"{n} {name}") for n, name in enumerate(names)]
    messages = read(table, session)
    assert [message.message_id for message in messages] == acknowledged
    assert [message.content for message in messages] == [f"{n} {s}" for n, s in enumerate(names)]
    assert_times_are_those_of_the_ids(messages)
    assert_sound()


def test_a_batch_of_a_writer_whose_clock_lags_comes_after_earlier_messages(table, session):
    stores = writers(table)
    first = append(stores["fast"], session, "first")
    new = [NewMessage("user", str(n)) for n in range(50)]
    batch = stores["slow"].append(ALICE, session, new).messages
    last = append(stores["slow"], session, "last")
    expected = [first, *(message.message_id for message in batch), last]
    assert [message.message_id for message in read(table, session)] == expected == sorted(expected)


def test_writers_at_once_with_different_clocks_each_keep_their_order(table, session, assert_sound):
    stores = writers(table)

    def write(name: str) -> list[str]:
        return [append(stores[name], session, f"{name} {n}") for n in range(25)]

    with ThreadPoolExecutor(len(stores)) as pool:
        acknowledged = dict(zip(stores, pool.map(write, stores), strict=True))
    messages = read(table, session)
    assert len(messages) == 25 * len(stores)
    for name, message_ids in acknowledged.items():
        own = [message for message in messages if message.content.startswith(name)]
        assert [message.message_id for message in own] == message_ids
        assert [message.content for message in own] == [f"{name} {n}" for n in range(25)]
    assert_times_are_those_of_the_ids(messages)
    assert_sound()


def test_if_match_holds_for_a_writer_whose_clock_is_behind(table, session):
    """The condition fails for the id, not for the version."""
    stores = writers(table)
    first = append(stores["fast"], session, "first")
    new = [NewMessage("user", "second")]
    with pytest.raises(PreconditionFailed):
        stores["slow"].append(ALICE, session, new, if_match=(session.removeprefix("sess_"),))
    both = (session.removeprefix("sess_"), first.removeprefix("msg_"))
    [second] = stores["slow"].append(ALICE, session, new, if_match=both).messages
    assert [message.content for message in read(table, session)] == ["first", "second"]
    assert SessionStore(table).get(ALICE, session).version == 3


def test_if_match_is_checked_again_when_an_append_is_tried_again(table, far_table, session, proxy):
    """The first try fails because the clock is behind, the second because of a change."""
    first = append(writers(table)["fast"], session, "first")

    def followed(exchange: Exchange) -> None:
        status, _ = exchange.forward()
        assert status == 400
        SessionStore(table).update(ALICE, session, {"title": "New"})

    proxy.plan = once(followed, "TransactWriteItems")
    slow = MessageStore(far_table, ids.UlidSource(shifted(-10_000)))
    with pytest.raises(PreconditionFailed):
        slow.append(
            ALICE, session, [NewMessage("user", "second")], if_match=(first.removeprefix("msg_"),)
        )
    assert proxy.calls == ["TransactWriteItems"] * 2
    assert [message.content for message in read(table, session)] == ["first"]


def test_the_clock_of_a_reader_changes_nothing(table, session):
    stores = writers(table)
    append(stores["fast"], session, "from the future")
    for make in CLOCKS.values():
        reader = MessageReader(table, make())
        _, page = reader.read(ALICE, session)
        assert [message.content for message in page.messages] == ["from the future"]


# A clock that is wrong compared with DynamoDB's. These tables have no injected time. They use the
# real `Date` of the answers.

DAY = 24 * HALF_A_MINUTE * 120
WRONG = {
    "two minutes ahead": 120_000,
    "a day ahead": DAY,
    "100 years ahead": 36_525 * DAY,
    "8,000 years ahead": 8_000 * 366 * DAY,
    "two days behind": -2 * DAY,
    "before 1970": -100 * 366 * DAY,
}


@pytest.fixture
def hosted(table: db.Table, far_table: db.Table, alice: Client) -> Callable[[Clock], Client]:
    """Alice, on a host with such a clock. Its calls go through the proxy."""

    def at(clock: Clock) -> Client:
        config = Config(sessions_table=table.name, jwt_secret=SECRET)
        own = db.Table(table.name, far_table.client)
        return Client(create_app(config, table=own, ulids=ids.UlidSource(clock)), alice.token)

    return at


def writes(session: str) -> list[tuple[str, str, Any]]:
    said = {"role": "user", "content": "x"}
    return [
        ("POST", "/sessions", {"domain_id": "d"}),
        ("POST", f"/sessions/{session}/messages", said),
        ("POST", f"/sessions/{session}/messages/batch", {"messages": [said]}),
        ("PUT", f"/sessions/{session}", {"title": "New", "expires_in_days": 1}),
        ("DELETE", f"/sessions/{session}", None),
        ("DELETE", "/sessions?confirm=all", None),
    ]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("first", [True, False], ids=["first call", "later"])
def test_a_host_whose_clock_is_wrong_writes_nothing(
    wrong, first, alice, hosted, proxy, items, logged
):
    session = alice.create_session()["session_id"]
    before = items()
    for method, path, body in writes(session):
        host = hosted(shifted(WRONG[wrong]))
        if not first:
            assert host.get("/sessions").status_code in (200, 503)
        del logged[:]
        answer = host.request(method, path, json=body)
        problem(answer, 503, "STORE_UNAVAILABLE")
        assert "clock" in answer.json["detail"]
        assert any("clock" in line["message"] for line in logged), "the log says why"
    assert items() == before
    assert "TransactWriteItems" not in proxy.calls
    assert "UpdateItem" not in proxy.calls


@pytest.mark.parametrize("wrong", ["two minutes ahead", "two days behind"])
def test_the_log_says_how_far_a_clock_is_off(wrong, alice, hosted, logged):
    session = alice.create_session()["session_id"]
    del logged[:]
    hosted(shifted(WRONG[wrong])).delete(f"/sessions/{session}")
    why, request = logged
    assert abs(why["ahead_seconds"] - WRONG[wrong] // 1000) < 30
    assert request["db_failure"] == "ClockDisagrees"


@pytest.mark.parametrize("off", [50_000, HALF_A_MINUTE - DAY], ids=["ahead", "behind"])
def test_a_host_that_is_off_within_bounds_writes(off, alice, hosted, items):
    session = alice.create_session()["session_id"]
    for method, path, body in writes(session):
        answer = hosted(shifted(off)).request(method, path, json=body)
        assert answer.status_code in (200, 201), answer.text


@pytest.mark.parametrize("wrong", WRONG)
def test_a_host_whose_clock_is_wrong_still_reads_or_says_503(wrong, alice, hosted):
    session = alice.create_session()["session_id"]
    message = alice.append(session)["message_id"]
    host = hosted(shifted(WRONG[wrong]))
    for path in ("", f"/{session}", f"/{session}/messages", f"/{session}/messages/{message}"):
        assert host.get(f"/sessions{path}").status_code in (200, 503)


def test_a_process_reads_the_databases_time_once(alice, hosted, proxy):
    session = alice.create_session()["session_id"]
    host = hosted(ids.system_clock)
    for _ in range(3):
        host.append(session)
    assert proxy.calls == ["GetItem", *["TransactWriteItems"] * 3]


def test_a_process_that_has_read_knows_the_time(alice, hosted, proxy):
    session = alice.create_session()["session_id"]
    host = hosted(ids.system_clock)
    host.get(f"/sessions/{session}/messages")
    proxy.forget()
    host.append(session)
    assert proxy.calls == ["TransactWriteItems"]


def redated(milliseconds: int) -> Fault:
    """Gives the database's answers another time."""

    def redated(exchange: Exchange) -> None:
        exchange.forward()
        exchange.redate(formatdate((ids.system_clock() + milliseconds) / 1000, usegmt=True))

    return redated


def test_a_process_that_was_frozen_reads_the_time_again_before_it_refuses(alice, hosted, proxy):
    """The time that it remembers is ten minutes old, as after Lambda has frozen it."""
    session = alice.create_session()["session_id"]
    host = hosted(ids.system_clock)
    proxy.plan = always(redated(-600_000))
    host.get(f"/sessions/{session}/messages")
    proxy.plan = nothing
    proxy.forget()
    host.append(session)
    assert proxy.calls == ["GetItem", "TransactWriteItems"]


def test_a_clock_that_goes_wrong_later_is_noticed(alice, hosted, items):
    session = alice.create_session()["session_id"]
    wrong = [0]
    host = hosted(lambda: ids.system_clock() + wrong[0])
    host.append(session)
    before = items()
    wrong[0] = DAY
    said = {"role": "user", "content": "x"}
    problem(host.post(f"/sessions/{session}/messages", said), 503, "STORE_UNAVAILABLE")
    assert items() == before
    wrong[0] = 0
    host.append(session)


NO_DATES = ["", "yesterday", "Wed, 99 Foo 2026 02:18:15 GMT", f"Wed, 1 Jan {10**20} 02:18:15 GMT"]


@pytest.mark.parametrize("date", NO_DATES)
def test_an_answer_without_a_date_is_ignored(date, alice, hosted, proxy):
    session = alice.create_session()["session_id"]

    def undated(exchange: Exchange) -> None:
        exchange.forward()
        exchange.redate(date)

    proxy.plan = always(undated)
    hosted(ids.system_clock).append(session)


def test_a_role_that_may_not_read_learns_the_time_from_the_refusal(alice, hosted, proxy, items):
    """A program that only appends may not have the permission GetItem."""
    session = alice.create_session()["session_id"]

    def denied(exchange: Exchange) -> None:
        refused("AccessDeniedException")(exchange)
        exchange.redate(formatdate(usegmt=True))

    proxy.plan = always(denied, "GetItem")
    hosted(ids.system_clock).append(session)
    before = items()
    said = {"role": "user", "content": "x"}
    answer = hosted(shifted(DAY)).post(f"/sessions/{session}/messages", said)
    problem(answer, 503, "STORE_UNAVAILABLE")
    assert items() == before
