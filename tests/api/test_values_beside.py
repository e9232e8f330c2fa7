"""Values that are written together with messages, all or nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.table import ids
from tests.people import Client, make_token, problem


@pytest.fixture
def agent(app) -> Client:
    """Acts as Alice, and may use the values of her tenant."""
    scope = "sessions:read sessions:write tenant-values:read tenant-values:write"
    return Client(app, make_token("acme", "alice", scope=scope))


def batch(who: Client, session_id: str, values: Any, **more: Any) -> Any:
    headers = more.pop("headers", {})
    body = {"messages": [{"role": "user", "content": "Hello"}], "values": values, **more}
    return who.post(f"/sessions/{session_id}/messages/batch", body, headers=headers)


def test_one_request_writes_an_event_and_the_state_of_session_user_and_tenant(agent, session_id):
    answer = batch(
        agent,
        session_id,
        {
            "session": [{"put": "state/step", "json": 4}],
            "user": [{"put": "user:theme", "json": "dark"}],
            "tenant": [{"put": "app:limit", "json": 1.50}],
        },
    )
    assert answer.status_code == 201, answer.text
    assert {name: [r["name"] for r in of] for name, of in answer.json["values"].items()} == {
        "session": ["state/step"],
        "user": ["user:theme"],
        "tenant": ["app:limit"],
    }
    assert agent.get(f"/sessions/{session_id}/values/state/step").text == "4"
    assert agent.get("/values/user:theme").text == '"dark"'
    assert agent.get("/tenant/values/app:limit").text == "1.5"
    assert len(agent.read_all(session_id)) == 1


@pytest.mark.parametrize("where", ["session", "user", "tenant"])
def test_a_precondition_that_does_not_hold_stops_everything(agent, session_id, where):
    first = batch(agent, session_id, {where: [{"put": "a", "json": 1, "if_none_match": "*"}]})
    assert first.status_code == 201, first.text
    etag = first.json["values"][where][0]["etag"]

    again = {"put": "a", "json": 2, "if_none_match": "*"}
    answer = batch(agent, session_id, {"user": [{"put": "b", "json": 1}], where: [again]})
    results = problem(
        answer, 412, "VALUES_NOT_WRITTEN", results=json.loads(answer.text)["results"]
    )["results"]
    assert results[where] == [
        {
            "status": 412,
            "code": "VALUE_CHANGED",
            "title": "The value has changed",
            "detail": results[where][0]["detail"],
            "etag": etag,
        }
    ]
    assert len(agent.read_all(session_id)) == 1
    assert agent.get("/values/b").status_code == 404

    fits = batch(agent, session_id, {where: [{"put": "a", "json": 2, "if_match": etag}]})
    assert fits.status_code == 201, fits.text
    assert len(agent.read_all(session_id)) == 2


def test_a_stale_writer_writes_neither_message_nor_state(agent, session_id):
    """As ADK's: an event with the state of session, user and app, if nobody else has written."""
    known = agent.get(f"/sessions/{session_id}").headers["ETag"]
    state = {where: [{"put": "s", "json": 1}] for where in ("session", "user", "tenant")}
    first = batch(agent, session_id, state, headers={"If-Match": known})
    assert first.status_code == 201, first.text
    later = {where: [{"put": "s", "json": 2}] for where in state}
    problem(
        batch(agent, session_id, later, headers={"If-Match": known}), 412, "PRECONDITION_FAILED"
    )
    after = f"?after={session_id}"  # the other way to say so
    body = {"messages": [{"role": "user"}], "values": later}
    stale = agent.post(f"/sessions/{session_id}/messages/batch{after}", body)
    assert stale.status_code == 412
    for base in (f"/sessions/{session_id}/values", "/values", "/tenant/values"):
        assert agent.get(f"{base}/s").json == 1
    fresh = {"If-Match": first.headers["Session-ETag"]}
    assert batch(agent, session_id, later, headers=fresh).status_code == 201
    assert agent.get("/tenant/values/s").json == 2


def test_a_session_is_created_with_its_first_messages_and_values(agent):
    session_id = ids.SESSION_PREFIX + ids.from_key("thread-1")
    new = {"key": "thread-1", "domain_id": "adk"}
    values = {"session": [{"put": "state", "json": {"a": 1}}], "user": [{"put": "u", "json": 2}]}
    for count in (1, 2):
        answer = batch(agent, session_id, values, session=new)
        assert answer.status_code == 201, answer.text
        assert agent.get(f"/sessions/{session_id}/values/state").json == {"a": 1}
        assert len(agent.read_all(session_id)) == count


