"""The checker finds each kind of damage, and reports nothing else as damage."""

import re
from pathlib import Path

import pytest

from app.config import Config
from app.operations import check, cli
from app.operations.check import Checked
from app.table import ids
from tests.people import SECRET

ULID = "[0-9A-Z]{26}"
SESSION = f" SESSION#{ULID}$"


@pytest.mark.usefixtures("session")
def test_a_sound_table_has_no_findings(table, clock, findings):
    assert findings() == []
    seen = Checked()
    assert list(check.check(table, clock, seen)) == []
    assert seen == Checked(users=1, sessions=1, messages=5, values=0, records=3, pending=0)


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(
    ("where", "attributes", "expected"),
    [
        (
            f"{SESSION}",
            {},
            {"belongs to no session", "session_count"},
        ),
        ("#MSG#[0-9A-Z]+$", {}, {"message_count is wrong", "record of an append without"}),
        ("#01$", {}, {"its parts are not whole"}),
        ("#02$", {}, {"its parts are not whole"}),
        ("#02$", {"parts": {"N": "4"}}, {"its parts are not whole"}),
        (SESSION, {"message_count": {"N": "4"}}, {"message_count is wrong"}),
        (SESSION, {"message_count": {"N": "6"}}, {"message_count is wrong"}),
        (
            SESSION,
            {"last_ulid": {"S": "02" + "Z" * 24}},
            set(),  # an edit of a message that was deleted since may leave this
        ),
        (
            SESSION,
            {"last_ulid": {"S": "0" * 26}},
            {
                "last_ulid is wrong",
                "last_message is wrong",
                "changed is wrong",
                "its last activity is wrong",
                "edited is wrong",
            },
        ),
        (SESSION, {"last_ulid": {"S": "7" + "Z" * 25}}, {"cannot be understood"}),
        (
            SESSION,
            {"last_message": {"S": "0" * 26}},
            {
                "is later than its session's last message",
                "last_message is not the last",
                "last_message is wrong",
                "message_count is wrong",
                "record of an append without its message",
            },
        ),
        (
            SESSION,
            {"last_message": None},
            {
                "is later than its session's last message",
                "message_count is wrong",
                "record of an append without its message",
            },
        ),
        (SESSION, {"changed": {"S": "0" * 26}}, {"changed is wrong"}),
        (SESSION, {"changed": None}, {"an attribute is missing"}),
        (SESSION, {"settings_version": None}, {"an attribute is missing"}),
        (SESSION, {"feedback_count": {"N": "3"}}, {"feedback_count is wrong"}),
        (SESSION, {"session_key": {"S": "x"}}, {"its key gives another id", "its birth is wrong"}),
        (SESSION, {"info": {"S": "0" * 26}}, {"info is wrong", "its metadata is missing"}),
        (
            SESSION,
            {"cut_lo": {"S": "0" * 26}, "cut_hi": {"S": "0" * 26}},
            {"its cut is not due"},
        ),
        (SESSION, {"cut_lo": {"S": "0" * 26}}, {"its cut is wrong"}),
        (
            SESSION,
            {"GSI1SK": {"S": "2020-01-01T00:00:00.000Z#x"}},
            {"its last activity is wrong", "its keys in GSI1 are wrong"},
        ),
        ("#MSG#[0-9A-Z]+$", {"raters": {"N": "1"}}, {"raters is wrong"}),
        ("#MSG#[0-9A-Z]+$", {"edited": {"S": "0" * 26}}, {"edited is wrong"}),
        ("#MSG#[0-9A-Z]+$", {"message_role": None}, {"its text is damaged"}),
        ("#MSG#[0-9A-Z]+$", {"created_by": None}, {"its text is damaged"}),
        ("#MSG#[0-9A-Z]+$", {"message_status": {"S": "done"}}, {"its text is damaged"}),
        (SESSION, {"message_count": None}, {"message_count is wrong"}),
        (SESSION, {"GSI1PK": {"S": "globex#charlie"}}, {"its keys in GSI1 are wrong"}),
        (SESSION, {"GSI1SK": None}, {"its keys in GSI1 are wrong", "its last activity is wrong"}),
        (SESSION, {"GSI2PK": None, "GSI2SK": None}, {"its keys in GSI2 are wrong"}),
        (SESSION, {"expires_at": None}, {"its keys in GSI2 are wrong"}),
        (
            SESSION,
            {"deleted_at": {"S": "2026-01-01T00:00:00.000Z"}},
            {"its keys in GSI1 are wrong", "its keys in GSI2 are wrong", "session_count is wrong"},
        ),
        (" USER$", {}, {"session_count is wrong", "last_ulid is before the last session"}),
        (" USER$", {"session_count": None}, {"session_count is wrong"}),
        (" USER$", {"GSI3PK": None, "GSI3SK": None}, {"its keys in GSI3 are wrong"}),
        (" USER$", {"GSI3PK": {"S": "acme#0"}}, {"its keys in GSI3 are wrong"}),
        (" USER$", {"GSI3SK": {"S": "acme#bob"}}, {"its keys in GSI3 are wrong"}),
        *(
            (
                where,
                {"GSI3PK": {"S": "acme#9"}, "GSI3SK": {"S": "acme#alice"}},
                {"its keys in GSI3 are wrong"},
            )
            for where in (SESSION, "#MSG#[0-9A-Z]+$", "#02$", " REQUEST#", "#REQUEST#")
        ),
        (" USER$", {"session_count": {"N": "2"}}, {"session_count is wrong"}),
        (" USER$", {"last_ulid": {"S": "0" * 26}}, {"last_ulid is before the last session"}),
        (" USER$", {"erase_until": {"S": "0" * 26}}, {"its keys in GSI2 are wrong"}),
        (
            " USER$",
            {"GSI2PK": {"S": "SWEEP#0"}, "GSI2SK": {"S": "2026-01-01T00:00:00.000Z"}},
            {"its keys in GSI2 are wrong"},
        ),
        (SESSION, {"last_ulid": None}, {"cannot be understood"}),
        (SESSION, {"last_ulid": {"S": "x"}}, {"cannot be understood"}),
        (SESSION, {"changed": {"S": "02" + "Z" * 24}}, {"changed is wrong"}),
        (SESSION, {"changed": {"S": "x"}}, {"changed is wrong"}),
        (
            SESSION,
            {"last_message": {"S": "02" + "Z" * 24}},
            {"last_message is wrong", "last_message is not the last", "its last activity is wrong"},
        ),
        (SESSION, {"last_count": {"N": "-1"}}, {"last_count is wrong"}),
        (SESSION, {"last_count": {"S": "many"}}, {"last_count is wrong"}),
        (SESSION, {"version": None}, {"an attribute is missing"}),
        (SESSION, {"settings_version": {"S": "1"}}, {"settings_version is wrong"}),
        (SESSION, {"settings_version": {"N": "0"}}, {"settings_version is wrong"}),
        (SESSION, {"settings_version": {"N": "99"}}, {"settings_version is wrong"}),
        (SESSION, {"version": {"N": "0.5"}}, {"an attribute is missing"}),
        (SESSION, {"version": {"N": "0"}}, {"version is wrong"}),
        (
            SESSION,
            {"born": {"S": "02" + "Z" * 24}},
            {
                "last_ulid is wrong",
                "last_message is wrong",
                "changed is wrong",
                "last_ulid is before the last session",
            },
        ),
        (SESSION, {"cut_hi": {"S": "0" * 26}}, {"its cut is wrong", "its cut is not due"}),
        (
            SESSION,
            {"GSI1SK": {"S": "2100-01-01T00:00:00.000Z#x"}},
            {"its last activity is wrong", "its keys in GSI1 are wrong"},
        ),
        (SESSION, {"GSI1SK": {"S": "x"}}, {"its last activity is wrong", "its keys in GSI1"}),
        (SESSION, {"last_count": {"N": "4"}}, {"last_count is wrong"}),
        (SESSION, {"last_count": {"N": "1000000000000"}}, {"last_count is wrong"}),
        (" REQUEST#", {"first_id": {"S": "sess_1"}}, {"cannot be understood"}),
        (" REQUEST#", {"first_id": None}, {"cannot be understood"}),
        (" REQUEST#", {"fingerprint": None}, {"cannot be understood"}),
        (" REQUEST#", {"delete_after": None}, {"cannot be understood"}),
        (
            "#REQUEST#",
            {"first_id": {"S": "0" * 26}},
            {"record of an append without its message"},
        ),
        (
            " USER$",
            {"SK": {"S": "STRANGE"}},
            {"unknown item", "session_count", "last_ulid", "its keys in GSI3"},
        ),
    ],
)
def test_each_kind_of_damage_is_found(where, attributes, expected, change, findings):
    change(where, **attributes)
    found = set(findings())
    assert {f for f in found if not any(f.startswith(e) for e in expected)} == set()
    assert {e for e in expected if not any(f.startswith(e) for f in found)} == set()


