"""Writers whose clocks disagree: the order is that of the commits, whatever the clocks say."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from app.errors import PreconditionFailed
from app.identity.caller import Caller
from app.messages.model import NewMessage
from app.messages.reader import MessageReader
from app.messages.store import MessageStore
from app.sessions.store import SessionStore
from app.table import db, ids
from tests.faults.proxy import Exchange, once

HOUR = 60 * 60 * 1000
ALICE = Caller("acme", "alice")

Clock = Callable[[], int]


def shifted(milliseconds: int) -> Clock:
    return lambda: ids.system_clock() + milliseconds


def jumping_back_an_hour() -> Clock:
    """After its tenth reading, as when NTP sets a clock that was wrong."""
    readings = count()
    return lambda: ids.system_clock() + (HOUR if next(readings) < 10 else 0)


CLOCKS: dict[str, Callable[[], Clock]] = {
    "exact": lambda: shifted(0),
    "fast": lambda: shifted(10_000),
    "slow": lambda: shifted(-10_000),
    "jumps back": jumping_back_an_hour,
}


@pytest.fixture
def session(table: db.Table) -> str:
    made, _ = SessionStore(table).create(ALICE, domain_id="d", title="t", metadata={})
    return made.session_id


def writers(table: db.Table) -> dict[str, MessageStore]:
    return {name: MessageStore(table, ids.UlidSource(make())) for name, make in CLOCKS.items()}


def append(store: MessageStore, session: str, content: str) -> str:
    [message], _ = store.append(ALICE, session, [NewMessage("user", content)])
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


def test_messages_stand_in_the_order_in_which_they_were_acknowledged(table, session, assert_sound):
    stores = writers(table)
    names = [name for _ in range(6) for name in stores]
    acknowledged = [append(stores[name], session, f"{n} {name}") for n, name in enumerate(names)]
    messages = read(table, session)
    assert [message.message_id for message in messages] == acknowledged
    assert [message.content for message in messages] == [f"{n} {s}" for n, s in enumerate(names)]
    assert_times_are_those_of_the_ids(messages)
    assert_sound()


def test_a_batch_of_a_slow_writer_stands_after_what_it_follows(table, session):
    stores = writers(table)
    first = append(stores["fast"], session, "first")
    new = [NewMessage("user", str(n)) for n in range(50)]
    batch, _ = stores["slow"].append(ALICE, session, new)
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
    append(stores["fast"], session, "first")  # makes version 2
    new = [NewMessage("user", "second")]
    with pytest.raises(PreconditionFailed):
        stores["slow"].append(ALICE, session, new, if_match=(1,))
    [second], _ = stores["slow"].append(ALICE, session, new, if_match=(1, 2))
    assert [message.content for message in read(table, session)] == ["first", "second"]
    assert SessionStore(table).get(ALICE, session).version == 3


def test_if_match_is_asked_again_when_an_append_is_tried_again(table, far_table, session, proxy):
    """Its first try fails because its clock is behind, its second because of a change since."""
    append(writers(table)["fast"], session, "first")

    def followed(exchange: Exchange) -> None:
        status, _ = exchange.forward()
        assert status == 400
        SessionStore(table).update(ALICE, session, {"title": "New"})

    proxy.plan = once(followed, "TransactWriteItems")
    slow = MessageStore(far_table, ids.UlidSource(shifted(-10_000)))
    with pytest.raises(PreconditionFailed):
        slow.append(ALICE, session, [NewMessage("user", "second")], if_match=(2,))
    assert proxy.calls == ["TransactWriteItems"] * 2
    assert [message.content for message in read(table, session)] == ["first"]


def test_the_clock_of_a_reader_changes_nothing(table, session):
    stores = writers(table)
    append(stores["fast"], session, "from the future")
    for make in CLOCKS.values():
        reader = MessageReader(table, make())
        _, page = reader.read(ALICE, session)
        assert [message.content for message in page.messages] == ["from the future"]
