"""A session with a key is deleted and made again while another request is at work on it."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.config import Config
from app.factory import create_app
from app.operations.sweep import sweep
from app.table import db, ids
from tests.faults.proxy import Exchange, Proxy, always, nothing, throttled
from tests.people import SECRET, Client, problem

KEY = "user_123"
ID = "sess_40ZEGAW728WEBRWGZ4XZ1PBRAE"
PATH = f"/sessions/{ID}"
ONCE = {"Idempotency-Key": "once"}
NEW = {"domain_id": "d", "key": KEY}


def said(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def make(alice: Client, name: str, **body: Any) -> None:
    """Makes the session, with every kind of item. Whatever is left of an old one is removed."""
    body = {**NEW, "title": name, "metadata": {"notes": name * 300}, **body}
    made = alice.post("/sessions", body)
    assert (made.status_code, made.json["title"]) == (201, name)
    assert alice.post(f"{PATH}/messages", said(name), headers=ONCE).status_code == 201
    alice.post(f"{PATH}/messages/batch", {"messages": [said(name), said(name)]})
    rated = alice.append(ID, name)["message_id"]
    assert alice.put(f"{PATH}/messages/{rated}/feedback", {"rating": 1}).status_code == 200


def assert_whole(alice: Client, name: str) -> None:
    shown = alice.get(PATH).json
    assert (shown["title"], shown["metadata"]) == (name, {"notes": name * 300})
    assert [m["content"] for m in shown["messages"]] == [name] * 4
    assert shown["feedback_count"] == len(shown["messages"][-1]["feedback"]) == 1
    replay = alice.post(f"{PATH}/messages", said(name), headers=ONCE)
    assert replay.headers.get("Idempotent-Replayed") == "true"


@pytest.fixture
def host_ahead(table: db.Table, clock: Any, alice: Client) -> Client:
    """Alice, on a host whose clock is ahead. The ids of other hosts then follow its ids."""
    config = Config(sessions_table=table.name, jwt_secret=SECRET)
    ulids = ids.UlidSource(lambda: clock() + 50_000)
    return Client(create_app(config, table=table, ulids=ulids), alice.token)


@pytest.fixture
def at_each_call(proxy: Proxy) -> Callable[..., Iterator[Callable[[], bool]]]:
    """For each call of a request, a round in which `meanwhile` happens before that call. `ended`
    returns whether the request made fewer calls."""

    def rounds(meanwhile: Callable[[], None], least: int = 2) -> Iterator[Callable[[], bool]]:
        for number in itertools.count(1):
            met: list[bool] = []

            def overtake(exchange: Exchange, met: list[bool] = met) -> None:
                proxy.plan = nothing
                met.append(True)
                meanwhile()
                exchange.forward()

            proxy.forget()
            proxy.plan = lambda call, n=number, fault=overtake: fault if call.number == n else None
            yield lambda met=met: not met
            proxy.plan = nothing
            if not met:
                assert number > least
                return

    return rounds


def delete(alice: Client, table: db.Table, clock: Any) -> None:
    alice.delete(PATH)


def delete_all(alice: Client, table: db.Table, clock: Any) -> None:
    alice.delete("/sessions?confirm=all")


def make_room(alice: Client, table: db.Table, clock: Any) -> None:
    alice.post("/sessions", {**NEW, "title": "new"})


def make_room_for_a_batch(alice: Client, table: db.Table, clock: Any) -> None:
    session = {**NEW, "title": "new"}
    alice.post(f"{PATH}/messages/batch", {"messages": [said("late")], "session": session})


def sweeping(alice: Client, table: db.Table, clock: Any) -> None:
    sweep(table, clock)


@pytest.mark.parametrize("ahead", [False, True], ids=["", "ahead"])
@pytest.mark.parametrize("remove", [delete, delete_all, make_room, make_room_for_a_batch, sweeping])
def test_a_late_remover_of_the_old_session_touches_nothing_of_the_new(
    remove, ahead, alice, far_alice, far_table, host_ahead, clock, at_each_call, assert_sound
):
    """The new one is made after the mark of the old, so only what is removed later could be its."""
    marked_before = remove in (delete, delete_all)

    def again() -> None:
        alice.delete(PATH)
        make(alice, "new")

    for number, ended in enumerate(at_each_call(again), 1):
        make(host_ahead if ahead else alice, "old", expires_in_days=1)
        if not marked_before:
            clock.move(days=2)
        remove(far_alice, far_table, clock)
        if not ended():
            assert_sound()
            shown = alice.get(PATH)
            if shown.status_code == 404:  # it began with the new one, and removed that wholly
                assert marked_before
                # An erasure looks for values first, then notes which sessions it covers.
                assert number <= (2 if remove is delete_all else 1)
            elif remove is make_room_for_a_batch:
                contents = [message["content"] for message in shown.json["messages"]]
                assert contents == ["new"] * 4 + ["late"]
            else:
                assert_whole(alice, "new")
        alice.delete(PATH)
        assert_sound()
        assert alice.get("/sessions").json["pagination"]["total"] == 0


@pytest.mark.parametrize("remove", [delete, sweeping])
def test_a_late_remover_of_a_fork_leaves_the_next_fork_whole(
    remove, alice, far_alice, far_table, clock, at_each_call, assert_sound
):
    """Forks keep the ids of their messages, so these come back."""
    source = alice.create_session()["session_id"]
    sent = alice.fill(source, 30)

    def fork() -> None:
        made = alice.post(f"/sessions/{source}/fork", {"key": KEY})
        assert (made.status_code, made.json["session_id"]) == (201, ID)

    def again() -> None:
        alice.delete(PATH)
        fork()

    for ended in at_each_call(again):
        fork()
        if remove is sweeping:
            alice.put(PATH, {"expires_in_days": 1})
            clock.move(days=2)
        remove(far_alice, far_table, clock)
        if not ended() and alice.get(PATH).status_code == 200:
            assert [m["message_id"] for m in alice.get(PATH).json["messages"]] == sent
        assert_sound()
        alice.delete(PATH)


def test_the_rest_of_an_old_cut_is_not_looked_for_in_the_new_session(
    alice, far_table, clock, at_each_call, assert_sound
):
    """The sweep removes the hidden messages of the old one; the new one has a cut, too."""

    def cut(name: str) -> None:
        alice.post("/sessions", {**NEW, "title": name})
        sent = alice.fill(ID, 250)
        assert alice.delete(f"{PATH}/messages?from={sent[5]}").status_code in (200, 202)

    def again() -> None:
        alice.delete(PATH)
        cut("new")

    for ended in at_each_call(again):
        cut("old")
        sweep(far_table, clock)
        shown = alice.get(PATH).json
        assert (shown["title"], shown["message_count"]) == ("old" if ended() else "new", 5)
        assert len(shown["messages"]) == 5
        assert_sound()
        sweep(alice.app.extensions["session_store"].table, clock)
        assert_sound()
        alice.delete(PATH)


READS = {
    "session": PATH,
    "last": f"{PATH}?messages=2",
    "no messages": f"{PATH}?messages=0",
    "page": f"{PATH}/messages",
    "short page": f"{PATH}/messages?limit=2",
    "descending": f"{PATH}/messages?limit=3&order=desc",
    "message": f"{PATH}/messages/{{}}",
}


@pytest.mark.parametrize("read", READS)
def test_no_answer_has_something_of_both(read, alice, far_alice, host_ahead, at_each_call):
    def again() -> None:
        alice.delete(PATH)
        make(alice, "new")

    rounds = 0
    for _ in at_each_call(again, least=1):
        make(host_ahead, "old")
        message = alice.get(PATH).json["messages"][1]["message_id"]
        answer = far_alice.get(READS[read].format(message))
        assert answer.status_code in (200, 404)
        if answer.status_code == 200:
            told = {name for name in ("old", "new") if name in answer.text}
            assert len(told) == 1, answer.text
            if "messages" in answer.json and read in ("session", "page"):
                assert len(answer.json["messages"]) == 4
        alice.delete(PATH)
        rounds += 1
    assert rounds > 1


WRITES = {
    "append": ("POST", "/messages", said("late"), {"If-Match": "{etag}"}),
    "put": ("PUT", "", {"title": "late"}, {"If-Match": "{etag}"}),
    "patch": ("PATCH", "", {"metadata": {"late": 1}, "if_settings_version": 2}, {}),
    "delete": ("DELETE", "", None, {"If-Match": "{etag}"}),
    "edit": ("PUT", "/messages/{message}", {"content": "late"}, {}),
    "status": ("PUT", "/messages/{message}", {"status": "interrupted"}, {}),
    "delete one": ("DELETE", "/messages/{message}", None, {}),
    "cut": ("DELETE", "/messages?from={message}", None, {}),
    "pop": ("POST", "/messages/pop", {"count": 1}, {"If-Match": "{etag}"}),
    "rate": ("PUT", "/messages/{message}/feedback", {"rating": 5}, {}),
    "after": ("POST", "/messages?after={last}", said("late"), {}),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_late_writer_of_the_old_session_changes_nothing_of_the_new(
    write, alice, far_alice, host_ahead, at_each_call, assert_sound
):
    """Each says by an ETag or an id what it means."""

    def again() -> None:
        alice.delete(PATH)
        make(alice, "new")

    method, path, body, headers = WRITES[write]
    for ended in at_each_call(again, least=1):
        make(host_ahead, "old")
        assert alice.put(PATH, {"pinned": True}).json["settings_version"] == 2
        shown = alice.get(PATH)
        names = {
            "etag": shown.headers["ETag"],
            "message": shown.json["messages"][1]["message_id"],
            "last": shown.json["messages"][-1]["message_id"],
        }
        answer = far_alice.request(
            method,
            (PATH + path).format(**names),
            json=body,
            headers={name: value.format(**names) for name, value in headers.items()},
        )
        if not ended():
            assert answer.status_code in (404, 412) or write == "delete", answer.text
            assert_whole(alice, "new")
        assert_sound()
        alice.delete(PATH)


@pytest.mark.parametrize("old", ["none", "expired", "marked"])
def test_two_that_make_the_session_at_once_make_one(
    old, alice, far_alice, hurried_alice, proxy, clock, at_each_call, assert_sound
):
    def batch(content: str) -> dict[str, Any]:
        return {"messages": [said(content)], "session": {**NEW, "title": content}}

    def other() -> None:
        assert alice.post(f"{PATH}/messages/batch", batch("other")).status_code == 201

    for ended in at_each_call(other, least=1):
        plan, proxy.plan = proxy.plan, nothing
        if old != "none":
            make(alice, "old", expires_in_days=1)
            clock.move(days=2 if old == "expired" else 0)
        if old == "marked":
            proxy.plan = always(throttled, "Query")
            assert hurried_alice.delete(PATH).status_code == 202
        proxy.forget()
        proxy.plan = plan
        assert far_alice.post(f"{PATH}/messages/batch", batch("mine")).status_code == 201
        shown = alice.get(PATH).json
        expected = {"mine"} if ended() else {"mine", "other"}
        assert {message["content"] for message in shown["messages"]} == expected
        assert shown["message_count"] == len(expected)
        assert shown["title"] == shown["messages"][0]["content"]
        assert_sound()
        alice.delete(PATH)
        assert alice.get("/sessions").json["pagination"]["total"] == 0


@pytest.mark.parametrize("ahead", [0, 50])
def test_the_ids_of_the_new_session_are_above_those_of_the_old(ahead, alice, host_ahead, clock):
    """Also if the old one's writers were ahead, and this host is behind."""
    writer = host_ahead if ahead else alice
    clock.freeze()
    ends = []
    for number in range(3):
        (alice if number else writer).post("/sessions", NEW)
        first = writer.append(ID)["message_id"]
        ends += [first, writer.append(ID)["message_id"]]
        assert alice.get(PATH).json["created_at"] <= alice.get(PATH).json["last_activity"]
        alice.delete(PATH)
    assert ends == sorted(set(ends))