def test_a_gap_between_parts_is_found(session, change, findings, items):
    [second] = [i["SK"]["S"] for i in items() if i["SK"]["S"].endswith("#01")]
    change("#01$", SK={"S": f"{second[:-2]}07"})
    assert findings() == ["its parts are not whole"]


@pytest.mark.usefixtures("session")
def test_a_message_missing_from_the_newest_append_is_found(change, findings, items):
    [*_, newest] = [i["SK"]["S"] for i in items() if "#MSG#" in i["SK"]["S"]]
    change(f"#MSG#{ids.series_until(newest[-26:], 2)[0]}$")
    assert findings() == ["message_count is wrong", "last_count is wrong"]


def test_the_record_of_a_create_may_outlive_its_session_and_be_absent(alice, change, findings):
    made = alice.post("/sessions", {"domain_id": "d"}, headers={"Idempotency-Key": "k"}).json
    alice.delete(f"/sessions/{made['session_id']}")
    assert findings() == []
    alice.post("/sessions", {"domain_id": "d"}, headers={"Idempotency-Key": "l"})
    change(" REQUEST#")
    change(" REQUEST#")
    assert findings() == []


def test_sessions_that_wait_for_the_sweep_are_not_damage(alice, session, table, clock):
    other = alice.create_session()["session_id"]
    alice.fill(other, 3)
    clock.move(days=4)
    seen = Checked()
    assert list(check.check(table, clock, seen)) == []
    assert seen.pending == 1  # the expired session


def test_a_record_past_its_time_counts_as_absent(session, change, clock, findings):
    change("#REQUEST#", first_id={"S": "0" * 26})
    clock.move(days=1.1)
    assert findings() == []


def test_the_command_prints_each_finding_and_exits_with_1(app, session, change):
    cli.init_app(app, Config(sessions_table="none", jwt_secret=SECRET))
    runner = app.test_cli_runner()
    sound = runner.invoke(args=["check"])
    assert sound.output == (
        "checked 1 users, 1 sessions, 5 messages, 0 values, 0 verdicts, 3 records"
        " (0 wait for the sweep): 0 findings\n"
    )
    assert sound.exit_code == 0
    change("#02$")
    damaged = runner.invoke(args=["check"])
    assert damaged.exit_code == 1
    [line, summary] = damaged.output.splitlines()
    assert re.fullmatch(
        rf"acme#alice SESSION#{ULID}#MSG#{ULID}: its parts are not whole \(2 of 3\)", line
    )
    assert summary.endswith(": 1 findings")


def test_only_the_checker_scans():
    app = Path(check.__file__).parent
    users = [p.name for p in app.rglob("*.py") if re.search(r"\.scan\(", p.read_text())]
    assert users == ["check.py"]
