"""Messages through HTTP: append one, append a batch, read them in both orders."""

import json
from threading import Barrier, Thread

import pytest

from app.table.ids import timestamp
from tests.people import moved, problem

GROUNDED = {
    "role": "assistant",
    "name": "query-agent",
    "content": "I found 5 pothole reports…",
    "metadata": {
        "query_id": "qry_1",
        "references": [
            {
                "type": "report",
                "reference_id": "inc_abc123",
                "summary": "Pothole on Main St",
                "status": "pending",
                "location": {"type": "Point", "coordinates": [36.9, 37.1]},
                "url": "https://example.com/reports?id=inc_abc123#top",
            }
        ],
    },
}


def test_an_appended_message_comes_back_as_it_was_sent(alice, session_id):
    answer = alice.post(f"/sessions/{session_id}/messages", GROUNDED)
    assert answer.status_code == 201
    message = answer.json
    assert message == {
        **GROUNDED,
        "message_id": message["message_id"],
        "session_id": session_id,
        "timestamp": timestamp(message["message_id"].removeprefix("msg_")),
        "created_by": "alice",
        "status": "complete",
        "edited_at": None,
    }
    one = alice.get(f"/sessions/{session_id}/messages/{message['message_id']}")
    assert one.json == message
    assert answer.headers["Location"].endswith(message["message_id"])
    assert alice.get(f"/sessions/{session_id}").json["messages"] == [message]


