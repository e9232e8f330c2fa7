"""The checker finds each kind of damage to values, and knows which of them the sweep will find."""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest

from app.operations import check
from app.operations.check import Checked
from app.operations.sweep import sweep
from app.table import ids
from tests.people import Client, make_token

BIG = b"\xff" * 900_000  # three parts
LONG = b'"' + b"x" * 900_000 + b'"'
ULID = "[0-9A-Z]{26}"
LATER = {"S": "02" + "Z" * 24}
DUE = {"GSI2PK": {"S": "SWEEP#0"}, "GSI2SK": {"S": "2026-01-01T00:00:00.000Z"}}


@pytest.fixture
def alice(app: Any) -> Client:
    """With what the values of her tenant need."""
    scope = "sessions:read sessions:write tenant-values:read tenant-values:write"
    return Client(app, make_token("acme", "alice", scope=scope))


def put(client: Client, path: str, raw: bytes, content_type: str = "application/json") -> None:
    answer = client.request("PUT", path, data=raw, headers={"Content-Type": content_type})
    assert answer.status_code in (200, 201), answer.text


def put_all(client: Client, path: str) -> None:
    """Values of each form."""
    put(client, f"{path}/agent/state", b'{"step": 1E5}')
    put(client, f"{path}/geo", b"[]", "application/geo+json")
    put(client, f"{path}/long", LONG)
    put(client, f"{path}/raw", b"\0\xff", "image/png")
    put(client, f"{path}/empty", b"", "text/plain; charset=x")
    put(client, f"{path}/big", BIG, "application/octet-stream")


FORMS = 6


@pytest.fixture
def session(alice: Client) -> str:
    """A session, a user and a tenant with values, in an otherwise empty table."""
    made: str = alice.create_session(key="mine")["session_id"]
    for path in (f"/sessions/{made}/values", "/values", "/tenant/values"):
        put_all(alice, path)
    return made


@pytest.mark.usefixtures("session")
def test_a_sound_table_with_values_has_no_findings(table, clock):
    seen = Checked()
    assert list(check.check(table, clock, seen)) == []
    assert seen == Checked(users=1, sessions=1, messages=0, values=3 * FORMS, records=0, pending=0)


def test_each_value_is_counted_once_whatever_was_done_to_it(alice, session, table, clock):
    path = f"/sessions/{session}/values"
    put(alice, f"{path}/big", b"1")  # its parts go
    put(alice, f"{path}/raw", BIG, "image/png")
    operations = [{"put": "a\n#MSG#b", "json": 1}, {"delete": "geo"}, {"delete": "long"}]
    for at in (path, "/values", "/tenant/values"):
        answer = alice.post(
            f"{at}/batch", {"operations": operations}, headers={"Idempotency-Key": "k"}
        )
        assert answer.status_code == 200
    seen = Checked()
    assert list(check.check(table, clock, seen)) == []
    assert (seen.values, seen.records) == (3 * (FORMS - 1), 3)


