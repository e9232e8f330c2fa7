"""A session's settings: title, metadata and flags, and versions that keep writers apart."""

import json
from threading import Event, Thread

import pytest

from app.operations.check import check
from tests.people import problem

LONG = {"k": "x" * 500, "n": 1}


@pytest.fixture(autouse=True)
def _nothing_is_damaged(table, clock):
    yield
    assert list(check(table, clock)) == []


@pytest.fixture
def path(session_id):
    return f"/sessions/{session_id}"


def patch(client, path, body, **options):
    data = body if isinstance(body, str) else json.dumps(body)
    return client.request("PATCH", path, data=data, **options)


TITLES = {
    "two\nlines": "two lines",
    "tab\tand\r\nline": "tab and line",
    "vertical\vform\ffeed": "vertical form feed",
    "line\u2028paragraph\u2029next\u0085": "line paragraph next ",
    "x" * 512: "x" * 512,
    "": "",
    "\n": " ",
}


@pytest.mark.parametrize("sent", TITLES, ids=repr)
def test_line_breaks_in_a_title_become_blanks(alice, path, sent):
    assert alice.create_session(title=sent)["title"] == TITLES[sent]
    for answer in (alice.put(path, {"title": sent}), patch(alice, path, {"title": sent})):
        assert answer.json["title"] == TITLES[sent]
    assert alice.get(path).json["title"] == TITLES[sent]


@pytest.mark.parametrize("title", ["x" * 513, "a\x00", "a\x7f", "\ud83d", 5, ["a"]])
def test_other_titles_are_refused(alice, path, items, title):
    before = items()
    for answer in (
        alice.put(path, data=json.dumps({"title": title})),
        patch(alice, path, {"title": title}),
    ):
        problem(answer, 422, "VALIDATION_FAILED")
    assert items() == before


METADATA = [
    '{"x": 1E5 , "y":{"z":-0}, "big":123456789012345678901234567890.5}',
    '{"half":"\\ud83d","nul":"\\u0000"}',
    '{"long":"' + "é" * 300 + '", "n" : 1.50}',
    "{ }",
    '{"a":null,"b":[],"c":{"d":[1,{"e":true}]}}',
    '{"most":"' + "x" * (16_384 - len('{"most":""}')) + '"}',
]


@pytest.mark.parametrize("text", METADATA, ids=lambda text: text[:20])
def test_metadata_is_kept_as_it_was_sent(alice, path, text):
    made = alice.post("/sessions", data=f'{{"domain_id":"d","metadata":{text}}}')
    assert f'"metadata":{text},' in made.text
    put = alice.put(path, data=f'{{"metadata":{text}}}')
    for answer in (
        put,
        *(alice.get(f"{path}{query}") for query in ("", "?messages=0", "?messages=2")),
    ):
        assert f'"metadata":{text},' in answer.text
    assert alice.put(path, {"metadata": {}}).json["metadata"] == {}


def test_long_metadata_is_not_in_the_item_that_appends_write(alice, path, session_id, items):
    alice.put(path, {"metadata": LONG})
    alice.append(session_id)
    [head] = [item for item in items() if item["SK"]["S"] == f"SESSION#{session_id[5:]}"]
    assert "metadata" not in head
    assert alice.get(path).json["metadata"] == LONG
    [row] = alice.get("/sessions").json["sessions"]
    assert (row["metadata"], row["metadata_omitted"]) == (None, True)
    assert alice.put(path, {"title": "t"}).json["metadata"] == LONG
    assert alice.put(path, {"metadata": {"a": 1}}).json["metadata"] == {"a": 1}
    assert not [item for item in items() if item["SK"]["S"].endswith("#INFO")]
    [row] = alice.get("/sessions").json["sessions"]
    assert (row["metadata"], "metadata_omitted" in row) == ({"a": 1}, False)


@pytest.mark.parametrize("before", [{}, {"a": 1}, LONG])
def test_a_patch_merges_and_a_put_replaces(alice, path, before):
    alice.put(path, {"metadata": before})
    answer = patch(alice, path, {"metadata": {"a": {"b": 1}, "n": None}, "title": "New"})
    assert answer.status_code == 200
    merged = {name: value for name, value in before.items() if name not in "an"}
    assert answer.json["metadata"] == {**merged, "a": {"b": 1}}
    assert answer.json["title"] == "New"
    assert alice.get(path).json["metadata"] == answer.json["metadata"]
    assert patch(alice, path, {"metadata": None}).json["metadata"] == {}


def test_a_patch_keeps_the_text_of_what_it_does_not_touch(alice, path):
    alice.put(path, data='{"metadata":{"a": 1E5, "b":{"c": 1.50,"d":2}}}')
    kind = {"Content-Type": "application/merge-patch+json"}
    answer = patch(alice, path, '{"metadata":{"b":{"d":null,"e":-0}}}', headers=kind)
    assert '"metadata":{"a":1E5,"b":{"c":1.50,"e":-0}}' in answer.text


def test_a_merge_is_bounded_like_the_metadata_itself(alice, path):
    alice.put(path, {"metadata": {"a": "x" * 10_000}})
    answer = patch(alice, path, {"metadata": {"b": "x" * 10_000}})
    [error] = problem(answer, 422, "VALIDATION_FAILED")["errors"]
    assert "16,384" in error["message"]


