"""Changing what was said: edits, deletions, pops and replacements."""

import json
from threading import Thread

import pytest

from app.operations.check import check
from app.operations.sweep import sweep
from tests.people import problem


@pytest.fixture
def path(session_id):
    return f"/sessions/{session_id}/messages"


@pytest.fixture
def said(alice, session_id):
    """The ids of five messages."""
    return [alice.append(session_id, f"m{n}")["message_id"] for n in range(5)]


@pytest.fixture(autouse=True)
def _nothing_is_damaged(table, clock):
    yield
    assert list(check(table, clock)) == []


def contents(client, session_id):
    """As every route shows them."""
    whole = client.get(f"/sessions/{session_id}").json
    found = [message["content"] for message in whole["messages"]]
    assert whole["message_count"] == len(found)
    pages = [
        client.get(f"/sessions/{session_id}/messages?order={order}&limit=1000").json["messages"]
        for order in ("asc", "desc")
    ]
    assert [m["content"] for m in pages[0]] == [m["content"] for m in pages[1][::-1]] == found
    last = whole["last_message"]
    assert (last and last["text"]) == (found[-1][:160] if found else None)
    [row] = client.get("/sessions").json["sessions"]
    assert (row["message_count"], row["last_message"]) == (len(found), last)
    return found


# Edits


def test_an_edit_replaces_what_was_said_and_nothing_else(alice, session_id, path, said):
    before = alice.get(f"{path}/{said[2]}").json
    answer = alice.put(f"{path}/{said[2]}", {"content": [{"text": "new"}], "metadata": {"a": 1}})
    assert answer.status_code == 200
    after = alice.get(f"{path}/{said[2]}")
    changed = {"content": [{"text": "new"}], "metadata": {"a": 1}}
    assert after.json == {**before, **changed, "edited_at": answer.json["edited_at"]}
    assert answer.json == {
        name: after.json[name]
        for name in ("message_id", "session_id", "timestamp", "edited_at", "status")
    }
    assert answer.headers["ETag"] == after.headers["ETag"]
    session = alice.get(f"/sessions/{session_id}")
    assert answer.headers["Session-ETag"] == session.headers["ETag"]
    assert session.json["last_activity"] == session.json["messages"][-1]["timestamp"]


def test_the_old_text_is_gone_with_its_parts(alice, session_id, path, items):
    message = alice.append(session_id, "secret" * 200_000)["message_id"]
    assert sum("#MSG#" in item["SK"]["S"] for item in items()) == 4
    assert alice.put(f"{path}/{message}", {"content": None}).status_code == 200
    assert "secret" not in json.dumps(items())
    assert sum("#MSG#" in item["SK"]["S"] for item in items()) == 1


@pytest.mark.parametrize("sizes", [(1, 900_000), (900_000, 1), (900_000, 500_000), (5, 5)])
@pytest.mark.parametrize("is_last", [True, False])
def test_a_message_can_grow_and_shrink(alice, session_id, path, sizes, is_last):
    old, new = ("x" * size for size in sizes)
    message = alice.append(session_id, old)["message_id"]
    rest = [] if is_last else [alice.append(session_id, "after")["content"]]
    assert alice.put(f"{path}/{message}", {"content": new}).status_code == 200
    assert contents(alice, session_id) == [new, *rest]


def test_role_and_name_stay_unless_they_are_given(alice, session_id, path):
    message = alice.append(session_id, "x", role="assistant", name="a")["message_id"]
    alice.put(f"{path}/{message}", {"content": "y"})
    shown = alice.get(f"{path}/{message}").json
    assert (shown["role"], shown["name"]) == ("assistant", "a")
    alice.put(f"{path}/{message}", {"content": "y", "role": "critic", "name": "b"})
    shown = alice.get(f"{path}/{message}").json
    assert (shown["role"], shown["name"]) == ("critic", "b")
    assert alice.get(f"/sessions/{session_id}").json["last_message"]["role"] == "critic"
    native = {"role": "user", "content": "hi"}
    alice.put(f"{path}/{message}", {"format": "anthropic.messages", "native": native})
    shown = alice.get(f"{path}/{message}").json
    assert (shown["role"], shown["native"], shown["content"]) == ("user", native, None)


