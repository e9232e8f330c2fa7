"""How long a request retries, and what it answers if that was not enough."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import SSLError

from app.errors import Unavailable
from app.identity.caller import Caller
from app.sessions.store import SessionStore
from app.table import budget, db, ids, retries
from tests.faults.conftest import HURRY
from tests.faults.proxy import (
    Exchange,
    Plan,
    always,
    bad_gateway,
    broken_inside,
    cut_after,
    cut_before,
    first,
    in_conflict,
    over_capacity,
    partly_done,
    throttled,
)
from tests.people import API, Client, make_token, problem

MESSAGE = {"role": "user", "content": "Any potholes near me?"}
NEVER_DONE = [throttled, over_capacity, in_conflict]
PERHAPS_DONE = [cut_before, cut_after, broken_inside, bad_gateway]


class LambdaContext:
    """Lambda's context, as far as it says how much time is left."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self.end - time.monotonic()) * 1000)


@pytest.fixture
def session(alice: Any) -> str:
    """Made without the proxy."""
    made: str = alice.create_session()["session_id"]
    return made


@pytest.fixture
def each_request(alice: Any) -> Callable[..., Iterator[tuple[str, str, Any]]]:
    """Method, path and body of every kind of request, each on a session of its own."""

    def requests(*, reads: bool = False) -> Iterator[tuple[str, str, Any]]:
        def path() -> str:
            return f"/sessions/{alice.create_session()['session_id']}"

        yield "POST", "/sessions", {"domain_id": "d"}
        yield "POST", f"{path()}/messages", MESSAGE
        yield "POST", f"{path()}/messages/batch", {"messages": [MESSAGE]}
        yield "PUT", path(), {"title": "New"}
        yield "DELETE", path(), None
        if reads:
            yield "GET", path(), None
            yield "GET", f"{path()}/messages", None
            yield "GET", "/sessions", None

    return requests


@pytest.mark.parametrize("fault", NEVER_DONE)
def test_after_its_time_a_request_is_answered_503_and_nothing_was_written(
    fault, each_request, hurried_alice, proxy, items
):
    for method, path, body in each_request(reads=True):
        before = items()
        proxy.plan = always(fault)
        started = time.monotonic()
        answer = hurried_alice.request(method, path, json=body)
        assert time.monotonic() - started < HURRY + 1
        problem(answer, 503, "STORE_UNAVAILABLE")
        assert answer.headers["Retry-After"] == "1"
        assert items() == before


@pytest.mark.parametrize("fault", PERHAPS_DONE)
def test_if_the_answer_is_lost_for_good_the_outcome_is_unknown(
    fault, each_request, hurried_alice, proxy
):
    for method, path, body in each_request():
        proxy.plan = always(fault)
        answer = hurried_alice.request(method, path, json=body)
        problem(answer, 503, "OUTCOME_UNKNOWN")
        assert answer.headers["Retry-After"] == "1"
        twice = method == "POST"  # a message might be stored twice
        assert answer.headers["Should-Retry"] == ("false" if twice else "true")
        if twice:
            keyed = hurried_alice.request(
                method, path, json=body, headers={"Idempotency-Key": "again"}
            )
            problem(keyed, 503, "OUTCOME_UNKNOWN")
            assert keyed.headers["Should-Retry"] == "true"


@pytest.mark.parametrize("fault", [*NEVER_DONE, *PERHAPS_DONE])
def test_short_faults_stay_hidden_from_the_client(
    fault, each_request, far_alice, proxy, assert_sound
):
    for method, path, body in each_request(reads=True):
        proxy.forget()
        proxy.plan = first(3, fault)
        answer = far_alice.request(method, path, json=body)
        assert answer.status_code in (200, 201)
        assert "Idempotent-Replayed" not in answer.headers
        assert proxy.faults.total() == 3
    assert_sound()


def test_one_lost_answer_among_refusals_leaves_the_outcome_unknown(session, hurried_alice, proxy):
    lost = first(1, cut_after)
    proxy.plan = lambda call: lost(call) or throttled
    answer = hurried_alice.post(f"/sessions/{session}/messages", MESSAGE)
    problem(answer, 503, "OUTCOME_UNKNOWN")


