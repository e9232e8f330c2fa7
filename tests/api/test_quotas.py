"""Quotas, and the report of what was used. tests/faults/test_quotas.py has several processes."""

import os
import re
import subprocess
import sys

import pytest

from app.config import Config, ConfigError
from tests.people import Client, make_token, problem
from tests.quotas import admin, passed, person, report

NOON = 1_796_040_000_000  # 2026-11-30T12:00:00Z


@pytest.fixture(autouse=True)
def noon(clock):
    """Time stands still unless a test moves it."""
    clock.freeze(NOON)


@pytest.fixture
def used(clock):
    """What the first day of a report says, once everything has been flushed."""

    def used(app, tenant="acme", query=""):
        clock.move(seconds=1)
        app.extensions["meter"].flush()
        return report(app, tenant, query)["days"][0]

    return used


# Rates


def test_a_tenant_gets_its_burst_and_then_its_rate(make_app, clock):
    alice = person(make_app(quota_tenant_requests_per_second=2, quota_tenant_burst=20))
    assert passed(alice, 30) == 10  # the bucket; 5 × 2 more flow in while others do not know
    clock.move(seconds=3)
    assert passed(alice, 30) == 6
    clock.move(seconds=1000)
    assert passed(alice, 30) == 10


def test_a_rate_may_be_less_than_one_per_second(make_app, clock):
    alice = person(make_app(quota_tenant_requests_per_second=0.1))
    assert passed(alice, 10) == 1
    clock.move(seconds=4)  # the bucket holds 1.5
    assert passed(alice, 10) == 0
    clock.move(seconds=1)
    assert passed(alice, 10) == 1


def test_too_many_requests_get_429_with_what_a_client_needs(make_app, clock):
    app = make_app(quota_tenant_requests_per_second=0.5, quota_tenant_burst=6)
    alice = person(app)
    assert passed(alice, 3) == 3
    answer = alice.post("/sessions", {"domain_id": "d"})
    problem(answer, 429, "RATE_EXCEEDED", violated_policies=["tenant"])
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["RateLimit-Policy"] == '"tenant";q=3;w=7'
    assert answer.headers["RateLimit"] == '"tenant";r=0;t=6'
    assert answer.headers["Cache-Control"] == "no-store"
    clock.move(seconds=int(answer.headers["Retry-After"]))
    assert alice.post("/sessions", {"domain_id": "d"}).status_code == 201


def test_responses_say_what_is_left(make_app, used):
    app = make_app(
        quota_tenant_requests_per_second=10,
        quota_tenant_read_units_per_day=1000,
        quota_tenant_write_units_per_day=500,
        quota_user_share=50,
    )
    alice = person(app)
    alice.create_session()
    answer = alice.get("/sessions")
    policies = answer.headers["RateLimit-Policy"].split(", ")
    assert policies == [
        '"tenant";q=51;w=6',
        '"tenant-reads";q=1000;qu="dynamodb-read-units";w=86400',
        '"tenant-writes";q=500;qu="dynamodb-write-units";w=86400',
        '"user";q=25;w=6',
        '"user-reads";q=500;qu="dynamodb-read-units";w=86400',
        '"user-writes";q=250;qu="dynamodb-write-units";w=86400',
    ]
    left = dict(re.findall(r'"([\w-]+)";r=(\d+);t=\d+', answer.headers["RateLimit"]))
    day = used(app)
    assert int(left["tenant"]) == 49
    assert int(left["user"]) == 23
    assert int(left["tenant-reads"]) == int(1000 - day["read_units"])
    assert int(left["user-writes"]) == int(250 - day["write_units"])
    assert 0 < day["write_units"] < 50
    assert f'"tenant-reads";r={left["tenant-reads"]};t=43200' in answer.headers["RateLimit"]


def test_browsers_may_read_the_fields(make_app):
    app = make_app(quota_tenant_requests_per_second=1, cors_origins=("https://a.example",))
    answer = person(app).get("/sessions", headers={"Origin": "https://a.example"})
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed)


# Units


