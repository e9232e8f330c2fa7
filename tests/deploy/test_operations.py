"""docs/operations.md: its queries fit the log, and its commands work on a restored table."""

import re
import time
from typing import Any
from uuid import uuid4

import pytest

from app.config import Config
from app.factory import create_app
from app.operations import provision
from app.table import db
from deploy import alarms
from deploy.stage import Stage
from tests.deploy.emulator import ROOT, Emulator
from tests.people import SECRET, Client, make_token

TEXT = (ROOT / "docs" / "operations.md").read_text()
QUERIES = re.findall(r"\*\*([^*]+)\*\*\n\n<!-- query -->\n```\n(.*?)```", TEXT, re.DOTALL)

OF_THE_LANGUAGE = {"and", "as", "asc", "avg", "bin", "by", "count", "desc", "fields", "filter"}
OF_THE_LANGUAGE |= {"like", "or", "pct", "sort", "stats", "sum"}
"""Words of Logs Insights."""


def test_there_are_the_seven_queries():
    assert len(QUERIES) == 7


@pytest.mark.parametrize(
    "query", [query for _, query in QUERIES], ids=[name for name, _ in QUERIES]
)
def test_a_query_uses_only_members_that_a_request_logs(logged, app, query):
    agent = Client(app, make_token("acme", "agent", scope="sessions:write sessions:act-for-user"))
    agent.post("/sessions", {"domain_id": "d"}, headers={"Act-For-User": "alice"})
    kind = re.search(r'filter message = "(\w+)"', query)
    [line] = [line for line in logged if kind and line["message"] == kind[1]]
    words = set(re.findall(r"\b[a-z_][a-z_0-9]*", re.sub(r'"[^"]*"', "", query)))
    named = set(re.findall(r" as (\w+)", query))
    assert words - OF_THE_LANGUAGE - named <= set(line)


def test_a_write_is_logged_with_the_session_and_who_wrote(logged, alice: Client):
    session = alice.create_session()
    alice.append(session["session_id"])
    line = logged[-1]
    assert (line["session_id"], line["tenant"], line["user"], line["method"]) == (
        session["session_id"],
        "acme",
        "alice",
        "POST",
    )


def test_metrics_are_left_out_unless_a_namespace_is_set(logged, alice: Client, make_app):
    alice.get("/sessions")
    assert "_aws" not in logged[-1]
    told = Client(make_app(metrics_namespace="there"), alice.token)
    told.get("/sessions")
    line = logged[-1]
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "there"
    assert abs(line["_aws"]["Timestamp"] - time.time() * 1000) < 60_000
    for metric in directive["Metrics"]:
        assert isinstance(line[metric["Name"]], int | float)
    for dimension in (name for names in directive["Dimensions"] for name in names):
        assert isinstance(line[dimension], str)


def test_unknown_paths_share_one_metric(logged, alice: Client, make_app):
    told = Client(make_app(metrics_namespace="there"), alice.token)
    for path in ("/nothing", "/nowhere"):
        told.get(path)
    assert {line["operation"] for line in logged} == {"none"}


def test_every_alarm_is_explained():
    made = alarms.alarms(Stage("production"), None)
    names = {alarm["AlarmName"].removeprefix("session-store-production-") for alarm in made}
    assert set(re.findall(r"^\| `…-([\w-]+)`", TEXT, re.M)) == names


def test_a_restored_table_is_brought_up_to_date_and_has_everything(emulator: Emulator):
    client: Any = emulator.client("dynamodb")
    table, restored = db.Table(f"test-{uuid4()}", client), db.Table(f"test-{uuid4()}", client)
    list(provision.create(table, tags={"stage": "production"}))
    app = create_app(_config(table), table=table)
    alice = Client(app, make_token("acme", "alice"))
    session = alice.create_session(title="Before the accident")
    alice.fill(session["session_id"], 3)
    client.restore_table_to_point_in_time(
        SourceTableName=table.name, TargetTableName=restored.name, UseLatestRestorableTime=True
    )
    alice.delete(f"/sessions/{session['session_id']}")

    lines = list(provision.create(restored, tags={"stage": "production"}))
    assert lines[0] == f"table {restored.name} exists"
    assert "switched deletion protection on" in lines
    assert "switched TTL on, on delete_after" in lines
    assert "switched point-in-time recovery on" in lines
    again = Client(create_app(_config(restored), table=restored), alice.token)
    answer = again.get(f"/sessions/{session['session_id']}")
    assert (answer.json["title"], len(answer.json["messages"])) == ("Before the accident", 3)
    assert again.get("/sessions").json["pagination"]["total"] == 1


def _config(table: db.Table) -> Config:
    return Config(sessions_table=table.name, jwt_secret=SECRET)