@pytest.fixture
def tls_breaks(far_table, monkeypatch):
    """DynamoDB acts; its answer is a TLS record that nobody can read."""

    def breaks(operation, times):
        real, left = getattr(far_table.client, operation), iter(range(times))

        def call(**parameters):
            answer = real(**parameters)
            if next(left, None) is None:
                return answer
            raise SSLError(endpoint_url="https://…", error="DECRYPTION_FAILED_OR_BAD_RECORD_MAC")

        monkeypatch.setattr(far_table.client, operation, call)

    return breaks


def test_where_tls_breaks_for_good_the_outcome_is_not_known(session, hurried_alice, tls_breaks):
    tls_breaks("transact_write_items", 1_000)
    answer = hurried_alice.post(f"/sessions/{session}/messages", MESSAGE)
    problem(answer, 503, "OUTCOME_UNKNOWN")
    assert hurried_alice.get(f"/sessions/{session}").json["message_count"] == 1


def test_where_tls_breaks_once_a_put_recognises_its_own_work(session, far_alice, tls_breaks):
    path = f"/sessions/{session}"
    current = {"If-Match": far_alice.get(path).headers["ETag"]}
    tls_breaks("update_item", 1)
    answer = far_alice.put(path, {"title": "mine"}, headers=current)
    assert (answer.status_code, answer.json["title"]) == (200, "mine")


@pytest.mark.parametrize("fault", PERHAPS_DONE)
def test_a_read_without_an_answer_says_that_nothing_was_written(
    session, hurried_alice, proxy, fault
):
    proxy.plan = always(fault)
    problem(hurried_alice.get(f"/sessions/{session}"), 503, "STORE_UNAVAILABLE")


def test_on_lambda_the_time_ends_a_second_before_the_functions(make_far_app, alice, session, proxy):
    app = make_far_app(request_budget=20)
    proxy.plan = always(throttled)
    started = time.monotonic()
    answer = app.test_client().post(
        f"{API}/sessions/{session}/messages",
        json=MESSAGE,
        headers={"Authorization": f"Bearer {alice.token}"},
        environ_base={"lambda.context": LambdaContext(1.6)},
    )
    assert answer.status_code == 503
    assert time.monotonic() - started < 1.2


def test_a_throttled_call_is_tried_as_often_as_the_backoff_allows(
    session, make_far_app, alice, proxy
):
    """botocore's own tries would multiply ours. In 2 s, with pauses up to 25, 50, … 1,000 ms that
    are half as long on average, about 8 tries fit; 40 is beyond chance, three times 8 is not."""
    app = make_far_app(request_budget=2)
    proxy.plan = always(throttled)
    answer = app.test_client().post(
        f"{API}/sessions/{session}/messages",
        json=MESSAGE,
        headers={"Authorization": f"Bearer {alice.token}"},
    )
    assert answer.status_code == 503
    assert 4 <= len(proxy.calls) <= 40


def test_each_try_of_ours_is_one_call(table, far_table, proxy):
    """Counts exactly: there is one call more than there are pauses."""
    pauses: list[float] = []
    counted = db.Table(table.name, far_table.client, sleep=pauses.append)
    proxy.plan = first(5, throttled)
    budget.begin(60)
    assert counted.get({"PK": "p", "SK": "s"}) is None
    assert len(pauses) == 5
    assert proxy.calls == ["GetItem"] * 6


def test_pauses_are_drawn_up_to_a_ceiling_that_doubles(far_table, proxy):
    pauses: list[float] = []
    counted = db.Table(far_table.name, far_table.client, sleep=pauses.append)
    proxy.plan = first(10, throttled)
    budget.begin(60)
    counted.get({"PK": "p", "SK": "s"})
    ceilings = [min(retries.BACKOFF_CAP, retries.BACKOFF_BASE * 2**n) for n in range(10)]
    assert all(0 <= p <= ceiling for p, ceiling in zip(pauses, ceilings, strict=True))
    assert len(set(pauses)) == 10