def test_units_of_a_day(make_app, clock, used):
    app = make_app(quota_tenant_write_units_per_day=100)
    alice = person(app)
    count = 0
    while (answer := alice.post("/sessions", {"domain_id": "d"})).status_code == 201:
        count += 1
    body = problem(answer, 429, "QUOTA_EXCEEDED", violated_policies=["tenant-writes"])
    assert "of this day" in body["detail"]
    assert answer.headers["Retry-After"] == str(12 * 60 * 60)
    spent = used(app)["write_units"]
    assert 100 <= spent < 100 + spent / count, "only what one request costs is too much"
    clock.move(seconds=12 * 60 * 60 - 2)
    assert alice.get("/sessions").status_code == 429
    clock.move(seconds=1)
    assert alice.post("/sessions", {"domain_id": "d"}).status_code == 201


def test_reads_and_writes_are_counted_apart(make_app, used):
    app = make_app(quota_tenant_read_units_per_day=5)
    alice = person(app)
    for _ in range(10):
        assert alice.post("/sessions", {"domain_id": "d"}).status_code == 201
    session = alice.create_session()["session_id"]
    assert passed(alice, 100, f"/sessions/{session}") < 100
    day = used(app)
    assert 5 <= day["read_units"] < 9
    assert day["write_units"] > 50


# Who is counted, and who is not refused


def test_tenants_do_not_use_up_each_others_quotas(make_app):
    app = make_app(quota_tenant_requests_per_second=1, quota_tenant_read_units_per_day=1000)
    assert passed(person(app), 50) == 6
    assert passed(person(app, "globex", "charlie"), 50) == 6
    assert passed(person(app, "acme#alice", "x"), 50) == 6


def test_one_user_gets_only_a_share(make_app):
    app = make_app(quota_tenant_requests_per_second=10, quota_tenant_burst=100, quota_user_share=20)
    alice, bob = person(app), person(app, user="bob")
    assert passed(alice, 60) == 10
    problem(alice.get("/sessions"), 429, "RATE_EXCEEDED", violated_policies=["user"])
    assert passed(bob, 60) == 10
    assert passed(person(app, user="bob#2"), 60) == 10
    for number in range(2):
        assert passed(person(app, user=f"u{number}"), 60) == 10
    answer = person(app, user="last").get("/sessions")
    problem(answer, 429, "RATE_EXCEEDED", violated_policies=["tenant"])


def test_a_users_share_of_the_units(make_app, used):
    app = make_app(quota_tenant_write_units_per_day=200, quota_user_share=25)
    alice, bob = person(app), person(app, user="bob")
    while (answer := alice.post("/sessions", {"domain_id": "d"})).status_code == 201:
        pass
    problem(answer, 429, "QUOTA_EXCEEDED", violated_policies=["user-writes"])
    assert 50 <= used(app)["write_units"] < 75
    assert bob.post("/sessions", {"domain_id": "d"}).status_code == 201


def test_acting_for_a_user_uses_the_users_share(make_app):
    app = make_app(quota_tenant_requests_per_second=1, quota_tenant_burst=25, quota_user_share=10)
    scope = "sessions:read sessions:act-for-user"
    agent = person(app, user="agent", scope=scope)
    for user in ("alice", "bob"):
        headers = {"Act-For-User": user}
        answers = [agent.get("/sessions", headers=headers).status_code for _ in range(4)]
        assert answers == [200, 200, 429, 429]
    assert person(app).get("/sessions").status_code == 429
    assert person(app, user="agent").get("/sessions").status_code == 200


def test_what_exports_or_erases_and_the_report_are_never_refused(make_app, used):
    app = make_app(quota_tenant_requests_per_second=1, quota_tenant_write_units_per_day=1)
    alice = person(app)
    made = alice.create_session()["session_id"]
    assert alice.post("/sessions", {"domain_id": "d"}).status_code == 429
    passed(alice, 20)
    path = f"/sessions/{made}"
    assert alice.get("/export").status_code == 200
    assert alice.delete(f"{path}/messages?all=true").status_code == 200
    assert alice.delete(f"{path}/values?all=true").status_code == 200
    assert alice.delete("/values?all=true").status_code == 200
    assert alice.delete(path).status_code == 200
    assert alice.delete("/sessions?confirm=all").status_code == 200
    governor = person(app, scope="sources:govern")
    assert governor.put(f"/tenant/sources/{'0' * 32}", {}).status_code == 429
    assert governor.post(f"/tenant/sources/{'0' * 32}/redaction").status_code == 200
    assert alice.get("/sessions").status_code == 429
    assert used(app)["refused_requests"] == 23


