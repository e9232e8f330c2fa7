"""What a reader sees of a transaction that is partly visible, and of a session that is deleted
while it is read.

DynamoDB Local shows a transaction whole. So these tests hide some of its items from the
app, or act between two of a request's calls.
"""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.proxy import Exchange, Plan, first, nothing
from tests.people import Client, problem

SAID = {"role": "user", "content": "Hello"}
BIG = {"role": "tool", "content": "x" * 900_000}  # three items


@pytest.fixture
def session(alice: Client) -> str:
    made: str = alice.create_session()["session_id"]
    return made


@pytest.fixture
def hide(raw: Any, table: Any, items: Callable[[], list[Any]]) -> Callable[..., list[Any]]:
    """Removes the items whose SK ends like this and returns them, for `show`."""

    def hide(*endings: str) -> list[Any]:
        hidden = [item for item in items() if item["SK"]["S"].endswith(endings)]
        assert len(hidden) == len(endings)
        for item in hidden:
            raw.delete_item(TableName=table.name, Key={"PK": item["PK"], "SK": item["SK"]})
        return hidden

    return hide


@pytest.fixture
def show(raw: Any, table: Any) -> Callable[[list[Any]], None]:
    def show(hidden: list[Any]) -> None:
        for item in hidden:
            raw.put_item(TableName=table.name, Item=item)

    return show


def ids_of(page: dict[str, Any]) -> list[str]:
    return [message["message_id"] for message in page["messages"]]


def follow(client: Client, path: str) -> list[str]:
    """All messages from this page to the last one."""
    found, cursor = [], ""
    while cursor is not None:
        page = client.get(path + (f"&cursor={cursor}" if cursor else "")).json
        found += ids_of(page)
        cursor = page["next_cursor"]
        assert len(found) < 100
    return found


def batch(client: Client, session: str, *messages: Any) -> list[str]:
    path = f"/sessions/{session}/messages/batch"
    return ids_of(client.post(path, {"messages": messages}).json)


