"""The index from sources to messages: each indexed source of a message has an edge beside it, as
long as the message is there, and no longer."""

import json

import pytest

from app.config import Config
from app.grounding.sources import key_hash
from app.operations import check, cli
from app.operations.sweep import sweep
from tests.edges import found_in, hashes, references
from tests.people import SECRET, Client, make_token

IMPORTER = "sessions:read sessions:write sessions:import"


@pytest.fixture
def edges(items):
    return lambda: found_in(items())


@pytest.fixture(autouse=True)
def _sound(table, clock):
    """After each test, every message has its edges, and every edge its message."""
    yield
    assert [str(finding) for finding in check.check(table, clock)] == []


def test_each_reference_has_an_edge(alice, session_id, edges):
    message = alice.append(session_id, metadata=references("a", "b", "a"))["message_id"]
    assert edges() == {(session_id, message): dict.fromkeys(hashes("a", "b"), True)}


def test_a_message_without_sources_has_no_edge(alice, session_id, edges):
    for metadata in ({}, {"references": []}, {"a": [1]}):
        alice.append(session_id, metadata=metadata)
    assert edges() == {}


@pytest.mark.parametrize("index", ["documents", "all"])
def test_web_pages_are_indexed_only_if_configured(make_app, index, edges):
    alice = Client(make_app(index_sources=index), make_token("acme", "alice"))
    session = alice.create_session()["session_id"]
    native = {"role": "assistant", "content": "So[1].", "citations": ["https://a.example/x"]}
    message = alice.append(session, None, role=None, format="perplexity.chat", native=native)
    page = key_hash("url:https://a.example/x")
    expected = {(session, message["message_id"]): {page: True}} if index == "all" else {}
    assert edges() == expected


def test_a_page_with_an_id_of_the_clients_is_a_reference(alice, session_id, edges):
    native = {"role": "assistant", "content": "So[1].", "citations": ["https://a.example/x"]}
    listed = {"references": [{"reference_id": "a", "url": "https://a.example/x#part"}]}
    body = {"role": None, "format": "perplexity.chat", "native": native, "metadata": listed}
    message = alice.append(session_id, None, **body)["message_id"]
    assert edges() == {(session_id, message): {key_hash("doc:a"): True}}


def test_a_document_that_is_given_but_not_cited_is_told_apart(alice, session_id, edges):
    documents = [
        {"index": 0, "key": "doc:a", "text": "A"},
        {"index": 1, "key": "doc:b", "text": "B"},
    ]
    cite = {"type": "char_location", "document_index": 0, "cited_text": "A"}
    blocks = [{"type": "text", "text": "Yes.", "citations": [cite]}]
    message = alice.append(
        session_id,
        None,
        role=None,
        format="anthropic.messages",
        native={"role": "assistant", "content": blocks},
        grounding={"request": {"documents": documents}},
    )["message_id"]
    expected = {key_hash("doc:a"): True, key_hash("doc:b"): False}
    assert edges() == {(session_id, message): expected}


def test_thirty_sources_of_a_request_are_indexed_and_the_others_told(alice, session_id, edges):
    names = [f"r{n}" for n in range(33)]
    body = {"role": "user", "content": "Hi", "metadata": references(*names)}
    sent = {"Idempotency-Key": "once"}
    for _ in range(2):  # and again in a replay
        answer = alice.post(f"/sessions/{session_id}/messages", body, headers=sent)
        assert (answer.status_code, answer.json["unindexed"]) == (201, 3)
    [found] = edges().values()
    assert found.keys() == hashes(*names[:30])
    batch = [{**body, "metadata": references(*names[:20])} for _ in range(2)]
    path = f"/sessions/{session_id}/messages"
    assert alice.post(f"{path}/batch", {"messages": batch}).json["unindexed"] == 10
    edited = alice.put(f"{path}/{answer.json['message_id']}", {**body, "content": "Ho"})
    assert edited.json["unindexed"] == 3
    assert alice.post(f"{path}/replace", {"all": True, "messages": batch}).json["unindexed"] == 10


def test_few_sources_are_not_mentioned_in_the_answer(alice, session_id):
    assert "unindexed" not in alice.append(session_id, metadata=references("a"))


