"""One damaged item affects only itself, and `check` finds it. The tests damage the table."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.grounding.sources import key_hash
from app.operations import check
from tests.people import Client, make_token, problem


def strict(text: str) -> Any:
    """Reads JSON like parsers that are stricter than Python's."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def session_id(alice: Client) -> str:
    made: str = alice.create_session(title="kept")["session_id"]
    return made


@pytest.fixture
def damage(raw: Any, table: Any, items: Callable[[], list[Any]]) -> Callable[..., None]:
    """Sets attributes of the item with this SK, or removes those that are None."""

    def change(sk: str, **attributes: Any) -> None:
        [item] = [item for item in items() if item["SK"]["S"] == sk]
        changed = {**item, **attributes}
        raw.put_item(TableName=table.name, Item={k: v for k, v in changed.items() if v is not None})

    return change


@pytest.fixture
def findings(table: Any, clock: Any) -> Callable[[], list[str]]:
    return lambda: [str(finding) for finding in check.check(table, clock)]


def sk_of(session_id: str, message_id: str | None = None) -> str:
    sk = f"SESSION#{session_id.removeprefix('sess_')}"
    return f"{sk}#MSG#{message_id.removeprefix('msg_')}" if message_id else sk


USUAL = '{"content":"x","metadata":{}}'

