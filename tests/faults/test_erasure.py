"""An erasure removes exactly the sessions that existed when it was requested."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from app.config import Config
from app.factory import create_app
from app.operations.sweep import sweep
from app.table import db, ids
from tests.faults.proxy import Exchange, always, in_conflict, nothing
from tests.people import SECRET, Client

ALL = "/sessions?confirm=all"


@pytest.fixture
def alice_elsewhere(table: db.Table, clock: Any, alice: Client) -> Callable[[float], Client]:
    """Alice, on a host whose clock is this many seconds ahead."""

    def at(ahead: float) -> Client:
        config = Config(sessions_table=table.name, jwt_secret=SECRET)
        ulids = ids.UlidSource(lambda: clock() + int(ahead * 1000))
        return Client(create_app(config, table=table, ulids=ulids), alice.token)

    return at


@pytest.fixture
def cut_off(hurried_alice: Client, proxy: Any) -> Callable[[], None]:
    """Requests an erasure that is interrupted after its note."""

    def ask() -> None:
        before, proxy.plan = proxy.plan, always(in_conflict, "TransactWriteItems")
        assert hurried_alice.delete(ALL).status_code == 202
        proxy.plan = before

    return ask


def test_an_erasure_keeps_the_note_of_a_later_one(
    alice, far_alice, cut_off, proxy, table, clock, items, assert_sound
):
    """At each call of the first erasure: creates a session and interrupts a second erasure."""
    for number in itertools.count(1):
        alice.create_session()
        overtaken = []

        def overtake(exchange: Exchange, overtaken=overtaken) -> None:
            proxy.plan = nothing
            overtaken.append(alice.create_session()["session_id"])
            cut_off()
            exchange.forward()

        proxy.forget()
        proxy.plan = lambda call, n=number, fault=overtake: fault if call.number == n else None
        far_alice.delete(ALL)
        proxy.plan = nothing
        assert_sound()
        assert sweep(table, clock).finished
        assert items() == [], f"overtaken at call {number}"
        if not overtaken:
            break
    assert number > 4


@pytest.mark.parametrize("ahead", [5, 50])
def test_a_session_created_by_a_host_that_is_ahead_is_erased(
    ahead, alice, alice_elsewhere, cut_off, table, clock, items
):
    alice_elsewhere(ahead).create_session()
    cut_off()
    assert sweep(table, clock).sessions == 1
    assert items() == []


@pytest.mark.parametrize("ahead", [-3600, -50, -1, 0, 1, 50])
def test_a_session_created_after_an_erasure_was_requested_stays(
    ahead, alice, alice_elsewhere, cut_off, table, clock, assert_sound
):
    for seconds in (0, 50, -50):
        alice_elsewhere(seconds).create_session()
    cut_off()
    younger = alice_elsewhere(ahead).create_session()["session_id"]
    alice.append(younger)
    assert sweep(table, clock).sessions == 3
    assert [s["session_id"] for s in alice.get("/sessions").json["sessions"]] == [younger]
    assert alice.get(f"/sessions/{younger}").json["message_count"] == 1
    assert_sound()


def test_a_session_created_in_the_same_millisecond_as_an_erasure_stays(
    alice, cut_off, table, clock
):
    clock.freeze()
    alice.create_session()
    cut_off()
    younger = alice.create_session()["session_id"]
    assert sweep(table, clock).sessions == 1
    assert [s["session_id"] for s in alice.get("/sessions").json["sessions"]] == [younger]


def test_a_session_whose_creation_was_delayed_past_an_erasure_stays(
    alice, far_alice, cut_off, proxy, table, clock
):
    """Its id is older than the erasure, but the session did not exist yet."""
    alice.create_session()

    def held(exchange: Exchange) -> None:
        proxy.plan = nothing
        clock.move(seconds=5)
        alice.create_session()
        cut_off()
        exchange.forward()

    proxy.plan = always(held, "TransactWriteItems")
    younger = far_alice.create_session()["session_id"]
    assert sweep(table, clock).sessions == 2
    assert [s["session_id"] for s in alice.get("/sessions").json["sessions"]] == [younger]


def test_two_interrupted_erasures_are_finished_up_to_the_later_one(
    alice, cut_off, table, clock, items
):
    alice.create_session()
    cut_off()
    alice.create_session()
    cut_off()
    assert sweep(table, clock).sessions == 2
    assert items() == []


@pytest.mark.parametrize("ahead", [0, 50])
def test_a_user_item_without_last_ulid_is_erased(
    ahead, alice, alice_elsewhere, cut_off, raw, table, clock, items
):
    """Older code wrote such items without `last_ulid`."""
    alice_elsewhere(ahead).create_session()
    raw.update_item(
        TableName=table.name,
        Key={"PK": {"S": "acme#alice"}, "SK": {"S": "USER"}},
        UpdateExpression="REMOVE last_ulid",
    )
    cut_off()
    younger = alice.create_session()["session_id"]
    assert sweep(table, clock).sessions == 1
    assert [s["session_id"] for s in alice.get("/sessions").json["sessions"]] == [younger]


def test_creating_a_session_is_one_call(alice, far_alice, proxy):
    for _ in range(3):
        far_alice.create_session()
    assert proxy.calls == ["TransactWriteItems"] * 3


def test_sessions_of_a_user_have_rising_ids_whatever_the_clocks_say(alice_elsewhere, assert_sound):
    hosts = [alice_elsewhere(ahead) for ahead in (0, 50, -50)]
    made = [host.create_session()["session_id"] for _ in range(3) for host in hosts]
    assert made == sorted(made)
    assert_sound()
