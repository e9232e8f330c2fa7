"""Messages that a session's item hides while they are being removed (`app.messages.bounds`).

The tests write `cut_lo` and `cut_hi` into the item themselves. So they hold for every route that
hides messages, and no removal runs meanwhile.
"""

from collections.abc import Callable
from typing import Any

import pytest

from app.table import ids
from tests.people import Client, problem

COUNT = 12

HIDDEN = {
    "the first": (0, 1),
    "the beginning": (0, 5),
    "the middle": (4, 8),
    "one": (6, 7),
    "all but the ends": (1, 11),
    "the end": (7, 12),
    "the last": (11, 12),
    "all": (0, 12),
}
"""As slices of the messages."""

CALL = {"type": "tool_use", "id": "t1", "name": "search", "input": {}}


@pytest.fixture
def session(alice: Client) -> str:
    made: str = alice.create_session()["session_id"]
    return made


@pytest.fixture
def hide(raw: Any, table: Any) -> Callable[..., None]:
    """Hides these messages, as a removal does before it removes them. `last_count` is 0 then,
    because the newest append may have been cut."""

    def hide(session: str, sent: list[str], start: int, stop: int) -> None:
        sets = {
            ":lo": {"S": sent[start][4:]},
            ":hi": {"S": sent[stop - 1][4:]},
            ":count": {"N": str(len(sent) - (stop - start))},
            ":none": {"N": "0"},
        }
        expression = "SET cut_lo = :lo, cut_hi = :hi, message_count = :count, last_count = :none"
        if stop == len(sent) and start:
            expression += ", last_message = :last"
            sets[":last"] = {"S": sent[start - 1][4:]}
        elif stop == len(sent):
            expression += " REMOVE last_message"
        raw.update_item(
            TableName=table.name,
            Key={"PK": {"S": "acme#alice"}, "SK": {"S": f"SESSION#{session[5:]}"}},
            UpdateExpression=expression,
            ExpressionAttributeValues=sets,
        )

    return hide


def ids_of(page: dict[str, Any]) -> list[str]:
    return [message["message_id"] for message in page["messages"]]


