"""`production` with what is off by default, on the local AWS: several issuers from a file, one of
them with a secret, and quotas. And what operators use: /ready, the audit, repairs and restores.

The tests share one deployment and run in this order.
"""

import json
import time
from typing import Any

import jwt
import pytest

from app.identity.caller import Caller
from app.table import ids, keys
from app.table.writes import encode
from tests.deploy import issuer as issuing
from tests.deploy.emulator import Emulator, Project, Stage, eventually
from tests.deploy.issuer import Issuer

SESSIONS = "/api/v1/sessions"
TABLE = "session-store-production"

PARTNER = "https://login.partner.example.net/"
SECRET = {"ISSUER_SECRET_PARTNER": "a secret of the partner that only the function has"}

QUOTAS = {"QUOTA_TENANT_REQUESTS_PER_SECOND": "2", "QUOTA_USER_SHARE": "100"}
ENOUGH = 60
"""Requests, sent at once, that are more than the bucket holds and what flows in meanwhile."""


def issuers(issuer: Issuer) -> dict[str, Any]:
    ours = {
        "issuer": issuing.NAME,
        "jwks_url": issuer.jwks_url,
        "audiences": [issuing.AUDIENCE],
        "tenant_claim": "tenant_id",
        "tenants": ["acme", "umbrella"],
        "rights": {"claims": ["scope"]},
    }
    partner = {
        "issuer": PARTNER,
        "secret_env": "ISSUER_SECRET_PARTNER",
        "audiences": [issuing.AUDIENCE],
        "tenant": "globex",
        "rights": {"everyone": ["sessions:read", "sessions:write"]},
    }
    return {"issuers": [ours, partner]}


@pytest.fixture(scope="module")
def prepared(project: Project, issuer: Issuer) -> Project:
    (project.folder / "issuers.json").write_text(json.dumps(issuers(issuer)))
    project.unset("production", "JWT_JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE")
    options = {"ISSUERS_FILE": "issuers.json", **QUOTAS}
    project.set("production", aws_environment_variables=options)
    return project


@pytest.fixture(scope="module")
def stage(prepared: Project, emulator: Emulator, alice: str) -> Stage:
    printed = prepared.run("./scripts/deploy", "production", TOKEN=alice, **SECRET)
    assert "1000 requests per second to production, and 2000 at once" in printed
    assert "session-store-production answers at" in printed
    assert SECRET["ISSUER_SECRET_PARTNER"] not in printed
    return Stage(emulator, "production")


@pytest.fixture(scope="module")
def alice(issuer: Issuer) -> str:
    return issuer.token("acme", "alice", scope="sessions:read sessions:write")


def partners_token(user: str, secret: str = SECRET["ISSUER_SECRET_PARTNER"], **claims: Any) -> str:
    told = {"iss": PARTNER, "aud": issuing.AUDIENCE, "sub": user, "exp": int(time.time()) + 3600}
    return jwt.encode({**told, **claims}, secret, algorithm="HS256")


def test_without_the_issuers_secret_nothing_is_deployed(prepared):
    printed = prepared.run("./scripts/deploy", "production", fails=True)
    assert "Set ISSUER_SECRET_PARTNER in your shell" in printed
    assert "+ " not in printed


def test_tokens_of_both_issuers_are_accepted_and_each_has_its_own_tenants(stage, issuer, alice):
    assert stage.request("GET", SESSIONS, alice).status_code == 200
    assert stage.request("GET", SESSIONS, partners_token("alice")).status_code == 200
    for token in (
        issuer.token("globex", "alice", scope="sessions:read"),
        partners_token("alice", iss=issuing.NAME),
        partners_token("alice", secret="a secret that somebody else has made up for this"),
    ):
        assert stage.request("GET", SESSIONS, token).status_code == 401


def test_a_token_without_rights_may_do_nothing(stage, issuer):
    answer = stage.request("GET", SESSIONS, issuer.token("acme", "alice"))
    assert (answer.status_code, answer.json()["code"]) == (403, "INSUFFICIENT_SCOPE")