def test_what_is_never_refused_counts_all_the_same(make_app):
    app = make_app(quota_tenant_requests_per_second=1)
    alice = person(app)
    for _ in range(6):
        assert alice.get("/export").status_code == 200
    assert alice.get("/sessions").status_code == 429


def test_requests_without_a_right_are_not_counted(make_app):
    app = make_app(quota_tenant_requests_per_second=1)
    for _ in range(20):
        assert Client(app, None).get("/sessions").status_code == 401
        assert person(app, scope="openid").get("/sessions").status_code == 403
        assert app.test_client().get("/health").status_code == 200
    assert passed(person(app), 6) == 6


# Off by default


def test_without_settings_nothing_is_counted(app, alice, items, sent_calls):
    alice.create_session()
    answer = alice.get("/sessions")
    assert not [name for name, _ in answer.headers if name.startswith("RateLimit")]
    assert not [item for item in items() if "USAGE#" in item["PK"]["S"] + item["SK"]["S"]]
    told = report(app)
    assert told["is_counted"] is False
    assert set(told["quotas"].values()) == {None}


def test_without_settings_nothing_is_loaded():
    """So quotas cost a cold start nothing."""
    code = (
        "import sys, app.wsgi\n"
        "print([name for name in sys.modules if name.startswith('app.quotas')"
        " or name == 'app.formats.usage'])"
    )
    env = {**os.environ, "SESSIONS_TABLE": "sessions", "JWT_SECRET": "x" * 32, "AWS_REGION": "eu"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    loaded = run.stdout.strip()
    assert loaded == str(["app.quotas", "app.quotas.schemas", "app.quotas.routes"]), run.stderr
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**env, "USAGE_REPORT": "1"},
    )
    assert "app.quotas.meter" in run.stdout


@pytest.fixture
def sent_calls(client):
    """The operations sent to DynamoDB."""
    names = []

    def note(model, **_):
        names.append(model.name)

    client.meta.events.register("before-call.dynamodb", note)
    yield names
    client.meta.events.unregister("before-call.dynamodb", note)


def test_a_request_costs_no_call_more(make_app, clock, sent_calls):
    """But one a second for each counter, after the response, and one to begin with."""
    app = make_app(
        quota_tenant_requests_per_second=1000,
        quota_tenant_read_units_per_day=10**6,
        quota_user_share=50,
    )
    alice = person(app)
    alice.create_session()
    assert sent_calls[0] == "BatchGetItem"
    assert sent_calls[-2:] == ["UpdateItem", "UpdateItem"]
    del sent_calls[:]
    for _ in range(20):
        alice.get("/sessions")
    assert len(sent_calls) == 40
    assert "UpdateItem" not in sent_calls
    for _ in range(10):
        del sent_calls[:]
        clock.move(seconds=1)
        for _ in range(3):
            alice.get("/sessions")
        assert len(sent_calls) == 6 + 2
        assert sent_calls.count("UpdateItem") == 2


def test_a_tenants_counter_is_spread_over_partitions(make_app, clock, items):
    app = make_app(usage_report=True)
    alice = person(app)
    for _ in range(3):
        alice.get("/sessions")
        clock.move(seconds=1)
    places = {item["PK"]["S"] for item in items() if item["SK"]["S"].startswith("DAY#")}
    assert places == {f"acme##USAGE#{shard}" for shard in range(3)}