def test_an_answer_is_saved_while_it_streams(alice, session_id, path):
    message = alice.append(session_id, "", role="assistant", status="in_progress")
    assert message["status"] == "in_progress"
    for text in ("It", "It is", "It is 9."):
        body = {"content": text, "status": "in_progress"}
        assert alice.put(f"{path}/{message['message_id']}", body).status_code == 200
    for status in ("interrupted", "complete"):
        answer = alice.put(f"{path}/{message['message_id']}", {"status": status})
        assert answer.json["status"] == status
        shown = alice.get(f"{path}/{message['message_id']}").json
        assert (shown["status"], shown["content"]) == (status, "It is 9.")
    assert contents(alice, session_id) == ["It is 9."]


@pytest.mark.parametrize(
    "body",
    [{}, {"role": "user"}, {"metadata": {}}, {"status": None}, {"status": "done"}, [], {"x": 1}],
)
def test_an_edit_that_says_nothing_is_refused(alice, path, said, items, body):
    before = items()
    answer = alice.put(f"{path}/{said[0]}", data=json.dumps(body))
    problem(answer, 422, "VALIDATION_FAILED")
    assert items() == before


def test_an_edit_depends_on_the_messages_etag(alice, session_id, path, said):
    one = f"{path}/{said[1]}"
    first = alice.get(one).headers["ETag"]
    second = alice.put(one, {"content": "a"}, headers={"If-Match": first}).headers["ETag"]
    problem(
        alice.put(one, {"content": "b"}, headers={"If-Match": first}), 412, "PRECONDITION_FAILED"
    )
    problem(alice.delete(one, headers={"If-Match": first}), 412, "PRECONDITION_FAILED")
    alice.append(session_id)  # does not change this message
    both = {"If-Match": f"{first}, {second}"}
    assert alice.put(one, {"content": "c"}, headers=both).status_code == 200
    assert alice.put(one, {"content": "d"}, headers={"If-Match": "*"}).status_code == 200
    current = {"If-Match": alice.get(one).headers["ETag"]}
    assert alice.delete(one, headers=current).status_code == 200


def test_what_is_not_there_cannot_be_changed(alice, bob, path, said):
    missing = said[0][:-1] + ("0" if said[0][-1] != "0" else "1")
    for message in (missing, "x", "msg_#"):
        problem(alice.put(f"{path}/{message}", {"content": ""}), 404, "MESSAGE_NOT_FOUND")
        problem(alice.delete(f"{path}/{message}"), 404, "MESSAGE_NOT_FOUND")
    problem(alice.delete(f"{path}?from={missing}"), 404, "MESSAGE_NOT_FOUND")
    problem(alice.delete(f"{path}?after={missing}"), 404, "MESSAGE_NOT_FOUND")
    problem(bob.put(f"{path}/{said[0]}", {"content": ""}), 404, "SESSION_NOT_FOUND")
    problem(bob.post(f"{path}/pop", {}), 404, "SESSION_NOT_FOUND")


# Removals


@pytest.mark.parametrize("which", range(5))
def test_one_message_is_deleted(alice, session_id, path, said, which):
    answer = alice.delete(f"{path}/{said[which]}")
    assert (answer.status_code, answer.json) == (200, {"deleted_messages": 1})
    assert contents(alice, session_id) == [f"m{n}" for n in range(5) if n != which]
    problem(alice.delete(f"{path}/{said[which]}"), 404, "MESSAGE_NOT_FOUND")
    problem(alice.get(f"{path}/{said[which]}"), 404, "MESSAGE_NOT_FOUND")
    etag = alice.get(f"/sessions/{session_id}").headers["ETag"]
    assert answer.headers["Session-ETag"] == etag


@pytest.mark.parametrize(
    ("query", "kept"), [("from=2", 2), ("after=2", 3), ("from=0", 0), ("after=4", 5), ("all", 0)]
)
def test_a_tail_is_deleted(alice, session_id, path, said, query, kept):
    name, _, which = query.partition("=")
    value = said[int(which)] if which else "true"
    answer = alice.delete(f"{path}?{name}={value}")
    assert answer.json == {"deleted_messages": 5 - kept}
    assert contents(alice, session_id) == [f"m{n}" for n in range(kept)]
    after = alice.append(session_id, "next")
    assert after["message_id"] > said[-1], "ids never go back"
    assert contents(alice, session_id) == [*(f"m{n}" for n in range(kept)), "next"]


@pytest.mark.parametrize("query", ["", "?from=x", "?all=false", "?all=true&after=msg_" + "0" * 26])
def test_a_tail_must_be_named_exactly(alice, path, said, query, items):  # noqa: ARG001
    before = items()
    problem(alice.delete(f"{path}{query}"), 422, "VALIDATION_FAILED")
    assert items() == before


