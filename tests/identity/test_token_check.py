"""`flask identity check` says what a token would be, and if it is refused, why."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from click.testing import Result

from app import logs
from app.config import Config
from app.identity.tokens import Verifier
from app.operations import cli
from tests.identity.issuer import Issuer, public_jwk
from tests.identity.test_issuers import ACME, both, entry, of_acme, of_globex, text
from tests.people import SECRET, make_token

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def two(keys) -> Iterator[tuple[Issuer, Issuer]]:
    with (
        Issuer(public_jwk(keys.rsa, "k")) as acme,
        Issuer(public_jwk(keys.other_rsa, "k")) as globex,
    ):
        yield acme, globex


@pytest.fixture
def check() -> Iterator[Callable[..., Result]]:
    level = logs.log.level

    def check(token: str, *arguments: str, **settings: Any) -> Result:
        app = flask.Flask("check")
        usual = (
            {} if "issuers" in settings or "jwt_jwks_url" in settings else {"jwt_secret": SECRET}
        )
        config = Config(sessions_table="none", **usual, **settings)
        app.extensions["verifier"] = Verifier(config)
        cli.init_app(app, config)
        arguments = arguments or ("-",)
        result = app.test_cli_runner().invoke(args=["identity", "check", *arguments], input=token)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        for part in token.split("."):
            assert len(part) < 8 or part not in result.output, "the token is never shown"
        return result

    yield check
    logs.log.setLevel(level)


def test_an_accepted_token_is_described(check, two, keys):
    token = of_acme(keys, scope="openid sessions:read", act={"sub": "agent-7"})
    result = check(token, issuers=both(two))
    assert result.exit_code == 0
    *lines, expires = result.output.splitlines()
    assert lines == [
        "accepted",
        f"issuer: {ACME} (entry 0)",
        "tenant: acme",
        "user: alice",
        "agent: agent-7",
        "scopes: sessions:read",
        'without effect: ["openid"]',
    ]
    assert expires.startswith("expires: 20")
    assert expires.endswith(" UTC")


def test_a_token_without_rights_is_told_as_one(check, two, keys):
    result = check(of_acme(keys, scope=None), issuers=both(two))
    assert result.exit_code == 0
    assert "scopes: none, so every request gets 403" in result.output


def test_the_settings_for_one_issuer_are_checked_too(check):
    result = check(make_token("acme", "alice"))
    assert result.exit_code == 0
    assert "issuer: any, because JWT_ISSUER is not set" in result.output
    assert "scopes: sessions:read, sessions:write" in result.output


@pytest.mark.parametrize(
    "around", ["{}\n", "Bearer {}", "  bearer   {}  \n", "Authorization: Bearer {}"]
)
def test_a_token_may_be_pasted_with_what_is_around_it(check, around):
    token = make_token("acme", "alice")
    assert check(around.format(token)).exit_code == 0
    assert check("", around.format(token)).exit_code == 0, "as an argument"


NOW = int(time.time())

REFUSED: dict[str, tuple[Callable[[Any], str], list[str]]] = {
    "wrong_issuer": (
        lambda keys: of_acme(keys, iss="https://login.acme.test"),
        [
            'in the token, iss: "https://login.acme.test"',
            'configured issuers: ["https://login.acme.test/"',
        ],
    ),
    "wrong_audience": (
        lambda keys: of_acme(keys, aud=["billing"]),
        ['in the token, aud: ["billing"]', 'configured, audiences: ["store"]'],
    ),
    "tenant_of_another_issuer": (
        lambda keys: of_acme(keys, tenant_id="globex"),
        ['in the token, tenant_id: "globex"', 'configured, tenants: ["acme"]'],
    ),
    "no_tenant_claim": (
        lambda keys: of_acme(keys, tenant_id=None),
        ["in the token, tenant_id: missing", 'claims in the token: ["aud", "exp", "iss"'],
    ),
    "no_user_claim": (lambda keys: of_acme(keys, sub=None), ["in the token, sub: missing"]),
    "unusable_id": (lambda keys: of_acme(keys, sub="al\nice"), ['in the token, sub: "al\\nice"']),
    "not_scopes": (lambda keys: of_acme(keys, scope=7), ["in the token, scope: 7"]),
    "expired": (lambda keys: of_acme(keys, exp=NOW - 900), [f"in the token, exp: {NOW - 900}"]),
    "unknown_key": (lambda keys: of_acme(keys, {"kid": "x"}), [f"issuer: {ACME} (entry 0)"]),
    "wrong_signature": (
        lambda keys: of_globex(keys, iss=ACME, tenant_id="acme"),
        ["The signature is not valid"],
    ),
    "not_a_bearer_token": (lambda _: "opaque-token", ["opaque tokens unless an audience"]),
    "no_token": (lambda _: "", ["There is no token"]),
    "malformed": (lambda _: "x.y.z", ["not base64url"]),
    "too_long": (lambda _: "a." * 9000, ["longer than the service accepts"]),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_refused_token_is_explained(check, two, keys, reason):
    make, said = REFUSED[reason]
    result = check(make(keys), issuers=both(two))
    assert result.exit_code == 1
    assert result.output.startswith(f"refused ({reason}): ")
    for line in said:
        assert line in result.output


def test_what_the_token_says_is_shown_in_ascii_and_cut(check, two, keys):
    """It may be forged to confuse the terminal or the reader."""
    result = check(of_acme(keys, aud=["\x1b[2J\u202e", "x" * 5000]), issuers=both(two))
    assert result.output.replace("…", "").isascii()
    assert "\x1b" not in result.output
    assert "\u202e" not in result.output
    assert len(result.output) < 2000


def test_keys_that_cannot_be_had_are_told_with_the_reason(check, keys):
    with Issuer() as gone:
        url = gone.url
    result = check(of_acme(keys), issuers=text(entry(ACME, jwks_url=url)))
    assert result.exit_code == 1
    assert "cannot be checked: The issuer's keys cannot be fetched." in result.output
    assert f"keys: {url}" in result.output
    assert "reason: connection_refused" in result.output


def test_nothing_else_is_printed_into_the_answer(check, two, keys, capsys):
    """The log goes to standard output too."""
    result = check(of_acme(keys), issuers=both(two))
    assert all(": " in line or line == "accepted" for line in result.output.splitlines())
    assert "issuer keys fetched" not in result.output + capsys.readouterr().out


def run(token: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app.wsgi", "identity", "check", *arguments],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "SESSIONS_TABLE": "nowhere",
            "AWS_REGION": "us-east-1",
            **settings,
        },
        input=token,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_needs_no_table(keys, two):
    """It is asked before a deployment too."""
    done = run(of_acme(keys), ISSUERS=both(two))
    assert done.returncode == 0, done.stderr
    assert "tenant: acme" in done.stdout
    assert "{" not in done.stdout, "no line of the log"
    refused = run("opaque", ISSUERS=both(two))
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr


def test_a_configuration_that_is_refused_is_told_in_one_line():
    done = run("x", ISSUERS=json.dumps({"issuers": [{}]}))
    assert done.returncode == 1
    assert done.stderr == (
        "session store: ISSUERS: issuers[0].issuer is missing: the iss claim of the tokens, "
        "exactly\n"
    )
