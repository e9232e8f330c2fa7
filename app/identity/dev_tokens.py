"""Tokens signed with JWT_SECRET, for `flask token` and the button of a developer's Swagger UI.

The button exists only where it cannot do harm: the database is DynamoDB Local on this machine, and
the request comes from this machine's own browser.
"""

import time
from urllib.parse import urlsplit

import flask
import jwt
from werkzeug.exceptions import NotFound

from app.config import Config, ConfigError

LOOPBACK = {"127.0.0.1", "::1", "localhost"}

A_DAY = 86400


def sign(
    config: Config,
    tenant: str,
    user: str,
    *,
    expires_in: int,
    scope: str | None = None,
    agent: str | None = None,
) -> str:
    """
    Raises:
        ConfigError: without JWT_SECRET.
    """
    if not config.jwt_secret:
        raise ConfigError("only the issuer behind JWT_JWKS_URL can make tokens")
    claims = {
        config.jwt_tenant_claim: tenant,
        config.jwt_user_claim: user,
        "exp": int(time.time()) + expires_in,
        "iss": config.jwt_issuer,
        "aud": config.jwt_audience,
        "scope": scope,
        "act": {"sub": agent} if agent else None,
    }
    told = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(told, config.jwt_secret, algorithm="HS256")


def init_app(app: flask.Flask, config: Config, database: str) -> None:
    """`database` is the address that the table's client really calls.

    Raises:
        ConfigError: this is no developer's machine.
    """
    if not config.jwt_secret or urlsplit(database).hostname not in LOOPBACK:
        raise ConfigError(
            "DEV_TOKENS gives a token to whoever asks: it is for ./scripts/dev, with JWT_SECRET "
            f"and DynamoDB Local on this machine, not for {database}"
        )

    @app.post("/dev-token", endpoint="dev_tokens.create_token")
    def create_token() -> flask.Response:
        request = flask.request
        # The Host header too: a foreign name that resolves to 127.0.0.1 is somebody else's page.
        here = request.remote_addr in LOOPBACK and urlsplit(request.host_url).hostname in LOOPBACK
        if not here:
            raise NotFound
        answer = flask.jsonify(token=sign(config, "acme", "alice", expires_in=A_DAY))
        answer.headers["Cache-Control"] = "no-store"
        return answer
