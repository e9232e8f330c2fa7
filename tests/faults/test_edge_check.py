"""`check` compares the edges in the table with the sources that the messages list."""

from typing import Any

import pytest

from app.operations import check
from app.operations.sweep import sweep
from app.table import db, keys
from app.table.writes import encode
from tests.edges import found_in, references
from tests.faults.proxy import Exchange, always, nothing
from tests.people import Client, make_token

IMPORTER = "sessions:read sessions:write sessions:import"
EDGES, INDEX = "its edges to sources are wrong", "its keys in GSI2 are wrong"
GIVEN = {
    "format": "anthropic.messages",
    "native": {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
    "grounding": {"request": {"documents": [{"index": 0, "key": "doc:given", "text": "A"}]}},
}


@pytest.fixture
def session(alice: Client) -> str:
    """A session of three messages: one cites two sources, one was given a source, one has none."""
    made: str = alice.create_session()["session_id"]
    alice.append(made, metadata=references("a", "b"))
    assert alice.post(f"/sessions/{made}/messages", GIVEN).status_code == 201
    alice.append(made)
    return made


ULID = "[0-9A-Z]{26}"
MESSAGE = f"#MSG#{ULID}$"  # the first one
A, B, C = (f"{number:032x}" for number in (10, 11, 12))


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(
    ("where", "attributes", "expected"),
    [
        pytest.param("#SRC#", {}, {EDGES}, id="an edge is missing"),
        pytest.param("#SRC#", {"GSI2PK": {"S": f"SRC#acme#{A}#1"}}, {INDEX, EDGES}, id="hash"),
        pytest.param("#SRC#", {"GSI2PK": None, "GSI2SK": None}, {INDEX, EDGES}, id="no keys"),
        pytest.param("#SRC#", {"GSI2PK": None}, {INDEX, EDGES}, id="one key"),
        pytest.param("#SRC#", {"GSI2SK": {"S": f"x#{A}"}}, {INDEX, EDGES}, id="another user"),
        pytest.param("#SRC#", {"GSI2PK": {"S": "SWEEP#1"}}, {INDEX, EDGES}, id="the sweep's"),
        pytest.param(MESSAGE, {"sources": None}, {EDGES}, id="not listed"),
        pytest.param(MESSAGE, {"sources": {"S": ""}}, {EDGES}, id="an empty list"),
        pytest.param(MESSAGE, {"sources": {"S": A}}, {EDGES}, id="other sources"),
        pytest.param(MESSAGE, {"sources": {"N": "7"}}, {EDGES}, id="a number"),
        pytest.param(MESSAGE, {"sources": {"BOOL": True}}, {EDGES}, id="a truth value"),
        pytest.param(MESSAGE, {"sources": {"S": "#,,😀"}}, {EDGES}, id="garbage"),
        pytest.param(MESSAGE, {"given": {"S": A}}, {EDGES}, id="one more is listed"),
        pytest.param(MESSAGE, {"given": {"N": "7"}}, {EDGES}, id="one more, a number"),
    ],
)
def test_each_kind_of_damage_to_edges_is_found(where, attributes, expected, change, findings):
    assert findings() == []
    change(where, **attributes)
    assert set(findings()) == expected


def edge_of(session: str, source: str, message: str, *, cited: bool = True) -> dict[str, Any]:
    partition, ulid = "acme#alice", message.removeprefix("msg_")
    edge = keys.edge(partition, session.removeprefix("sess_"), source, ulid)
    return encode({**edge, **keys.by_source(partition, source, ulid, cited=cited)})


@pytest.fixture
def put(raw, table):
    return lambda item: raw.put_item(TableName=table.name, Item=item)


def test_an_edge_without_its_message_is_found(alice, session, put, items, findings):
    gone = alice.append(session, metadata=references("a"))["message_id"]
    [edge] = [i for i in items() if "#SRC#" in i["SK"]["S"] and gone[4:] in i["SK"]["S"]]
    assert alice.delete(f"/sessions/{session}/messages/{gone}").status_code == 200
    assert findings() == []
    put(edge)
    alice.append(session)
    assert findings() == [EDGES]


def test_an_edge_of_a_message_that_lists_none_is_found(alice, session, put, findings):
    message = alice.append(session)["message_id"]
    put(edge_of(session, A, message))
    assert findings() == [EDGES]


def test_an_edge_to_a_source_that_is_only_given_is_found(session, put, items, findings):
    for (_, message), sources in found_in(items()).items():
        for source, cited in sources.items():
            put(edge_of(session, source, message, cited=not cited))
            assert findings() == [EDGES]
            put(edge_of(session, source, message, cited=cited))
            assert findings() == []


def test_edges_that_are_exchanged_between_messages_are_found(alice, session, put, change, findings):
    """As many as are listed, but other ones."""
    message = alice.append(session, metadata=references("c"))["message_id"]
    change(f"#SRC#[0-9a-f]+#{message[4:]}$")
    put(edge_of(session, A, message))
    assert findings() == [EDGES]


def test_an_edge_whose_message_is_later_than_the_last_is_found(session, put, findings):
    put(edge_of(session, A, "msg_02" + "Z" * 24))
    assert findings() == ["is later than its session's last message"]


def test_an_edge_without_a_session_is_found(session, put, findings):
    put(edge_of("sess_02" + "Z" * 24, A, session))
    assert "belongs to no session" in findings()


@pytest.mark.parametrize("key", [None, "k"])
def test_a_cut_that_is_being_removed_is_not_damage(
    key, alice, far_alice, proxy, table, clock, items, findings
):
    """The check looks before each call of the request and of the sweep. Edges may be gone, and
    their messages not yet."""
    session = alice.create_session(**({"key": key} if key else {}))["session_id"]
    said = alice.fill(session, 250, metadata=references("a"))
    seen: list[str] = []

    def checked(exchange: Exchange) -> None:
        seen.extend(findings())
        exchange.forward()

    proxy.plan = always(checked)
    path = f"/sessions/{session}/messages?after={said[0]}"
    assert far_alice.delete(path).status_code == 200
    assert len(found_in(items())) > 2, "the sweep has nothing to remove"
    clock.move(seconds=1)
    assert sweep(db.Table(table.name, db.connect(endpoint_url=proxy.url)), clock).finished
    assert list(found_in(items())) == [(session, said[0])]
    assert proxy.faults["checked"] > 20
    assert seen == findings() == []


@pytest.mark.parametrize("path", ["/import", "/sessions/{}/fork"])
def test_a_session_that_is_being_filled_is_not_damage(
    path, alice, session, make_far_app, proxy, findings
):
    alice.fill(session, 60, metadata=references("a"))
    at = "2024-01-01T00:00:00Z"
    said = {"role": "user", "content": "x", "created_at": at, "metadata": references("a")}
    body = {"session": {"domain_id": "d"}, "messages": [said] * 60} if "import" in path else {}
    seen: list[str] = []

    def checked(exchange: Exchange) -> None:
        seen.extend(findings())
        exchange.forward()

    proxy.plan = always(checked)
    importer = Client(make_far_app(), make_token("acme", "alice", scope=IMPORTER))
    assert importer.post(path.format(session), body).status_code == 201
    assert proxy.faults["checked"] > 6
    assert seen == findings() == []


def test_changes_while_the_check_reads_are_not_damage(alice, session, far_table, proxy, clock):
    """The edges are on another page than the messages. Appends may go on for ever; of other changes
    there must be a moment without."""
    large = [alice.append(session, "x" * 900_000)["message_id"] for _ in range(3)]
    path = f"/sessions/{session}/messages"
    changes = [
        lambda: alice.put(f"{path}/{large[0]}", {"content": "y", "metadata": references("c")}),
        lambda: alice.delete(f"{path}/{large[0]}"),
    ]

    def overtaken(exchange: Exchange) -> None:
        change = changes.pop(0) if changes and b"ExclusiveStartKey" in exchange.call.body else None
        if change:
            assert change().status_code == 200
        else:
            alice.append(session, metadata=references("a"))
        exchange.forward()

    for change in list(changes):
        changes[:] = [change]
        proxy.plan = always(overtaken, "Query")
        proxy.forget()
        assert [str(finding) for finding in check.check(far_table, clock)] == []
        assert proxy.faults["overtaken"] >= 4, "it has read only once"
        proxy.plan = nothing