@pytest.mark.parametrize("count", [1, 3, 5, 50])
def test_the_last_messages_are_popped(alice, session_id, path, said, count):
    last = alice.get(path).json["messages"][-count:]
    answer = alice.post(f"{path}/pop", {"count": count})
    assert answer.json == {"message_ids": said[-count:], "messages": last}
    assert contents(alice, session_id) == [f"m{n}" for n in range(max(0, 5 - count))]


def test_popping_nothing_changes_nothing(alice, session_id, path, items):
    before = items()
    answer = alice.post(f"{path}/pop", {}, headers={"Idempotency-Key": "k"})
    assert answer.json == {"message_ids": [], "messages": []}
    assert items() == before
    etag = alice.get(f"/sessions/{session_id}").headers["ETag"]
    assert answer.headers["Session-ETag"] == etag


@pytest.mark.parametrize("count", [0, 51, -1, "1", 1.5, True])
def test_a_pop_is_bounded(alice, path, said, count):  # noqa: ARG001
    problem(alice.post(f"{path}/pop", {"count": count}), 422, "VALIDATION_FAILED")


def test_a_pop_that_no_answer_could_hold_removes_nothing(alice, session_id, path):
    for _ in range(3):
        alice.append(session_id, '"' * 700_000)
    problem(alice.post(f"{path}/pop", {"count": 3}), 413, "TOO_LARGE")
    assert len(alice.read_all(session_id)) == 3
    assert len(alice.post(f"{path}/pop", {"count": 2}).json["messages"]) == 2


def test_two_poppers_never_get_the_same(alice, session_id, path):
    sent = alice.fill(session_id, 30)
    got, threads = [], []

    def pop():
        while True:
            answer = alice.post(f"{path}/pop", {"count": 2})
            if answer.status_code == 409:
                continue
            if not answer.json["message_ids"]:
                return
            got.extend(answer.json["message_ids"])

    threads = [Thread(target=pop) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sent


@pytest.mark.parametrize(
    ("start", "kept"), [({"from": 2}, 2), ({"after": 2}, 3), ({"all": True}, 0), ({"after": 4}, 5)]
)
def test_a_tail_is_replaced_in_one_step(alice, session_id, path, said, start, kept):
    chosen = {name: said[v] if v is not True else True for name, v in start.items()}
    new = [{"role": "user", "content": text} for text in ("a", "b")]
    answer = alice.post(f"{path}/replace", {**chosen, "messages": new})
    assert answer.status_code == 200
    assert answer.json["deleted_messages"] == 5 - kept
    assert contents(alice, session_id) == [*(f"m{n}" for n in range(kept)), "a", "b"]
    assert alice.get(path).json["messages"][-2:] == answer.json["messages"]
    assert answer.json["messages"][0]["message_id"] > said[-1]
    session = alice.get(f"/sessions/{session_id}").json
    assert session["last_activity"] == answer.json["messages"][-1]["timestamp"]


def test_null_counts_as_left_out(alice, path, said):
    assert alice.post(f"{path}/pop", {"count": None}).json["message_ids"] == said[-1:]
    body = {"from": said[1], "after": None, "all": None, "messages": [{"role": "user"}]}
    assert alice.post(f"{path}/replace", body).json["deleted_messages"] == 3
    body = {"from": None, "messages": [{"role": "user"}]}
    problem(alice.post(f"{path}/replace", body), 422, "VALIDATION_FAILED")


def test_a_replacement_may_be_short(alice, path, said):
    body = {"from": said[0], "messages": [{"role": "user", "content": "a"}]}
    answer = alice.post(f"{path}/replace", body, headers={"Prefer": "return=minimal"})
    [message] = answer.json["messages"]
    assert set(message) == {"message_id", "session_id", "timestamp"}
    assert answer.headers["Preference-Applied"] == "return=minimal"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"all": True, "messages": []},
        {"all": False, "messages": [{"role": "user"}]},
        {"messages": [{"role": "user"}]},
        {"all": True, "messages": [{"content": "no role"}]},
        {"all": True, "messages": [{"role": "user"}] * 51},
    ],
)
def test_a_replacement_that_does_not_fit_changes_nothing(alice, path, said, items, body):  # noqa: ARG001
    before = items()
    problem(alice.post(f"{path}/replace", body), 422, "VALIDATION_FAILED")
    assert items() == before