def test_patches_at_once_are_all_merged(alice, path):
    def merge(n):
        while patch(alice, path, {"metadata": {str(n): n}}).status_code == 409:
            pass

    threads = [Thread(target=merge, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alice.get(path).json["metadata"] == {str(n): n for n in range(6)}


@pytest.mark.parametrize("flag", ["archived", "pinned"])
def test_flags_are_set_and_cleared(alice, path, flag):
    assert alice.create_session(**{flag: True})[flag] is True
    for value in (True, False, True):
        assert alice.put(path, {flag: value}).json[flag] is value
        assert alice.get(path).json[flag] is value
    assert patch(alice, path, {flag: False}).json[flag] is False
    assert alice.put(path, {flag: None, "title": "t"}).json[flag] is False


def test_a_guarded_rename_holds_while_messages_arrive(alice, session_id, path):
    """Messages do not change the settings' version."""
    stop = Event()

    def write():
        while not stop.is_set():
            alice.append(session_id)

    writer = Thread(target=write)
    writer.start()
    try:
        for n in range(20):
            seen = alice.get(f"{path}?messages=0").json["settings_version"]
            answer = alice.put(path, {"title": f"{n}", "if_settings_version": seen})
            assert (answer.status_code, answer.json["title"]) == (200, f"{n}")
    finally:
        stop.set()
        writer.join()


def test_a_rename_by_somebody_else_is_not_overwritten(alice, path):
    seen = alice.get(path).json["settings_version"]
    assert alice.put(path, {"title": "the user's"}).status_code == 200
    for method in ("PUT", "PATCH"):
        body = {"title": "automatic", "if_settings_version": seen}
        answer = alice.request(method, path, json=body)
        problem(answer, 412, "SETTINGS_CHANGED", settings_version=seen + 1)
        body = {"metadata": {"a": 1}, "if_settings_version": seen}
        answer = alice.request(method, path, json=body)
        problem(answer, 412, "SETTINGS_CHANGED", settings_version=seen + 1)
    assert alice.get(path).json["title"] == "the user's"


@pytest.mark.parametrize("change", [{"expires_in_days": 3}, {"pinned": True}, {"metadata": LONG}])
def test_every_setting_counts(alice, path, change):
    before = alice.get(path).json
    after = alice.put(path, change).json
    assert after["settings_version"] == before["settings_version"] + 1
    assert after["version"] == before["version"] + 1


@pytest.mark.parametrize("body", [{"if_settings_version": 1}, {"title": None}, {}])
def test_a_change_of_nothing_is_refused(alice, path, items, body):
    before = items()
    for method in ("PUT", "PATCH"):
        problem(alice.request(method, path, json=body), 422, "VALIDATION_FAILED")
    assert items() == before


# Opening a session


def test_the_last_messages_are_shown_with_a_way_to_the_earlier_ones(alice, session_id, path):
    sent = alice.fill(session_id, 25)
    opened = alice.get(f"{path}?messages=10").json
    assert [m["message_id"] for m in opened["messages"]] == sent[-10:]
    assert (opened["next_cursor"], opened["message_count"]) == (None, 25)
    earlier = f"{path}/messages?order=desc&limit=100&cursor={opened['earlier_cursor']}"
    assert [m["message_id"] for m in alice.get(earlier).json["messages"]] == sent[-11::-1]
    assert alice.get(f"{path}?messages=25").json["earlier_cursor"] is None


def test_the_session_alone_is_shown(alice, session_id, path):
    alice.fill(session_id, 3)
    alone, whole = alice.get(f"{path}?messages=0"), alice.get(path)
    assert alone.json == {**whole.json, "messages": []}
    assert alone.headers["ETag"] == whole.headers["ETag"]


@pytest.mark.parametrize("query", ["messages=-1", "messages=1001", "messages=x", "limit=5", "x=1"])
def test_other_parameters_are_refused(alice, path, query):
    problem(alice.get(f"{path}?{query}"), 422, "VALIDATION_FAILED")


@pytest.mark.parametrize("query", ["", "?messages=0", "?messages=2"])
def test_an_unchanged_session_is_304(alice, session_id, path, query):
    alice.append(session_id)
    etag = alice.get(f"{path}{query}").headers["ETag"]
    answer = alice.get(f"{path}{query}", headers={"If-None-Match": etag})
    assert answer.status_code == 304


def test_every_change_tells_the_sessions_new_etag(alice, session_id, path):
    message = alice.append(session_id)["message_id"]
    one = f"{path}/messages/{message}"
    said = {"role": "user", "content": "x"}
    for method, address, body in (
        ("POST", f"{path}/messages", said),
        ("POST", f"{path}/messages/batch", {"messages": [said, said]}),
        ("PUT", one, {"content": "y"}),
        ("PUT", one, {"status": "interrupted"}),
        ("PUT", f"{one}/feedback", {"rating": "up"}),
        ("PUT", f"{one}/feedback", {"rating": "down"}),
        ("DELETE", f"{one}/feedback", None),
        ("DELETE", one, None),
        ("POST", f"{path}/messages/pop", {}),
        ("POST", f"{path}/messages/replace", {"all": True, "messages": [said]}),
        ("DELETE", f"{path}/messages?all=true", None),
    ):
        before = alice.get(path).headers["ETag"]
        answer = alice.request(method, address, json=body)
        assert answer.status_code in (200, 201), answer.text
        current = alice.get(path).headers["ETag"]
        assert answer.headers["Session-ETag"] == current > before, (method, address)
    for method, body in (("PUT", {"title": "t"}), ("PATCH", {"metadata": LONG})):
        answer = alice.request(method, path, json=body)
        assert answer.headers["ETag"] == alice.get(path).headers["ETag"]