def test_the_largest_batch_has_room_for_its_sources_and_values(alice, session_id, edges):
    """Fewer sources are indexed rather than that the request is refused."""
    said = [{"role": "user", "content": "Hi", "metadata": references(f"r{n}")} for n in range(50)]
    values = [{"put": f"v{n}", "json": n} for n in range(40)]
    body = {"messages": said, "values": {"session": values}}
    answer = alice.post(f"/sessions/{session_id}/messages/batch", body)
    assert answer.status_code == 201, answer.text
    assert answer.json["unindexed"] == 50 - len(edges()) > 40
    body = {"messages": [{**said[0], "content": "x" * 700_000} for _ in range(5)], "values": {}}
    assert alice.post(f"/sessions/{session_id}/messages/batch", body).status_code == 201


def test_an_edit_takes_the_edges_along(alice, session_id, edges):
    path = f"/sessions/{session_id}/messages"
    first = alice.append(session_id, metadata=references("a", "b"))["message_id"]
    alice.append(session_id)
    for names in (("b", "c"), ("b",), (), ("a", "b", "c")):
        assert alice.put(f"{path}/{first}", {"content": 1, "metadata": references(*names)}).json
        assert edges().get((session_id, first), {}).keys() == hashes(*names)
    assert alice.put(f"{path}/{first}", {"status": "interrupted"}).status_code == 200
    rated = alice.put(f"{path}/{first}/feedback", {"rating": "up"})
    assert rated.status_code in (200, 201)
    assert edges()[session_id, first].keys() == hashes("a", "b", "c")


def test_a_source_that_is_cited_after_an_edit_is_no_longer_only_given(alice, session_id, edges):
    request = {"documents": [{"index": 0, "key": "doc:a", "text": "A"}]}
    block = {"type": "text", "text": "Yes."}
    body = {
        "format": "anthropic.messages",
        "native": {"role": "assistant", "content": [block]},
        "grounding": {"request": request},
    }
    message = alice.post(f"/sessions/{session_id}/messages", body).json["message_id"]
    assert edges()[session_id, message] == {key_hash("doc:a"): False}
    block["citations"] = [{"type": "char_location", "document_index": 0, "cited_text": "A"}]
    assert alice.put(f"/sessions/{session_id}/messages/{message}", body).status_code == 200
    assert edges()[session_id, message] == {key_hash("doc:a"): True}


REMOVALS = {
    "one": ("DELETE", "/messages/{2}", None, (0, 1, 3, 4)),
    "the last": ("DELETE", "/messages/{4}", None, (0, 1, 2, 3)),
    "a tail": ("DELETE", "/messages?from={1}", None, (0,)),
    "all": ("DELETE", "/messages?all=true", None, ()),
    "pop": ("POST", "/messages/pop", {"count": 2}, (0, 1, 2)),
    "the session": ("DELETE", "", None, ()),
}


@pytest.mark.parametrize("name", REMOVALS)
@pytest.mark.parametrize("key", [None, "k"])
def test_what_is_removed_takes_its_edges_along(alice, edges, name, key):
    method, path, body, left = REMOVALS[name]
    session = alice.create_session(**({"key": key} if key else {}))["session_id"]
    said = [
        alice.append(session, metadata=references("all", f"r{n}"))["message_id"] for n in range(5)
    ]
    for number, message in enumerate(said):
        path = path.replace(f"{{{number}}}", message)
    assert alice.request(method, f"/sessions/{session}{path}", json=body).status_code == 200
    assert edges() == {
        (session, said[n]): dict.fromkeys(hashes("all", f"r{n}"), True) for n in left
    }


@pytest.mark.parametrize("key", [None, "k"])
def test_a_long_tail_takes_its_edges_along(alice, edges, key, table, clock):
    session = alice.create_session(**({"key": key} if key else {}))["session_id"]
    said = alice.fill(session, 300, metadata=references("all"))
    deleted = alice.delete(f"/sessions/{session}/messages?after={said[1]}")
    assert deleted.json["deleted_messages"] == 298
    assert len(edges()) > 2, "the sweep has to remove some"
    assert [str(finding) for finding in check.check(table, clock)] == []
    clock.move(seconds=1)
    assert sweep(table, clock).finished
    assert list(edges()) == [(session, said[0]), (session, said[1])]


