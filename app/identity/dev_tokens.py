"""Tokens signed with JWT_SECRET, for `flask token` and for the button in Swagger UI on a
developer's machine.

The button works only if the database is DynamoDB Local on this machine and the request comes from a
browser on this machine.
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
        ConfigError: JWT_SECRET is not set.
    """
    if not config.jwt_secret:
        raise ConfigError("tokens need JWT_SECRET; without it, only the issuer can make them")
    claims = {
        config.jwt_tenant_claim: tenant,
        config.jwt_user_claim: user,
        "exp": int(time.time()) + expires_in,
        "iss": config.jwt_issuer,
        "aud": config.jwt_audience,
        "scope": scope,
        "act": {"sub": agent} if agent else None,
    }
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, config.jwt_secret, algorithm="HS256")


def init_app(app: flask.Flask, config: Config, database: str) -> None:
    """`database` is the address that the table's client calls.

    Raises:
        ConfigError: the database is not on this machine, or JWT_SECRET is not set.
    """
    if not config.jwt_secret or urlsplit(database).hostname not in LOOPBACK:
        raise ConfigError(
            "DEV_TOKENS gives anyone a token. It is only for ./scripts/dev, with JWT_SECRET and "
            f"DynamoDB Local on this machine, not for {database}"
        )

    @app.post("/dev-token", endpoint="dev_tokens.create_token")
    def create_token() -> flask.Response:
        request = flask.request
        # Checks the Host header too: a foreign name may resolve to 127.0.0.1 (DNS rebinding).
        here = request.remote_addr in LOOPBACK and urlsplit(request.host_url).hostname in LOOPBACK
        if not here:
            raise NotFound
        answer = flask.jsonify(token=sign(config, "acme", "alice", expires_in=A_DAY))
        answer.headers["Cache-Control"] = "no-store"
        return answer