def test_changes_depend_on_the_sessions_etag(alice, session_id, path, said):
    old = {"If-Match": alice.get(f"/sessions/{session_id}").headers["ETag"]}
    alice.append(session_id)
    body = {"all": True, "messages": [{"role": "user"}]}
    for answer in (
        alice.delete(f"{path}?from={said[0]}", headers=old),
        alice.post(f"{path}/pop", {}, headers=old),
        alice.post(f"{path}/replace", body, headers=old),
    ):
        problem(answer, 412, "PRECONDITION_FAILED")
    current = {"If-Match": alice.get(f"/sessions/{session_id}").headers["ETag"]}
    assert alice.post(f"{path}/pop", {}, headers=current).status_code == 200


# Any size


@pytest.mark.parametrize("change", ["delete", "replace"])
def test_a_long_tail_is_hidden_at_once_and_removed_later(
    alice, session_id, path, said, change, items, table, clock
):
    alice.fill(session_id, 400)
    if change == "delete":
        answer = alice.delete(f"{path}?after={said[1]}")
        new = []
    else:
        message = {"role": "user", "content": "new"}
        answer = alice.post(f"{path}/replace", {"after": said[1], "messages": [message]})
        new = ["new"]
    assert answer.json["deleted_messages"] == 403
    assert contents(alice, session_id) == ["m0", "m1", *new]
    left = [item for item in items() if "#MSG#" in item["SK"]["S"]]
    assert len(left) > 100, "the request did not remove all"
    problem(alice.get(f"{path}/{said[3]}"), 404, "MESSAGE_NOT_FOUND")
    problem(alice.put(f"{path}/{said[3]}", {"content": ""}), 404, "MESSAGE_NOT_FOUND")
    problem(alice.delete(f"{path}?from={said[3]}"), 404, "MESSAGE_NOT_FOUND")
    assert list(check(table, clock)) == []
    alice.append(session_id, "more")
    assert alice.put(f"/sessions/{session_id}", {"expires_in_days": 30}).status_code == 200
    clock.move(seconds=1)
    assert sweep(table, clock).finished
    assert contents(alice, session_id) == ["m0", "m1", *new, "more"]
    assert sum("#MSG#" in item["SK"]["S"] for item in items()) == 3 + len(new)
    assert not [item for item in items() if item["SK"]["S"].endswith("#REMOVAL")]


def test_a_wider_cut_covers_a_narrower_one(alice, session_id, path, items, table, clock):
    first = alice.fill(session_id, 300)
    alice.delete(f"{path}?from={first[20]}")
    second = alice.fill(session_id, 300)
    assert alice.delete(f"{path}?from={first[5]}").json["deleted_messages"] == 315
    assert len(contents(alice, session_id)) == 5
    clock.move(seconds=1)
    sweep(table, clock)
    assert sum("#MSG#" in item["SK"]["S"] for item in items()) == 5
    assert second


def test_a_cut_behind_another_finishes_it_first(alice, session_id, path, items):
    first = alice.fill(session_id, 500)
    alice.delete(f"{path}?from={first[5]}")
    second = alice.fill(session_id, 500)
    assert alice.delete(f"{path}?from={second[5]}").json["deleted_messages"] == 495
    left = [item["SK"]["S"] for item in items() if "#MSG#" in item["SK"]["S"]]
    assert not [sk for sk in left if first[5][4:] <= sk[-26:] <= first[-1][4:]]
    assert len(contents(alice, session_id)) == 10


def test_everything_of_a_session_with_a_cut_is_deleted(alice, session_id, path, items):
    alice.fill(session_id, 400)
    alice.delete(f"{path}?all=true")
    assert alice.delete(f"/sessions/{session_id}").status_code == 200
    assert [item["SK"]["S"] for item in items()] == ["USER"]


def test_hidden_messages_are_not_read(alice, session_id, path, far_reads):
    ids = alice.fill(session_id, 10)
    alice.fill(session_id, 3000, size=1000)
    alice.delete(f"{path}?after={ids[-1]}")
    new = alice.fill(session_id, 5)
    for query in ("", "?order=desc", f"?after={ids[3]}"):
        shown, units = far_reads(f"{path}{query}")
        assert [m["message_id"] for m in shown][-1 if "desc" not in query else 0] == new[-1]
        assert units < 20