def follow(client: Client, path: str, cursor: str | None = "") -> list[str]:
    """All messages from a page, or from a cursor, to the last one."""
    found: list[str] = []
    for _ in range(2 * COUNT):
        answer = client.get(path + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status_code == 200, answer.text
        page = answer.json
        found += ids_of(page)
        cursor = page["next_cursor"]
        if cursor is None:
            return found
        assert page["messages"], "an empty page with a cursor"
    raise AssertionError("the pages do not end")


@pytest.fixture(params=HIDDEN.values(), ids=HIDDEN)
def hidden(request, alice, session, hide):
    """The ids of all messages, and those that can still be seen."""
    start, stop = request.param
    sent = alice.fill(session, COUNT)
    hide(session, sent, start, stop)
    return sent, sent[:start] + sent[stop:]


def test_the_session_shows_the_other_messages(alice, session, hidden):
    _, visible = hidden
    answer = alice.get(f"/sessions/{session}").json
    assert (ids_of(answer), answer["next_cursor"]) == (visible, None)
    assert answer["message_count"] == len(visible)


@pytest.mark.parametrize("count", [1, 3, COUNT, 1000])
def test_the_last_messages_are_the_last_that_can_be_seen(alice, session, hidden, count):
    _, visible = hidden
    answer = alice.get(f"/sessions/{session}?messages={count}").json
    assert ids_of(answer) == visible[-count:]
    assert (answer["earlier_cursor"] is None) == (count >= len(visible))
    if answer["earlier_cursor"]:
        path = f"/sessions/{session}/messages?order=desc&limit=2"
        earlier = follow(alice, path, answer["earlier_cursor"])
        assert earlier == visible[:-count][::-1]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_of_any_size_go_around_hidden_messages(alice, session, hidden, order):
    _, visible = hidden
    expected = visible if order == "asc" else visible[::-1]
    for limit in (1, 2, 3, 4, 5, COUNT, 1000):
        path = f"/sessions/{session}/messages?order={order}&limit={limit}"
        assert follow(alice, path) == expected


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_after_any_message_hidden_or_not(alice, session, hidden, order):
    sent, visible = hidden
    for after in sent:
        later = [message for message in visible if message > after]
        for limit in (1, 1000):
            path = f"/sessions/{session}/messages?order={order}&limit={limit}&after={after}"
            assert follow(alice, path) == (later if order == "asc" else later[::-1])


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("part", HIDDEN.values(), ids=HIDDEN)
def test_a_cursor_from_before_continues_beyond_hidden_messages(alice, session, hide, order, part):
    """Wherever it points, before the hidden messages, among them or after them."""
    sent = alice.fill(session, COUNT)
    pages = {}
    for limit in range(1, COUNT):
        page = alice.get(f"/sessions/{session}/messages?order={order}&limit={limit}").json
        pages[page["next_cursor"]] = ids_of(page)
    hide(session, sent, *part)
    hidden = sent[slice(*part)]
    for cursor, seen in pages.items():
        rest = [message for message in sent if message not in hidden and message not in seen]
        for limit in (1, 4, 1000):
            path = f"/sessions/{session}/messages?order={order}&limit={limit}"
            assert follow(alice, path, cursor) == (rest if order == "asc" else rest[::-1])


def test_only_messages_that_can_be_seen_have_an_address(alice, session, hidden):
    sent, visible = hidden
    for message in sent:
        path = f"/sessions/{session}/messages/{message}"
        answers = [
            alice.get(path),
            alice.put(path, {"content": "new"}),
            alice.put(f"{path}/feedback", {"rating": "up"}),
        ]
        if message in visible:
            assert [answer.status_code for answer in answers] == [200] * 3
        else:
            for answer in answers:
                problem(answer, 404, "MESSAGE_NOT_FOUND")


def test_a_fork_has_only_what_can_be_seen(alice, session, hidden):
    _, visible = hidden
    fork = alice.post(f"/sessions/{session}/fork", {})
    assert fork.status_code == 201, fork.text
    copy = alice.get(f"/sessions/{fork.json['session_id']}").json
    assert (ids_of(copy), copy["message_count"]) == (visible, len(visible))


def test_a_new_message_comes_after_hidden_ones_and_is_seen(alice, session, hidden):
    sent, visible = hidden
    new = alice.append(session)["message_id"]
    assert new > sent[-1]
    for path in (f"/sessions/{session}", f"/sessions/{session}/messages"):
        assert ids_of(alice.get(path).json) == [*visible, new]
    assert ids_of(alice.get(f"/sessions/{session}/messages?after={sent[-1]}").json) == [new]


def test_the_replay_of_an_append_says_that_its_message_is_gone(alice, session, hide):
    said, path = {"role": "user", "content": "x"}, f"/sessions/{session}/messages"
    first = alice.post(path, said, headers={"Idempotency-Key": "k"}).json["message_id"]
    sent = [first, *alice.fill(session, 2)]
    hide(session, sent, 0, 2)
    answer = alice.post(path, said, headers={"Idempotency-Key": "k"})
    problem(answer, 410, "GONE_SINCE", ids=[first])
    assert ids_of(alice.get(path).json) == sent[2:]


def test_a_hidden_tool_call_needs_no_result(alice, session, hide):
    sent = [
        alice.append(session, "Any potholes?")["message_id"],
        alice.append(session, [CALL], role="assistant")["message_id"],
        alice.append(session, "Never mind.")["message_id"],
    ]
    assert len(alice.get(f"/sessions/{session}/check").json["findings"]) == 1
    hide(session, sent, 1, 2)
    checked = alice.get(f"/sessions/{session}/check").json
    assert (checked["findings"], checked["checked_messages"]) == ([], 2)


def test_a_message_older_than_a_session_with_a_key_is_not_its_own(alice, raw, table):
    """It is of an earlier session with the same key, and has not been removed yet."""
    session = alice.create_session(key="k")["session_id"]
    sent = alice.fill(session, 3)
    old = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    raw.put_item(
        TableName=table.name,
        Item={
            "PK": {"S": "acme#alice"},
            "SK": {"S": f"SESSION#{session[5:]}#MSG#{old}"},
            "body": {"S": '{"content":"old","metadata":{}}'},
            "message_role": {"S": "user"},
            "created_by": {"S": "alice"},
        },
    )
    path = f"/sessions/{session}"
    assert ids_of(alice.get(path).json) == sent
    assert ids_of(alice.get(f"{path}?messages=9").json) == sent
    for limit in (1, 2, 9):
        assert follow(alice, f"{path}/messages?limit={limit}") == sent
        assert follow(alice, f"{path}/messages?order=desc&limit={limit}") == sent[::-1]
    assert follow(alice, f"{path}/messages?after=msg_{old}") == sent
    problem(alice.get(f"{path}/messages/msg_{old}"), 404, "MESSAGE_NOT_FOUND")


# What hidden messages cost

MANY = 3_000
A_PAGE = 1_048_576 / 4096
"""The units of one query page, which ends at 1 MB."""


@pytest.fixture
def many_hidden(alice, session, raw, table, hide):
    """Ten messages, 3,000 hidden ones of 1 KB, written directly because that is faster, and ten
    more."""
    first = alice.fill(session, 10)
    between = ids.series(ids.series(first[-1][4:], 2)[1], MANY)
    key = {"PK": {"S": "acme#alice"}}
    for start in range(0, MANY, 25):
        puts = [
            {
                "PutRequest": {
                    "Item": {
                        **key,
                        "SK": {"S": f"SESSION#{session[5:]}#MSG#{ulid}"},
                        "body": {"S": f'{{"content":"{"x" * 1000}","metadata":{{}}}}'},
                        "message_role": {"S": "user"},
                        "created_by": {"S": "alice"},
                    }
                }
            }
            for ulid in between[start : start + 25]
        ]
        answer = raw.batch_write_item(RequestItems={table.name: puts})
        assert not answer["UnprocessedItems"]
    raw.update_item(
        TableName=table.name,
        Key={**key, "SK": {"S": f"SESSION#{session[5:]}"}},
        UpdateExpression="SET last_ulid = :last, last_message = :last",
        ExpressionAttributeValues={":last": {"S": between[-1]}},
    )
    last = alice.fill(session, 10)
    everything = [*first, *(f"msg_{ulid}" for ulid in between), *last]
    hide(session, everything, 10, 10 + MANY)
    return first, [f"msg_{ulid}" for ulid in between], last


def test_hidden_messages_are_not_read(alice, session, many_hidden, logged):
    """They are 3 MB, which would be three calls and 768 units. A query for the whole session cannot
    know of them, so that one reads at most the first page."""
    first, hidden, last = many_hidden
    path = f"/sessions/{session}"
    middle = alice.get(f"{path}/messages?limit=10").json["next_cursor"]
    requests = {
        f"{path}/messages": [*first, *last],
        f"{path}/messages?limit=15": [*first, *last[:5]],
        f"{path}/messages?cursor={middle}": last,
        f"{path}/messages?order=desc": [*last[::-1], *first[::-1]],
        f"{path}/messages?order=desc&limit=15": [*last[::-1], *first[:4:-1]],
        f"{path}/messages?after={hidden[1500]}": last,
        f"{path}/messages?after={first[4]}": [*first[5:], *last],
        f"{path}?messages=15": [*first[5:], *last],
        path: [*first, *last],
    }
    for request, expected in requests.items():
        logged.clear()
        assert ids_of(alice.get(request).json) == expected, request
        [line] = [line for line in logged if line["message"] == "request"]
        most = A_PAGE + 10 if request == path else 20
        assert line["db_units"] <= most, request
        assert line["db_calls"] <= 4, request


def test_a_hidden_end_is_not_read(alice, session, many_hidden, hide, logged):
    first, hidden, last = many_hidden
    hide(session, [*first, *hidden, *last], 10, 20 + MANY)
    path = f"/sessions/{session}"
    for request in (path, f"{path}/messages", f"{path}/messages?order=desc", f"{path}?messages=9"):
        logged.clear()
        shown = ids_of(alice.get(request).json)
        assert sorted(shown) == (first[1:] if "=9" in request else first)
        [line] = [line for line in logged if line["message"] == "request"]
        assert line["db_units"] <= (A_PAGE + 10 if request == path else 20), request
        assert line["db_calls"] <= 3, request