TEXTS = {
    "NaN": '{"content":"x","metadata":{"a":NaN}}',
    "Infinity": USUAL.replace("{}", '{"a":[-Infinity]}'),
    "cut": USUAL[:20],
    "cut at the end": USUAL[:-1],
    "empty": "",
    "an empty object": "{}",
    "no JSON": "hello",
    "a list": "[1]",
    "a string": '"x"',
    "null": "null",
    "a comma too many": USUAL[:-1] + ",}",
    "a blank before it": " " + USUAL,
    "two": '{"role":"user"}{"role":"user"}',
    "a name twice": '{"role":"user","role":"user"}',
    "by another program": '{"role": "user", "content": "x" "metadata": {}}',
    "too deep": '{"role":' + "[" * 100_000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_damaged_text_affects_only_its_message(alice, session_id, damage, findings, text):
    first, second, third = (alice.append(session_id, content) for content in "abc")
    damage(sk_of(session_id, second["message_id"]), body={"S": text} if text else None)
    path = f"/sessions/{session_id}"
    answer = alice.get(path)
    assert answer.status_code == 200
    assert strict(answer.text)["messages"] == [first, third]
    for query, wanted in (
        ("", [first, third]),
        ("?order=desc", [third, first]),
        ("?limit=1", [first]),
        (f"?after={first['message_id']}", [third]),
    ):
        page = alice.get(f"{path}/messages{query}")
        assert strict(page.text)["messages"] == wanted
    problem(alice.get(f"{path}/messages/{second['message_id']}"), 404, "MESSAGE_NOT_FOUND")
    assert alice.append(session_id, "d")["content"] == "d"
    [finding] = findings()
    assert sk_of(session_id, second["message_id"]) in finding
    assert alice.delete(path).json["deleted_messages"] == 4
    assert alice.get("/sessions").json["pagination"]["total"] == 0


def test_a_name_twice_in_the_usual_form_is_found_by_check(alice, session_id, damage, findings):
    """The library used to write this for the names 1 and "1"."""
    message = alice.append(session_id)
    sk = sk_of(session_id, message["message_id"])
    damage(sk, body={"S": USUAL.replace("{}", '{"1":"a","1":"b"}')})
    [finding] = findings()
    assert "a name appears twice" in finding
    assert alice.get(f"/sessions/{session_id}").status_code == 200


@pytest.mark.parametrize(
    "attributes",
    [{"body": None}, {"parts": None}, {"parts": {"S": "three"}}, {"body": {"BOOL": True}}],
)
def test_a_damaged_part_affects_only_its_message(alice, session_id, damage, findings, attributes):
    first = alice.append(session_id, "a")
    large = alice.append(session_id, "x" * 900_000)
    last = alice.append(session_id, "c")
    for part in ("", "#01"):
        damage(sk_of(session_id, large["message_id"]) + part, **attributes)
    assert strict(alice.get(f"/sessions/{session_id}").text)["messages"] == [first, last]
    assert any(large["message_id"].removeprefix("msg_") in finding for finding in findings())


def test_an_unknown_key_affects_nothing(alice, session_id, raw, table):
    message = alice.append(session_id, "a")
    for end in ("#MSG", "#MSG#", "#MSG#x", "#FOO", "#MSG#" + "7" + "Z" * 25):
        item = {"PK": {"S": "acme#alice"}, "SK": {"S": sk_of(session_id) + end}}
        said = {"body": {"S": USUAL}, "message_role": {"S": "user"}, "created_by": {"S": "x"}}
        raw.put_item(TableName=table.name, Item={**item, **said})
    path = f"/sessions/{session_id}"
    assert strict(alice.get(path).text)["messages"] == [message]
    assert strict(alice.get(f"{path}/messages").text)["messages"] == [message]


HEADS: dict[str, dict[str, Any]] = {
    "no title": {"title": None},
    "no domain": {"domain_id": None},
    "no settings version": {"settings_version": None},
    "broken metadata": {"metadata": {"S": '{"a":'}},
    "metadata with NaN": {"metadata": {"S": '{"a":NaN}'}},
    "metadata is a list": {"metadata": {"S": "[]"}},
    "no version": {"version": None},
    "no count": {"message_count": None},
    "half a count": {"message_count": {"N": "0.5"}},
    "a count of text": {"message_count": {"S": "many"}},
    "no last id": {"last_ulid": None},
    "no change": {"changed": None},
    "a title that is none": {"title": {"BOOL": True}},
}


@pytest.mark.parametrize("attributes", HEADS.values(), ids=HEADS)
def test_a_damaged_session_affects_only_itself(alice, session_id, damage, findings, attributes):
    other = alice.create_session(title="damaged")["session_id"]
    message = alice.append(other, "still there")
    damage(sk_of(other), **attributes)
    listed = alice.get("/sessions")
    assert listed.status_code == 200
    shown = {session["session_id"] for session in strict(listed.text)["sessions"]}
    assert shown == {session_id}
    page = alice.get("/sessions?limit=1").json
    assert [s["session_id"] for s in page["sessions"]] == [session_id]
    assert page["pagination"]["next_cursor"] is None
    for headers in ({}, {"If-None-Match": '"9"'}):
        problem(alice.get(f"/sessions/{other}", headers=headers), 500, "SESSION_DAMAGED")
    assert alice.get(f"/sessions/{other}/messages").json["messages"] == [message]
    assert alice.get(f"/sessions/{session_id}").status_code == 200
    assert [finding for finding in findings() if sk_of(other) in finding]
    assert alice.delete(f"/sessions/{other}").status_code == 200
    assert [s["session_id"] for s in alice.get("/sessions").json["sessions"]] == [session_id]


def test_a_damaged_session_is_left_out_of_the_list_and_logged(alice, session_id, damage, logged):
    damage(sk_of(session_id), title=None)
    logged.clear()
    assert alice.get("/sessions").json["sessions"] == []
    [line] = [line for line in logged if line["message"] == "damaged item"]
    assert (line["partition"], line["sk"]) == ("acme#alice", sk_of(session_id))


def test_a_session_without_metadata_has_none(alice, damage, findings):
    """An empty object is not stored."""
    session_id = alice.create_session(metadata={"a": "b"})["session_id"]
    damage(sk_of(session_id), metadata=None)
    [row] = alice.get("/sessions").json["sessions"]
    assert row["metadata"] == alice.get(f"/sessions/{session_id}").json["metadata"] == {}
    assert findings() == []


UNORDERED: dict[str, dict[str, Any]] = {
    "no last id": {"last_ulid": None},
    "a last id that is none": {"last_ulid": {"S": "x"}},
    "a last id that is a number": {"last_ulid": {"N": "5"}},
    "a size of text": {"last_count": {"S": "many"}},
}


@pytest.mark.parametrize("attributes", UNORDERED.values(), ids=UNORDERED)
def test_the_messages_of_a_session_whose_order_is_damaged_can_be_listed(
    alice, session_id, damage, findings, attributes
):
    first, *more = (alice.append(session_id, content) for content in "abc")
    damage(sk_of(session_id), **attributes)
    path = f"/sessions/{session_id}"
    for query, wanted in (
        ("", [first, *more]),
        ("?order=desc", [*reversed(more), first]),
        ("?limit=1", [first]),
        ("?order=desc&limit=1", more[-1:]),
        (f"?after={first['message_id']}", more),
    ):
        assert alice.get(f"{path}/messages{query}").json["messages"] == wanted
    assert alice.get(f"{path}/messages/{first['message_id']}").json == first
    nothing = alice.get(f"{path}/messages/{session_id.replace('sess', 'msg')}")
    problem(nothing, 404, "MESSAGE_NOT_FOUND")
    if "last_ulid" in attributes:
        added = alice.post(f"{path}/messages", {"role": "user", "content": "d"})
        problem(added, 500, "SESSION_DAMAGED")
    assert [finding for finding in findings() if sk_of(session_id) in finding]
    assert alice.delete(path).status_code == 200


def test_an_append_to_a_session_whose_expiry_is_damaged_ends_at_once(
    session_id, damage, far_alice, proxy
):
    """Its condition can never hold. It was tried until the request's time was over."""
    damage(sk_of(session_id), expires_at={"N": "5"})
    added = far_alice.post(f"/sessions/{session_id}/messages", {"role": "user", "content": "d"})
    problem(added, 500, "SESSION_DAMAGED")
    assert len(proxy.calls) < 5


def test_a_damaged_session_does_not_stop_an_erasure(alice, session_id, damage, items):
    other = alice.create_session()["session_id"]
    damage(sk_of(other), message_count=None, title=None)
    assert alice.delete("/sessions?confirm=all").status_code == 200
    assert items() == []


def test_messages_without_their_session_are_not_found(alice, session_id, raw, table):
    alice.append(session_id)
    key = {"PK": {"S": "acme#alice"}, "SK": {"S": sk_of(session_id)}}
    raw.delete_item(TableName=table.name, Key=key)
    problem(alice.get(f"/sessions/{session_id}"), 404, "SESSION_NOT_FOUND")


def test_check_prints_no_content(alice, damage, findings):
    session_id = alice.create_session(title="a secret")["session_id"]
    message = alice.append(session_id)
    damage(sk_of(session_id, message["message_id"]), body={"S": '{"role":"a secret","b":NaN'})
    damage(sk_of(session_id), metadata={"S": '{"a secret":'})
    found = findings()
    assert len(found) == 2
    assert "secret" not in "".join(found)


@pytest.mark.parametrize("which", [0, 1, 2], ids=["first", "middle", "last"])
def test_a_damaged_message_of_the_newest_batch_hides_no_other(alice, session_id, damage, which):
    """A reader stops before a message that is not visible yet. A damaged one is not that."""
    path = f"/sessions/{session_id}/messages"
    sent = alice.fill(session_id, 3)
    damage(sk_of(session_id, sent[which]), body={"S": "hello"})
    rest = [message_id for message_id in sent if message_id != sent[which]]
    for order, expected in (("asc", rest), ("desc", rest[::-1])):
        page = alice.get(f"{path}?order={order}").json
        assert [message["message_id"] for message in page["messages"]] == expected
        assert page["next_cursor"] is None
        first = alice.get(f"{path}?order={order}&limit=1").json
        assert first["messages"][0]["message_id"] == expected[0]
        second = alice.get(f"{path}?order={order}&cursor={first['next_cursor']}").json
        assert [message["message_id"] for message in second["messages"]] == expected[1:]
    whole = alice.get(f"/sessions/{session_id}").json
    assert [message["message_id"] for message in whole["messages"]] == rest
    assert whole["next_cursor"] is None


DERIVED = {
    "no request": '{"content":"x","grounding":{},"metadata":REFERENCES}',
    "a grounding that is a number": '{"content":"x","grounding":5,"metadata":REFERENCES}',
    "a format that is a list": '{"content":"x","format":["a"],"native":{},"metadata":REFERENCES}',
    "a name twice": '{"content":"a","content":"b","metadata":REFERENCES}',
    "a name twice inside": '{"content":{"a":1,"a":2},"metadata":REFERENCES}',
}


@pytest.mark.parametrize("text", DERIVED.values(), ids=DERIVED)
def test_what_is_derived_of_other_messages_is_shown(app, alice, session_id, damage, text):
    """The text begins and ends like others, so nobody has noticed the damage yet."""
    references = {"references": [{"reference_id": "rules", "quote": "Quiet hours"}]}
    damaged, sound = (alice.append(session_id, "x", metadata=references) for _ in range(2))
    text = text.replace("REFERENCES", json.dumps(references, separators=(",", ":")))
    damage(sk_of(session_id, damaged["message_id"]), body={"S": text})
    path = f"/sessions/{session_id}"
    for address in (
        f"{path}?include=grounding",
        f"{path}?view=neutral",
        f"{path}/messages?view=neutral&include=grounding",
        f"{path}/messages/{damaged['message_id']}?include=grounding",
        f"{path}/messages/{damaged['message_id']}/grounding",
        f"{path}/grounding",
    ):
        assert alice.get(address).status_code == 200, address
    cited = alice.get(f"{path}/grounding").json["citations"]
    assert sound["message_id"] in [each["message_id"] for each in cited]
    governor = Client(app, make_token("acme", "governor", scope="sources:govern"))
    redacted = governor.post(f"/tenant/sources/{key_hash('doc:rules')}/redaction")
    assert (redacted.status_code, redacted.json["checked_messages"]) == (200, 2)
    assert "Quiet" not in alice.get(f"{path}/messages/{sound['message_id']}").text
