"""Values in the answer with their session, and in forks of it."""

import json

import pytest

from tests.people import Client, make_token, problem


@pytest.fixture
def tenant_agent(app):
    """Alice with the scopes for values of the tenant."""
    scope = "sessions:read sessions:write tenant-values:read tenant-values:write"
    return Client(app, make_token("acme", "alice", scope=scope))


def put(who: Client, session_id: str, name: str, value: object) -> None:
    answer = who.put(f"/sessions/{session_id}/values/{name}", value)
    assert answer.status_code in (200, 201), answer.text


def test_a_session_opens_with_its_last_messages_and_the_values_of_a_prefix(alice, session_id):
    alice.fill(session_id, 30)
    for name in ("agent/state", "agent/plan", "agents", "other"):
        put(alice, session_id, name, {"of": name})
    answer = alice.get(f"/sessions/{session_id}?messages=20&values=agent/")
    assert [m["content"][:6] for m in answer.json["messages"]] == [f"{n:06}" for n in range(10, 30)]
    assert [v["name"] for v in answer.json["values"]] == ["agent/plan", "agent/state"]
    assert [v["json"] for v in answer.json["values"]] == [
        {"of": "agent/plan"},
        {"of": "agent/state"},
    ]
    assert answer.json["values_cursor"] is None
    every = alice.get(f"/sessions/{session_id}?messages=0&values=").json["values"]
    assert len(every) == 4


def test_without_values_in_the_query_there_are_none_in_the_answer(alice, session_id):
    put(alice, session_id, "a", 1)
    assert not {"values", "values_cursor"} & alice.get(f"/sessions/{session_id}").json.keys()


def test_the_etag_is_that_of_the_whole_answer(alice, session_id):
    path = f"/sessions/{session_id}?messages=0&values=a"
    put(alice, session_id, "a", 1)
    first = alice.get(path)
    known = {"If-None-Match": first.headers["ETag"]}
    assert alice.get(path, headers=known).status_code == 304
    put(alice, session_id, "a", 2)
    assert alice.get(path, headers=known).status_code == 200
    known = {"If-None-Match": alice.get(path).headers["ETag"]}
    alice.append(session_id)
    assert alice.get(path, headers=known).status_code == 200


def test_what_has_no_room_beside_the_messages_follows_by_cursor(alice, session_id):
    for n in range(4):
        alice.append(session_id, "x" * 1_000_000)
        put(alice, session_id, f"v{n}", "y" * 1_000_000)
    answer = alice.get(f"/sessions/{session_id}?values=v")
    assert len(answer.get_data()) < 6_270_000
    names = [v["name"] for v in answer.json["values"]]
    cursor = answer.json["values_cursor"]
    assert names and cursor
    while cursor:
        page = alice.get(f"/sessions/{session_id}/values?prefix=v&cursor={cursor}").json
        names += [v["name"] for v in page["values"]]
        cursor = page["next_cursor"]
    assert names == ["v0", "v1", "v2", "v3"]


def test_the_cursor_begins_at_the_first_value_if_none_has_room(alice, session_id):
    alice.append(session_id, "x" * 3_000_000)
    put(alice, session_id, "v", '"' * 1_490_000)  # two bytes each, four as Lambda sends it
    answer = alice.get(f"/sessions/{session_id}?values=v").json
    assert answer["values"] == []
    cursor = answer["values_cursor"]
    page = alice.get(f"/sessions/{session_id}/values?prefix=v&cursor={cursor}").json
    assert [v["name"] for v in page["values"]] == ["v"]


def test_a_session_opens_with_values_of_the_user_and_the_tenant(alice, tenant_agent, session_id):
    put(alice, session_id, "s1", 1)
    for place in ("values", "tenant/values"):
        for name in ("app/a", "app/b", "other"):
            assert tenant_agent.put(f"/{place}/{name}", {"in": place}).status_code == 201
    query = "messages=0&values=s&user_values=app/&tenant_values=app/b"
    opened = tenant_agent.get(f"/sessions/{session_id}?{query}").json
    assert [v["name"] for v in opened["values"]] == ["s1"]
    assert [(v["name"], v["json"]) for v in opened["user_values"]] == [
        ("app/a", {"in": "values"}),
        ("app/b", {"in": "values"}),
    ]
    assert [v["name"] for v in opened["tenant_values"]] == ["app/b"]
    assert [opened[f"{of}values_cursor"] for of in ("", "user_", "tenant_")] == [None] * 3
    alone = alice.get(f"/sessions/{session_id}?user_values=app/a").json
    assert [v["name"] for v in alone["user_values"]] == ["app/a"]
    assert not {"values", "tenant_values"} & alone.keys()


