"""What Lambda can carry. Its answer holds the body as a JSON string, in which Python 3.11's runtime
escapes quotes, backslashes and everything that is not ASCII; so does `json.dumps`."""

import json

import pytest

from app.messages.reader import MAX_MESSAGES
from app.messages.sizes import MAX_MESSAGE_WIRE
from app.sessions.model import MAX_HEAD_WIRE
from app.table import ids
from app.wire import MAX_ANSWER, MAX_WIRE_BYTES
from tests.people import problem

LAMBDA = 6_291_556

ROOM_FOR_HEADERS = 20_000

SHORT = {"Prefer": "return=minimal"}

CYRILLIC = "ж"  # 2 bytes in UTF-8, 6 in an answer

DELETE = "\x7f"  # ASCII, and escaped all the same: 1 byte in UTF-8, 6 in an answer


def sent(answer):
    return len(json.dumps(answer.text))


def leaves(answer):
    return sent(answer) + ROOM_FOR_HEADERS < LAMBDA


@pytest.fixture
def filled(raw, table, session_id):
    """Writes messages of this size directly into the table, which is faster."""

    def fill(count, size):
        session = session_id.removeprefix("sess_")
        key = {"PK": {"S": "acme#alice"}, "SK": {"S": f"SESSION#{session}"}}
        ulids = ids.series(ids.UlidSource().new(after=session)[0], count)
        body = f'{{"content":"{"x" * size}","metadata":{{}}}}'
        for start in range(0, count, 25):
            puts = [
                {
                    "PutRequest": {
                        "Item": {
                            "PK": key["PK"],
                            "SK": {"S": f"{key['SK']['S']}#MSG#{ulid}"},
                            "body": {"S": body},
                            "message_role": {"S": "user"},
                            "created_by": {"S": "alice"},
                        }
                    }
                }
                for ulid in ulids[start : start + 25]
            ]
            raw.batch_write_item(RequestItems={table.name: puts})
        raw.update_item(
            TableName=table.name,
            Key=key,
            UpdateExpression="SET message_count = :count, last_ulid = :last, last_message = :last",
            ExpressionAttributeValues={":count": {"N": str(count)}, ":last": {"S": ulids[-1]}},
        )
        return [f"msg_{ulid}" for ulid in ulids]

    return fill


def test_an_answer_has_at_most_5000_messages(alice, session_id, filled):
    made = filled(MAX_MESSAGES + 30, 5)
    answer = alice.get(f"/sessions/{session_id}").json
    assert len(answer["messages"]) == MAX_MESSAGES
    assert answer["next_cursor"]
    assert [message["message_id"] for message in alice.read_all(session_id)] == made


def test_ids_times_and_commas_count_towards_the_limit(alice, session_id, filled):
    made = filled(MAX_MESSAGES - 1, 700)
    answer = alice.get(f"/sessions/{session_id}")
    shown = len(answer.json["messages"])
    assert answer.json["next_cursor"]
    assert sent(answer) <= MAX_ANSWER + 1_000  # the session itself
    assert sent(answer) * (shown + 1) / shown > MAX_ANSWER  # one more would exceed the limit
    assert [message["message_id"] for message in alice.read_all(session_id)] == made


WIDEST = {
    "domain_id": "😀" * 128,
    "title": "😀" * 512,
    "key": "😀" * 512,
    "metadata": {"x": DELETE * 16_000},
}


def widest(client):
    """A session with the largest fields. The JSON is not escaped, because it is kept as it is."""
    data = json.dumps(WIDEST, ensure_ascii=False).encode()
    answer = client.post("/sessions", data=data)
    assert answer.status_code == 201, answer.text
    return answer.json["session_id"]