PLACES = {
    "session": ("/sessions/{}/values", f" SESSION#{ULID}#"),
    "user": ("/values", "alice "),
    "tenant": ("/tenant/values", "##VALUES "),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("where", "attributes", "expected"),
    [
        ("VALUE#agent/state$", {"epoch": LATER}, ["is of a later epoch"]),
        ("VALUE#agent/state$", {"epoch": {"S": ""}}, ["is of an earlier epoch"]),
        ("VALUE#agent/state$", {"epoch": None}, ["is of an earlier epoch"]),
        ("VALUE#agent/state$", {"written": None}, ["its content is damaged"]),
        ("VALUE#agent/state$", {"written": {"S": "yesterday"}}, ["its content is damaged"]),
        ("VALUE#agent/state$", {"total_bytes": {"N": "14"}}, ["its content is damaged"]),
        ("VALUE#agent/state$", {"total_bytes": None}, ["its content is damaged"]),
        ("VALUE#agent/state$", {"etag": {"S": "x"}}, ["its content is damaged"]),
        ("VALUE#agent/state$", {"etag": None}, ["its content is damaged"]),
        ("VALUE#agent/state$", {"body": {"S": '{"step": 1E6}'}}, ["its content is damaged"]),
        ("VALUE#agent/state$", {"body": {"B": b'{"step": 1E5}'}}, ["its content is damaged"]),
        ("VALUE#agent/state$", {"body": None}, ["its content is damaged"]),
        ("VALUE#agent/state$", {"content_type": {"S": "x/y"}}, ["its content is damaged"]),
        ("VALUE#agent/state$", {"parts": {"N": "2"}}, ["its parts are not whole"]),
        ("VALUE#agent/state$", {"parts": {"N": "0"}}, ["its parts are not whole"]),
        ("VALUE#agent/state$", {"parts": {"N": "1000000000000"}}, ["its parts are not whole"]),
        ("VALUE#agent/state$", {"parts": {"S": "x"}}, ["its parts are not whole"]),
        ("VALUE#agent/state$", {"GSI3PK": {"S": "a"}}, ["its keys in GSI3 are wrong"]),
        ("VALUE#raw$", {"body": {"S": "text"}}, ["its content is damaged"]),
        ("VALUE#raw$", {"content_type": {"S": "image/gif"}}, ["its content is damaged"]),
        ("VALUE#raw$", {"content_type": None}, ["its content is damaged"]),
        ("VALUE#long$", {}, ["belongs to no value"] * 2),
        ("VALUE#big$", {}, ["belongs to no value"] * 2),
        ("VALUE#big$", {"parts": {"N": "2"}}, ["its content is damaged", "belongs to no value"]),
        ("VALUE#big$", {"parts": {"N": "4"}}, ["its parts are not whole"]),
        ("VPART#.*#01$", {}, ["its parts are not whole"]),
        ("VPART#.*#02$", {}, ["its parts are not whole"]),
        ("VPART#.*#02$", {"body": None}, ["its content is damaged"]),
        ("VPART#.*#02$", {"written": {"S": "0" * 26}}, ["its parts are not whole"]),
        ("VPART#.*#02$", {"epoch": LATER}, ["its parts are not whole"]),
    ],
)
def test_each_kind_of_damage_is_found(place, where, attributes, expected, alice, change, findings):
    path, before = PLACES[place]
    session = alice.create_session()["session_id"] if place == "session" else ""
    put_all(alice, path.format(session))
    change(f"{before}{where}", **attributes)
    assert sorted(findings()) == sorted(expected)


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("text", ["NaN", '{"a":1,"a":2}', "[1", "", "1 2", "[" * 100_000])
def test_text_that_is_not_json_is_found_even_if_its_hash_is_right(text, change, table, clock):
    raw = b"application/json\0" + text.encode()
    etag = base64.urlsafe_b64encode(hashlib.sha256(raw).digest()[:16]).decode().rstrip("=")
    size = {"N": str(len(text))}
    change("VALUES VALUE#agent/", body={"S": text}, etag={"S": etag}, total_bytes=size)
    [finding] = check.check(table, clock)
    assert finding.problem == "its content is damaged"
    assert "etag" not in finding.detail
    assert "total_bytes" not in finding.detail


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(
    ("where", "attributes", "expected"),
    [
        (f" SESSION#{ULID}$", {"has_values": None}, {"has_values is missing"}),
        (" USER$", {"has_values": None}, {"has_values is missing"}),
        (" TENANT$", {"has_values": None}, {"has_values is missing"}),
        (" TENANT$", {"epoch": LATER}, {"is of an earlier epoch", "belongs to no value"}),
        (" USER$", {"epoch": LATER}, {"is of an earlier epoch", "belongs to no value"}),
        (" TENANT$", {}, {"belongs to no tenant", "belongs to no value"}),
        (" TENANT$", {"GSI3PK": {"S": "acme#0"}}, {"its keys in GSI3 are wrong"}),
        (
            " TENANT$",
            {"SK": {"S": "USER"}},
            {"belongs to no tenant", "belongs to no value", "unknown item"},
        ),
        (
            " USER$",
            {},
            {"belongs to no user", "belongs to no value", "session_count", "last_ulid is before"},
        ),
        (
            f" SESSION#{ULID}$",
            {},
            {"belongs to no session", "belongs to no value", "session_count is wrong"},
        ),
    ],
)
def test_values_and_what_they_belong_to_must_agree(where, attributes, expected, change, findings):
    change(where, **attributes)
    found = set(findings())
    assert {f for f in found if not any(f.startswith(e) for e in expected)} == set()
    assert {e for e in expected if not any(f.startswith(e) for f in found)} == set()


