"""Feedback on messages, and the check of a history."""

import json

import pytest

from app.messages.model import MAX_RATERS
from app.operations.check import check
from tests.people import Client, make_token, problem


@pytest.fixture(autouse=True)
def _nothing_is_damaged(table, clock):
    yield
    assert list(check(table, clock)) == []


@pytest.fixture
def message(alice, session_id):
    alice.append(session_id, "before")
    made = alice.append(session_id, "rated")["message_id"]
    alice.append(session_id, "after")
    return f"/sessions/{session_id}/messages/{made}"


def rater(app, name):
    """An agent that acts for Alice."""
    scope = "sessions:read sessions:write sessions:act-for-user"
    client = Client(app, make_token("acme", name, scope=scope))
    return lambda method, path, body=None: client.request(
        method, path, json=body, headers={"Act-For-User": "alice"}
    )


def shown(client, session_id):
    """The feedback of the second of three messages, as every route shows it."""
    path = f"/sessions/{session_id}"
    pages = [
        client.get(path).json["messages"],
        client.get(f"{path}/messages").json["messages"],
        client.get(f"{path}/messages?order=desc").json["messages"],
        client.get(f"{path}?messages=3").json["messages"],
    ]
    found = [page[1].get("feedback", []) for page in pages]
    one = client.get(f"{path}/messages/{pages[0][1]['message_id']}").json.get("feedback", [])
    assert found == [one] * 4
    assert [page[0].get("feedback") for page in pages] == [None] * 4
    assert client.get(path).json["feedback_count"] == len(one)
    return one


def test_feedback_comes_with_its_message(alice, app, session_id, message):
    given = alice.put(f"{message}/feedback", {"rating": "up", "comment": "a\nb"})
    assert given.status_code == 200
    assert given.json == {"by": "alice", "at": given.json["at"], "rating": "up", "comment": "a\nb"}
    assert shown(alice, session_id) == [given.json]
    other = rater(app, "agent")("PUT", f"{message}/feedback", {"rating": 0.5}).json
    assert (other["by"], other["comment"]) == ("agent", None)
    assert shown(alice, session_id) == [given.json, other]


def test_each_rater_has_one_feedback(alice, session_id, message, items):
    for rating in ("up", "down", True, 1.5):
        answer = alice.put(f"{message}/feedback", {"rating": rating})
        assert [given["rating"] for given in shown(alice, session_id)] == [rating]
    before = items()
    again = alice.put(f"{message}/feedback", {"rating": 1.5})
    assert (again.status_code, len(items())) == (200, len(before))
    assert answer.json["by"] == "alice"


def test_feedback_is_taken_back(alice, app, session_id, message):
    alice.put(f"{message}/feedback", {"rating": "up"})
    agent = rater(app, "agent")
    agent("PUT", f"{message}/feedback", {"rating": "down"})
    assert alice.delete(f"{message}/feedback").json == {"deleted_feedback": 1}
    assert [given["by"] for given in shown(alice, session_id)] == ["agent"]
    problem(alice.delete(f"{message}/feedback"), 404, "FEEDBACK_NOT_FOUND")
    assert agent("DELETE", f"{message}/feedback").status_code == 200
    assert shown(alice, session_id) == []


def test_a_number_is_kept_as_it_was_sent(alice, message):
    answer = alice.put(f"{message}/feedback", data='{"rating": 1.50}')
    assert '"rating":1.50,' in answer.text
    assert '"rating":1.50,' in alice.get(message).text


def test_feedback_stays_through_an_edit_and_goes_with_its_message(
    alice, session_id, message, items
):
    alice.put(f"{message}/feedback", {"rating": "up"})
    alice.put(message, {"content": "edited"})
    assert len(shown(alice, session_id)) == 1
    assert alice.delete(message).status_code == 200
    assert alice.get(f"/sessions/{session_id}").json["feedback_count"] == 0
    assert not [item for item in items() if "FEEDBACK" in item["SK"]["S"]]


def test_feedback_is_counted_when_a_tail_goes(alice, session_id, message):
    alice.put(f"{message}/feedback", {"rating": "up"})
    alice.fill(session_id, 200)
    first = alice.get(f"/sessions/{session_id}/messages?limit=1").json["messages"][0]["message_id"]
    alice.put(f"/sessions/{session_id}/messages/{first}/feedback", {"rating": "up"})
    assert alice.get(f"/sessions/{session_id}").json["feedback_count"] == 2
    alice.delete(f"/sessions/{session_id}/messages?after={first}")
    assert alice.get(f"/sessions/{session_id}").json["feedback_count"] == 1


def test_feedback_on_a_large_message(alice, session_id):
    made = alice.append(session_id, "x" * 900_000)["message_id"]
    path = f"/sessions/{session_id}/messages/{made}"
    alice.put(f"{path}/feedback", {"rating": "up"})
    for query in ("", "?order=desc"):
        [found] = alice.get(f"/sessions/{session_id}/messages{query}").json["messages"]
        assert (len(found["content"]), found["feedback"][0]["rating"]) == (900_000, "up")


