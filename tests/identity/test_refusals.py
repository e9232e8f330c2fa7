"""The log names the reason for refusing a token. Neither client nor log get more."""

import json
import re
import time
from pathlib import Path

import pytest

from app.identity import gateway
from app.identity.tokens import _REASONS, MAX_TOKEN
from tests.identity.issuer import Issuer, alice, asymmetric, hs256, public_jwk, rsa_key, write
from tests.identity.test_attacks import HS, OURS, ask, of_length, refused, signed
from tests.identity.test_jwks import KINDS
from tests.people import SECRET, problem

NOW = int(time.time())


@pytest.fixture(scope="module")
def table(module_table):
    """One table for all tests here. They compare what changed, not what the table holds."""
    return module_table


BY_SECRET = {
    "expired": lambda: signed(exp=NOW - 3600),
    "not_yet_valid": lambda: signed(iat=NOW + 3600),
    "no_exp": lambda: signed(exp=None),
    "not_a_time": lambda: signed(exp="soon"),
    "wrong_signature": lambda: write(HS, alice(), hs256("another-secret-of-at-least-32-bytes")),
    "wrong_algorithm": lambda: signed({"alg": "none"}),
    "no_tenant_claim": lambda: signed(tenant_id=None),
    "no_user_claim": lambda: signed(sub=None),
    "unusable_id": lambda: signed(sub="alice\0"),
    "no_actor": lambda: signed(act={}),
    "not_scopes": lambda: signed(scope=7),
    "malformed": lambda: "x.y.z",
    "repeated_name": lambda: write('{"alg":"HS256","alg":"HS256"}', alice(), hs256(SECRET)),
    "unknown_extension": lambda: signed({**HS, "crit": ["exp"]}),
    "not_a_bearer_token": lambda: "token",
    "too_long": lambda: [of_length(MAX_TOKEN + 1)],
}

MISDIRECTED = {
    "wrong_issuer": {"iss": "https://elsewhere.example/", "aud": OURS["jwt_audience"]},
    "no_iss": {"aud": OURS["jwt_audience"]},
    "wrong_audience": {"iss": OURS["jwt_issuer"], "aud": "billing"},
    "no_aud": {"iss": OURS["jwt_issuer"]},
}


def tells(line: dict, reason: str) -> None:
    assert (line["message"], line["status"], line["refused"]) == ("request", 401, reason)
    told = json.dumps(line)
    for secret in ("acme", "alice", "elsewhere", "billing", "eyJ", "soon"):
        assert secret not in told


@pytest.mark.parametrize("reason", BY_SECRET)
def test_the_log_says_why_a_token_was_refused(app_with, logged, reason):
    refused(ask(app_with(), BY_SECRET[reason]()))
    [line] = logged
    tells(line, reason)


@pytest.mark.parametrize("reason", MISDIRECTED)
def test_the_log_says_that_a_token_is_for_another_service(app_with, logged, reason):
    refused(ask(app_with(**OURS), signed(**MISDIRECTED[reason])))
    [line] = logged
    tells(line, reason)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"kid": "unknown"}, "unknown_key"),
        ({}, "ambiguous_key"),
        ({"kid": 7}, "malformed"),
        ({"kid": "ec-1"}, "wrong_algorithm"),
        ({"kid": "rsa-1"}, "wrong_signature"),
    ],
)
def test_the_log_says_what_is_wrong_with_the_key(app_with, issuer, keys, logged, header, reason):
    token = write({"alg": "RS256", **header}, alice(), asymmetric(keys.other_rsa, "RS256"))
    refused(ask(app_with(jwt_jwks_url=issuer.url), token))
    tells(logged[-1], reason)


def test_no_token_is_a_reason_too(app_with, logged):
    assert app_with().test_client().get("/api/v1/sessions").status_code == 401
    assert logged[-1]["refused"] == "no_token"


def test_the_line_of_an_accepted_token_has_no_reason(app_with, logged):
    assert ask(app_with(), signed()).status_code == 200
    assert ask(app_with(), signed(scope="openid")).status_code == 403
    assert all("refused" not in line for line in logged)


def test_the_authorizer_logs_the_reason_as_well(monkeypatch, logged):
    """The app is not reached then, so there is no request line."""
    for name in ("JWT_JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SESSIONS_TABLE", "sessions")
    monkeypatch.setenv("JWT_SECRET", SECRET)
    gateway._verifier.cache_clear()
    event = {"authorizationToken": f"Bearer {signed(exp=NOW - 3600)}", "methodArn": "a:b/c/GET/"}
    with pytest.raises(Exception, match="^Unauthorized$"):
        gateway.handler(event, None)
    gateway._verifier.cache_clear()
    [line] = logged
    assert (line["message"], line["refused"]) == ("token refused", "expired")


def test_every_reason_is_documented():
    told = (Path(__file__).parents[2] / "docs/identity.md").read_text()
    reasons = {*BY_SECRET, *MISDIRECTED, *_REASONS.values(), *KINDS.values(), "no_usable_key"}
    assert {reason for reason in reasons if not reason.startswith("http_")} <= set(
        re.findall(r"`(\w+)`", told)
    )


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_an_rsa_key_below_2048_bits_is_not_usable(app_with, logged, keys):
    """RFC 7518 section 3.3. It neither verifies tokens nor makes a good key ambiguous."""
    short = rsa_key(1024)
    with Issuer(public_jwk(short, "short")) as its:
        app = app_with(jwt_jwks_url=its.url)
        token = write({"alg": "RS256", "kid": "short"}, alice(), asymmetric(short, "RS256"))
        problem(ask(app, token), 503, "ISSUER_MISCONFIGURED")
    with Issuer(public_jwk(short, "same"), public_jwk(keys.rsa, "same")) as its:
        app = app_with(jwt_jwks_url=its.url)
        token = write({"alg": "RS256", "kid": "same"}, alice(), asymmetric(keys.rsa, "RS256"))
        assert ask(app, token).status_code == 200
