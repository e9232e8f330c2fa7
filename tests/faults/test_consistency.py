"""What DynamoDB may show and DynamoDB Local never does: old states, partial transactions."""

import json
from typing import Any

import pytest

from app.grounding.sources import key_hash
from app.operations.sweep import sweep
from tests.faults.proxy import Call, Exchange, always, first
from tests.people import API, Client, make_token

READS = {"GetItem", "BatchGetItem", "Query", "Scan"}


@pytest.fixture
def reads(proxy: Any) -> list[Any]:
    """The read requests that go through the proxy."""
    seen: list[Any] = []

    def note(call: Call) -> None:
        if call.operation in READS:
            seen.append(call.request)

    proxy.plan = note
    return seen


def is_consistent(request: Any) -> bool:
    """An index has no consistent reads."""
    asked = request.get("RequestItems", {"": request}).values()
    return all(one.get("ConsistentRead") is True or "IndexName" in one for one in asked)


def test_every_read_of_every_route_is_strongly_consistent(make_far_app, reads):
    app = make_far_app()
    scope = (
        "sessions:read sessions:write sessions:import tenant-values:read tenant-values:write"
        " sources:audit sources:govern tenant:usage"
    )
    token = make_token("acme", "alice", scope=scope)
    seen = set()

    def ask(method: str, path: str, body: Any = None, **headers: str) -> Any:
        endpoint, _ = app.url_map.bind("").match(API + path.partition("?")[0], method)
        seen.add(endpoint)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = Client(app, token).request(method, path, json=body, headers=sent)
        assert answer.status_code < 400, answer.text
        return answer

    made = {"domain_id": "d", "expires_in_days": 1}
    said = {"role": "user", "content": "x" * 500_000}  # in more than one item
    for _ in range(3):
        session = ask("POST", "/sessions", made, Idempotency_Key=str(_)).json["session_id"]
        path = f"/sessions/{session}"
        ask("POST", f"{path}/messages", said, Idempotency_Key="k")
    message = ask("POST", f"{path}/messages", said).json["message_id"]
    ask("POST", f"{path}/messages/batch", {"messages": [said] * 4})
    ask("POST", f"{path}/messages", said, Idempotency_Key="k")
    ask("GET", path)
    ask("GET", path, If_None_Match="*")
    ask("GET", f"{path}/messages/{message}")
    for order in ("asc", "desc"):
        cursor = ask("GET", f"{path}/messages?limit=1&order={order}").json["next_cursor"]
        ask("GET", f"{path}/messages?order={order}&cursor={cursor}&after={message}")
    cursor = ask("GET", "/sessions?limit=1").json["pagination"]["next_cursor"]
    ask("GET", f"/sessions?cursor={cursor}")
    ask("GET", "/sessions?domain_id=d&limit=1")
    ask("PUT", path, {"title": "New", "metadata": {"a": "x" * 300}})
    ask("PATCH", path, {"metadata": {"b": 1}})
    ask("GET", path)
    ask("GET", f"{path}?messages=2")
    ask("GET", f"{path}/check")
    ask("GET", f"{path}/grounding")
    ask("GET", f"{path}/grounding?messages=2")
    source = f"/tenant/sources/{key_hash('doc:a')}"
    ask("PUT", source, {"key": "doc:a", "state": "changed"})
    ask("GET", source)
    quote = {"references": [{"reference_id": "a", "quote": "x"}]}
    ask("POST", f"{path}/messages", {"role": "assistant", "metadata": quote})
    ask("POST", f"{source}/redaction")
    cites = {"references": [{"reference_id": str(number)} for number in range(150)]}
    ask("POST", f"{path}/messages", {"role": "assistant", "metadata": cites})
    for _ in range(2):
        ask("GET", f"{path}/messages?include=grounding&limit=2&order=desc")
    ask("GET", f"{path}/messages/{message}/grounding")
    ask("GET", f"{path}/messages?view=neutral&limit=2")
    cites = {"metadata": {"references": [{"type": "report", "reference_id": "r1"}]}}
    ask("POST", f"{path}/messages", {"role": "assistant", "content": "x", **cites})
    for place in ("", "/tenant"):
        answers = f"{place}/sources/{key_hash('doc:r1')}/answers"
        ask("GET", f"{answers}?limit=1")
    ask("PUT", f"{path}/messages/{message}", {"content": "y" * 900_000})
    ask("PUT", f"{path}/messages/{message}/feedback", {"rating": "up"})
    ask("GET", f"{path}/messages/{message}")
    ask("DELETE", f"{path}/messages/{message}/feedback")
    ask("POST", f"{path}/fork", {}, Idempotency_Key="fork")
    ask("POST", "/import", {"session": made, "messages": []}, Idempotency_Key="import")
    for values in (f"{path}/values", "/values", "/tenant/values"):
        ask("PUT", f"{values}/a", {"n": 1})
        ask("PUT", f"{values}/large", "x" * 900_000)
        ask("PATCH", f"{values}/a", {"n": 2})
        ask("GET", f"{values}/large")
        ask("GET", f"{values}?prefix=a")
        operations = [{"put": "b", "json": 1}, {"get": "large"}, {"list": ""}]
        for atomic, some in ((False, operations), (True, operations[:1])):
            body = {"atomic": atomic, "operations": some}
            ask("POST", f"{values}/batch", body, Idempotency_Key=f"{atomic}")
        ask("DELETE", f"{values}/a")
    ask("GET", f"{path}?values=&user_values=&tenant_values=")
    ask("GET", "/export")
    ask("GET", "/tenant/usage")
    for values in (f"{path}/values", "/values", "/tenant/values"):
        ask("DELETE", f"{values}?all=true")
    ask("DELETE", f"{path}/messages/{message}")
    ask("POST", f"{path}/messages/pop", {}, Idempotency_Key="pop")
    replacement = {"all": True, "messages": [{"role": "user"}]}
    ask("POST", f"{path}/messages/replace", replacement, Idempotency_Key="replace")
    ask("DELETE", f"{path}/messages?all=true")
    ask("DELETE", path)
    ask("DELETE", "/sessions?confirm=all")

    views = [rule.endpoint for rule in app.url_map.iter_rules() if rule.rule.startswith(API)]
    assert seen == set(views), "a new route must be asked here"
    assert len(reads) > 10
    assert [request for request in reads if not is_consistent(request)] == []