def test_counters_go_away(make_app, items):
    person(make_app(quota_tenant_requests_per_second=1000, quota_user_share=10)).get("/sessions")
    day = 24 * 60 * 60
    times = {i["SK"]["S"]: int(i["delete_after"]["N"]) - NOON // 1000 for i in items()}
    assert times == {
        "DAY#2026-11-30": 400 * day + day // 2,
        "USAGE#2026-11-30": 2 * day + day // 2,
    }


def test_a_counter_does_not_grow_with_time(make_app, clock, items):
    app = make_app(quota_tenant_requests_per_second=1000)
    alice = person(app)
    for _ in range(150):
        alice.get("/sessions")
        clock.move(seconds=1)
    seconds = [len([name for name in i if re.fullmatch(r"s\d+", name)]) for i in items()]
    assert len(seconds) == 3
    assert max(seconds) <= 36
    assert max(len(str(item)) for item in items()) < 2500


# The report


def test_the_report_is_exact(make_app, used):
    app = make_app(usage_report=True)
    alice, bob = person(app), person(app, user="bob")
    alice.create_session()
    for _ in range(3):
        alice.get("/sessions")
        bob.get("/sessions")
    day = used(app)
    assert day == {
        "day": "2026-11-30",
        "requests": 7,
        "refused_requests": 0,
        "read_units": day["read_units"],
        "write_units": day["write_units"],
        "models": [],
    }
    assert 3 < day["read_units"] < 10
    assert 3 < day["write_units"] < 20
    assert used(app)["requests"] == 8, "the report itself"


def test_the_units_are_those_that_dynamodb_tells(make_app, clock, logged, used):
    app = make_app(usage_report=True)
    alice = person(app)
    session = alice.create_session()["session_id"]
    alice.append(session, "x" * 20_000)
    alice.get(f"/sessions/{session}")
    alice.get("/sessions")
    alice.delete(f"/sessions/{session}")
    clock.move(seconds=1)
    alice.get("/sessions/nonsense")
    units = sum(line["db_units"] for line in logged if line["message"] == "request")
    day = used(app)
    assert day["read_units"] + day["write_units"] == units > 40


def test_the_report_has_days(make_app, clock):
    app = make_app(usage_report=True)
    alice = person(app)
    for _ in range(3):
        alice.get("/sessions")
        clock.move(days=1)
    told = report(app, query="?from=2026-11-29&to=2026-12-03")
    assert [(day["day"], day["requests"]) for day in told["days"]] == [
        ("2026-11-29", 0),
        ("2026-11-30", 1),
        ("2026-12-01", 1),
        ("2026-12-02", 1),
        ("2026-12-03", 0),
    ]
    assert [day["day"] for day in report(app)["days"]] == ["2026-12-03"]
    assert len(report(app, query="?from=2026-11-03")["days"]) == 31


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-11-02&to=2026-12-03",
        "from=2026-12-01&to=2026-11-30",
        "from=2026-11-31",
        "from=20261130",
        "from=yesterday",
        "to=2026-11-30T00:00:00Z",
        "from=",
        "days=3",
    ],
)
def test_a_report_is_bounded(make_app, query):
    answer = admin(make_app(usage_report=True)).get(f"/tenant/usage?{query}")
    problem(answer, 422, "VALIDATION_FAILED")


def test_a_tenant_sees_only_its_own_use(make_app):
    app = make_app(usage_report=True)
    person(app).get("/sessions")
    for tenant in ("globex", "acm", "acme#", "acme##USAGE"):
        assert report(app, tenant)["days"][0]["requests"] == 0
    assert report(app)["days"][0]["requests"] == 1


@pytest.mark.parametrize(
    "claims",
    [{}, {"scope": "sessions:read sessions:write tenant-values:read"}, {"scope": "tenant:usages"}],
)
def test_the_report_needs_its_scope(make_app, claims):
    answer = person(make_app(usage_report=True), **claims).get("/tenant/usage")
    body = problem(answer, 403, "INSUFFICIENT_SCOPE")
    assert body["detail"] == "The token lacks the scope tenant:usage."


def test_the_scope_of_the_report_allows_nothing_else(make_app):
    assert admin(make_app()).get("/sessions").status_code == 403


def test_the_report_shows_the_quotas(make_app):
    app = make_app(
        quota_tenant_requests_per_second=0.5,
        quota_tenant_write_units_per_day=9,
        quota_user_share=100,
    )
    told = report(app)
    assert told["is_counted"] is True
    assert told["quotas"] == {
        "requests_per_second": 0.5,
        "read_units_per_day": None,
        "write_units_per_day": 9,
        "user_share": 100,
    }


# Tokens and costs


