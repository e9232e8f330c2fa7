"""Settings: a missing or contradictory one stops the start, and the message names it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.config import Config, ConfigError

GOOD = {"SESSIONS_TABLE": "sessions", "JWT_SECRET": "x" * 32}
JWKS = {"SESSIONS_TABLE": "sessions", "JWT_JWKS_URL": "https://issuer.example/jwks.json"}


def test_valid_settings_are_accepted():
    config = Config.from_env({**GOOD, "CORS_ORIGINS": "https://a.example, https://b.example"})
    assert config.cors_origins == ("https://a.example", "https://b.example")
    assert (config.jwt_tenant_claim, config.jwt_user_claim) == ("tenant_id", "sub")
    assert Config.from_env(JWKS).jwt_secret is None


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, "SESSIONS_TABLE"),
        ({"SESSIONS_TABLE": "", "JWT_SECRET": "x" * 32}, "SESSIONS_TABLE"),
        ({"SESSIONS_TABLE": "sessions"}, "JWT_SECRET"),
        ({"SESSIONS_TABLE": "sessions", "JWT_SECRET": ""}, "JWT_JWKS_URL"),
        ({**GOOD, **JWKS}, "not both"),
        ({**GOOD, "JWT_SECRET": "x" * 31}, "JWT_SECRET"),
        ({**JWKS, "JWT_JWKS_URL": "http://issuer.example/jwks.json"}, "JWT_JWKS_URL"),
        ({**JWKS, "JWT_JWKS_URL": "file:///etc/passwd"}, "JWT_JWKS_URL"),
        ({**GOOD, "CORS_ORIGINS": "*"}, "CORS_ORIGINS"),
        ({**GOOD, "DOCS_ENABLED": "yes please"}, "DOCS_ENABLED"),
        ({**GOOD, "REQUEST_BUDGET": "soon"}, "REQUEST_BUDGET"),
        ({**GOOD, "REQUEST_BUDGET": "-1"}, "REQUEST_BUDGET"),
        ({**GOOD, "RETENTION_DAYS": "0.5"}, "RETENTION_DAYS"),
        ({**GOOD, "RETENTION_DAYS": "0"}, "RETENTION_DAYS"),
    ],
)
def test_bad_settings_are_refused_by_name(env, name):
    with pytest.raises(ConfigError, match=name):
        Config.from_env(env)


WRONG_SPELLINGS = {
    "https://app.acme.com/": "https://app.acme.com",
    "https://app.acme.com/chat": "https://app.acme.com",
    "https://app.acme.com?x=1#y": "pattern",
    "https://app.acme.com#top": "https://app.acme.com",
    "https://app.acme.com:443": "https://app.acme.com",
    "http://app.acme.com:80": "http://app.acme.com",
    "https://app.acme.com:": "https://app.acme.com",
    "https://app.acme.com:08443": "https://app.acme.com:8443",
    "https://App.Acme.com": "https://app.acme.com",
    "HTTPS://app.acme.com": "https://app.acme.com",
    "https://me@app.acme.com": "https://app.acme.com",
    "https://köprü.example": "https://xn--kpr-sna6a.example",
    "app.acme.com": "https://app.acme.com",
    "app.acme.com:8443": "https://app.acme.com:8443",
    "//app.acme.com": "https://app.acme.com",
    "https:app.acme.com": "https://app.acme.com",
    "app.acme.com/chat/": "https://app.acme.com",
    "localhost:3000": "http://localhost:3000",
    "null": "null",
    "https://": "not an origin",
    "https:///": "not an origin",
    "https://app.acme.com:port": "not an origin",
    "https://app.acme.com:99999": "not an origin",
    "https://a.acme.com;https://b.acme.com": "not an origin",
    "https://a..b": "not an origin",
    "ws://app.acme.com": "not an origin",
    "file:///index.html": "not an origin",
    "https://*.acme.com": "pattern",
}


@pytest.mark.parametrize("origin", WRONG_SPELLINGS)
@pytest.mark.parametrize("others", ["", "https://www.acme.com "])
def test_an_origin_that_no_browser_sends_is_refused_with_the_right_spelling(origin, others):
    with pytest.raises(ConfigError, match="CORS_ORIGINS") as refused:
        Config.from_env({**GOOD, "CORS_ORIGINS": others + origin})
    right = WRONG_SPELLINGS[origin]
    assert right in str(refused.value)
    if "://" in right:
        assert str(refused.value).endswith(right), "nothing after it, to be pasted"
        assert Config.from_env({**GOOD, "CORS_ORIGINS": right}).cors_origins == (right,)


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.acme.com",
        "http://localhost:3000",
        "http://127.0.0.1:8080",
        "http://app.acme.com:443",
        "https://app.acme.com:80",
        "https://my_app.internal",
        "https://xn--kpr-sna6a.example",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnop",
    ],
)
def test_an_origin_as_browsers_send_it_is_accepted(origin):
    assert Config.from_env({**GOOD, "CORS_ORIGINS": origin}).cors_origins == (origin,)
    twice = Config.from_env({**GOOD, "CORS_ORIGINS": f"{origin},{origin}"})
    assert set(twice.cors_origins) == {origin}


DISCOVERY = "https://login.acme.com/v2.0/.well-known/openid-configuration"
REFUSED = [
    # (base settings, the setting, its value, what the message says besides its name)
    (GOOD, "JWT_AUDIENCE", "a,b", "one value"),
    (GOOD, "JWT_AUDIENCE", "a, b", "one value"),
    (GOOD, "JWT_AUDIENCE", "a b", "one value"),
    (GOOD, "JWT_AUDIENCE", "a\tb", "one value"),
    (GOOD, "JWT_ISSUER", "https://a.acme.com/,https://b.acme.com/", "one value"),
    (GOOD, "JWT_ISSUER", DISCOVERY, "https://login.acme.com/v2.0 or https://login.acme.com/v2.0/,"),
    (GOOD, "JWT_SECRET", f"-----BEGIN PUBLIC KEY-----\n{'x' * 64}", "JWT_JWKS_URL"),
    (GOOD, "JWT_SECRET", "ssh-rsa " + "x" * 64, "JWT_JWKS_URL"),
    (GOOD, "JWT_SECRET", "\udcff" * 32, "UTF-8"),  # as Python reads a byte that is none
    (JWKS, "JWT_ISSUER", "https://issuer.example.com/", "placeholder"),
    (JWKS, "JWT_ISSUER", "https://issuer.example.com", "placeholder"),
    (JWKS, "JWT_ISSUER", "https://Issuer.Example.com/", "placeholder"),
    (JWKS, "JWT_JWKS_URL", "https://issuer.example.com/.well-known/jwks.json", "placeholder"),
    (JWKS, "JWT_JWKS_URL", "https://ISSUER.example.com:443/jwks", "placeholder"),
    (JWKS, "JWT_JWKS_URL", DISCOVERY, "jwks_uri"),
    (JWKS, "JWT_JWKS_URL", DISCOVERY + "?p=b2c_1_sign_in", "jwks_uri"),
    (JWKS, "JWT_JWKS_URL", DISCOVERY + "/", "jwks_uri"),
    (JWKS, "JWT_JWKS_URL", "https://a.co/.well-known/oauth-authorization-server/t", "jwks_uri"),
    (JWKS, "JWT_JWKS_URL", "https://user:pass@login.acme.com/jwks", "user"),
    (JWKS, "JWT_JWKS_URL", "https://<tenant>.eu.auth0.com/jwks.json", "placeholder"),
    (JWKS, "JWT_JWKS_URL", "https://login.microsoftonline.com/{tenant}/keys", "placeholder"),
    (JWKS, "JWT_JWKS_URL", "https://user@login.acme.com/jwks", "user"),
    (JWKS, "JWT_JWKS_URL", "https://login.acme.com/jwks#keys", "fragment"),
    (JWKS, "JWT_JWKS_URL", "https://login.acme.com/my keys", "white space"),
    (JWKS, "JWT_JWKS_URL", "https://login.acme.com/a\njwks", "white space"),
    (JWKS, "JWT_JWKS_URL", "https://login.acme.com/schl\u00fcssel", "ASCII"),
    (JWKS, "JWT_JWKS_URL", "https://", "https://"),
    (JWKS, "JWT_JWKS_URL", "https:///jwks", "https://"),
    (JWKS, "JWT_JWKS_URL", "https://login.acme.com:port/jwks", "address"),
    (JWKS, "JWT_JWKS_URL", "https://[::1/jwks", "address"),
    (JWKS, "JWT_JWKS_URL", "login.acme.com/jwks", "https://"),
    (JWKS, "JWT_JWKS_URL", "http://localhost.acme.com/jwks", "https://"),
    (GOOD, "SESSIONS_TABLE", "ab", "3 to 255"),
    (GOOD, "SESSIONS_TABLE", "a" * 256, "3 to 255"),
    (GOOD, "SESSIONS_TABLE", "my sessions", "DynamoDB"),
    (GOOD, "SESSIONS_TABLE", "sessions/production", "DynamoDB"),
    (GOOD, "SESSIONS_TABLE", "s\u00e9ances", "DynamoDB"),
    (GOOD, "SESSIONS_TABLE", "   ", "white space"),
    *[
        (GOOD, "REQUEST_BUDGET", value, "number")
        for value in ("nan", "NaN", "inf", "Infinity", "-inf", "1e1", "1_0", "20s", "0x10", "2,5")
    ],
    *[
        (GOOD, "REQUEST_BUDGET", value, "at most 50")
        for value in ("0", "0.0", "-1", "-0.5", "51", "50.1", "1000000", "9" * 400)
    ],
    *[(GOOD, "RETENTION_DAYS", value, "number") for value in ("nan", "inf", "1.5", "1_0", "ever")],
    *[
        (GOOD, "RETENTION_DAYS", value, "from 1 to 3650")
        for value in ("0", "-1", "3651", "9999999999", "9" * 400)
    ],
    (GOOD, "RETENTION_DAYS", "9" * 5000, "number"),
    *[
        (GOOD, "LOG_LEVEL", value, "INFO, WARNING")
        for value in ("info", "TRACE", "WARN", "20", "VERBOSE")
    ],
    (GOOD, "METRICS_NAMESPACE", "AWS/Lambda", "CloudWatch"),
    (GOOD, "METRICS_NAMESPACE", ":sessions", "CloudWatch"),
    (GOOD, "METRICS_NAMESPACE", "s\u00e9ances", "CloudWatch"),
    (GOOD, "METRICS_NAMESPACE", "x" * 256, "CloudWatch"),
    *[
        (base, name, changed, "white space")
        for base, name, value in (
            (GOOD, "SESSIONS_TABLE", "sessions"),
            (GOOD, "JWT_SECRET", "x" * 32),
            (JWKS, "JWT_JWKS_URL", "https://login.acme.com/jwks"),
            (GOOD, "JWT_ISSUER", "https://login.acme.com/"),
            (GOOD, "JWT_AUDIENCE", "session-store"),
            (GOOD, "JWT_TENANT_CLAIM", "tid"),
            (GOOD, "JWT_USER_CLAIM", "oid"),
            (GOOD, "LOG_LEVEL", "INFO"),
            (GOOD, "METRICS_NAMESPACE", "sessions"),
        )
        for changed in (f" {value}", f"{value} ", f"{value}\n", f"{value}\r", f"\u00a0{value}")
    ],
]


@pytest.mark.parametrize(
    ("base", "name", "value", "said"),
    [pytest.param(*case, id=f"{case[1]}={case[2][:60]!r}") for case in REFUSED],
)
def test_a_setting_that_could_never_work_is_refused_with_the_right_form(base, name, value, said):
    with pytest.raises(ConfigError, match=name) as refused:
        Config.from_env({**base, name: value})
    assert said in str(refused.value)
    assert "pass" not in str(refused.value).replace("password", ""), "no credentials are shown"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_programs_cannot_set_an_invalid_budget_either(value):
    with pytest.raises(ConfigError, match="REQUEST_BUDGET"):
        Config(sessions_table="sessions", jwt_secret="x" * 32, request_budget=float(value))


TAKEN = [
    (GOOD, "REQUEST_BUDGET", "0.5", 0.5),
    (GOOD, "REQUEST_BUDGET", "50", 50.0),
    (GOOD, "REQUEST_BUDGET", "", 20.0),
    (GOOD, "RETENTION_DAYS", "1", 1),
    (GOOD, "RETENTION_DAYS", "3650", 3650),
    (GOOD, "RETENTION_DAYS", "", None),
    *[
        (GOOD, "LOG_LEVEL", value, value)
        for value in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    ],
    (GOOD, "SESSIONS_TABLE", "a_b-c.D1", "a_b-c.D1"),
    (GOOD, "METRICS_NAMESPACE", "acme/sessions #1", "acme/sessions #1"),
    (GOOD, "JWT_AUDIENCE", "api://3f2e/sessions", "api://3f2e/sessions"),
    (GOOD, "JWT_ISSUER", "https://issuer.example.com/", "https://issuer.example.com/"),
    (JWKS, "JWT_JWKS_URL", "http://127.0.0.1:9000/jwks.json", "http://127.0.0.1:9000/jwks.json"),
    (JWKS, "JWT_JWKS_URL", "http://[::1]:9000/jwks.json", "http://[::1]:9000/jwks.json"),
    (
        JWKS,
        "JWT_JWKS_URL",
        "https://b2c.acme.com/discovery/v2.0/keys?p=b2c_1_sign_in",
        "https://b2c.acme.com/discovery/v2.0/keys?p=b2c_1_sign_in",
    ),
]


@pytest.mark.parametrize(
    ("base", "name", "value", "read"),
    [pytest.param(*case, id=f"{case[1]}={case[2]}") for case in TAKEN],
)
def test_a_setting_that_works_is_accepted(base, name, value, read):
    assert getattr(Config.from_env({**base, name: value}), name.lower()) == read


def test_the_placeholder_issuer_works_where_the_keys_are_on_this_machine():
    """docs/identity.md, "An issuer of your own"."""
    env = {**JWKS, "JWT_JWKS_URL": "http://127.0.0.1:9000/jwks.json"}
    assert Config.from_env({**env, "JWT_ISSUER": "https://issuer.example.com/"})


def test_the_production_settings_do_not_start_before_they_are_edited():
    """So `./scripts/deploy production` says what to set."""
    settings = json.loads((Path(__file__).parents[2] / "zappa_settings.json").read_text())
    env = settings["production"]["aws_environment_variables"]
    with pytest.raises(ConfigError, match="JWT_JWKS_URL is still the placeholder"):
        Config.from_env(env)
    with pytest.raises(ConfigError, match="JWT_ISSUER is still the placeholder"):
        Config.from_env({**env, "JWT_JWKS_URL": "https://login.acme.com/jwks"})
    mine = {"JWT_JWKS_URL": "https://login.acme.com/jwks", "JWT_ISSUER": "https://login.acme.com/"}
    assert Config.from_env({**env, **mine})


def test_a_secret_is_not_shown():
    assert "x" * 32 not in repr(Config.from_env(GOOD))


def test_the_start_stops_with_a_message_and_no_traceback():
    env = {"PATH": os.environ["PATH"], "JWT_SECRET": "x" * 32}
    start = subprocess.run(
        [sys.executable, "-c", "import app.wsgi"],
        env=env,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert start.returncode == 1
    assert start.stderr.strip() == (
        "session store: SESSIONS_TABLE is not set: the name of the DynamoDB table"
    )
