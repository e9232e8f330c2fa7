"""An append that says which message it follows (`?after=`), and pollers."""

import json

import pytest

from app.table.ids import series
from tests.people import problem

SAID = {"role": "user", "content": "Any potholes near me?"}
KEY = {"Idempotency-Key": "a-key"}


@pytest.fixture
def session(alice):
    return alice.create_session()["session_id"]


@pytest.fixture(params=["", "/batch"])
def post(request, alice):
    """Appends by either route."""

    def post(session, after, **options):
        body = {"messages": [SAID, SAID]} if request.param else SAID
        path = f"/sessions/{session}/messages{request.param}?after={after}"
        return alice.post(path, body, **options)

    return post


def last_of(answer):
    return answer.json.get("messages", [answer.json])[-1]["message_id"]


def test_an_append_after_the_last_message_returns_the_previous_id(alice, session, post):
    first = alice.append(session)["message_id"]
    answer = post(session, first)
    assert answer.status_code == 201, answer.text
    assert answer.json["previous"] == first
    again = post(session, last_of(answer))
    assert again.json["previous"] == last_of(answer)


def test_an_append_without_after_returns_no_previous_id(alice, session):
    assert "previous" not in alice.append(session)
    batch = alice.post(f"/sessions/{session}/messages/batch", {"messages": [SAID]})
    assert set(batch.json) == {"messages"}


def test_apart_from_previous_the_answer_equals_a_later_read(alice, session):
    first = alice.append(session)["message_id"]
    answer = json.loads(alice.post(f"/sessions/{session}/messages?after={first}", SAID).text)
    path = f"/sessions/{session}/messages/{answer['message_id']}"
    assert answer == {**alice.get(path).json, "previous": first}


def test_the_session_id_as_after_means_that_there_are_no_messages(session, post):
    answer = post(session, session)
    assert (answer.status_code, answer.json["previous"]) == (201, None)
    problem(post(session, session), 412, "NOT_THE_LAST_MESSAGE", last_message_id=last_of(answer))


def test_an_append_after_an_older_message_is_refused_with_the_last_id(alice, session, post, items):
    sent = alice.fill(session, 3)
    before = items()
    for after in (sent[1], sent[0], f"msg_{series(sent[2][4:], 2)[1]}", f"msg_{'7' + 'Z' * 25}"):
        answer = post(session, after)
        problem(answer, 412, "NOT_THE_LAST_MESSAGE", last_message_id=sent[2])
    assert items() == before
    assert post(session, sent[2]).status_code == 201


def test_in_an_empty_session_the_refusal_names_no_last_message(alice, session, post, items):
    before, other = items(), alice.create_session()["session_id"]
    for after in (
        "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        f"msg_{session[5:]}",  # an id with the session's own number, which is not a message
        other,
        f"msg_{'7' + 'Z' * 25}",
    ):
        problem(post(session, after), 412, "NOT_THE_LAST_MESSAGE", last_message_id=None)
    assert [item for item in items() if session[5:] in item["SK"]["S"]] == [
        item for item in before if session[5:] in item["SK"]["S"]
    ]


def test_the_session_id_as_after_is_refused_once_there_are_messages(alice, session, post):
    sent = alice.append(session)["message_id"]
    for after in (session, f"msg_{session[5:]}", f"sess_{sent[4:]}"):
        problem(post(session, after), 412, "NOT_THE_LAST_MESSAGE", last_message_id=sent)


@pytest.mark.parametrize("after", ["", "abc", "msg_", "msg_%23", "sess_01arz3", "1", "*"])
def test_an_invalid_id_is_refused(session, post, after):
    problem(post(session, after), 422, "VALIDATION_FAILED")


def test_an_append_takes_no_other_parameter(alice, session):
    answer = alice.post(f"/sessions/{session}/messages?aftr={session}", SAID)
    problem(answer, 422, "VALIDATION_FAILED")


def test_a_missing_session_is_404_for_any_after(post):
    for after in ("msg_01ARZ3NDEKTSV4RRFFQ69G5FAV", "sess_01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        problem(post("sess_01ARZ3NDEKTSV4RRFFQ69G5FAV", after), 404, "SESSION_NOT_FOUND")


def test_if_match_and_after_must_both_hold(alice, session, post):
    old = alice.get(f"/sessions/{session}").headers["ETag"]
    first = alice.append(session)["message_id"]
    current = alice.get(f"/sessions/{session}").headers["ETag"]
    answer = post(session, first, headers={"If-Match": old})
    problem(answer, 412, "PRECONDITION_FAILED")
    answer = post(session, session, headers={"If-Match": current})
    problem(answer, 412, "NOT_THE_LAST_MESSAGE", last_message_id=first)
    assert post(session, first, headers={"If-Match": current}).status_code == 201


def test_a_replay_ignores_the_condition(alice, session, post, items):
    first = alice.append(session)["message_id"]
    answer = post(session, first, headers=KEY)
    alice.append(session)
    before = items()
    replay = post(session, first, headers=KEY)
    assert (replay.status_code, replay.text) == (201, answer.text)
    assert replay.headers["Idempotent-Replayed"] == "true"
    assert items() == before


def test_a_refused_append_does_not_use_up_its_key(alice, session, post):
    first = alice.append(session)["message_id"]
    refused = post(session, session, headers=KEY)
    problem(refused, 412, "NOT_THE_LAST_MESSAGE", last_message_id=first)
    answer = post(session, refused.json["last_message_id"], headers=KEY)
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers


def test_after_is_part_of_the_request(alice, session, post):
    """The answer contains `previous`, so another `after` with the same key is another request."""
    first = alice.append(session)["message_id"]
    second = last_of(post(session, first, headers=KEY))
    problem(post(session, second, headers=KEY), 422, "IDEMPOTENCY_KEY_REUSED")


def test_after_holds_if_the_clock_lags(alice, session, post, clock):
    clock.move(seconds=60)
    last = alice.append(session)["message_id"]
    clock.move(seconds=-3600)
    answer = post(session, last)
    assert answer.status_code == 201
    assert last_of(answer) > last
    problem(post(session, last), 412, "NOT_THE_LAST_MESSAGE", last_message_id=last_of(answer))


def test_of_two_appends_after_the_same_message_one_is_refused(alice, session):
    """So a client that polls and appends misses nothing before its own message."""
    read = alice.append(session)["message_id"]
    agents = alice.append(session, "An agent was faster")["message_id"]
    path = f"/sessions/{session}/messages"
    refused = alice.post(f"{path}?after={read}", SAID)
    problem(refused, 412, "NOT_THE_LAST_MESSAGE", last_message_id=agents)
    news = alice.get(f"{path}?after={read}").json["messages"]
    assert [message["message_id"] for message in news] == [agents]
    assert alice.post(f"{path}?after={agents}", SAID).json["previous"] == agents


def test_the_document_tells_pollers_which_after_to_send(app):
    document = app.test_client().get("/openapi.json").json
    operations = document["paths"]["/api/v1/sessions/{session_id}/messages"]
    for method, words in (("get", "last message you have **read**"), ("post", "session's last")):
        [after] = [p for p in operations[method]["parameters"] if p["name"] == "after"]
        assert words in after["description"]
