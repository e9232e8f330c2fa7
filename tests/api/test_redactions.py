"""Forgetting a document: what it says goes from all messages of the tenant, and nothing else."""

import json
from typing import Any

import pytest

from app.grounding.sources import key_hash
from app.operations import check
from app.operations.sweep import sweep
from tests.people import Client, make_token, problem

QUOTE = "Quiet hours are from 22 to 6."
RULES = key_hash("doc:rules")
PATH = f"/tenant/sources/{RULES}/redaction"

CITES = {
    "role": "assistant",
    "content": "Quietly, please.",
    "metadata": {
        "references": [
            {"type": "doc", "reference_id": "rules", "summary": QUOTE, "quote": QUOTE},
            {"type": "doc", "reference_id": "other", "quote": "Pets are welcome."},
        ],
        "kept": "as it is",
    },
}


@pytest.fixture
def governor(app) -> Client:
    return Client(app, make_token("acme", "governor", scope="sources:govern"))


@pytest.fixture(autouse=True)
def _sound(table, clock):
    yield
    assert [str(finding) for finding in check.check(table, clock)] == []


def say(who: Client, **message: Any) -> tuple[str, str]:
    session = who.create_session()["session_id"]
    return session, who.append(session, **{**CITES, **message})["message_id"]


def stored(items) -> str:
    """All that the table holds, as text."""
    return json.dumps(items(), default=str)


def test_a_redaction_removes_the_quotes_from_the_messages_of_all_users(
    alice, bob, charlie, governor, items
):
    places = [(who, *say(who)) for who in (alice, bob, charlie)]
    receipt = governor.post(PATH)
    assert receipt.status_code == 200
    told = receipt.json
    assert (told["hash"], told["checked_messages"], told["redacted_messages"]) == (RULES, 2, 2)
    assert told["finished_at"] >= told["started_at"]
    assert told["never_indexed"]
    assert told["not_removed"]
    for who, session, message in places:
        text = who.get(f"/sessions/{session}/messages/{message}").text
        assert (QUOTE in text) == (who is charlie), "another tenant's are not touched"
        assert "Pets are welcome." in text
        assert "as it is" in text
        assert "Quietly, please." in text
        found = who.get(f"/sessions/{session}/messages/{message}/grounding").json
        assert [c["source"] for c in found["citations"]] == ["doc:rules", "doc:other"]
    assert stored(items).count(QUOTE) == 2, "those of Charlie"


def test_a_redacted_message_has_been_edited(alice, governor):
    session, message = say(alice)
    path = f"/sessions/{session}/messages/{message}"
    before = alice.get(path)
    state = alice.get(f"/sessions/{session}/messages").json["changed"]
    assert governor.post(PATH).status_code == 200
    after = alice.get(path)
    assert after.headers["ETag"] != before.headers["ETag"]
    assert after.json["edited_at"]
    assert {**after.json, "edited_at": None, "metadata": None} == {**before.json, "metadata": None}
    assert alice.get(f"/sessions/{session}/messages").json["changed"] > state


def test_the_excerpt_in_the_list_goes_with_the_words(alice, governor):
    blocks = [
        {"type": "tool_result", "tool_use_id": "t", "content": [
            {"type": "search_result", "source": "rules", "title": "Rules",
             "content": [{"type": "text", "text": QUOTE}]}]}
    ]  # fmt: skip
    session, _ = say(
        alice,
        role="user",
        content=None,
        metadata={},
        format="anthropic.messages",
        native={"role": "user", "content": blocks},
    )
    [listed] = alice.get("/sessions").json["sessions"]
    assert governor.post(PATH).json["redacted_messages"] == 1
    [listed] = alice.get("/sessions").json["sessions"]
    assert QUOTE not in json.dumps(listed)
    assert QUOTE not in alice.get(f"/sessions/{session}").text


def test_a_document_that_was_given_but_not_cited_goes_too(alice, governor, items):
    documents = [{"index": 0, "key": "doc:rules", "title": "Rules", "text": QUOTE}]
    session, message = say(
        alice,
        content=None,
        metadata={},
        format="anthropic.messages",
        native={"role": "assistant", "content": [{"type": "text", "text": "No idea."}]},
        grounding={"request": {"documents": documents}},
    )
    assert governor.post(PATH).json["redacted_messages"] == 1
    assert QUOTE not in stored(items)
    [source] = alice.get(f"/sessions/{session}/messages/{message}/grounding").json["sources"]
    assert source["key"] == "doc:rules"


def test_forks_are_redacted_too(alice, governor, items):
    session, _ = say(alice)
    assert alice.post(f"/sessions/{session}/fork", {}).status_code == 201
    assert governor.post(PATH).json["redacted_messages"] == 2
    assert QUOTE not in stored(items)