def test_a_damaged_session_with_a_key_does_not_spoil_the_ids_of_others(
    alice, raw, table, items, assert_sound
):
    alice.create_session(key=KEY)
    alice.append(ID)
    [key] = [
        {"PK": item["PK"], "SK": item["SK"]} for item in items() if item["SK"]["S"].endswith(ID[5:])
    ]
    for value in ({"S": "7EZ91ZQ" + "0" * 19}, {"S": "~"}, {"N": "1"}, {"BOOL": True}):
        raw.update_item(
            TableName=table.name,
            Key=key,
            UpdateExpression="SET last_ulid = :damaged",
            ExpressionAttributeValues={":damaged": value},
        )
        assert alice.delete(PATH).status_code == 200
        assert [item["SK"]["S"] for item in items()] == ["USER"]
        made = alice.create_session(key=KEY)
        assert made["created_at"] < "2100"
        assert_sound()


def test_the_same_batch_twice_at_once_makes_no_second_session(
    alice, far_alice, at_each_call, assert_sound
):
    """The other one makes the session, which is deleted before this one gets to it."""
    path, body = f"{PATH}/messages/batch", {"messages": [said("a")], "session": NEW}

    def other() -> None:
        assert alice.post(path, body, headers={"Idempotency-Key": key}).status_code == 201
        alice.delete(PATH)

    for number, ended in enumerate(at_each_call(other, least=1), 1):
        key = f"key-{number}"
        answer = far_alice.post(path, body, headers={"Idempotency-Key": key})
        assert answer.status_code == (201 if ended() else 410)
        assert alice.get("/sessions").json["pagination"]["total"] == ended()
        assert_sound()
        alice.delete(PATH)