def test_values_of_the_tenant_need_their_scope(alice, session_id):
    path = f"/sessions/{session_id}?tenant_values="
    detail = problem(alice.get(path), 403, "INSUFFICIENT_SCOPE")["detail"]
    assert "tenant-values:read" in detail


def test_values_of_three_places_share_the_room_and_follow_by_their_cursors(
    alice, tenant_agent, session_id
):
    paths = {
        "values": f"/sessions/{session_id}/values",
        "user_values": "/values",
        "tenant_values": "/tenant/values",
    }
    for path in paths.values():
        for n in range(3):
            assert tenant_agent.put(f"{path}/v{n}", "y" * 1_000_000).status_code == 201
    query = "messages=0&values=v&user_values=v&tenant_values=v"
    answer = tenant_agent.get(f"/sessions/{session_id}?{query}")
    assert len(answer.get_data()) < 6_270_000
    for member, path in paths.items():
        names = [v["name"] for v in answer.json[member]]
        if cursor := answer.json[f"{member}_cursor"]:
            page = tenant_agent.get(f"{path}?prefix=v&cursor={cursor}").json
            names += [v["name"] for v in page["values"]]
            assert page["next_cursor"] is None
        assert names == ["v0", "v1", "v2"]


@pytest.mark.parametrize("whose", ["bob", "charlie"])
def test_others_see_neither_session_nor_values(whose, request, alice, session_id):
    put(alice, session_id, "a", 1)
    other: Client = request.getfixturevalue(whose)
    problem(other.get(f"/sessions/{session_id}?values=a"), 404, "SESSION_NOT_FOUND")
    problem(other.get(f"/sessions/{session_id}/values/a"), 404, "SESSION_NOT_FOUND")


def test_a_fork_has_copies_of_the_values(alice, session_id):
    alice.append(session_id)
    text = '{"a": 1.50, "b":[]}'
    assert alice.put(f"/sessions/{session_id}/values/state", data=text).status_code == 201
    raw = bytes(range(256)) * 4000
    image = {"Content-Type": "image/png"}
    assert (
        alice.put(f"/sessions/{session_id}/values/p/1", data=raw, headers=image).status_code == 201
    )
    listed = alice.get(f"/sessions/{session_id}/values?names_only=true").json

    fork = alice.post(f"/sessions/{session_id}/fork", {"key": "copy"}).json["session_id"]
    assert alice.get(f"/sessions/{fork}/values?names_only=true").json == listed
    assert alice.get(f"/sessions/{fork}/values/state").text == text
    copied = alice.get(f"/sessions/{fork}/values/p/1")
    assert (copied.data, copied.content_type) == (raw, "image/png")

    put(alice, fork, "state", "mine")
    assert alice.get(f"/sessions/{session_id}/values/state").text == text
    assert alice.delete(f"/sessions/{session_id}").status_code == 200
    assert alice.get(f"/sessions/{fork}/values/state").json == "mine"
    assert alice.get(f"/sessions/{fork}/values/p/1").data == raw


def test_a_fork_of_a_fork_and_one_of_many_values(alice, session_id):
    operations = [{"put": f"v{n:03}", "json": n} for n in range(100)]
    for start in range(3):
        body = {"operations": [{**o, "put": f"{start}{o['put']}"} for o in operations]}
        assert alice.post(f"/sessions/{session_id}/values/batch", body).status_code == 200
    fork = session_id
    for _ in range(2):
        fork = alice.post(f"/sessions/{fork}/fork", {}).json["session_id"]
    path = "values?limit=1000&names_only=true"
    of_fork = alice.get(f"/sessions/{fork}/{path}").json["values"]
    assert of_fork == alice.get(f"/sessions/{session_id}/{path}").json["values"]
    assert len(of_fork) == 300


def test_a_fork_without_values_takes_values_like_any_session(alice, session_id, items):
    alice.append(session_id)
    fork = alice.post(f"/sessions/{session_id}/fork", {}).json["session_id"]
    put(alice, fork, "a", 1)
    assert json.loads(alice.get(f"/sessions/{fork}/values/a").text) == 1
    assert alice.delete(f"/sessions/{fork}").status_code == 200
    assert not [item for item in items() if "VALUE#" in item["SK"]["S"]]
