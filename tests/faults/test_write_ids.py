"""Every write to a session takes an id, which is the session's ETag and holds the time of its last
change."""

from collections.abc import Callable
from typing import Any

import pytest

from app.table import ids
from tests.faults.proxy import Exchange, at, cut_after, cut_before, first, nothing, once
from tests.people import Client, problem


@pytest.fixture
def session(alice: Client) -> str:
    made: str = alice.create_session(title="Old")["session_id"]
    return made


def etag(client: Client, session: str) -> str:
    return client.get(f"/sessions/{session}").headers["ETag"]


def ulid_of(etag: str) -> str:
    assert etag[0] == etag[-1] == '"'
    assert ids.is_ulid(etag[1:-1])
    return etag[1:-1]


SAID = {"role": "user", "content": "x"}

WRITES: dict[str, tuple[str, str, Any, set[str]]] = {
    "append": ("POST", "/messages", SAID, set()),
    "batch": ("POST", "/messages/batch", {"messages": [SAID, SAID]}, set()),
    "title": ("PUT", "", {"title": "New"}, {"settings_version"}),
    "the same title": ("PUT", "", {"title": "Old"}, {"settings_version"}),
    "metadata": ("PUT", "", {"metadata": {"a": "b"}}, {"settings_version"}),
    "long metadata": ("PUT", "", {"metadata": {"a": "b" * 999}}, {"settings_version"}),
    "retention": ("PUT", "", {"expires_in_days": 3}, {"settings_version"}),
    "flags": ("PUT", "", {"archived": True, "pinned": True}, {"settings_version"}),
    "patch": ("PATCH", "", {"metadata": {"a": "b"}}, {"settings_version"}),
    "edit": ("PUT", "/messages/{0}", {"content": "y"}, {"changed"}),
    "status": ("PUT", "/messages/{0}", {"status": "interrupted"}, {"changed"}),
    "delete one": ("DELETE", "/messages/{0}", None, {"changed"}),
    "delete the last": ("DELETE", "/messages/{2}", None, {"changed"}),
    "delete from": ("DELETE", "/messages?from={1}", None, {"changed"}),
    "delete all": ("DELETE", "/messages?all=true", None, {"changed"}),
    "pop": ("POST", "/messages/pop", {"count": 2}, {"changed"}),
    "replace": ("POST", "/messages/replace", {"from": "{1}", "messages": [SAID]}, {"changed"}),
    "feedback": ("PUT", "/messages/{0}/feedback", {"rating": "up"}, set()),
}
"""The request, and which of `settings_version` and `changed` it changes."""


def filled(value: Any, sent: list[str]) -> Any:
    if isinstance(value, str):
        return value.format(*sent)
    return {**value, "from": sent[1]} if isinstance(value, dict) and "from" in value else value


@pytest.mark.parametrize(("method", "path", "body", "changes"), WRITES.values(), ids=WRITES)
def test_every_write_moves_the_time_the_version_and_the_etag(
    alice, session, clock, items, method, path, body, changes
):
    sent = alice.fill(session, 3)
    before = alice.get(f"/sessions/{session}")
    clock.freeze(clock() + 5_000)
    written = alice.request(
        method, f"/sessions/{session}{filled(path, sent)}", json=filled(body, sent)
    )
    assert written.status_code in (200, 201), written.text
    answer = alice.get(f"/sessions/{session}")
    then, now = before.json, answer.json
    assert now["updated_at"] == ids.iso_time(clock())
    assert now["version"] == then["version"] + 1
    last = ulid_of(answer.headers["ETag"])
    assert last > ulid_of(before.headers["ETag"])
    assert ids.timestamp(last) == now["updated_at"]
    own = written.headers.get("Session-ETag") or written.headers["ETag"]
    assert own == answer.headers["ETag"]
    assert {name for name in ("settings_version", "changed") if now[name] != then[name]} == changes
    assert now["settings_version"] == then["settings_version"] + ("settings_version" in changes)
    if "changed" in changes:
        assert now["changed"] == last
    [row] = alice.get("/sessions").json["sessions"]
    if row.pop("metadata_omitted", False):
        row["metadata"] = now["metadata"]
    assert row == {name: now[name] for name in row}
    [item] = [item for item in items() if item["SK"]["S"] == f"SESSION#{session[5:]}"]
    assert item["last_ulid"] == {"S": last}
    assert "updated_at" not in item


def test_reading_and_refused_writes_move_nothing(alice, session, clock):
    sent = alice.fill(session, 2)
    before = alice.get(f"/sessions/{session}")
    clock.freeze(clock() + 5_000)
    path, old = f"/sessions/{session}", {"If-Match": f'"{session[5:]}"'}
    for answer in (
        alice.put(path, {"title": "x"}, headers=old),
        alice.put(path, {"title": 5}),
        alice.post(f"{path}/messages", SAID, headers=old),
        alice.post(f"{path}/messages", {**SAID, "after": sent[0]}),
        alice.delete(path, headers=old),
        alice.delete(f"{path}/messages?all=true", headers=old),
    ):
        assert answer.status_code in (412, 422), answer.text
    after = alice.get(path)
    assert (after.text, after.headers["ETag"]) == (before.text, before.headers["ETag"])


