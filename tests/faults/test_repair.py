"""`check --repair` mends what follows from the table, leaves the rest, and never undoes a write."""

import re
import threading
from collections.abc import Callable
from typing import Any

import flask
import pytest

from app.config import Config
from app.operations import check, cli, repair
from app.operations.sweep import sweep
from app.table import db, ids
from tests.faults.conftest import BIG
from tests.faults.test_check import SESSION, ULID
from tests.people import SECRET, Client, make_token

Items = Callable[[], list[dict[str, Any]]]
NOTHING = "0" * 26
LATER = {"S": "02" + "Z" * 24}


@pytest.fixture
def mend(table: db.Table, clock: Any) -> Callable[[], list[tuple[str, bool]]]:
    """Repairs the table. Returns each problem, and whether it was mended."""

    def mend() -> list[tuple[str, bool]]:
        found = repair.repair(table, check.check(table, clock), apply=True)
        return [(finding.problem, done) for finding, _, done in found]

    return mend


@pytest.fixture
def stranger(raw: Any, table: db.Table) -> Callable[..., None]:
    """Puts an item that no store would put there."""

    def put(sk: str, partition: str = "acme#alice", **attributes: Any) -> None:
        raw.put_item(
            TableName=table.name, Item={"PK": {"S": partition}, "SK": {"S": sk}, **attributes}
        )

    return put


FOLLOWS: list[tuple[str, dict[str, Any]]] = [
    (SESSION, {"message_count": {"N": "4"}}),
    (SESSION, {"message_count": None}),
    (SESSION, {"message_count": {"S": "many"}}),
    (SESSION, {"feedback_count": {"N": "3"}}),
    (SESSION, {"GSI1PK": {"S": "globex#charlie"}}),
    (SESSION, {"GSI1SK": {"S": "2100-01-01T00:00:00.000Z#x"}}),
    (SESSION, {"GSI1SK": None, "GSI1PK": None}),
    (SESSION, {"GSI2PK": None, "GSI2SK": None}),
    (SESSION, {"GSI2SK": {"S": "2026-01-01T00:00:00.000Z"}}),
    (SESSION, {"GSI3PK": {"S": "acme#9"}, "GSI3SK": {"S": "acme#alice"}}),
    (SESSION, {"cut_lo": {"S": NOTHING}, "cut_hi": {"S": NOTHING}}),
    ("#MSG#[0-9A-Z]+$", {"raters": {"N": "1"}}),
    ("#02$", {"GSI3PK": {"S": "acme#9"}, "GSI3SK": {"S": "acme#alice"}}),
    (" USER$", {}),
    (" USER$", {"session_count": None}),
    (" USER$", {"session_count": {"N": "2"}}),
    (" USER$", {"last_ulid": {"S": NOTHING}}),
    (" USER$", {"GSI3PK": None, "GSI3SK": None}),
    (" USER$", {"GSI3PK": {"S": "acme#0"}}),
    (" USER$", {"GSI2PK": {"S": "SWEEP#0"}, "GSI2SK": {"S": "2026-01-01T00:00:00.000Z"}}),
]
"""What can be mended. The table is sound afterwards."""


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(("where", "attributes"), FOLLOWS)
def test_what_follows_is_mended(where, attributes, change, mend, assert_sound, items):
    before = items()
    change(where, **attributes)
    assert {done for _, done in mend()} == {True}
    assert_sound()
    if "cut_hi" not in attributes:
        for was, is_now in zip(before, items(), strict=True):
            counts = {"feedback_count", "raters"}  # zero is the same as none
            assert {n: v for n, v in is_now.items() if n not in counts or v != {"N": "0"}} == was


GUESSES: list[tuple[str, dict[str, Any]]] = [
    ("#01$", {}),
    ("#02$", {"parts": {"N": "4"}}),
    ("#MSG#[0-9A-Z]+$", {"message_role": None}),
    ("#MSG#[0-9A-Z]+$", {"edited": {"S": NOTHING}}),
    (SESSION, {"last_ulid": {"S": NOTHING}}),
    (SESSION, {"last_message": {"S": NOTHING}}),
    (SESSION, {"last_message": None}),
    (SESSION, {"changed": {"S": NOTHING}}),
    (SESSION, {"born": LATER}),
    (SESSION, {"info": {"S": NOTHING}}),
    (SESSION, {"cut_lo": {"S": NOTHING}}),
    (SESSION, {"expires_at": None}),
    (SESSION, {"title": None}),
    (SESSION, {"version": {"N": "0"}}),
    (SESSION, {"last_count": {"N": "4"}}),
    (SESSION, {"session_key": {"S": "x"}}),
    (SESSION, {"last_ulid": None}),
    (" REQUEST#", {"first_id": None}),
    ("#REQUEST#", {"first_id": {"S": NOTHING}}),
]


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(("where", "attributes"), GUESSES)
def test_what_would_be_a_guess_is_left(where, attributes, change, mend, items):
    change(where, **attributes)
    before = items()
    outcome = mend()
    assert outcome
    assert not any(done for _, done in outcome), outcome
    assert items() == before


