"""Settings: what is missing or contradictory stops the start, by name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.config import Config, ConfigError

GOOD = {"SESSIONS_TABLE": "sessions", "JWT_SECRET": "x" * 32}
JWKS = {"SESSIONS_TABLE": "sessions", "JWT_JWKS_URL": "https://issuer.example/jwks.json"}


def test_good_settings_are_taken():
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