def spoken(client, model="gpt-5.2", inputs=9, outputs=4, **more):
    native = {
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}}],
        "usage": {"prompt_tokens": inputs, "completion_tokens": outputs, **more},
    }
    return {"format": "openai.chat", "native": native}


def test_tokens_are_counted_where_messages_tell_them(make_app, used):
    app = make_app(usage_report=True, model_prices={"gpt-5.2": (1.25, 10.0)})
    alice = person(app)
    session = alice.create_session()["session_id"]
    path = f"/sessions/{session}/messages"
    assert alice.post(path, spoken(alice)).status_code == 201
    batch = {
        "messages": [
            spoken(alice),
            {"role": "user", "content": "x"},
            spoken(alice, "sonar", cost={"total_cost": 0.25}),
        ]
    }
    assert alice.post(f"{path}/batch", batch).status_code == 201
    day = used(app)
    assert day["models"] == [
        {
            "model": "gpt-5.2",
            "messages": 2,
            "input_tokens": 18,
            "output_tokens": 8,
            "told_cost": None,
            "priced_cost": round((18 * 1.25 + 8 * 10) / 1e6, 6),
        },
        {
            "model": "sonar",
            "messages": 1,
            "input_tokens": 9,
            "output_tokens": 4,
            "told_cost": 0.25,
            "priced_cost": None,
        },
    ]


def test_a_repeated_request_counts_its_tokens_once(make_app, used):
    app = make_app(usage_report=True)
    alice = person(app)
    session = alice.create_session()["session_id"]
    for _ in range(3):
        headers = {"Idempotency-Key": "once"}
        answer = alice.post(f"/sessions/{session}/messages", spoken(alice), headers=headers)
        assert answer.status_code == 201
    day = used(app)
    assert [model["messages"] for model in day["models"]] == [1]


def test_an_answer_that_is_edited_when_it_is_complete_counts(make_app, used):
    """As those do that stream: the tokens are known at the end."""
    app = make_app(usage_report=True)
    alice = person(app)
    session = alice.create_session()["session_id"]
    message = alice.append(session, "", role="assistant", status="in_progress")["message_id"]
    path = f"/sessions/{session}/messages"
    assert alice.put(f"{path}/{message}", spoken(alice)).status_code == 200
    body = {"all": True, "messages": [spoken(alice, "other-model")]}
    assert alice.post(f"{path}/replace", body).status_code == 200
    assert alice.put(f"{path}/nonsense", spoken(alice)).status_code == 404
    day = used(app)
    assert [(m["model"], m["messages"]) for m in day["models"]] == [
        ("gpt-5.2", 1),
        ("other-model", 1),
    ]


def test_the_models_of_a_day_are_bounded(make_app, clock, used):
    app = make_app(usage_report=True)
    alice = person(app)
    session = alice.create_session()["session_id"]
    for number in range(30):
        alice.post(f"/sessions/{session}/messages", spoken(alice, f"model-{number:02}"))
        clock.move(seconds=1)
    day = used(app)
    assert [m["model"] for m in day["models"]] == [f"model-{n:02}" for n in range(10)] + ["other"]
    assert day["models"][-1]["messages"] == 20
    assert sum(m["input_tokens"] for m in day["models"]) == 30 * 9


@pytest.mark.parametrize("model", ["", "two words", "ü", "x" * 129, 7, None, "a\u0000b"])
def test_an_odd_name_of_a_model_is_not_shown(make_app, model, used):
    app = make_app(usage_report=True)
    alice = person(app)
    session = alice.create_session()["session_id"]
    answer = alice.post(f"/sessions/{session}/messages", spoken(alice, model))
    assert answer.status_code == 201
    day = used(app)
    assert [m["model"] for m in day["models"]] == ["unknown"]


# Settings