# Partly visible transactions


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize(
    "hidden", [s for n in (1, 2, 3) for s in itertools.combinations(range(3), n)]
)
def test_polling_misses_no_message_whichever_half_is_visible(
    alice, session, hide, show, order, limit, hidden
):
    """The client continues after the latest message that it has seen."""
    read = alice.fill(session, 2)
    new = batch(alice, session, SAID, SAID, SAID)
    taken = hide(*(new[n][4:] for n in hidden))
    path = f"/sessions/{session}/messages?order={order}&limit={limit}"
    seen = follow(alice, f"{path}&after={read[0]}")
    visible = [*read[1:], *new[: hidden[0]]]
    assert sorted(seen) == visible, "all before the gap, and nothing beyond it"
    show(taken)
    seen += follow(alice, f"{path}&after={max(seen)}")
    assert sorted(seen) == [*read[1:], *new]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("query", ["limit=100", "limit=4", "limit=1", "limit=3&after=first"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_message_that_becomes_visible_a_moment_later_is_in_the_page(
    alice, session, far_alice, proxy, hide, show, order, query, times
):
    sent = [*alice.fill(session, 2), *batch(alice, session, SAID, SAID)]

    def not_there_yet(exchange: Exchange) -> None:
        hidden = hide(sent[2][4:])
        exchange.forward()
        show(hidden)

    query = query.replace("first", sent[0])
    path = f"/sessions/{session}/messages?order={order}&{query}"
    expected = alice.get(path).json
    proxy.plan = first(times, not_there_yet, "Query")
    assert far_alice.get(path).json == expected


def test_a_session_is_read_again_until_its_newest_messages_are_visible(
    alice, session, far_alice, proxy, hide, show
):
    sent = batch(alice, session, SAID, SAID)
    expected = alice.get(f"/sessions/{session}").json

    def not_there_yet(exchange: Exchange) -> None:
        hidden = hide(sent[0][4:])
        exchange.forward()
        show(hidden)

    proxy.plan = first(2, not_there_yet, "Query")
    assert far_alice.get(f"/sessions/{session}").json == expected
    assert proxy.calls == ["Query"] * 3


@pytest.mark.parametrize("hidden", [0, 1, 2])
def test_a_session_ends_before_a_message_that_stays_invisible(alice, session, hide, show, hidden):
    sent = [*alice.fill(session, 1), *batch(alice, session, SAID, SAID, SAID)]
    taken = hide(sent[1 + hidden][4:])
    answer = alice.get(f"/sessions/{session}").json
    assert ids_of(answer) == sent[: 1 + hidden]
    assert answer["next_cursor"], "more follows"
    show(taken)
    cursor = answer["next_cursor"]
    rest = alice.get(f"/sessions/{session}/messages?cursor={cursor}").json
    assert ids_of(rest) == sent[1 + hidden :]


def test_a_session_whose_first_message_stays_invisible_has_a_cursor(alice, session, hide, show):
    """Otherwise a client would cache it as empty under its current ETag."""
    sent = batch(alice, session, SAID, SAID)
    taken = hide(sent[0][4:])
    answer = alice.get(f"/sessions/{session}").json
    assert answer["messages"] == []
    path = f"/sessions/{session}/messages?cursor={answer['next_cursor']}"
    empty = alice.get(path).json
    assert (empty["messages"], empty["next_cursor"]) == ([], None)
    show(taken)
    assert ids_of(alice.get(path).json) == sent


def test_a_session_with_a_lost_older_message_shows_all_others(alice, session, hide):
    """`check` reports the damage. It is no reason to withhold the other messages."""
    sent = alice.fill(session, 3)
    sent += [alice.append(session)["message_id"] for _ in range(2)]
    hide(sent[1][4:])
    answer = alice.get(f"/sessions/{session}").json
    assert ids_of(answer) == [sent[0], *sent[2:]]
    assert answer["next_cursor"] is None
    for order, expected in (("asc", [sent[0], *sent[2:]]), ("desc", [*sent[:1:-1], sent[0]])):
        assert follow(alice, f"/sessions/{session}/messages?order={order}") == expected


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("part", ["", "#01", "#02"])
def test_a_large_message_with_an_invisible_part_is_a_gap(alice, session, hide, show, order, part):
    read = alice.append(session)["message_id"]
    new = batch(alice, session, SAID, BIG, SAID)
    taken = hide(new[1][4:] + part)
    path = f"/sessions/{session}/messages?order={order}&after={read}"
    assert follow(alice, path) == new[:1]
    problem(alice.get(f"/sessions/{session}/messages/{new[1]}"), 404, "MESSAGE_NOT_FOUND")
    show(taken)
    assert sorted(follow(alice, path)) == new


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_nothing_is_shown_beyond_the_sessions_last_message(
    alice, session, raw, table, items, hide, show, order, limit
):
    """The messages of a transaction are visible, but the session's item is not yet."""
    sent = alice.fill(session, 3)
    [before] = [item for item in items() if item["SK"]["S"] == f"SESSION#{session[5:]}"]
    new = batch(alice, session, SAID, SAID)
    [after] = [item for item in items() if item["SK"]["S"] == f"SESSION#{session[5:]}"]
    show([before])
    path = f"/sessions/{session}/messages?order={order}&limit={limit}"
    assert sorted(follow(alice, path)) == sent
    assert follow(alice, f"{path}&after={sent[-1]}") == []
    assert ids_of(alice.get(f"/sessions/{session}").json) == sent
    show([after])
    assert sorted(follow(alice, f"{path}&after={sent[-1]}")) == new


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("hidden", [0, 1])
def test_an_append_between_session_and_query_is_left_for_the_next_poll(
    alice, session, far_alice, proxy, hide, show, order, hidden
):
    read, other = alice.fill(session, 2)
    new: list[str] = []
    taken: list[Any] = []

    def overtaken(exchange: Exchange) -> None:
        exchange.forward()
        new.extend(batch(alice, session, SAID, SAID))
        taken.extend(hide(new[hidden][4:]))

    proxy.plan = first(1, overtaken, "GetItem")
    path = f"/sessions/{session}/messages?order={order}&after={read}"
    assert ids_of(far_alice.get(path).json) == [other]
    show(taken)
    assert sorted(ids_of(far_alice.get(path).json)) == [other, *new]


@pytest.mark.parametrize("hidden", ["", "#01", "#02"])
def test_getting_a_message_that_becomes_visible_a_moment_later_succeeds(
    alice, session, far_alice, proxy, hide, show, hidden
):
    [_, big] = batch(alice, session, SAID, BIG)
    path = f"/sessions/{session}/messages/{big}"
    expected = alice.get(path).json

    def not_there_yet(exchange: Exchange) -> None:
        taken = hide(big[4:] + hidden)
        exchange.forward()
        show(taken)

    proxy.plan = first(2, not_there_yet, "Query" if hidden else "BatchGetItem")
    assert far_alice.get(path).json == expected


def test_a_message_that_was_never_written_is_looked_for_once(alice, session, far_alice, proxy):
    alice.fill(session, 3)
    path = f"/sessions/{session}/messages/msg_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    problem(far_alice.get(path), 404, "MESSAGE_NOT_FOUND")
    assert proxy.calls == ["BatchGetItem"]


# What it costs


def test_what_is_no_message_id_is_not_looked_for(session, far_alice, proxy):
    problem(far_alice.get(f"/sessions/{session}/messages/first"), 404, "MESSAGE_NOT_FOUND")
    assert proxy.calls == ["GetItem"]  # of the session


def test_a_poll_that_finds_nothing_is_one_get(alice, session, far_alice, proxy):
    path = f"/sessions/{session}/messages"
    assert far_alice.get(path).json["messages"] == []
    last = alice.fill(session, 3)[-1]
    for order in ("asc", "desc"):
        found = far_alice.get(f"{path}?order={order}&after={last}").json
        assert (found["messages"], found["next_cursor"]) == ([], None)
    assert proxy.calls == ["GetItem"] * 3


@pytest.mark.parametrize(
    ("query", "calls"),
    [
        ("", ["GetItem", "Query"]),
        ("?order=desc", ["GetItem", "Query"]),
        ("?limit=2", ["GetItem", "Query", "GetItem"]),
        ("?limit=2&order=desc", ["GetItem", "Query", "GetItem"]),
        ("?after=first", ["GetItem", "Query", "GetItem"]),
        ("?limit=3&order=desc", ["GetItem", "Query", "Query", "GetItem"]),  # ends in a batch
    ],
)
def test_the_session_is_read_again_unless_the_page_is_the_whole_session(
    alice, session, far_alice, proxy, query, calls
):
    sent = [alice.append(session)["message_id"], *alice.fill(session, 3)]
    if query != "?limit=3&order=desc":
        alice.append(session)
    else:
        alice.fill(session, 4)
    answer = far_alice.get(f"/sessions/{session}/messages{query.replace('first', sent[0])}")
    assert len(ids_of(answer.json)) >= 2
    assert proxy.calls == calls


def test_every_read_of_the_table_is_strongly_consistent(alice, session, far_alice, proxy):
    [big] = batch(alice, session, BIG)
    alice.fill(session, 3)
    asked: list[tuple[str, Any]] = []

    def note(call: Any) -> None:
        asked.append((call.operation, call.request))

    proxy.plan = note
    path = f"/sessions/{session}"
    far_alice.get(path)
    far_alice.get(path, headers={"If-None-Match": "*"})
    far_alice.get(f"{path}/messages?limit=1")
    far_alice.get(f"{path}/messages?limit=2&order=desc")
    far_alice.get(f"{path}/messages/{big}")
    far_alice.get("/sessions")
    for _ in range(2):
        far_alice.post("/sessions", {"domain_id": "d"}, headers={"Idempotency-Key": "k"})
    reads = [(name, request) for name, request in asked if name != "TransactWriteItems"]
    for name, request in reads:
        requests = request["RequestItems"].values() if name == "BatchGetItem" else [request]
        for each in requests:
            assert each.get("ConsistentRead", False) is ("IndexName" not in each), each
    assert len(reads) > 10


# Deleted while it is read


def whole_or_404(client: Client, path: str, expected: Any) -> bool:
    """Whether the session was found. If so, everything requested must be there."""
    answer = client.get(path)
    if answer.status_code == 200:
        assert answer.json == expected
        return True
    problem(answer, 404, "SESSION_NOT_FOUND")
    return False


ASKED = {
    "session": "",
    "session, large": "",
    "page": "/messages",
    "page, latest first": "/messages?order=desc",
    "page, by number": "/messages?limit=10",
    "page, the latest": "/messages?limit=10&order=desc",
    "page, after": "/messages?after={first}",
    "page, before": "/messages?after={first}&order=desc&limit=5",
    "page, by cursor": "/messages?limit=10&cursor={asc}",
    "page, by cursor backwards": "/messages?limit=10&order=desc&cursor={desc}",
    "message": "/messages/{first}",
    "large message": "/messages/{big}",
}


@pytest.mark.parametrize("how", ["deleted", "being deleted"])
@pytest.mark.parametrize("asked", ASKED)
def test_a_session_that_is_deleted_while_it_is_read_is_complete_or_404(
    alice, far_alice, proxy, raw, table, hide, asked, how
):
    """Before each call of the request in turn."""

    def take_away(session: str, sent: list[str]) -> None:
        if how == "deleted":
            assert alice.delete(f"/sessions/{session}").status_code == 200
            return
        raw.update_item(  # marked, and partly removed
            TableName=table.name,
            Key={"PK": {"S": "acme#alice"}, "SK": {"S": f"SESSION#{session[5:]}"}},
            UpdateExpression="SET deleted_at = :now REMOVE GSI1PK, GSI1SK",
            ExpressionAttributeValues={":now": {"S": "2026-11-25T00:00:00.000Z"}},
        )
        quarter = len(sent) // 4
        hide(*(sent[n][4:] for n in (1, 2 * quarter, 3 * quarter, -4)))

    large = asked == "session, large"  # 6 calls
    for number in itertools.count(1, 3 if large else 1):
        session = alice.create_session()["session_id"]
        first_one = batch(alice, session, BIG)
        sent = [
            *alice.fill(session, 60, 70_000 if large else 20),
            *batch(alice, session, SAID, SAID, SAID),
        ]
        pages = f"/sessions/{session}/messages?limit=3"
        names = {
            "first": sent[0],
            "big": first_one[0],
            "asc": alice.get(pages).json["next_cursor"],
            "desc": alice.get(f"{pages}&order=desc").json["next_cursor"],
        }
        path = f"/sessions/{session}{ASKED[asked].format(**names)}"
        expected = alice.get(path).json

        def overtaken(exchange: Exchange, session=session, sent=sent) -> None:
            take_away(session, sent)
            exchange.forward()

        proxy.forget()
        proxy.plan = at(number, overtaken)
        found = whole_or_404(far_alice, path, expected)
        proxy.plan = nothing
        if len(proxy.calls) < number:
            assert found
            break
        assert not found or number > 1
    assert number > 1


def at(number: int, fault: Any) -> Plan:
    """The Nth call, not counting those that the fault makes."""
    return lambda call: fault if call.number == number else None


def test_values_beside_a_session_are_never_older_than_its_messages(
    alice, session, far_alice, proxy
):
    """So whoever has read both, and appends after the last message, has seen each value that came
    with a message."""
    [read] = alice.fill(session, 1)

    def write() -> None:
        values = {"session": [{"put": "state", "json": "new"}]}
        body = {"messages": [SAID], "values": values}
        assert alice.post(f"/sessions/{session}/messages/batch", body).status_code == 201

    def overtaken(exchange: Exchange) -> None:
        exchange.forward()
        write()

    proxy.plan = first(1, overtaken, "Query")
    seen = far_alice.get(f"/sessions/{session}?messages=1&values=state").json
    assert (ids_of(seen), [value["json"] for value in seen["values"]]) == ([read], ["new"])