@pytest.fixture
def far_reads(alice, logged):
    """Reads messages, and the units that it took."""

    def read(path):
        answer = alice.get(path)
        [line] = [line for line in logged[-1:] if line["message"] == "request"]
        return answer.json["messages"], line["db_units"]

    return read


# Pollers and replays


def test_a_poller_learns_of_edits_and_removals(alice, session_id, path, said):
    def poll():
        return alice.get(f"{path}?after={said[-1]}").json

    seen = [poll()["changed"]]
    alice.append(session_id)
    alice.put(f"/sessions/{session_id}", {"title": "New"})
    assert poll()["changed"] == seen[-1], "an append and a rename are no change of what was said"
    for change in (
        lambda: alice.put(f"{path}/{said[0]}", {"content": "x"}),
        lambda: alice.put(f"{path}/{said[0]}", {"status": "interrupted"}),
        lambda: alice.delete(f"{path}/{said[1]}"),
        lambda: alice.post(f"{path}/pop", {}),
        lambda: alice.post(f"{path}/replace", {"from": said[3], "messages": [{"role": "user"}]}),
        lambda: alice.delete(f"{path}?all=true"),
    ):
        assert change().status_code == 200
        assert poll()["changed"] > seen[-1]
        seen.append(poll()["changed"])
    assert alice.get(f"/sessions/{session_id}").json["changed"] == seen[-1]


def test_a_replayed_pop_gives_the_ids_and_no_messages(alice, session_id, path, said):
    key = {"Idempotency-Key": "k"}
    first = alice.post(f"{path}/pop", {"count": 2}, headers=key)
    assert len(first.json["messages"]) == 2
    again = alice.post(f"{path}/pop", {"count": 2}, headers=key)
    assert again.json == {"message_ids": said[3:], "messages": None}
    assert again.headers["Idempotent-Replayed"] == "true"
    assert contents(alice, session_id) == ["m0", "m1", "m2"]
    other = alice.post(f"{path}/pop", {"count": 1}, headers=key)
    problem(other, 422, "IDEMPOTENCY_KEY_REUSED")


def test_a_replayed_replacement_changes_nothing(alice, session_id, path, said):
    key = {"Idempotency-Key": "k"}
    body = {"from": said[1], "messages": [{"role": "user", "content": "new"}]}
    first = alice.post(f"{path}/replace", body, headers=key)
    alice.append(session_id, "later")
    again = alice.post(f"{path}/replace", body, headers=key)
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert contents(alice, session_id) == ["m0", "new", "later"]
    alice.delete(f"{path}/{first.json['messages'][0]['message_id']}")
    gone = alice.post(f"{path}/replace", body, headers=key)
    problem(gone, 410, "GONE_SINCE", ids=[first.json["messages"][0]["message_id"]])


@pytest.mark.parametrize("route", ["", "/batch"])
def test_a_replayed_append_shows_the_present_state_or_that_it_is_gone(alice, path, route):
    message = {"role": "user", "content": "old"}
    body, key = {"messages": [message]} if route else message, {"Idempotency-Key": "k"}

    def post(**headers):
        return alice.post(f"{path}{route}", body, headers={**key, **headers})

    first = post()
    made = (first.json["messages"][0] if route else first.json)["message_id"]
    alice.put(f"{path}/{made}", {"content": "edited"})
    again = post()
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    shown = again.json["messages"][0] if route else again.json
    assert shown == alice.get(f"{path}/{made}").json
    alice.delete(f"{path}/{made}")
    problem(post(), 410, "GONE_SINCE", ids=[made])
    problem(post(Prefer="return=minimal"), 410, "GONE_SINCE", ids=[made])


def test_who_wrote_stays_through_an_edit_and_a_replay(alice, agent_of, session_id, path):
    agent = agent_of("alice")
    message = agent.post(path, {"role": "assistant", "content": "x"}).json
    alice.put(f"{path}/{message['message_id']}", {"content": "y"})
    assert alice.get(f"{path}/{message['message_id']}").json["created_by"] == "agent-7"


@pytest.fixture
def agent_of(app):
    from tests.people import Client, make_token

    scope = "sessions:read sessions:write sessions:act-for-user"

    def make(user):
        client = Client(app, make_token("acme", "agent-7", scope=scope))

        class Acting(Client):
            def request(self, method, path, *, headers=None, **options):
                told = {**(headers or {}), "Act-For-User": user}
                return client.request(method, path, headers=told, **options)

        return Acting(app, client.token)

    return make