VALUES = {
    "floats": [0.1, 1.0, -0.0, 1e300, 5e-324, 3.141592653589793],
    "integers": [0, -1, 2**53 + 1, 123456789012345678901234567890],
    "nulls": {"a": None, "b": [None, {"c": None}]},
    "empty": ["", {}, [], {"": ""}],
    "emoji": "👩‍👩‍👧‍👦 🇹🇷 \u200d\ufe0f",
    "scripts": ["مرحبا", "你好", "e\u0301", "é"],
    "escapes": 'quote " backslash \\ slash / tab \t newline \n nul \u0000 escape \u001b',
    "deep": [[[[[[[[["deep"]]]]]]]]],
    "booleans": [True, False],
    "looks like JSON": '{"a": [1, 2}',
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_every_json_value_comes_back_exactly(alice, session_id, value):
    metadata = {"value": value, "references": [{**reference(), "extra": value}]}
    content = [{"type": "text", "text": "x", "value": value}]
    alice.append(session_id, content, metadata=metadata)
    stored = json.loads(alice.get(f"/sessions/{session_id}").text)["messages"][0]
    # Compared as text, because 1 == 1.0 == True.
    assert json.dumps(stored["metadata"]) == json.dumps(metadata)
    assert json.dumps(stored["content"]) == json.dumps(content)


@pytest.mark.parametrize("text", ["", " ", "\n", "\u0000", "x" * 100_000, "é" * 250_000])
def test_text_of_any_kind_comes_back_exactly(alice, session_id, text):
    alice.append(session_id, text)
    assert alice.get(f"/sessions/{session_id}").json["messages"][0]["content"] == text


def reference(**members):
    return {"type": "report", "reference_id": "r1", "summary": "s", **members}


def point(*coordinates, **members):
    return {"type": "Point", "coordinates": list(coordinates), **members}


BAD_REFERENCES = {
    "[0].reference_id": {"type": "report", "summary": "s"},
    "[0].type": reference(type=5),
    "[0].summary": reference(summary=["s"]),
    "[0].url": reference(url="javascript:alert(1)"),
    "[0].location.coordinates": reference(location=point(1)),
    "[0].location.coordinates[0]": reference(location=point(181, 0)),
    "[0].location.coordinates[1]": reference(location=point(0, -90.5)),
    "[0].location": reference(location="Main St"),
    "[0]": "inc_abc123",
}


@pytest.mark.parametrize("field", BAD_REFERENCES)
def test_a_bad_reference_is_refused_with_its_json_path(alice, session_id, field):
    message = {**GROUNDED, "metadata": {"references": [BAD_REFERENCES[field]]}}
    answer = alice.post(f"/sessions/{session_id}/messages", message)
    errors = problem(answer, 422, "VALIDATION_FAILED")["errors"]
    assert [error["field"] for error in errors] == [f"metadata.references{field}"]
    batch = alice.post(f"/sessions/{session_id}/messages/batch", {"messages": [GROUNDED, message]})
    errors = problem(batch, 422, "VALIDATION_FAILED")["errors"]
    assert [error["field"] for error in errors] == [f"messages[1].metadata.references{field}"]
    assert alice.get(f"/sessions/{session_id}").json["message_count"] == 0


@pytest.mark.parametrize(
    "members",
    [
        {"location": point(180, -90)},
        {"location": point(-180, 90, 8848.9, bbox=[1, 2, 3, 4])},
        {"url": "http://localhost:8080/a?b=c"},
        {"status": None, "score": 0.25, "nested": {"a": [1]}},
        {"summary": ""},
        {"summary": None, "type": None, "location": None, "url": None},
        {"location": {"type": "Polygon", "coordinates": [1, 2]}},
        {"location": {"type": "S3", "s3Location": {"uri": "s3://bucket/key"}}},
        {"reference_id": 5},
        {"url": "s3://bucket/key"},
    ],
)
def test_a_valid_reference_is_stored_as_it_was_sent(alice, session_id, members):
    stored = alice.append(session_id, metadata={"references": [reference(**members)]})
    assert stored["metadata"]["references"] == [reference(**members)]


BAD_MESSAGES = {
    "no role": {"content": "x"},
    "control character in name": {"role": "user", "content": "x", "name": "a\u0007"},
    "metadata is a list": {"role": "user", "content": "x", "metadata": []},
    "references is an object": {"role": "user", "content": "x", "metadata": {"references": {}}},
    "unknown field": {"role": "user", "content": "x", "timestamp": "2020-01-01T00:00:00Z"},
    "a list": [],
    "null": None,
}


@pytest.mark.parametrize("message", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
def test_a_message_that_does_not_fit_is_refused(alice, session_id, items, message):
    before = items()
    answer = alice.post(f"/sessions/{session_id}/messages", data=json.dumps(message))
    assert problem(answer, 422, "VALIDATION_FAILED")["errors"]
    assert items() == before


BAD_BODIES = {
    "empty": (b"", 400),
    "cut": (b'{"role": "user"', 400),
    "NaN": (b'{"role": "user", "content": "x", "metadata": {"a": NaN}}', 400),
    "Infinity": (b'{"role": "user", "content": "x", "metadata": {"a": -Infinity}}', 400),
    "not UTF-8": (b'{"role": "user", "content": "\xff"}', 400),
    "UTF-16": ('{"role": "user", "content": "x"}'.encode("utf-16"), 400),
    "control character": (b'{"role": "user", "content": "a\x00b"}', 400),
    "too deep": (
        b'{"role":"user","content":"x","metadata":{"a":' + b"[" * 99 + b"]" * 99 + b"}}",
        422,
    ),
    "far too deep": (b"[" * 1_000_000, 422),
}


@pytest.mark.parametrize(("body", "status"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_body_that_is_not_valid_json_is_refused(alice, session_id, items, body, status):
    before = items()
    for path in ("messages", "messages/batch"):
        answer = alice.post(f"/sessions/{session_id}/{path}", data=body)
        problem(answer, status, "MALFORMED_JSON" if status == 400 else "VALIDATION_FAILED")
    assert items() == before


def test_a_surrogate_pair_is_an_emoji(alice, session_id):
    body = b'{"role": "user", "content": "\\ud83d\\ude00"}'
    assert alice.post(f"/sessions/{session_id}/messages", data=body).json["content"] == "😀"


def test_brackets_inside_strings_are_not_depth(alice, session_id):
    text = '[[{"\\' * 500
    assert alice.append(session_id, text)["content"] == text


def test_another_content_type_is_refused(alice, session_id):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        answer = alice.post(
            f"/sessions/{session_id}/messages", data=b"{}", headers={"Content-Type": kind}
        )
        problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_batch_is_stored_in_order(alice, session_id):
    batch = [{"role": "user", "content": str(n)} for n in range(50)]
    answer = alice.post(f"/sessions/{session_id}/messages/batch", {"messages": batch})
    assert answer.status_code == 201
    stored = alice.get(f"/sessions/{session_id}").json
    assert stored["messages"] == answer.json["messages"]
    assert [message["content"] for message in stored["messages"]] == [str(n) for n in range(50)]
    assert (stored["message_count"], stored["version"]) == (50, 2)


@pytest.mark.parametrize("count", [0, 51])
def test_a_batch_has_1_to_50_messages(alice, session_id, count):
    batch = [{"role": "user", "content": "x"}] * count
    answer = alice.post(f"/sessions/{session_id}/messages/batch", {"messages": batch})
    problem(answer, 422, "VALIDATION_FAILED")


def test_a_batch_with_one_bad_message_stores_none(alice, session_id):
    batch = [GROUNDED, {"content": "x"}]
    answer = alice.post(f"/sessions/{session_id}/messages/batch", {"messages": batch})
    problem(answer, 422, "VALIDATION_FAILED")
    assert alice.get(f"/sessions/{session_id}").json["messages"] == []


def test_pages_in_both_orders_show_every_message_once(alice, session_id):
    sent = alice.fill(session_id, 57)
    for order, wanted in (("asc", sent), ("desc", sent[::-1])):
        got, path = [], f"/sessions/{session_id}/messages?limit=10&order={order}"
        page = alice.get(path).json
        while True:
            assert page["messages"], "no page is empty while more follows"
            got += [message["message_id"] for message in page["messages"]]
            if page["next_cursor"] is None:
                break
            page = alice.get(f"{path}&cursor={page['next_cursor']}").json
        assert got == wanted


def test_the_latest_messages_come_first_on_request(alice, session_id):
    sent = alice.fill(session_id, 30)
    page = alice.get(f"/sessions/{session_id}/messages?limit=5&order=desc").json
    assert [message["message_id"] for message in page["messages"]] == sent[:-6:-1]


def test_after_shows_only_what_came_later(alice, session_id):
    sent = alice.fill(session_id, 10)
    path = f"/sessions/{session_id}/messages?after={sent[6]}"
    assert [m["message_id"] for m in alice.get(path).json["messages"]] == sent[7:]
    backwards = alice.get(f"{path}&order=desc&limit=2").json
    assert [m["message_id"] for m in backwards["messages"]] == [sent[9], sent[8]]
    rest = alice.get(f"{path}&order=desc&limit=2&cursor={backwards['next_cursor']}").json
    assert [m["message_id"] for m in rest["messages"]] == [sent[7]]
    assert rest["next_cursor"] is None
    nothing = alice.get(f"/sessions/{session_id}/messages?after={sent[-1]}").json
    assert (nothing["messages"], nothing["next_cursor"]) == ([], None)


def test_after_and_an_earlier_cursor_leave_an_empty_page(alice, session_id):
    sent = alice.fill(session_id, 10)
    path = f"/sessions/{session_id}/messages?order=desc&limit=3"
    cursor = alice.get(path).json["next_cursor"]  # a cursor before sent[7]
    for after, expected in ((sent[4], sent[6:4:-1]), (sent[6], []), (sent[7], []), (sent[9], [])):
        page = alice.get(f"{path}&cursor={cursor}&after={after}").json
        assert [m["message_id"] for m in page["messages"]] == expected
        assert page["next_cursor"] is None


def test_a_page_ends_before_the_answer_grows_too_large(alice, session_id):
    """12 messages of 1 MB do not fit into one answer, whatever the limit."""
    for n in range(12):
        body = {"role": "user", "content": str(n).ljust(1_000_000, "é" if n % 2 else '"')}
        data = json.dumps(body, ensure_ascii=False).encode()
        assert alice.post(f"/sessions/{session_id}/messages", data=data).status_code == 201
    got, path = [], f"/sessions/{session_id}/messages?limit=1000"
    page = alice.get(path)
    while True:
        assert page.json["messages"]
        assert len(json.dumps(page.text)) < 6_000_000 or len(page.json["messages"]) == 1
        got += [message["content"].rstrip('é"') for message in page.json["messages"]]
        if not page.json["next_cursor"]:
            break
        page = alice.get(f"{path}&cursor={page.json['next_cursor']}")
    assert got == [str(n) for n in range(12)]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=100000",
        "limit=abc",
        "order=up",
        "after=abc",
        "after=",
        "after=msg_%23",
        "cursor=forged",
        "cursor=" + "A" * 100,
        "page=1",
    ],
)
def test_a_bad_page_query_is_refused(alice, session_id, query):
    answer = alice.get(f"/sessions/{session_id}/messages?{query}")
    assert answer.status_code == 422
    assert answer.json["code"] in ("VALIDATION_FAILED", "INVALID_CURSOR")


def test_a_cursor_of_another_session_or_order_is_refused(alice, session_id):
    alice.fill(session_id, 5)
    other = alice.create_session()["session_id"]
    alice.fill(other, 5)
    cursor = alice.get(f"/sessions/{session_id}/messages?limit=2").json["next_cursor"]
    for path in (
        f"/sessions/{other}/messages?cursor={cursor}",
        f"/sessions/{session_id}/messages?order=desc&cursor={cursor}",
        f"/sessions?cursor={cursor}",
    ):
        problem(alice.get(path), 422, "INVALID_CURSOR")


@pytest.mark.parametrize("position", ["", "x", "#", "~", "01ARZ3NDEKTSV4RRFFQ69G5FA", "0" * 700])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_cursor_without_a_valid_position_is_refused(alice, session_id, order, position):
    alice.fill(session_id, 3)
    path = f"/sessions/{session_id}/messages?order={order}"
    page = alice.get(f"{path}&limit=1").json
    ends_at = page["messages"][0]["message_id"].removeprefix("msg_")
    cursor = moved(page["next_cursor"], ends_at, position)
    problem(alice.get(f"{path}&cursor={cursor}"), 422, "INVALID_CURSOR")


def test_an_id_that_is_not_a_message_is_not_found(alice, session_id):
    for message_id in ("msg_01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense", "%23", session_id):
        answer = alice.get(f"/sessions/{session_id}/messages/{message_id}")
        problem(answer, 404, "MESSAGE_NOT_FOUND")


def test_a_message_of_another_session_is_not_found(alice, session_id):
    other = alice.create_session()["session_id"]
    message = alice.append(other)
    answer = alice.get(f"/sessions/{session_id}/messages/{message['message_id']}")
    problem(answer, 404, "MESSAGE_NOT_FOUND")


def test_messages_of_a_deleted_session_are_not_found(alice, session_id):
    message = alice.append(session_id)
    alice.delete(f"/sessions/{session_id}")
    path = f"/sessions/{session_id}/messages"
    problem(alice.get(path), 404, "SESSION_NOT_FOUND")
    problem(alice.get(f"{path}/{message['message_id']}"), 404, "SESSION_NOT_FOUND")
    problem(alice.post(path, GROUNDED), 404, "SESSION_NOT_FOUND")
    problem(alice.post(f"{path}/batch", {"messages": [GROUNDED]}), 404, "SESSION_NOT_FOUND")


LARGE = [
    *((letter, size) for letter in "xé" for size in (399_000, 400_000, 400_001, 1_200_000)),
    ("x", 3_100_000),
    ("é", 2_000_000),
]


@pytest.mark.parametrize(("letter", "size"), LARGE)
def test_large_messages_are_one_message_to_every_reader(alice, session_id, letter, size):
    text = letter * (size // len(letter.encode()))
    body = json.dumps({"role": "tool", "content": text}, ensure_ascii=False).encode()
    alice.append(session_id, "before")
    message = alice.post(f"/sessions/{session_id}/messages", data=body).json
    alice.append(session_id, "after")
    path = f"/sessions/{session_id}"
    assert message["content"] == text
    assert alice.read_all(session_id)[1] == message
    assert alice.get(path).json["message_count"] == 3
    assert alice.get(f"{path}/messages/{message['message_id']}").json == message
    latest = alice.get(f"{path}/messages?order=desc&limit=1").json
    then = f"{path}/messages?order=desc&limit=1&cursor={latest['next_cursor']}"
    assert alice.get(then).json["messages"] == [message]
    assert alice.get(then).json["next_cursor"]
    after = f"{path}/messages?limit=1&after={alice.read_all(session_id)[0]['message_id']}"
    assert alice.get(after).json["messages"] == [message]


def test_a_message_over_3_mb_is_refused_with_the_limit(alice, session_id, items):
    before = items()
    answer = alice.post(
        f"/sessions/{session_id}/messages", {"role": "user", "content": "x" * 3_200_000}
    )
    assert "3,145,728" in problem(answer, 413, "TOO_LARGE")["detail"]
    answer = alice.post(f"/sessions/{session_id}/messages", data=b" " * 7_000_000)
    problem(answer, 413, "TOO_LARGE")
    assert items() == before


def test_a_message_that_could_be_stored_but_never_answered_is_refused(alice, session_id):
    answer = alice.post(
        f"/sessions/{session_id}/messages", {"role": "user", "content": '"' * 1_560_000}
    )
    assert "could not be read again" in problem(answer, 413, "TOO_LARGE")["detail"]


def test_a_batch_over_a_transaction_is_refused_with_the_limit(alice, session_id, items):
    before = items()
    batch = [{"role": "user", "content": "x" * 1_400_000}] * 3
    answer = alice.post(f"/sessions/{session_id}/messages/batch", {"messages": batch})
    assert "transaction" in problem(answer, 413, "TOO_LARGE")["detail"]
    assert items() == before


def test_the_largest_batch_fits_a_transaction(alice, session_id):
    batch = [{"role": "user", "content": "x" * 79_800}] * 50
    answer = alice.post(
        f"/sessions/{session_id}/messages/batch",
        {"messages": batch},
        headers={"Idempotency-Key": "k"},
    )
    assert answer.status_code == 201
    assert alice.get(f"/sessions/{session_id}").json["message_count"] == 50


def test_parallel_appends_are_all_stored_once_in_rising_order(alice, session_id):
    together = Barrier(8)
    answers = []

    def write(writer):
        together.wait()
        for n in range(5):
            answers.append(alice.append(session_id, f"{writer}-{n}"))

    writers = [Thread(target=write, args=(n,)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stored = alice.get(f"/sessions/{session_id}").json
    assert stored["message_count"] == 40
    assert stored["version"] == 41
    assert sorted(m["message_id"] for m in answers) == [m["message_id"] for m in stored["messages"]]
    assert [m["timestamp"] for m in stored["messages"]] == sorted(
        m["timestamp"] for m in stored["messages"]
    )


def test_a_message_has_its_address_with_a_trailing_slash_too(alice, session_id):
    message = alice.append(session_id)
    path = f"/sessions/{session_id}/messages/{message['message_id']}"
    assert alice.get(f"{path}/").json == alice.get(path).json == message
    problem(alice.get(f"/sessions/{session_id}/messages/batch/"), 405, "METHOD_NOT_ALLOWED")