def test_what_has_had_values_needs_none(alice, session, findings):
    for path in (f"/sessions/{session}/values", "/values", "/tenant/values"):
        assert alice.delete(f"{path}?all=true").status_code == 200
    assert findings() == []


@pytest.fixture
def leave(raw: Any, table: Any, items: Callable[[], list[Any]]) -> Callable[[str], None]:
    """Puts values back that a delete or an erasure has removed, as if they had been put late."""

    def leave(partition: str) -> None:
        for item in before:
            if item["PK"]["S"] == partition and re.search("VALUE#|VPART#", item["SK"]["S"]):
                raw.put_item(TableName=table.name, Item=item)

    before = items()
    return leave


def test_values_put_too_late_wait_for_the_sweep(alice, session, request, table, clock, items):
    leave = request.getfixturevalue("leave")
    assert alice.delete("/sessions?confirm=all").status_code == 200
    leave("acme#alice")
    seen = Checked()
    assert list(check.check(table, clock, seen)) == []
    assert (seen.sessions, seen.values, seen.pending) == (0, 3 * FORMS, 2 * FORMS)
    again = alice.create_session(key="mine")["session_id"]
    assert again == session
    put(alice, f"/sessions/{again}/values/long", LONG)
    put(alice, "/values/new", b"1")
    seen = Checked()
    assert list(check.check(table, clock, seen)) == []
    assert (seen.sessions, seen.pending) == (1, 2 * FORMS - 1)
    clock.move(seconds=130)
    assert sweep(table, clock).finished
    seen = Checked()
    assert list(check.check(table, clock, seen)) == []
    assert (seen.values, seen.pending) == (FORMS + 2, 0)


def test_without_the_note_they_are_damage(alice, session, request, change, findings):
    leave = request.getfixturevalue("leave")
    alice.delete("/sessions?confirm=all")
    leave("acme#alice")
    change(f" SESSION#{ULID}#STALE$")
    assert findings() == ["belongs to no session"] * FORMS + ["belongs to no value"] * 4
    change(" STALE$")
    assert set(findings()) == {
        *("belongs to no session", "belongs to no value", "is of an earlier epoch")
    }


@pytest.mark.parametrize("where", [f" SESSION#{ULID}#STALE$", "alice STALE$"])
@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"GSI2PK": None}, {"its keys in GSI2 are wrong"}),
        ({"GSI2SK": None}, {"its keys in GSI2 are wrong"}),
        (DUE, {"its keys in GSI2 are wrong"}),
        ({"GSI3PK": {"S": "acme#0"}}, {"its keys in GSI3 are wrong"}),
        ({"epoch": {"S": "x"}}, {"its epoch is wrong"}),
        ({"epoch": {"S": ids.GREATEST}}, {"its epoch is wrong"}),  # the sweep would remove all
    ],
)
def test_a_damaged_note_is_found(where, attributes, expected, alice, session, change, findings):
    alice.delete("/sessions?confirm=all")
    alice.create_session(key="mine")
    assert findings() == []
    change(where, **attributes)
    assert set(findings()) == expected


def test_a_finding_is_one_line_whatever_the_name_of_a_value(alice, change, table, clock):
    put(alice, "/values/a%0Ab%20%23/%C3%BC", b"1")
    change("VALUE#", etag={"S": "x"})
    [finding] = check.check(table, clock)
    assert str(finding) == (
        "acme#alice VALUE#a%0Ab%20#/%C3%BC: its content is damaged (its etag is not its hash)"
    )


@pytest.mark.usefixtures("session")
def test_a_session_in_the_partition_of_a_tenant_is_unknown(change, findings):
    change("##VALUES TENANT$", SK={"S": f"SESSION#{ids.LEAST}"})
    assert "unknown item" in findings()