def test_a_retry_of_a_fork_that_is_gone_is_not_answered_with_another_one(alice):
    source = alice.create_session()["session_id"]
    alice.append(source)
    path, body = f"/sessions/{source}/fork", {"key": KEY}
    assert alice.post(path, body, headers=ONCE).status_code == 201
    alice.delete(PATH)
    assert alice.post(path, body).status_code == 201
    problem(alice.post(path, body, headers=ONCE), 410, "GONE_SINCE", ids=[ID])


def test_a_message_from_before_the_sessions_birth_is_not_shown(alice, raw, table, items):
    """A batch get reads the items one by one, and may see the old message and the new session."""
    make(alice, "old")
    [old, *_] = [item for item in items() if "body" in item and "rater" not in item]
    alice.delete(PATH)
    make(alice, "new")
    raw.put_item(TableName=table.name, Item=old)
    message = old["SK"]["S"].split("#")[3]
    assert alice.get(f"{PATH}/messages/msg_{message}").status_code == 404


def test_the_rest_of_an_old_forks_cut_leaves_the_next_fork_whole(
    alice, far_table, clock, at_each_call, assert_sound
):
    source = alice.create_session()["session_id"]
    sent = alice.fill(source, 250)

    def fork() -> None:
        assert alice.post(f"/sessions/{source}/fork", {"key": KEY}).status_code == 201

    def again() -> None:
        alice.delete(PATH)
        fork()

    for ended in at_each_call(again):
        fork()
        assert alice.delete(f"{PATH}/messages?from={sent[5]}").status_code in (200, 202)
        sweep(far_table, clock)
        shown = alice.get(PATH).json
        assert shown["message_count"] == len(shown["messages"]) == (5 if ended() else 250)
        assert_sound()
        alice.delete(PATH)