def test_a_delete_continues_with_the_items_that_a_batch_left(
    alice, session, hurried_alice, far_alice, proxy, items
):
    alice.fill(session, 60)
    proxy.plan = always(partly_done, "BatchWriteItem")  # so that one is always left
    assert hurried_alice.delete(f"/sessions/{session}").status_code == 202
    proxy.plan = first(10, partly_done, "BatchWriteItem")
    assert far_alice.delete(f"/sessions/{session}").status_code == 200
    assert [item["SK"]["S"] for item in items()] == ["USER"]


def test_an_append_that_always_loses_the_race_ends_with_its_time(
    alice, session, hurried_alice, proxy
):
    """Another writer is always first. No call fails for another reason, so nothing else checks
    the time."""

    def beaten(exchange: Exchange) -> None:
        time.sleep(0.02)
        if exchange.call.number > 100:
            return  # it would never end, so let it through
        [update, *others] = exchange.call.request["TransactItems"]
        last = update["Update"]["ExpressionAttributeValues"][":last_ulid"]
        item = {**update["Update"]["Key"], "version": {"N": "2"}, "last_ulid": last}
        reasons = [
            {"Code": "ConditionalCheckFailed", "Item": item},
            *[{"Code": "None"}] * len(others),
        ]
        kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
        exchange.answer(400, {"__type": kind, "CancellationReasons": reasons})

    proxy.plan = always(beaten, "TransactWriteItems")
    answer = hurried_alice.post(f"/sessions/{session}/messages", MESSAGE)
    problem(answer, 503, "STORE_UNAVAILABLE")
    assert len(proxy.calls) > 1


def test_all_calls_of_a_delete_are_counted_and_share_its_time(
    alice, session, far_table, hurried_alice, proxy
):
    """Also calls made in parallel, by threads."""
    alice.fill(session, 120)
    used = budget.begin(60)
    assert SessionStore(far_table).delete(Caller("acme", "alice"), session).finished
    assert proxy.calls.count("BatchWriteItem") == 5
    assert used.calls == len(proxy.calls)

    other = alice.create_session()["session_id"]
    alice.fill(other, 120)
    proxy.plan = always(throttled, "BatchWriteItem")
    started = time.monotonic()
    assert hurried_alice.delete(f"/sessions/{other}").status_code == 202
    assert time.monotonic() - started < 10  # of the 20 s that a call has without a budget


def test_a_read_continues_with_keys_that_were_left(alice, session, far_alice, proxy):
    message = alice.append(session)["message_id"]
    proxy.plan = first(3, partly_done, "BatchGetItem")
    answer = far_alice.get(f"/sessions/{session}/messages/{message}")
    assert answer.status_code == 200
    assert proxy.calls.count("BatchGetItem") >= 3


def test_keys_that_are_never_read_end_with_the_time(alice, session, hurried_alice, proxy):
    message = alice.append(session)["message_id"]
    proxy.plan = always(partly_done, "BatchGetItem")
    answer = hurried_alice.get(f"/sessions/{session}/messages/{message}")
    problem(answer, 503, "STORE_UNAVAILABLE")
    assert len(proxy.calls) < 30  # with pauses, as for any other throttling


def test_a_database_that_refuses_connections_is_unavailable(table):
    nowhere = db.Table(table.name, db.connect(endpoint_url="http://127.0.0.1:9"))
    budget.begin(0.3)
    with pytest.raises(Unavailable) as raised:
        nowhere.get({"PK": "p", "SK": "s"})
    assert raised.value.code == "STORE_UNAVAILABLE"


def test_the_engine_carries_out_a_repeated_transaction_once(table, far_table, proxy, far_alice):
    """ClientRequestToken: what makes a retry after a lost answer safe without Idempotency-Key."""
    session = far_alice.create_session()["session_id"]
    proxy.plan = first(2, cut_after, "TransactWriteItems")
    far_alice.append(session)
    assert far_alice.get(f"/sessions/{session}").json["message_count"] == 1