def test_a_session_made_again_has_only_the_new_values(agent):
    session_id = ids.SESSION_PREFIX + ids.from_key("thread-1")
    new = {"key": "thread-1", "domain_id": "adk"}
    assert (
        batch(agent, session_id, {"session": [{"put": "old", "json": 1}]}, session=new).status_code
        == 201
    )
    assert agent.delete(f"/sessions/{session_id}").status_code == 200
    assert (
        batch(agent, session_id, {"session": [{"put": "new", "json": 1}]}, session=new).status_code
        == 201
    )
    names = [v["name"] for v in agent.get(f"/sessions/{session_id}/values").json["values"]]
    assert names == ["new"]


def test_a_repeated_request_writes_nothing_twice(agent, session_id):
    values = {"session": [{"put": "a", "json": 1, "if_none_match": "*"}]}
    first = batch(agent, session_id, values, headers={"Idempotency-Key": "k"})
    second = batch(agent, session_id, values, headers={"Idempotency-Key": "k"})
    assert (first.status_code, second.status_code) == (201, 201), second.text
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.json["messages"] == first.json["messages"]
    assert second.json["values"]["session"][0]["etag"] == first.json["values"]["session"][0]["etag"]
    assert len(agent.read_all(session_id)) == 1


def test_a_large_value_is_replaced_and_deleted_with_all_its_parts(agent, session_id, items):
    large = "x" * 1_000_000
    for value in (
        {"put": "a", "json": large},
        {"put": "a", "json": 1},
        {"put": "a", "json": large},
    ):
        assert batch(agent, session_id, {"session": [value]}).status_code == 201
    assert agent.get(f"/sessions/{session_id}/values/a").json == large
    assert batch(agent, session_id, {"session": [{"delete": "a"}]}).status_code == 201
    assert not [item for item in items() if "#V" in item["SK"]["S"]]


def test_what_does_not_fit_into_one_transaction_is_refused_with_figures(agent, session_id):
    many = [{"put": f"v{n}", "json": n} for n in range(99)]
    detail = problem(batch(agent, session_id, {"session": many}), 413, "TOO_LARGE")["detail"]
    assert "101 items" in detail
    large = [{"put": f"v{n}", "json": "x" * 2_100_000} for n in range(2)]
    problem(batch(agent, session_id, {"session": large}), 413, "TOO_LARGE")
    assert agent.read_all(session_id) == []
    assert agent.get(f"/sessions/{session_id}/values").json["values"] == []


def test_values_of_the_tenant_need_their_scope(alice, session_id):
    answer = batch(alice, session_id, {"tenant": [{"put": "a", "json": 1}]})
    problem(answer, 403, "INSUFFICIENT_SCOPE")
    assert alice.read_all(session_id) == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"session": [{"get": "a"}]}, "values.session[0].get"),
        ({"session": [{"put": "a"}]}, "values.session[0]"),
        ({"session": [{"put": "a", "json": 1}, {"delete": "a"}]}, "operations"),
        ({"nobody": []}, "values.nobody"),
        ({"user": [{"put": "a//b", "json": 1}]}, "values.user[0].put"),
    ],
)
def test_operations_that_are_not_writes_are_refused(agent, session_id, values, field):
    answer = batch(agent, session_id, values)
    assert field in [e["field"] for e in problem(answer, 422, "VALIDATION_FAILED")["errors"]]
    assert agent.read_all(session_id) == []


def test_numbers_keep_their_text(agent, session_id):
    body = (
        '{"messages":[{"role":"user","content":1.0}],'
        '"values":{"session":[{"put":"a","json": {"z":1E5, "a":-0} }]}}'
    )
    answer = agent.post(f"/sessions/{session_id}/messages/batch", data=body)
    assert answer.status_code == 201, answer.text
    assert agent.get(f"/sessions/{session_id}/values/a").text == '{"z":1E5, "a":-0}'


def test_many_writers_each_count_once(agent, session_id):
    """Each reads a counter, and writes it one higher with its message, on condition of the ETag."""

    def count_up(_: int) -> None:
        while True:
            found = agent.get(f"/sessions/{session_id}/values/n")
            if found.status_code == 404:
                change = {"put": "n", "json": 1, "if_none_match": "*"}
            else:
                etag = found.headers["ETag"].strip('"')
                change = {"put": "n", "json": found.json + 1, "if_match": etag}
            if batch(agent, session_id, {"session": [change]}).status_code == 201:
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, range(20)))
    assert agent.get(f"/sessions/{session_id}/values/n").json == 20
    assert len(agent.read_all(session_id)) == 20
