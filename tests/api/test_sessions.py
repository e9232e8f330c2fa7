"""Sessions through HTTP: create, list, get, change, delete."""

import json
import re
from uuid import UUID

import pytest

from tests.people import moved, problem


def test_a_new_session_has_the_documented_shape(alice):
    answer = alice.post(
        "/sessions",
        {"domain_id": "civic_complaints_v1", "title": "Potholes", "metadata": {"channel": "web"}},
    )
    assert answer.status_code == 201
    session = answer.json
    assert re.fullmatch(r"sess_[0-9A-HJKMNP-TV-Z]{26}", session["session_id"])
    UUID(session["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", session["created_at"])
    assert session["created_at"] == session["updated_at"] == session["last_activity"]
    assert session == {
        "session_id": session["session_id"],
        "id": session["id"],
        "domain_id": "civic_complaints_v1",
        "title": "Potholes",
        "metadata": {"channel": "web"},
        "key": None,
        "archived": False,
        "pinned": False,
        "message_count": 0,
        "feedback_count": 0,
        "last_message": None,
        "version": 1,
        "settings_version": 1,
        "created_at": session["created_at"],
        "updated_at": session["created_at"],
        "last_activity": session["created_at"],
        "expires_at": None,
        "forked_from": None,
        "imported": False,
    }
    assert answer.headers["ETag"] == f'"{session["session_id"].removeprefix("sess_")}"'
    assert answer.headers["Location"] == f"sessions/{session['session_id']}"


def test_title_and_metadata_have_defaults(alice):
    session = alice.create_session()
    assert session["title"] == "New Session"
    assert session["metadata"] == {}


def test_the_list_shows_latest_activity_first(alice):
    first, second, third = (alice.create_session(title=t)["session_id"] for t in "abc")
    alice.append(first)
    listed = alice.get("/sessions").json
    assert [s["session_id"] for s in listed["sessions"]] == [first, third, second]
    assert listed["sessions"] == [
        {
            name: value
            for name, value in alice.get(f"/sessions/{session_id}?messages=0").json.items()
            if name in listed["sessions"][0]
        }
        for session_id in (first, third, second)
    ]
    assert listed["sessions"][0]["message_count"] == 1
    assert listed["pagination"] == {"page": 1, "limit": 20, "total": 3, "next_cursor": None}


def test_renaming_does_not_count_as_activity(alice):
    first, second = (alice.create_session()["session_id"] for _ in range(2))
    alice.put(f"/sessions/{first}", {"title": "Renamed"})
    listed = alice.get("/sessions").json["sessions"]
    assert [s["session_id"] for s in listed] == [second, first]
    assert listed[1]["title"] == "Renamed"


def test_pages_and_cursors_show_every_session_once(alice):
    made = [alice.create_session(title=str(n))["session_id"] for n in range(23)][::-1]
    by_page = [
        s["session_id"]
        for page in (1, 2, 3)
        for s in alice.get(f"/sessions?page={page}&limit=10").json["sessions"]
    ]
    by_cursor, cursor = [], ""
    while cursor is not None:
        path = f"/sessions?limit=10&cursor={cursor}" if cursor else "/sessions?limit=10"
        answer = alice.get(path).json
        assert answer["sessions"], "no page is empty while more follows"
        assert answer["pagination"]["total"] == 23
        by_cursor += [s["session_id"] for s in answer["sessions"]]
        cursor = answer["pagination"]["next_cursor"]
    assert by_page == by_cursor == made


def test_the_last_full_page_has_no_next_cursor(alice):
    for _ in range(4):
        alice.create_session()
    first = alice.get("/sessions?limit=2").json["pagination"]["next_cursor"]
    last = alice.get(f"/sessions?limit=2&cursor={first}").json
    assert len(last["sessions"]) == 2
    assert last["pagination"] == {"page": None, "limit": 2, "total": 4, "next_cursor": None}


def test_a_page_far_past_the_end_is_empty_and_knows_the_total(alice):
    alice.create_session()
    answer = alice.get("/sessions?page=999999999&limit=100")
    assert answer.status_code == 200
    assert answer.json["sessions"] == []
    assert answer.json["pagination"]["total"] == 1
    assert answer.json["pagination"]["next_cursor"] is None


def test_a_user_without_sessions_has_an_empty_list(alice):
    assert alice.get("/sessions").json == {
        "sessions": [],
        "pagination": {"page": 1, "limit": 20, "total": 0, "next_cursor": None},
    }


def test_getting_a_session_shows_its_messages_oldest_first(alice):
    session_id = alice.create_session()["session_id"]
    sent = [alice.append(session_id, text) for text in ("one", "two", "three")]
    answer = alice.get(f"/sessions/{session_id}")
    assert answer.json["messages"] == sent
    assert answer.json["next_cursor"] is None
    assert answer.json["message_count"] == 3
    assert answer.json["last_activity"] == sent[-1]["timestamp"]
    last = sent[-1]["message_id"].removeprefix("msg_")
    assert answer.headers["ETag"] == f'"{last}"'
    assert answer.json["last_message"]["message_id"] == sent[-1]["message_id"]


def test_put_changes_only_the_members_that_it_names(alice):
    made = alice.create_session(title="Before", metadata={"a": "1"})
    answer = alice.put(f"/sessions/{made['session_id']}", {"title": "After"})
    assert answer.status_code == 200
    assert answer.headers["ETag"] == alice.get(f"/sessions/{made['session_id']}").headers["ETag"]
    changed = {
        "title": "After",
        "version": 2,
        "settings_version": 2,
        "updated_at": answer.json["updated_at"],
    }
    assert answer.json == {**made, **changed}
    cleared = alice.put(f"/sessions/{made['session_id']}", {"metadata": {}}).json
    assert cleared["metadata"] == {}
    assert cleared["title"] == "After"


def test_if_none_match_gives_304_while_nothing_has_changed(alice):
    session_id = alice.create_session()["session_id"]
    path = f"/sessions/{session_id}"
    etag = alice.get(path).headers["ETag"]

    def status(if_none_match):
        return alice.get(path, headers={"If-None-Match": if_none_match}).status_code

    for current in (etag, f"W/{etag}", "*", f'"x", {etag}'):
        assert status(current) == 304
    assert status('"x"') == 200
    alice.append(session_id)
    assert (status(etag), status("*")) == (200, 304)


@pytest.mark.parametrize(
    "if_match",
    [
        '"x"',
        '""',
        'W/"1"',
        '"-1"',
        '"1.0"',
        '"\u00b9"',  # a digit to Python
        *(f'"{"9" * digits}"' for digits in (18, 19, 38, 39, 180)),
        ", ".join(f'"01ARZ3NDEKTSV4RRFFQ69G{number:04}"' for number in range(200)),
    ],
)
def test_tags_that_cannot_be_a_version_match_nothing(alice, if_match):
    session_id = alice.create_session()["session_id"]
    path, headers = f"/sessions/{session_id}", {"If-Match": if_match}
    for answer in (
        alice.put(path, {"title": "New"}, headers=headers),
        alice.post(f"{path}/messages", {"role": "user", "content": "x"}, headers=headers),
        alice.delete(path, headers=headers),
    ):
        assert answer.status_code in (412, 422), answer.text
    assert alice.get(path).json["version"] == 1


def test_deleting_leaves_nothing_and_gives_a_receipt(alice, items):
    session_id = alice.create_session()["session_id"]
    alice.fill(session_id, 60)
    answer = alice.delete(f"/sessions/{session_id}")
    assert answer.status_code == 200
    assert answer.json == {"session_id": session_id, "deleted_messages": 60}
    assert [item["SK"]["S"] for item in items()] == ["USER"]
    assert alice.get("/sessions").json["pagination"]["total"] == 0


def test_deleting_twice_gives_404(alice):
    session_id = alice.create_session()["session_id"]
    assert alice.delete(f"/sessions/{session_id}").status_code == 200
    problem(alice.delete(f"/sessions/{session_id}"), 404, "SESSION_NOT_FOUND")
    problem(alice.get(f"/sessions/{session_id}"), 404, "SESSION_NOT_FOUND")


def test_deleting_one_session_leaves_the_others_whole(alice):
    keep, drop = (alice.create_session()["session_id"] for _ in range(2))
    alice.fill(keep, 3)
    alice.fill(drop, 3)
    alice.delete(f"/sessions/{drop}")
    assert alice.get(f"/sessions/{keep}").json["message_count"] == 3
    assert len(alice.get(f"/sessions/{keep}").json["messages"]) == 3


def test_large_sessions_come_back_complete_and_are_deleted_whole(alice, items):
    """3,000 messages of 2 KB: 6 MB, more than a DynamoDB page (1 MB) and than one answer."""
    session_id = alice.create_session()["session_id"]
    sent = alice.fill(session_id, 3000, size=2000)
    answer = alice.get(f"/sessions/{session_id}")
    assert len(json.dumps(answer.text)) < 6_000_000
    assert answer.json["next_cursor"]
    got = alice.read_all(session_id)
    assert [message["message_id"] for message in got] == sent
    assert [message["content"][:6] for message in got] == [f"{n:06}" for n in range(3000)]
    assert alice.delete(f"/sessions/{session_id}").json["deleted_messages"] == 3000
    assert [item["SK"]["S"] for item in items()] == ["USER"]


BAD_SESSIONS = {
    "no domain_id": {"title": "x"},
    "empty domain_id": {"domain_id": ""},
    "long domain_id": {"domain_id": "x" * 129},
    "number as title": {"domain_id": "d", "title": 5},
    "long title": {"domain_id": "d", "title": "x" * 513},
    "half a pair in the title": {"domain_id": "d", "title": "\ud83d"},
    "title of 1 MB": {"domain_id": "d", "title": "x" * 1_000_000},
    "control character in title": {"domain_id": "d", "title": "a\u0000b"},
    "newline in domain_id": {"domain_id": "d\n"},
    "unknown field": {"domain_id": "d", "session_id": "mine"},
    "metadata is a list": {"domain_id": "d", "metadata": []},
    "metadata is a text": {"domain_id": "d", "metadata": "{}"},
    "long metadata": {"domain_id": "d", "metadata": {"a": "x" * 16_384}},
    "a number as a flag": {"domain_id": "d", "pinned": 1},
    "a text as a flag": {"domain_id": "d", "archived": "true"},
    "empty key": {"domain_id": "d", "key": ""},
    "long key": {"domain_id": "d", "key": "x" * 513},
    "number as a key": {"domain_id": "d", "key": 5},
    "newline in a key": {"domain_id": "d", "key": "a\n"},
    "half a pair in a key": {"domain_id": "d", "key": "\ud83d"},
    "zero days": {"domain_id": "d", "expires_in_days": 0},
    "days as text": {"domain_id": "d", "expires_in_days": "3"},
    "a list": [],
    "null": None,
    "a string": "text",
}


@pytest.mark.parametrize("body", BAD_SESSIONS.values(), ids=BAD_SESSIONS)
def test_a_session_that_does_not_fit_is_refused_and_nothing_written(alice, items, body):
    answer = alice.post("/sessions", data=json.dumps(body))
    assert problem(answer, 422, "VALIDATION_FAILED")["errors"]
    assert items() == []


def test_the_limits_themselves_are_accepted(alice):
    body = {
        "domain_id": "x" * 128,
        "title": "😀" * 512,
        "metadata": {"a": "x" * (16_384 - len('{"a": ""}'))},
        "key": "😀" * 512,
    }
    made = alice.create_session(**body)
    found = alice.get(f"/sessions/{made['session_id']}").json
    assert {name: found[name] for name in body} == body


@pytest.mark.parametrize(
    "query",
    [
        "page=abc",
        "page=0",
        "page=-1",
        "page=1.5",
        "page=%00",
        "page=%D9%A1",
        "page=1_0",
        "page=1&cursor=abc",
        "limit=0",
        "limit=101",
        "limit=100000",
        "limit=",
        "cursor=",
        "cursor=forged",
        "cursor=%F0%9F%98%80",
        "cursor=" + "A" * 2000,
        "limt=5",
    ],
)
def test_a_bad_list_query_is_refused(alice, query):
    alice.create_session()
    answer = alice.get(f"/sessions?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json["code"] in ("VALIDATION_FAILED", "INVALID_CURSOR")


def test_a_cursor_of_another_list_is_refused(alice, bob):
    for person in (alice, bob):
        for _ in range(3):
            person.create_session()
    theirs = bob.get("/sessions?limit=1").json["pagination"]["next_cursor"]
    problem(alice.get(f"/sessions?cursor={theirs}"), 422, "INVALID_CURSOR")


TIME, ULID = "2026-01-01T00:00:00.000Z", "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.mark.parametrize(
    "position",
    ["", "x", ULID, TIME, f"{TIME}#", f"{TIME}#{ULID}~", f" {TIME}#{ULID}", f"{TIME}#" + "0" * 700],
)
def test_a_cursor_without_a_valid_position_is_refused(alice, position):
    for _ in range(3):
        alice.create_session()
    answer = alice.get("/sessions?limit=1").json
    [last], cursor = answer["sessions"], answer["pagination"]["next_cursor"]
    ends_at = f"{last['last_activity']}#{last['session_id'].removeprefix('sess_')}"
    forged = moved(cursor, ends_at, position)
    problem(alice.get(f"/sessions?cursor={forged}"), 422, "INVALID_CURSOR")


@pytest.mark.parametrize("body", [{}, {"title": None}, {"domain_id": "other"}, [], None])
def test_a_change_that_does_not_fit_is_refused(alice, body):
    made = alice.create_session()
    answer = alice.put(f"/sessions/{made['session_id']}", data=json.dumps(body))
    problem(answer, 422, "VALIDATION_FAILED")
    assert alice.get(f"/sessions/{made['session_id']}").json["version"] == 1


@pytest.mark.parametrize(
    "session_id",
    [
        "sess_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "nonsense",
        "sess_",
        "sess_%23",
        "sess_01arz3",
        "%00",
        "😀",
    ],
)
def test_an_id_that_is_not_a_session_is_not_found(alice, session_id):
    for method, body in (("GET", None), ("PUT", {"title": "x"}), ("DELETE", None)):
        answer = alice.request(method, f"/sessions/{session_id}", json=body)
        problem(answer, 404, "SESSION_NOT_FOUND")


@pytest.mark.parametrize(
    "path",
    ["/sessions?confirm=all&confirm=no", "/sessions?confirm=no&confirm=all"],
)
def test_a_repeated_parameter_is_refused(alice, path):
    made = alice.create_session()["session_id"]
    body = problem(alice.delete(path), 422, "VALIDATION_FAILED")
    assert [error["field"] for error in body["errors"]] == ["confirm"]
    assert alice.get(f"/sessions/{made}").status_code == 200
    problem(alice.get("/sessions?limit=1&limit=3"), 422, "VALIDATION_FAILED")