def test_a_replaced_tail_has_the_new_edges(alice, session_id, edges):
    first, second = (
        alice.append(session_id, metadata=references(name))["message_id"] for name in ("a", "b")
    )
    new = {"role": "user", "content": "Hi", "metadata": references("c")}
    answer = alice.post(
        f"/sessions/{session_id}/messages/replace", {"from": second, "messages": [new]}
    )
    [message] = answer.json["messages"]
    assert edges() == {
        (session_id, first): dict.fromkeys(hashes("a"), True),
        (session_id, message["message_id"]): dict.fromkeys(hashes("c"), True),
    }


def test_an_erased_user_has_no_edges(alice, edges):
    for key in ("a", None):
        session = alice.create_session(**({"key": key} if key else {}))["session_id"]
        alice.append(session, metadata=references("a"))
    assert alice.delete("/sessions?confirm=all").status_code == 200
    assert edges() == {}


def test_a_session_that_is_made_with_its_messages_has_edges(alice, edges):
    session = alice.create_session(key="k")["session_id"]
    assert alice.delete(f"/sessions/{session}").status_code == 200
    body = {
        "session": {"key": "k", "domain_id": "d"},
        "messages": [{"role": "user", "content": "Hi", "metadata": references("a")}],
    }
    answer = alice.post(f"/sessions/{session}/messages/batch", body)
    assert answer.status_code == 201
    assert edges() == {
        (session, answer.json["messages"][0]["message_id"]): dict.fromkeys(hashes("a"), True)
    }


def test_a_fork_has_edges_of_its_own(alice, session_id, edges):
    first = alice.append(session_id, metadata=references("a"))["message_id"]
    alice.append(session_id, metadata=references("b"))
    fork = alice.post(f"/sessions/{session_id}/fork", {"until": first}).json["session_id"]
    assert edges()[fork, first] == dict.fromkeys(hashes("a"), True)
    assert len(edges()) == 3
    assert alice.delete(f"/sessions/{session_id}").status_code == 200
    assert edges() == {(fork, first): dict.fromkeys(hashes("a"), True)}


def test_an_imported_session_has_edges(app, edges):
    alice = Client(app, make_token("acme", "alice", scope=IMPORTER))
    said = {"role": "user", "content": "Hi", "created_at": "2025-01-01T00:00:00.000Z"}
    body = {
        "session": {"domain_id": "d", "created_at": "2025-01-01T00:00:00.000Z"},
        "messages": [{**said, "metadata": references("a")}, said],
    }
    answer = alice.post("/import", body)
    assert answer.status_code == 201, answer.text
    [[place, found]] = edges().items()
    assert (place[0], found.keys()) == (answer.json["session_id"], hashes("a"))


def test_an_export_that_is_imported_has_edges(app, table, alice, session_id, edges, tmp_path):
    alice.append(session_id, metadata=references("a"))
    expected = edges()
    path = tmp_path / "export"
    cli.init_app(app, Config(sessions_table=table.name, jwt_secret=SECRET))
    runner = app.test_cli_runner()
    runner.invoke(args=["export", "--to", str(path), "--tenant", "acme"], catch_exceptions=False)
    assert alice.delete("/sessions?confirm=all").status_code == 200
    assert edges() == {}
    imported = runner.invoke(args=["import", str(path), "--tenant", "acme"], catch_exceptions=False)
    assert imported.exit_code == 0, imported.output
    assert edges() == expected


def test_malformed_sources_never_fail_a_write(alice, session_id):
    for references_ in (7, [7, None, {"reference_id": []}, {"reference_id": "\ud800"}], {"a": 1}):
        body = {"role": "user", "content": "Hi", "metadata": {"references": references_}}
        answer = alice.post(f"/sessions/{session_id}/messages", data=json.dumps(body))
        assert answer.status_code in (201, 422), answer.text
    many = [{"type": "text", "text": "x", "citations": [{"file_id": f"f{n}"} for n in range(9000)]}]
    assert alice.append(session_id, many)