def test_a_message_of_any_accepted_size_can_be_read_by_every_route(alice):
    """The largest possible messages, in the session with the largest fields."""
    session_id = widest(alice)
    path = f"/sessions/{session_id}"
    for letter, wire in ((CYRILLIC, 6), ('"', 4), ("😀", 12), (DELETE, 6)):
        most = (MAX_MESSAGE_WIRE - 500) // wire
        body = {"role": "user", "content": letter * most}
        data = json.dumps(body, ensure_ascii=False).encode()
        answer = alice.post(f"{path}/messages", data=data)
        assert answer.status_code == 201, answer.text
        assert leaves(answer)
        assert sent(answer) > MAX_MESSAGE_WIRE - 600
        message_id = answer.json["message_id"]
        assert leaves(alice.get(f"{path}/messages/{message_id}"))
        assert leaves(alice.get(f"{path}/messages?limit=1"))
        assert leaves(alice.get(f"{path}/messages?limit=1&order=desc"))
        body["content"] += letter * (600 // wire)
        data = json.dumps(body, ensure_ascii=False).encode()
        detail = problem(alice.post(f"{path}/messages", data=data), 413, "TOO_LARGE")["detail"]
        assert f"{MAX_MESSAGE_WIRE:,}" in detail
    assert leaves(alice.get(path))
    assert alice.get(path).json["message_count"] == 4


def test_the_largest_session_fits_into_the_space_kept_for_it(alice):
    session_id = widest(alice)
    assert sent(alice.get(f"/sessions/{session_id}")) <= MAX_HEAD_WIRE


def of_quotes():
    return [{"role": "user", "content": '"' * 980_000}] * 2


def of_cyrillic():
    return [{"role": "user", "content": CYRILLIC * 39_000}] * 50


def of_deletes():
    return [{"role": "user", "content": DELETE * 22_000}] * 50


TOO_MUCH = {
    "two of quotes": of_quotes,
    "50 of Cyrillic": of_cyrillic,
    "50 of the character DELETE": of_deletes,
}


@pytest.mark.parametrize("make", TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_batch_whose_answer_is_too_large_writes_nothing(alice, session_id, items, make):
    before = items()
    data = json.dumps({"messages": make()}, ensure_ascii=False).encode()
    for headers in ({}, {"Idempotency-Key": "k"}, {"Prefer": "return=representation"}):
        answer = alice.post(f"/sessions/{session_id}/messages/batch", data=data, headers=headers)
        detail = problem(answer, 413, "TOO_LARGE")["detail"]
        assert f"{MAX_WIRE_BYTES:,}" in detail
        assert "Prefer: return=minimal" in detail
    assert items() == before


@pytest.mark.parametrize("make", TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_batch_with_a_short_answer_is_stored_and_replayed(alice, session_id, items, make):
    messages = make()
    data = json.dumps({"messages": messages}, ensure_ascii=False).encode()
    path, headers = f"/sessions/{session_id}/messages/batch", {**SHORT, "Idempotency-Key": "k"}
    answer = alice.post(path, data=data, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Preference-Applied"] == "return=minimal"
    assert len(answer.data) < 10_000
    stored = items()
    replay = alice.post(path, data=data, headers=headers)
    assert (replay.status_code, replay.json) == (201, answer.json)
    assert replay.headers["Idempotent-Replayed"] == "true"
    whole = alice.post(path, data=data, headers={"Idempotency-Key": "k"})
    assert "Prefer: return=minimal" in problem(whole, 413, "TOO_LARGE")["detail"]
    assert items() == stored
    read = alice.read_all(session_id)
    assert [message["content"] for message in read] == [m["content"] for m in messages]
    short = [
        {name: message[name] for name in ("message_id", "session_id", "timestamp")}
        for message in read
    ]
    assert answer.json == {"messages": short}


@pytest.mark.parametrize(
    ("prefer", "short"),
    [
        ("return=minimal", True),
        ('Return = "minimal"', True),
        ("respond-async, return=minimal; foo=bar, wait=10", True),
        ("return=minimal, return=representation", True),
        ("return=representation, return=minimal", False),
        ("return=representation", False),
        ("return", False),
        ("minimal", False),
        (",;=", False),
    ],
)
def test_without_the_preference_the_answer_is_whole(alice, session_id, prefer, short):
    path = f"/sessions/{session_id}/messages"
    message = {"role": "user", "content": "x"}
    one = alice.post(path, message, headers={"Prefer": prefer})
    batch = alice.post(f"{path}/batch", {"messages": [message]}, headers={"Prefer": prefer})
    for answer, made in ((one, one.json), (batch, batch.json["messages"][0])):
        assert answer.status_code == 201
        assert ("content" in made) is not short
        assert ("Preference-Applied" in answer.headers) is short
        found = alice.get(f"{path}/{made['message_id']}").json
        assert {name: found[name] for name in made} == made
    assert one.headers["Location"].endswith(one.json["message_id"])


def test_the_largest_answer_of_a_batch_is_counted_to_the_byte(alice, session_id):
    """A batch grows until it is refused. The last accepted one has the largest allowed answer."""
    path = f"/sessions/{session_id}/messages/batch"

    def post(extra):
        batch = [{"role": "user", "content": CYRILLIC * 500_000}, {"role": "user", "content": ""}]
        batch[1]["content"] = "x" * extra
        data = json.dumps({"messages": batch * 2}, ensure_ascii=False).encode()
        return alice.post(path, data=data)

    answer = post(0)
    assert answer.status_code == 201
    room = MAX_WIRE_BYTES - sent(answer)
    assert post(room // 2 - 5).status_code == 201
    problem(post(room // 2 + 10), 413, "TOO_LARGE")


def test_a_page_of_the_character_delete_can_leave(alice, session_id):
    for _ in range(3):
        alice.append(session_id, DELETE * 400_000)
    for path in (f"/sessions/{session_id}", f"/sessions/{session_id}/messages"):
        assert leaves(alice.get(path))
    assert [len(message["content"]) for message in alice.read_all(session_id)] == [400_000] * 3