RATE = {"QUOTA_TENANT_REQUESTS_PER_SECOND": "10"}


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({"QUOTA_TENANT_REQUESTS_PER_SECOND": "0"}, "QUOTA_TENANT_REQUESTS_PER_SECOND"),
        ({"QUOTA_TENANT_REQUESTS_PER_SECOND": "-1"}, "QUOTA_TENANT_REQUESTS_PER_SECOND"),
        ({"QUOTA_TENANT_REQUESTS_PER_SECOND": "many"}, "QUOTA_TENANT_REQUESTS_PER_SECOND"),
        ({"QUOTA_TENANT_REQUESTS_PER_SECOND": "1000000"}, "QUOTA_TENANT_REQUESTS_PER_SECOND"),
        ({"QUOTA_TENANT_BURST": "10"}, "needs QUOTA_TENANT_REQUESTS_PER_SECOND"),
        ({**RATE, "QUOTA_TENANT_BURST": "50"}, "at least 1 more than 5 ×"),
        ({**RATE, "QUOTA_TENANT_BURST": "0"}, "QUOTA_TENANT_BURST"),
        ({**RATE, "QUOTA_TENANT_BURST": "99.5"}, "QUOTA_TENANT_BURST"),
        ({"QUOTA_TENANT_READ_UNITS_PER_DAY": "0"}, "QUOTA_TENANT_READ_UNITS_PER_DAY"),
        ({"QUOTA_TENANT_WRITE_UNITS_PER_DAY": "0.5"}, "QUOTA_TENANT_WRITE_UNITS_PER_DAY"),
        ({"QUOTA_USER_SHARE": "50"}, "QUOTA_USER_SHARE needs a quota"),
        ({"QUOTA_USER_SHARE": "50", "USAGE_REPORT": "1"}, "QUOTA_USER_SHARE needs a quota"),
        ({**RATE, "QUOTA_USER_SHARE": "0"}, "QUOTA_USER_SHARE"),
        ({**RATE, "QUOTA_USER_SHARE": "101"}, "QUOTA_USER_SHARE"),
        ({**RATE, "QUOTA_USER_SHARE": "1"}, "less than one request"),
        ({"USAGE_REPORT": "yes"}, "USAGE_REPORT"),
        ({"MODEL_PRICES": "cheap"}, "MODEL_PRICES"),
        ({"MODEL_PRICES": "[]"}, "MODEL_PRICES"),
        ({"MODEL_PRICES": '{"m": 3}'}, "MODEL_PRICES"),
        ({"MODEL_PRICES": '{"m": {"input": 1}}'}, "MODEL_PRICES"),
        ({"MODEL_PRICES": '{"m": {"input": 1, "output": -1}}'}, "MODEL_PRICES"),
        ({"MODEL_PRICES": '{"m": {"input": 1, "output": "2"}}'}, "MODEL_PRICES"),
        ({"MODEL_PRICES": '{"m": {"input": 1, "output": NaN}}'}, "MODEL_PRICES"),
        ({"MODEL_PRICES": '{"m": {"input": 1, "output": true}}'}, "MODEL_PRICES"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(env, name):
    good = {"SESSIONS_TABLE": "sessions", "JWT_SECRET": "x" * 32}
    with pytest.raises(ConfigError, match=re.escape(name)):
        Config.from_env({**good, **env})


def test_settings_are_read():
    config = Config.from_env(
        {
            "SESSIONS_TABLE": "sessions",
            "JWT_SECRET": "x" * 32,
            "QUOTA_TENANT_REQUESTS_PER_SECOND": "0.5",
            "QUOTA_TENANT_BURST": "10",
            "QUOTA_TENANT_READ_UNITS_PER_DAY": "1000",
            "QUOTA_TENANT_WRITE_UNITS_PER_DAY": "2000",
            "QUOTA_USER_SHARE": "25",
            "USAGE_REPORT": "1",
            "MODEL_PRICES": '{"m": {"input": 1, "output": 2.5}}',
        }
    )
    assert (config.quota_tenant_requests_per_second, config.burst) == (0.5, 10)
    assert config.model_prices == {"m": (1.0, 2.5)}
    assert config.counts_usage
    assert not Config(sessions_table="sessions", jwt_secret="x" * 32).counts_usage


def test_a_token_of_a_tenant_may_be_odd(make_app):
    app = make_app(usage_report=True)
    client = person(app, "a/b#c é 😀", "x#y")
    assert client.get("/sessions").status_code == 200
    assert report(app, "a/b#c é 😀")["days"][0]["requests"] == 1
    assert make_token("acme", "alice")