def test_conflicts_in_a_storm_end_well_or_with_503(session, far_alice, proxy, assert_sound):
    proxy.plan = first(8, in_conflict)
    far_alice.append(session)
    assert far_alice.get(f"/sessions/{session}").json["message_count"] == 1
    assert_sound()


def test_tokens_are_checked_before_any_time_is_spent(far_alice, proxy):
    proxy.plan = always(throttled)
    far_alice.token = make_token("acme", "alice", secret="another-secret-of-32-bytes-or-more..")
    assert far_alice.get("/sessions").status_code == 401
    assert proxy.calls == []


# The time is checked before every call.


def slowed(seconds: float, operation: str | None = None) -> Plan:
    def slow(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.forward()

    return always(slow, operation)


def test_no_call_begins_after_the_time(make_far_app, alice, proxy):
    """The requests need more calls than their time allows. Two begin within 0.5 s."""
    hurried = Client(make_far_app(request_budget=0.5), alice.token)
    session = alice.create_session()["session_id"]
    alice.fill(session, 100, size=40_000)  # 4 pages of DynamoDB's
    path = f"/sessions/{session}"
    for method, what, status in (
        ("GET", f"{path}/messages?limit=1000", 503),
        ("GET", path, 503),
        ("DELETE", path, 202),
        ("DELETE", "/sessions?confirm=all", 202),
    ):
        proxy.forget()
        proxy.plan = slowed(0.4)
        answer = hurried.request(method, what)
        assert answer.status_code == status
        if status == 503:
            problem(answer, 503, "STORE_UNAVAILABLE")
        begun = [call for call in proxy.calls if call != "BatchWriteItem"]  # which are parallel
        assert len(begun) <= 2
        assert len(proxy.calls) <= 2 + db.PARALLEL_BATCHES


def test_calls_in_threads_have_the_time_of_their_request(make_far_app, alice, proxy):
    """60 batches, 8 at a time: in 1 s, at most 4 of 0.3 s each begin in each thread."""
    session = alice.create_session()["session_id"]
    alice.fill(session, 1500)
    proxy.plan = slowed(0.3, "BatchWriteItem")
    answer = Client(make_far_app(request_budget=1), alice.token).delete(f"/sessions/{session}")
    assert answer.status_code == 202
    time.sleep(0.5)  # for the calls under way
    assert 8 <= proxy.calls.count("BatchWriteItem") <= 4 * db.PARALLEL_BATCHES


@pytest.fixture
def expired_sessions(alice, raw, table, items, clock) -> str:
    """3,000 expired sessions that are not swept yet, and after them a live one."""
    alive: str = alice.create_session()["session_id"]
    clock.move(seconds=1)
    one = alice.create_session(expires_in_days=1)["session_id"].removeprefix("sess_")
    [item] = [item for item in items() if item["SK"]["S"] == f"SESSION#{one}"]
    text = json.dumps(item)
    copies = [json.loads(text.replace(one, ulid)) for ulid in ids.series(one, 3_000)[1:]]
    for start in range(0, len(copies), 25):
        puts = [{"PutRequest": {"Item": copy}} for copy in copies[start : start + 25]]
        raw.batch_write_item(RequestItems={table.name: puts})
    clock.move(days=2)
    return alive


def test_a_list_behind_many_expired_sessions_takes_a_handful_of_queries(
    expired_sessions, far_alice, proxy
):
    """Each request is bounded. What it has found so far comes with a cursor."""
    found, path = [], "/sessions?limit=1"
    while path:
        answer = far_alice.get(path).json
        found += [session["session_id"] for session in answer["sessions"]]
        cursor = answer["pagination"]["next_cursor"]
        path = cursor and f"/sessions?limit=1&cursor={cursor}"
        assert proxy.calls.count("Query") <= 4
        proxy.forget()
    assert found == [expired_sessions]


def test_an_ordinary_list_reads_no_more_than_it_shows(alice, far_alice, proxy):
    for _ in range(5):
        alice.create_session()
    far_alice.get("/sessions?limit=2")
    assert proxy.calls == ["GetItem", "Query"]
    far_alice.get("/sessions?limit=2&page=2")
    assert proxy.calls == ["GetItem", "Query"] * 2