def test_every_read_of_the_sweep_is_strongly_consistent(alice, far_table, clock, reads):
    alice.fill(alice.create_session(expires_in_days=1)["session_id"], 3)
    clock.move(days=2)
    assert sweep(far_table, clock).sessions == 1
    assert [request for request in reads if not is_consistent(request)] == []


def without_the_last(exchange: Exchange) -> None:
    """A query that does not see the last item yet."""
    _, content = exchange.forward()
    answer = json.loads(content)
    del answer["Items"][-1]
    exchange.answer(200, answer)


def test_a_complete_session_is_read_once(alice, far_alice, proxy):
    session = alice.create_session()["session_id"]
    alice.fill(session, 3)
    assert len(far_alice.get(f"/sessions/{session}").json["messages"]) == 3
    assert proxy.calls == ["Query"]


def test_messages_later_than_the_state_of_the_session_are_left_out(alice, far_alice, proxy):
    """A query sees an append in part: the message, but the session's state from before."""
    session = alice.create_session()["session_id"]
    first = alice.append(session)["message_id"]
    before = alice.get(f"/sessions/{session}").json
    heads: list[Any] = []

    def note(exchange: Exchange) -> None:
        _, content = exchange.forward()
        heads.append(json.loads(content)["Items"][0])

    def with_the_old_session(exchange: Exchange) -> None:
        _, content = exchange.forward()
        answer = json.loads(content)
        answer["Items"][0] = heads[0]
        exchange.answer(200, answer)

    proxy.plan = first_then(note, with_the_old_session)
    assert far_alice.get(f"/sessions/{session}").json == before
    alice.append(session)
    answer = far_alice.get(f"/sessions/{session}").json
    assert answer == before
    assert [message["message_id"] for message in answer["messages"]] == [first]


def first_then(fault: Any, then: Any) -> Any:
    queries = iter([fault])
    return lambda call: next(queries, then) if call.operation == "Query" else None


@pytest.mark.parametrize("times", [1, 2])
def test_a_session_with_a_message_that_is_not_visible_yet_is_read_again(
    times, alice, far_alice, proxy
):
    session = alice.create_session()["session_id"]
    sent = alice.fill(session, 3)
    proxy.plan = first(times, without_the_last, "Query")
    answer = far_alice.get(f"/sessions/{session}").json
    assert answer["message_count"] == 3
    assert [message["message_id"] for message in answer["messages"]] == sent


def test_a_session_with_a_lost_message_is_shown_without_it(alice, far_alice, proxy):
    """It is read a few times, not for the whole time of the request."""
    session = alice.create_session()["session_id"]
    sent = alice.fill(session, 3)
    proxy.plan = always(without_the_last, "Query")
    answer = far_alice.get(f"/sessions/{session}")
    assert answer.status_code == 200
    assert [message["message_id"] for message in answer.json["messages"]] == sent[:2]
    assert proxy.calls.count("Query") <= 5