def test_the_number_of_raters_is_bounded(alice, app, session_id, message):
    for n in range(MAX_RATERS):
        answer = rater(app, f"agent-{n}")("PUT", f"{message}/feedback", {"rating": "up"})
        assert answer.status_code == 200
    problem(alice.put(f"{message}/feedback", {"rating": "up"}), 409, "TOO_MANY_RATERS")
    assert rater(app, "agent-0")("PUT", f"{message}/feedback", {"rating": 0}).status_code == 200
    assert rater(app, "agent-1")("DELETE", f"{message}/feedback").status_code == 200
    assert alice.put(f"{message}/feedback", {"rating": "up"}).status_code == 200
    assert len(shown(alice, session_id)) == MAX_RATERS


BAD = [
    {},
    {"rating": None, "comment": None},
    {"rating": ""},
    {"rating": "x" * 65},
    {"rating": "a\nb"},
    {"rating": "\ud83d"},
    {"rating": []},
    {"rating": {"a": 1}},
    {"comment": ""},
    {"comment": "x" * 1001},
    {"comment": "😀" * 1000},
    {"comment": "\ud83d"},
    {"comment": 5},
    {"rating": "up", "x": 1},
    [],
]


@pytest.mark.parametrize("body", BAD, ids=lambda body: json.dumps(body)[:30])
def test_feedback_that_does_not_fit_is_refused(alice, message, items, body):
    before = items()
    answer = alice.put(f"{message}/feedback", data=json.dumps(body))
    problem(answer, 422, "VALIDATION_FAILED")
    assert items() == before


def test_feedback_needs_a_message(alice, bob, session_id, message):
    for missing in ("x", "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        path = f"/sessions/{session_id}/messages/{missing}/feedback"
        problem(alice.put(path, {"rating": "up"}), 404, "MESSAGE_NOT_FOUND")
        problem(alice.delete(path), 404, "MESSAGE_NOT_FOUND")
    problem(bob.put(f"{message}/feedback", {"rating": "up"}), 404, "SESSION_NOT_FOUND")
    problem(bob.delete(f"{message}/feedback"), 404, "SESSION_NOT_FOUND")


# The check of a history


CALL = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "find"}}]}
RESULT = {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": []}}]}


def say(client, session_id, native, format="bedrock.converse"):
    body = {"native": native, "format": format}
    answer = client.post(f"/sessions/{session_id}/messages", body)
    assert answer.status_code == 201, answer.text
    return answer.json["message_id"]


def test_a_call_without_a_result_is_named(alice, session_id):
    alice.append(session_id)
    call = say(alice, session_id, CALL)
    found = alice.get(f"/sessions/{session_id}/check").json
    assert found == {
        "findings": [
            {
                "problem": "call_without_result",
                "message_id": call,
                "pointer": "/native/content/0/toolUse",
                "tool_call_id": "t1",
                "tool_name": "find",
            }
        ],
        "more_findings": False,
        "checked_messages": 2,
        "complete": True,
    }
    result = say(alice, session_id, RESULT)
    assert alice.get(f"/sessions/{session_id}/check").json["findings"] == []
    alice.delete(f"/sessions/{session_id}/messages/{call}")
    [finding] = alice.get(f"/sessions/{session_id}/check").json["findings"]
    assert (finding["problem"], finding["message_id"]) == ("result_without_call", result)


def test_each_format_is_checked_by_its_own_rules(alice, session_id):
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    say(alice, session_id, {"role": "assistant", "tool_calls": [call]}, "openai.chat")
    say(alice, session_id, {"role": "user", "content": "well?"}, "openai.chat")
    say(alice, session_id, {"role": "tool", "tool_call_id": "c", "content": ""}, "openai.chat")
    found = alice.get(f"/sessions/{session_id}/check").json["findings"]
    assert {finding["problem"] for finding in found} == {
        "call_without_result",
        "result_without_call",
    }


def test_plain_blocks_that_only_one_provider_writes_are_checked_too(alice, session_id):
    block = {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {}}
    alice.append(session_id, [block], role="assistant")
    [finding] = alice.get(f"/sessions/{session_id}/check").json["findings"]
    assert finding["pointer"] == "/content/0"


def test_the_answer_is_bounded(alice, session_id):
    calls = [{"toolUse": {"toolUseId": "t" * 5000, "name": "n" * 5000}} for _ in range(150)]
    say(alice, session_id, {"role": "assistant", "content": calls})
    answer = alice.get(f"/sessions/{session_id}/check")
    assert (len(answer.json["findings"]), answer.json["more_findings"]) == (100, True)
    assert len(answer.data) < 100_000


def test_only_the_last_messages_are_checked(alice, session_id):
    say(alice, session_id, CALL)
    alice.fill(session_id, 5)
    found = alice.get(f"/sessions/{session_id}/check?messages=3").json
    assert (found["findings"], found["checked_messages"], found["complete"]) == ([], 3, False)
    problem(alice.get(f"/sessions/{session_id}/check?messages=0"), 422, "VALIDATION_FAILED")