@pytest.mark.parametrize("condition", ["none", "current", "among others", "any"])
def test_a_put_by_a_host_whose_clock_lags_takes_the_next_id(
    alice, session, clock, far_alice, proxy, condition
):
    """The first id that it tries is too small, but that is no reason to refuse the PUT."""
    alice.append(session)
    current = etag(alice, session)
    headers = {
        "none": {},
        "current": {"If-Match": current},
        "among others": {"If-Match": f'"{session[5:]}", {current}'},
        "any": {"If-Match": "*"},
    }[condition]
    clock.move(seconds=-3600)
    answer = far_alice.put(f"/sessions/{session}", {"title": "New"}, headers=headers)
    assert answer.status_code == 200
    assert (answer.json["title"], answer.json["version"]) == ("New", 3)
    assert ulid_of(answer.headers["ETag"]) == ids.series(ulid_of(current), 2)[1]
    assert answer.json["updated_at"] == ids.timestamp(ulid_of(current)), "the time never goes back"
    assert proxy.calls == ["UpdateItem"] * 2


def test_a_put_by_a_host_whose_clock_lags_is_still_refused_for_another_version(
    alice, session, clock, far_alice, proxy
):
    old = etag(alice, session)
    alice.append(session)
    clock.move(seconds=-3600)
    answer = far_alice.put(f"/sessions/{session}", {"title": "New"}, headers={"If-Match": old})
    problem(answer, 412, "PRECONDITION_FAILED")
    assert alice.get(f"/sessions/{session}").json["title"] == "Old"
    assert proxy.calls == ["UpdateItem"]


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("lags", [False, True])
def test_a_put_whose_answer_was_lost_is_recognised_by_its_id(
    alice, session, clock, far_alice, proxy, conditional, lags
):
    """It is carried out once. If the clock lags, it is the second try whose answer is lost."""
    alice.append(session)
    headers = {"If-Match": etag(alice, session)} if conditional else {}
    if lags:
        clock.move(seconds=-3600)
    proxy.plan = at(1 + lags, cut_after)
    answer = far_alice.put(f"/sessions/{session}", {"title": "New"}, headers=headers)
    assert answer.status_code == 200
    assert (answer.json["title"], answer.json["version"]) == ("New", 3)
    assert proxy.calls == ["UpdateItem"] * (2 + lags)
    assert proxy.faults.total() == 1
    shown = alice.get(f"/sessions/{session}")
    assert shown.headers["ETag"] == answer.headers["ETag"]
    assert (shown.json["version"], shown.json["settings_version"]) == (3, 2)


@pytest.mark.parametrize("conditional", [False, True])
def test_a_put_that_never_arrived_is_tried_again_under_the_same_id(
    alice, session, far_alice, proxy, conditional
):
    headers = {"If-Match": etag(alice, session)} if conditional else {}
    proxy.plan = first(2, cut_before, "UpdateItem")
    answer = far_alice.put(f"/sessions/{session}", {"title": "New"}, headers=headers)
    assert (answer.status_code, answer.json["version"]) == (200, 2)
    assert proxy.calls == ["UpdateItem"] * 3


OTHERS: dict[str, Callable[[Client, str], Any]] = {
    "an append": lambda client, session: client.append(session),
    "a PUT": lambda client, session: client.put(f"/sessions/{session}", {"title": "Other"}),
    "feedback": lambda client, session: client.put(
        f"/sessions/{session}/messages/{client.read_all(session)[0]['message_id']}/feedback",
        {"rating": "up"},
    ),
}


@pytest.mark.parametrize("carried_out", [True, False])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_put_with_if_match_whose_fate_is_hidden_by_another_write_is_unknown(
    alice, session, far_alice, proxy, other, carried_out
):
    """The item does not tell whether it was carried out, so neither 200 nor 412 would be right."""
    alice.append(session)
    headers = {"If-Match": etag(alice, session)}

    def lost(exchange: Exchange) -> None:
        if carried_out:
            exchange.forward()
        other(alice, session)
        exchange.cut()

    proxy.plan = once(lost, "UpdateItem")
    answer = far_alice.put(f"/sessions/{session}", {"title": "New"}, headers=headers)
    problem(answer, 503, "OUTCOME_UNKNOWN")
    again = far_alice.put(f"/sessions/{session}", {"title": "New"}, headers=headers)
    problem(again, 412, "PRECONDITION_FAILED")


@pytest.mark.parametrize("carried_out", [True, False])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_put_without_if_match_whose_fate_is_hidden_by_another_write_is_the_last(
    alice, session, far_alice, proxy, other, carried_out
):
    """It is carried out again, as a client would that gets no answer. Nothing of the other write is
    lost but what both set."""
    alice.append(session)

    def lost(exchange: Exchange) -> None:
        if carried_out:
            exchange.forward()
        other(alice, session)
        exchange.cut()

    proxy.plan = once(lost, "UpdateItem")
    answer = far_alice.put(f"/sessions/{session}", {"title": "New"})
    proxy.plan = nothing
    assert answer.status_code == 200
    shown = alice.get(f"/sessions/{session}").json
    assert shown["title"] == answer.json["title"] == "New"
    assert shown["version"] == answer.json["version"] == 4 + carried_out
    assert shown["message_count"] == len(shown["messages"])


def test_a_put_that_loses_every_race_ends_with_its_time(alice, session, hurried_alice, proxy):
    """Each try finds a later id in the item."""

    def overtaken(exchange: Exchange) -> None:
        values = exchange.call.request["ExpressionAttributeValues"]
        raced.append(values[":last_ulid"]["S"])
        key = exchange.call.request["Key"]
        exchange.answer(
            400,
            {
                "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                "message": "The conditional request failed",
                "Item": {**key, "last_ulid": {"S": ids.series(raced[-1], 2)[1]}},
            },
        )

    raced: list[str] = []
    proxy.plan = lambda call: overtaken if call.operation == "UpdateItem" else None
    answer = hurried_alice.put(f"/sessions/{session}", {"title": "New"})
    assert answer.status_code == 503
    assert len(raced) > 1
    assert raced == sorted(set(raced)), "each try takes a later id"
    assert alice.get(f"/sessions/{session}").json["title"] == "Old"
