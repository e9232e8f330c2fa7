"""Forgetting a document under kills, lost answers, and beside other writers."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from uuid import uuid4

import pytest

from app.grounding.sources import key_hash
from app.operations.sweep import sweep
from app.table import keys
from tests.faults.proxy import cut_after, cut_before, delayed, first, nothing, throttled
from tests.faults.test_kills import Alice, Request, kill_at
from tests.people import Client, make_token

__all__ = ["kill_at"]

QUOTE = "Quiet hours are from 22 to 6."
PATH = f"/tenant/sources/{key_hash('doc:rules')}/redaction"
CITES = {"references": [{"reference_id": "rules", "quote": QUOTE}]}


def a_user_of_the_first_shard() -> str:
    """A redaction reads the index shard by shard. So its calls for this user come first."""
    names = (f"alice-{uuid4()}-{number}" for number in count())
    return next(name for name in names if keys.source_shard(keys.partition("acme", name)) == 0)


def say(who: Client, number: int) -> str:
    session = who.create_session()["session_id"]
    for _ in range(number):
        Client.append(who, session, metadata=CITES)
    return session


@pytest.fixture
def words(items):
    """How often the table has the words of the document."""
    return lambda: json.dumps(items(), default=str).count(QUOTE)


@pytest.fixture
def governor(app) -> Client:
    return Client(app, make_token("acme", "governor", scope="sources:govern"))


@pytest.fixture
def far_governor(make_far_app) -> Client:
    return Client(make_far_app(), make_token("acme", "governor", scope="sources:govern"))


@pytest.mark.parametrize("finisher", ["the sweep", "the request again"])
@pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
def test_a_kill_at_any_call_is_made_up_for(
    finisher, acts, app, table, clock, kill_at, assert_sound, items, governor, words
):
    for number in range(1, 12):  # then only empty shards of the index follow
        user = a_user_of_the_first_shard()
        alice = Alice(app, make_token("acme", user))
        sessions = {say(alice, 1): 1, say(alice, 2): 2}
        assert words() == 3
        assert kill_at(number, acts, Request("POST", PATH), user, 0)
        assert_sound()
        for session, messages in sessions.items():
            assert alice.get(f"/sessions/{session}").json["message_count"] == messages
        has_begun = any("GSI2PK" in item for item in items() if item["SK"]["S"].startswith("RED"))
        if finisher == "the sweep" and has_begun:
            clock.move(seconds=61)
            assert sweep(table, clock).finished
            clock.move(seconds=-61)
        else:
            assert governor.post(PATH).json["finished_at"]
        assert words() == 0
        assert_sound()
        alice.delete("/sessions?confirm=all")


@pytest.mark.parametrize("fault", [cut_before, cut_after, throttled])
@pytest.mark.parametrize("operation", ["TransactWriteItems", "UpdateItem", "PutItem", "Query"])
def test_a_lost_answer_or_a_throttled_call_changes_nothing(
    fault, operation, alice, far_governor, proxy, words, assert_sound
):
    session = say(alice, 3)
    proxy.plan = first(1, fault, operation)
    told = far_governor.post(PATH).json
    assert (told["checked_messages"], told["redacted_messages"]) == (3, 3)
    assert words() == 0
    assert len(alice.get(f"/sessions/{session}").json["messages"]) == 3
    assert_sound()


def test_without_time_it_goes_on_at_the_next_request(alice, make_far_app, proxy, words):
    """A redaction is cut off between two messages, and its answer says so."""
    hurried = make_far_app(request_budget=0.5)
    governor = Client(hurried, make_token("acme", "governor", scope="sources:govern"))
    for _ in range(4):
        say(alice, 10)
    proxy.plan = lambda call: delayed if call.operation == "TransactWriteItems" else None
    first = governor.post(PATH)
    assert (first.status_code, first.json["finished_at"]) == (202, None)
    proxy.plan = nothing
    for _ in range(20):
        answer = governor.post(PATH)
        assert answer.status_code in (200, 202)
        if answer.status_code == 200:
            break
    assert answer.json["finished_at"]
    assert words() == 0


def test_an_edit_and_a_deletion_in_the_middle_are_respected(
    alice, far_governor, proxy, words, assert_sound
):
    """Between reading a message and writing it, its author edits it, or deletes it."""
    edited, deleted = say(alice, 1), say(alice, 1)
    path = f"/sessions/{edited}/messages"
    [message] = alice.get(path).json["messages"]
    new = {"content": "new", "metadata": CITES}
    acted = []

    def act(exchange):
        if not acted:
            acted.append(alice.put(f"{path}/{message['message_id']}", new).status_code)
            acted.append(alice.delete(f"/sessions/{deleted}").status_code)
        exchange.forward()

    proxy.plan = lambda call: act if call.operation == "TransactWriteItems" else None
    told = far_governor.post(PATH).json
    assert acted == [200, 200]
    assert told["finished_at"]
    assert words() == 0
    [message] = alice.get(path).json["messages"]
    assert message["content"] == "new"
    assert_sound()


def test_two_redactions_at_once_do_no_harm(alice, app, words, assert_sound):
    for _ in range(3):
        say(alice, 10)
    governor = Client(app, make_token("acme", "governor", scope="sources:govern"))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: governor.post(PATH), range(4)))
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert governor.post(PATH).json["finished_at"]
    assert words() == 0
    assert_sound()


def test_a_fork_that_is_made_meanwhile_has_no_words(alice, far_alice, governor, proxy, words):
    """A fork copies messages before they are redacted. It is then not shown."""
    session = say(alice, 3)
    acted = []

    def act(exchange):
        if not acted:
            acted.append(governor.post(PATH).status_code)
        exchange.forward()

    def plan(call):
        return act if call.operation == "TransactWriteItems" else None  # which shows the fork

    proxy.plan = plan
    answer = far_alice.post(f"/sessions/{session}/fork", {})
    assert (answer.status_code, answer.json["code"]) == (409, "CONTENDED")
    assert acted == [202], "it looks again once the fork is shown or gone"
    proxy.plan = nothing
    assert far_alice.post(f"/sessions/{session}/fork", {}).status_code == 201
    assert governor.post(PATH).status_code == 200
    assert words() == 0


@pytest.mark.parametrize(
    "damage",
    [
        {"started": None},
        {"started": {"S": "damaged"}},
        {"reached": None},
        {"reached": {"S": "x y z"}},
        {"reached": {"S": "0 acme#alice SESSION#x"}},
        {"reached": {"S": "99 acme#alice SESSION#x"}},
        {"checked": {"S": "many"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("has_ended", [False, True])
def test_a_redaction_whose_note_is_damaged_begins_anew(
    has_ended, damage, alice, governor, items, raw, table, words
):
    assert governor.post(PATH).status_code == 200
    say(alice, 2)
    [note] = [item for item in items() if item["SK"]["S"].startswith("REDACTION#")]
    if not has_ended:
        del note["finished_at"]
    item = {name: value for name, value in {**note, **damage}.items() if value is not None}
    raw.put_item(TableName=table.name, Item=item)
    told = governor.post(PATH)
    assert (told.status_code, told.json["redacted_messages"]) == (200, 2)
    assert words() == 0


def test_large_messages_are_redacted_however_little_time_there_is(
    alice, make_far_app, proxy, words
):
    """Each request notes the messages that it has looked at, although it cannot look at all of
    those that it found in the index."""
    hurried = make_far_app(request_budget=1)
    governor = Client(hurried, make_token("acme", "governor", scope="sources:govern"))
    say(alice, 20)
    slow = ("BatchGetItem", "TransactWriteItems")
    proxy.plan = lambda call: delayed if call.operation in slow else None
    told = []
    for _ in range(60):
        answer = governor.post(PATH)
        told.append(answer.json.get("checked_messages"))
        if answer.status_code == 200:
            break
    assert answer.json["checked_messages"] == 20, told
    assert words() == 0


@pytest.mark.parametrize("damage", [{"parts": {"N": "1.5"}}, {"sources": {"BOOL": True}}])
def test_a_damaged_message_holds_up_no_other(alice, governor, change, damage, words):
    first, second = say(alice, 1), say(alice, 1)
    [message] = alice.get(f"/sessions/{first}").json["messages"]
    change(f"{message['message_id'][4:]}$", **damage)
    path = f"/sessions/{first}/messages/{message['message_id']}"
    assert alice.put(path, {"content": "new"}).status_code in (200, 404)
    answer = governor.post(PATH)
    assert answer.json["finished_at"]
    assert QUOTE not in alice.get(f"/sessions/{second}").text