def test_the_check_says_what_a_token_would_be(stage, prepared, issuer):
    check = ("./scripts/flask", "--stage", "production", "identity", "check")
    printed = prepared.run(*check, partners_token("bob"), **SECRET)
    assert "accepted" in printed
    assert "tenant: globex" in printed
    foreign = issuer.token("globex", "alice", scope="sessions:read")
    printed = prepared.run(*check, foreign, fails=True, **SECRET)
    assert "refused (tenant_of_another_issuer)" in printed


def test_ready_needs_a_token_here_and_looks_at_the_table(stage, alice):
    assert stage.request("GET", "/ready").status_code == 401
    answer = stage.request("GET", "/ready", alice)
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_acting_for_a_user_is_in_the_functions_log(stage, issuer):
    agent = issuer.token("acme", "agent-7", scope="sessions:read sessions:act-for-user")
    answer = stage.request("GET", SESSIONS, agent, headers={"Act-For-User": "alice"})
    assert answer.status_code == 200
    [line] = eventually(lambda: stage.logged('"message": "audit"'), 10)
    told = json.loads(line)
    assert (told["token_user"], told["for_user"], told["status"]) == ("agent-7", "alice", 200)


def test_a_session_is_restored_from_a_restored_table(stage, prepared, emulator, alice):
    made = stage.request("POST", SESSIONS, alice, json={"domain_id": "d", "title": "Before"})
    path = f"{SESSIONS}/{made.json()['session_id']}"
    emulator.client("dynamodb").restore_table_to_point_in_time(
        SourceTableName=TABLE, TargetTableName="restored", UseLatestRestorableTime=True
    )
    assert stage.request("DELETE", path, alice).status_code == 200
    restore = ("restore", "--from-table", "restored", "--tenant", "acme", "--user", "alice")
    printed = prepared.run("./scripts/flask", "--stage", "production", *restore, **SECRET)
    assert "restored 1 sessions" in printed
    assert stage.request("GET", path, alice).json()["title"] == "Before"


def test_a_wrong_count_is_found_and_mended(stage, prepared, emulator, alice):
    made = stage.request("POST", SESSIONS, alice, json={"domain_id": "d"})
    ulid = made.json()["session_id"].removeprefix(ids.SESSION_PREFIX)
    emulator.client("dynamodb").update_item(
        TableName=TABLE,
        Key=encode(keys.session(Caller("acme", "alice").partition, ulid)),
        UpdateExpression="SET message_count = :wrong",
        ExpressionAttributeValues={":wrong": {"N": "7"}},
    )
    check = ("./scripts/flask", "--stage", "production", "check", "--repair")
    assert "would set message_count to 0" in prepared.run(*check, fails=True, **SECRET)
    assert "set message_count to 0" in prepared.run(*check, "--apply", **SECRET)
    assert ": 0 findings" in prepared.run(*check[:-1], **SECRET)


def test_a_tenant_that_sends_too_much_gets_429_and_no_other_tenant_does(stage, issuer, alice):
    umbrella = issuer.token("umbrella", "u", scope="sessions:read tenant:usage")
    answers = [stage.request("GET", SESSIONS, umbrella) for _ in range(ENOUGH)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert 0 < len(refused) < ENOUGH
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (429, "RATE_EXCEEDED")
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["RateLimit"].startswith('"tenant";r=0;t=')
    assert stage.request("GET", SESSIONS, alice).status_code == 200

    # Never refused, so it also makes the function tell the table what it has counted.
    def counted() -> bool:
        answer = stage.request("GET", "/api/v1/tenant/usage", umbrella)
        assert answer.status_code == 200, answer.text
        [day] = answer.json()["days"][-1:]
        return bool(
            day["refused_requests"] == len(refused) and day["requests"] >= ENOUGH - len(refused)
        )

    eventually(counted, 20)