def test_what_is_left_of_a_session_that_is_gone_is_removed(
    alice, session, change, mend, assert_sound, items
):
    for name, value in (("small", "1"), ("long", '"' + BIG + '"')):
        path = f"/sessions/{session['session_id']}/values/{name}"
        answer = alice.request(
            "PUT", path, data=value, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 201
    change(SESSION)
    outcome = mend()
    assert ("belongs to no session", True) in outcome
    assert ("belongs to no value", True) in outcome
    assert {done for _, done in outcome} == {True}
    assert_sound()
    assert {item["SK"]["S"].split("#")[0] for item in items()} == {"USER", "REQUEST"}


def test_feedback_whose_message_is_gone_is_removed(alice, session, stranger, mend, assert_sound):
    ulid = session["session_id"].removeprefix("sess_")
    attributes = {"rater": {"S": "bob"}, "rated": {"S": ulid}, "body": {"S": "{}"}}
    for rater in ("a", "b"):
        stranger(f"SESSION#{ulid}#MSG#{ulid}#FEEDBACK#{rater}", **attributes)
    assert mend() == [("belongs to no message", True)] * 2
    assert_sound()


def test_raters_are_counted(alice, bob, session, change, mend, assert_sound):
    message = alice.append(session["session_id"], "rated")["message_id"]
    path = f"/sessions/{session['session_id']}/messages/{message}"
    assert alice.put(f"{path}/feedback", {"rating": "up"}).status_code == 200
    change(f"#MSG#{message[4:]}$", raters={"N": "7"})
    change(SESSION, feedback_count={"N": "9"})
    assert mend() == [("raters is wrong", True), ("feedback_count is wrong", True)]
    assert_sound()
    assert alice.get(path).json["feedback"][0]["rating"] == "up"


@pytest.mark.parametrize("due", [None, "2026-01-01T00:00:00.000Z", "soon"])
def test_a_cut_is_due_again_and_the_sweep_finishes_it(
    alice, session, due, stranger, change, mend, table, clock, assert_sound, items
):
    """Also one whose entry is there under another key, and one that no cut has."""
    ulid = session["session_id"].removeprefix("sess_")
    first, *_ = alice.fill(session["session_id"], 300)
    assert alice.delete(f"/sessions/{session['session_id']}/messages?from={first}").json
    assert any(item["SK"]["S"].endswith("#REMOVAL") for item in items())
    change("#REMOVAL$")
    if due:
        stranger(f"SESSION#{ulid}#REMOVAL", GSI2PK={"S": "SWEEP#x"}, GSI2SK={"S": due})
    assert [done for _, done in mend()] == [True]
    assert_sound()
    clock.move(seconds=5)
    assert sweep(table, clock).finished
    assert not [item for item in items() if "cut_hi" in item or "REMOVAL" in item["SK"]["S"]]
    stranger(f"SESSION#{ulid}#REMOVAL", GSI2PK={"S": "SWEEP#x"}, GSI2SK={"S": "soon"})
    assert mend() == [("belongs to no cut", True)]
    assert_sound()


def test_metadata_that_is_left_over_is_removed(session, stranger, mend, assert_sound):
    ulid = session["session_id"].removeprefix("sess_")
    stranger(f"SESSION#{ulid}#INFO", info={"S": ulid}, metadata={"S": "{}"})
    assert mend() == [("belongs to no session", True)]
    assert_sound()


def test_a_session_that_is_being_deleted_is_found_by_the_sweep_again(
    alice, session, change, mend, table, clock, assert_sound, items
):
    past = {"S": "2026-01-01T00:00:00.000Z"}
    change(SESSION, deleted_at=past)
    change(" USER$", session_count={"N": "0"})
    assert [done for _, done in mend()] == [True, True]
    assert_sound()
    assert sweep(table, clock).sessions == 1
    assert not [item for item in items() if item["SK"]["S"].startswith("SESSION#")]


def test_an_erasure_is_found_by_the_sweep_again(
    alice, session, change, mend, table, clock, assert_sound, items
):
    [user] = [item for item in items() if item["SK"]["S"] == "USER"]
    change(" USER$", erase_until=user["last_ulid"])
    assert mend() == [("its keys in GSI2 are wrong", True)]
    assert_sound()
    clock.move(seconds=1)
    assert sweep(table, clock).finished
    assert [item["SK"]["S"] for item in items() if "REQUEST" not in item["SK"]["S"]] == []


# Values


@pytest.fixture
def valued(alice: Client) -> str:
    """A session and a user with values, whole and divided."""
    made: str = alice.create_session(key="mine")["session_id"]
    for path in (f"/sessions/{made}/values", "/values"):
        for name, value in (("small", "1"), ("long", '"' + BIG + '"')):
            sent = {"Content-Type": "application/json"}
            answer = alice.request("PUT", f"{path}/{name}", data=value, headers=sent)
            assert answer.status_code == 201
    return made


@pytest.mark.usefixtures("valued")
@pytest.mark.parametrize("where", [SESSION, " USER$"])
def test_that_there_are_values_is_noted_again(where, change, mend, assert_sound):
    change(where, has_values=None)
    assert mend() == [("has_values is missing", True)]
    assert_sound()


@pytest.mark.usefixtures("valued")
@pytest.mark.parametrize("where", ["#VALUE#small$", "alice VALUE#long$"])
def test_a_value_that_nobody_sees_is_removed(where, change, mend, assert_sound):
    change(where, epoch={"S": NOTHING if "SESSION" in where else "0" * 25 + "0"})
    outcome = mend()
    if outcome:  # the epoch of a user without an erasure is the least
        assert {done for _, done in outcome} == {True}
    assert_sound()


@pytest.mark.usefixtures("valued")
@pytest.mark.parametrize("place", [f" SESSION#{ULID}#", "alice "])
@pytest.mark.parametrize(
    ("where", "attributes"),
    [
        ("VALUE#long$", {"epoch": LATER}),
        ("VALUE#long$", {"epoch": None}),
        ("VALUE#long$", {"epoch": {"S": "x"}}),
        ("VALUE#long$", {"parts": {"N": "2"}}),
        ("VALUE#long$", {"parts": None}),
        ("VALUE#small$", {"etag": {"S": "x"}}),
        ("VPART#.*#02$", {"written": LATER}),
    ],
)
def test_a_value_that_may_be_wanted_is_left_with_its_parts(
    place, where, attributes, change, mend, items
):
    change(place + where, **attributes)
    before = items()
    outcome = mend()
    assert outcome
    assert not any(done for _, done in outcome), outcome
    assert items() == before


@pytest.mark.usefixtures("valued")
@pytest.mark.parametrize("place", [f" SESSION#{ULID}#", "alice "])
def test_parts_without_their_value_are_removed(place, change, mend, assert_sound):
    change(f"{place}VALUE#long$")
    assert mend() == [("belongs to no value", True)] * 2
    assert_sound()


@pytest.mark.usefixtures("valued")
@pytest.mark.parametrize("where", [" USER$", "##VALUES TENANT$"])
def test_values_whose_user_or_tenant_is_lost_are_left(app, where, change, mend, items):
    scope = "tenant-values:write"
    tenant = Client(app, make_token("acme", "alice", scope=scope))
    assert tenant.put("/tenant/values/a", {}).status_code == 201
    change(where)
    before = items()
    assert not any(done for _, done in mend())
    assert items() == before


@pytest.mark.parametrize(
    ("attributes", "is_mended"),
    [
        ({"GSI2PK": None}, True),
        ({"GSI2SK": None}, True),
        ({"GSI2PK": None, "epoch": {"S": ids.GREATEST}}, False),  # it would remove what is there
        ({"epoch": {"S": "x"}}, False),
    ],
)
def test_a_note_for_the_sweep(alice, valued, attributes, is_mended, change, mend, assert_sound):
    assert alice.delete("/sessions?confirm=all").status_code == 200
    again = alice.create_session(key="mine")["session_id"]
    for path in (f"/sessions/{again}/values", "/values"):
        assert alice.put(f"{path}/new", {}).status_code == 201
    for where in (f" SESSION#{ULID}#STALE$", "alice STALE$"):
        change(where, **attributes)
    outcome = mend()
    assert len(outcome) >= 2
    assert {done for _, done in outcome} == {is_mended}
    if is_mended:
        assert_sound()


# The command


@pytest.fixture
def run(app: flask.Flask) -> Callable[..., Any]:
    cli.init_app(app, Config(sessions_table="none", jwt_secret=SECRET))
    return lambda *args: app.test_cli_runner().invoke(args=["check", *args])


@pytest.mark.usefixtures("session")
def test_without_apply_it_only_says_what_it_would_do(run, change, items, assert_sound):
    change(SESSION, message_count={"N": "4"})
    change("#MSG#[0-9A-Z]+$", edited={"S": NOTHING})
    before = items()
    dry = run("--repair")
    assert dry.exit_code == 1
    assert items() == before
    lines = dry.output.splitlines()
    assert lines[0].endswith("edited is wrong (00000000000000000000000000)")
    assert lines[1] == f"  {repair.CANNOT_BE_TOLD}"
    assert lines[2].endswith("message_count is wrong (4, and there are 5)")
    assert lines[3] == "  would set message_count to 5"
    assert lines[4].endswith(": 2 findings")
    wet = run("--repair", "--apply")
    assert wet.exit_code == 1, "one finding is left"
    assert "\n  set message_count to 5\n" in wet.output
    assert wet.output.endswith(": 2 findings, 1 mended\n")
    change("#MSG#[0-9A-Z]+$", edited=None)
    change(SESSION, message_count={"N": "4"})
    assert run("--repair", "--apply").exit_code == 0
    assert_sound()


def test_apply_alone_is_refused(run, items):
    refused = run("--apply")
    assert refused.exit_code == 2
    assert "needs --repair" in refused.output


# In use


def test_what_changed_after_the_check_is_left(alice, session, change, table, clock, assert_sound):
    change(SESSION, message_count={"N": "4"})
    findings = list(check.check(table, clock))
    alice.append(session["session_id"], "meanwhile")
    assert [done for *_, done in repair.repair(table, findings, apply=True)] == [False]
    [(finding, _, done)] = repair.repair(table, check.check(table, clock), apply=True)
    assert (finding.detail, done) == ("5, and there are 6", True)
    assert_sound()


def test_orphans_of_a_session_that_was_made_again_are_left(alice, valued, raw, table, clock, items):
    """Its id follows from its key, so the new session may have the very items of the old one."""
    kept = items()
    [head] = [item for item in kept if re.fullmatch(f"SESSION#{ULID}", item["SK"]["S"])]
    raw.delete_item(TableName=table.name, Key={"PK": head["PK"], "SK": head["SK"]})
    findings = list(check.check(table, clock))
    raw.put_item(TableName=table.name, Item=head)
    outcome = list(repair.repair(table, findings, apply=True))
    assert not any(done for finding, _, done in outcome if "SESSION#" in finding.sk)
    kept = [item for item in kept if item["SK"]["S"] != "USER"]
    assert [item for item in items() if item["SK"]["S"] != "USER"] == kept


def test_repairs_while_others_write(make_app, table, alice, change, clock, assert_sound):
    """Counts are damaged again and again while others append, give feedback and put values. Nothing
    that was acknowledged is lost, and in the end the table is sound."""
    session_id = alice.create_session()["session_id"]
    path = f"/sessions/{session_id}"
    first = alice.append(session_id)["message_id"]
    stop = threading.Event()
    written: list[str] = []
    failed: list[str] = []

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            answers = [
                alice.post(f"{path}/messages", {"role": "user", "content": str(number)}),
                alice.put(f"{path}/messages/{first}/feedback", {"rating": number}),
                alice.request(
                    "PUT",
                    f"{path}/values/v",
                    data='"' + BIG[: 500_000 * (number % 2)] + '"',
                    headers={"Content-Type": "application/json"},
                ),
                alice.delete(f"{path}/messages/{first}/feedback"),
            ]
            written.append(answers[0].json["message_id"])
            failed.extend(answer.text for answer in answers if answer.status_code >= 400)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(12):
            # Changes one attribute, as a bug could: the rest stays what the writers made it.
            table.client.update_item(
                TableName=table.name,
                Key={"PK": {"S": "acme#alice"}, "SK": {"S": f"SESSION#{session_id[5:]}"}},
                UpdateExpression="ADD message_count :n",
                ExpressionAttributeValues={":n": {"N": "5"}},
            )
            list(repair.repair(table, check.check(table, clock), apply=True))
    finally:
        stop.set()
        writer.join()
    assert failed == []
    list(repair.repair(table, check.check(table, clock), apply=True))
    assert_sound()
    kept = {message["message_id"] for message in alice.read_all(session_id)}
    assert kept == {first, *written}
    assert alice.get(f"{path}/values/v").status_code == 200