def test_many_messages_are_redacted_in_pages(alice, governor, items):
    session = alice.create_session()["session_id"]
    for _ in range(4):  # a batch has 30 indexed sources at most
        alice.fill(session, 15, metadata=CITES["metadata"])
    long = alice.append(session, "x" * 900_000, metadata=CITES["metadata"])["message_id"]
    told = governor.post(PATH).json
    assert (told["checked_messages"], told["redacted_messages"]) == (61, 61)
    assert QUOTE not in stored(items)
    assert alice.get(f"/sessions/{session}/messages/{long}").json["content"] == "x" * 900_000


def test_a_redaction_again_finds_what_came_since(alice, governor):
    say(alice)
    assert governor.post(PATH).json["redacted_messages"] == 1
    assert governor.post(PATH).json["redacted_messages"] == 0
    say(alice)
    told = governor.post(PATH).json
    assert (told["checked_messages"], told["redacted_messages"]) == (2, 1)


def test_the_same_request_gets_the_same_receipt(alice, governor):
    say(alice)
    once = {"Idempotency-Key": "once"}
    first = governor.post(PATH, headers=once).json
    say(alice)
    assert governor.post(PATH, headers=once).json == first
    other = governor.post(PATH, headers={"Idempotency-Key": "other"}).json
    assert other["checked_messages"] == 2


def test_a_source_that_nobody_cites_has_an_empty_receipt(governor):
    told = governor.post(PATH).json
    assert (told["checked_messages"], told["redacted_messages"]) == (0, 0)
    assert told["finished_at"]


def test_a_message_in_many_parts_and_one_that_is_not_the_last(alice, governor):
    session, message = say(alice, content="é" * 500_000)
    alice.append(session)
    assert governor.post(PATH).json["redacted_messages"] == 1
    found = alice.get(f"/sessions/{session}/messages/{message}")
    assert QUOTE not in found.text
    assert found.json["content"] == "é" * 500_000


def test_deleted_and_hidden_messages_are_passed_over(alice, governor, clock, table):
    session, message = say(alice)
    kept = alice.append(session)["message_id"]
    alice.fill(session, 250, metadata=CITES["metadata"])
    assert alice.delete(f"/sessions/{session}/messages?after={kept}").status_code == 200
    other, _ = say(alice)
    assert alice.delete(f"/sessions/{other}").status_code == 200
    told = governor.post(PATH).json
    assert told["redacted_messages"] == 1
    clock.move(seconds=1)
    assert sweep(table, clock).finished
    assert QUOTE not in alice.get(f"/sessions/{session}/messages/{message}").text


def test_it_needs_its_scope_and_a_hash(app, alice, governor):
    auditor = Client(app, make_token("acme", "auditor", scope="sources:audit sessions:write"))
    for person in (alice, auditor):
        problem(person.post(PATH), 403, "INSUFFICIENT_SCOPE")
    for bad in ("x", "0" * 31, "A" * 32, "0" * 33):
        problem(governor.post(f"/tenant/sources/{bad}/redaction"), 404, "SOURCE_NOT_FOUND")
    problem(governor.post(PATH, headers={"Idempotency-Key": "a b"}), 422, "VALIDATION_FAILED")


def test_a_session_that_is_being_made_is_looked_at_again(alice, governor, items, table, clock, raw):
    """A fork that was cut off has the words, too, and may still be shown."""
    session, _ = say(alice)
    fork = alice.post(f"/sessions/{session}/fork", {}, headers={"Idempotency-Key": "f"}).json
    head = {"PK": {"S": "acme#alice"}, "SK": {"S": f"SESSION#{fork['session_id'][5:]}"}}
    staged = {":a": {"S": "staged"}, ":d": {"S": "9999-01-01T00:00:00.000Z"}}
    raw.update_item(
        TableName=table.name,
        Key=head,
        UpdateExpression="SET staged = :a, deleted_at = :d",
        ExpressionAttributeValues=staged,
    )
    first = governor.post(PATH)
    assert (first.status_code, first.json["finished_at"]) == (202, None)
    assert first.headers["Retry-After"]
    assert stored(items).count(QUOTE) == 2, "the summary and the quote of the fork"
    raw.update_item(TableName=table.name, Key=head, UpdateExpression="REMOVE staged, deleted_at")
    clock.move(seconds=61)
    sweep(table, clock)
    assert QUOTE not in stored(items)
    again = governor.post(PATH)
    assert (again.status_code, again.json["redacted_messages"]) == (200, 0)
