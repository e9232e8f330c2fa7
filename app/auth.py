"""Who is calling: a bearer token becomes a Caller, here and nowhere else.

What decides is the configuration and the signature: never a header of the token, a header of the
request, or what the API Gateway says it has checked.
"""

import base64
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import flask
import jwt

from app.caller import Caller, NotACaller
from app.config import Config
from app.errors import Forbidden, Unauthorized, ValidationFailed
from app.jwks import Jwks
from app.strict_json import is_too_deep

LEEWAY = 30
"""Seconds that the issuer's clock and ours may differ."""

MOST_KNOWN = 1000
"""Verified tokens that are kept at a time."""

MAX_TOKEN = 8192
"""Characters. API Gateway takes 10,240 bytes of headers in all."""

READ, WRITE, ACT_FOR_USER = "sessions:read", "sessions:write", "sessions:act-for-user"

ACT_FOR_USER_HEADER = "Act-For-User"

OPEN_ENDPOINTS = frozenset(
    {"meta.get_health", "docs.get_docs", "docs.get_docs_asset", "docs.get_openapi"}
)
"""All that answers without a token. Whatever is not listed here needs one."""

_BEARER = re.compile(r"Bearer +([\w-]+)\.([\w-]+)\.([\w-]+)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a verified token says. `scopes` is None where it says nothing of scopes."""

    caller: Caller
    scopes: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was verified with `key` before; a key that is withdrawn takes it along."""

    identity: Identity
    head: Mapping[str, Any]
    key: Any
    expires_at: float


class Verifier:
    """RFC 7519 and RFC 8725: the algorithm is pinned by the key, the key by the configuration."""

    def __init__(self, config: Config, jwks: Jwks | None = None) -> None:
        self._config = config
        self._jwks = jwks or (Jwks(config.jwt_jwks_url) if config.jwt_jwks_url else None)
        self._known: dict[str, _Known] = {}

    def verify(self, authorization: str | None) -> Identity:
        """The identity in an `Authorization` header.

        Raises:
            Unauthorized: for whatever reason, which the client is not told.
            Unavailable: the issuer's keys cannot be had.
        """
        if not authorization:
            raise Unauthorized(error=None)
        match = _BEARER.fullmatch(authorization)
        if not match or len(authorization) > MAX_TOKEN:
            raise Unauthorized
        try:
            known = self._known.get(authorization)
            if known and time.time() < known.expires_at and self._key(known.head)[0] is known.key:
                return known.identity
            return self._learn(authorization, *match.groups())
        except (jwt.PyJWTError, NotACaller, _Refused):
            raise Unauthorized from None

    def _learn(self, authorization: str, header: str, payload: str, signature: str) -> Identity:
        """Verifies a token, and knows it from then on: a client sends the same one for an hour."""
        head = _parse(header)
        key, algorithm = self._key(head)
        claims = self._claims(head, key, algorithm, (header, payload, signature))
        identity = self._identity(claims)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[authorization] = _Known(identity, head, key, claims["exp"])
        return identity

    def _claims(
        self, head: Mapping[str, Any], key: Any, algorithm: str, parts: tuple[str, str, str]
    ) -> dict[str, Any]:
        _, payload, signature = parts
        claims = _parse(payload)
        if "crit" in head or "b64" in head:
            raise _Refused("an extension that changes how the token is read")
        if base64.urlsafe_b64encode(_decode(signature)).rstrip(b"=") != signature.encode():
            raise _Refused("a signature with more than one spelling")
        for name in ("exp", "nbf", "iat"):
            if name in claims and not _is_time(claims[name]):
                raise _Refused(f"{name} is no time")
        config = self._config
        verified: dict[str, Any] = jwt.decode(
            ".".join(parts),
            key,
            algorithms=[algorithm],
            issuer=config.jwt_issuer,
            audience=config.jwt_audience,
            leeway=LEEWAY,
            options={
                "require": ["exp"],
                "verify_aud": config.jwt_audience is not None,
                "enforce_minimum_key_length": True,
            },
        )
        return verified

    def _key(self, head: Mapping[str, Any]) -> tuple[Any, str]:
        if self._jwks is None:
            return self._config.jwt_secret, "HS256"
        kid = head.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise _Refused("kid is no string")
        key = self._jwks.key(kid)
        if key is None:
            raise _Refused("no such key")
        return key, key.algorithm_name

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        config = self._config
        tenant = _claim(claims, config.jwt_tenant_claim)
        user = _claim(claims, config.jwt_user_claim)
        agent = None
        if "act" in claims:  # RFC 8693 section 4.1
            actor = claims["act"]
            if not (isinstance(actor, dict) and actor.get("sub")):
                raise _Refused("act says nobody")
            agent = actor["sub"]
        return Identity(Caller(tenant, user, agent), _scopes(claims))

    def authorize(self, identity: Identity, scope: str, act_for: str | None = None) -> Caller:
        """The caller of a request that needs `scope`, who may be acting for another user.

        A token that names no scopes may read and write, unless JWT_REQUIRE_SCOPES; it may never
        act for another user.

        Raises:
            Forbidden, ValidationFailed (no such user can be)
        """
        scopes = identity.scopes
        if scopes is None and not self._config.jwt_require_scopes:
            scopes = frozenset({READ, WRITE})
        for needed in (scope, ACT_FOR_USER) if act_for is not None else (scope,):
            if needed not in (scopes or ()):
                raise Forbidden(needed)
        if act_for is None:
            return identity.caller
        agent = identity.caller.agent or identity.caller.user
        try:
            if "," in act_for:
                raise NotACaller("two headers arrive as one with a comma")
            user = unquote_to_bytes(act_for.encode("latin-1")).decode()
            return Caller(identity.caller.tenant, user, agent)
        except (NotACaller, UnicodeError):
            raise ValidationFailed(
                errors=[
                    {
                        "location": "headers",
                        "field": ACT_FOR_USER_HEADER,
                        "message": "Not a user id (percent-encoded UTF-8).",
                    }
                ]
            ) from None


class _Refused(Exception):
    """Why a token is not taken: for whoever reads the code; nobody is told."""


def _parse(part: str) -> dict[str, Any]:
    """A part of a token as JSON: an object that says nothing twice, for readers could differ."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise _Refused("a name twice")
        return members

    try:
        text = _decode(part).decode()
        if is_too_deep(text):
            raise _Refused("nested too deeply")
        value = json.loads(text, object_pairs_hook=unique)
    except ValueError:
        raise _Refused("not JSON") from None
    if not isinstance(value, dict):
        raise _Refused("not an object")
    return value


def _decode(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise _Refused("not base64url") from None


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e12


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a dotted path where no claim has the whole as its name.

    >>> _claim({"custom:tenant_id": "acme"}, "custom:tenant_id")
    'acme'
    >>> _claim({"https://example.com/tenant": "acme"}, "https://example.com/tenant")
    'acme'
    >>> _claim({"org": {"id": "acme"}}, "org.id")
    'acme'
    """
    if name in claims:
        return claims[name]
    value: Any = claims
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _scopes(claims: Mapping[str, Any]) -> frozenset[str] | None:
    """`scope` of RFC 8693 (words in a string) or `scp` of others (words, or a list of them)."""
    name = "scope" if "scope" in claims else "scp"
    if name not in claims:
        return None
    found = claims[name]
    words = found.split() if isinstance(found, str) else found
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _Refused("scopes are no list of words")
    return frozenset(words)


def init_app(app: flask.Flask, verifier: Verifier) -> None:
    """No view runs before this: a route is guarded unless it is on the list of open ones."""

    @app.before_request
    def authenticate() -> None:
        request = flask.request
        rule = request.url_rule
        unknown = rule is None and not request.path.startswith("/api/")
        by_flask = rule is None or getattr(rule, "provide_automatic_options", False)
        preflight = request.method == "OPTIONS" and by_flask  # gets as far as no view
        if request.endpoint in OPEN_ENDPOINTS or unknown or preflight:
            return
        identity = verifier.verify(request.headers.get("Authorization"))
        flask.g.caller = identity.caller  # for the log, also where it may not go on
        flask.g.caller = verifier.authorize(
            identity,
            READ if request.method in ("GET", "HEAD") else WRITE,
            request.headers.get(ACT_FOR_USER_HEADER),
        )


def current_caller() -> Caller:
    caller: Caller = flask.g.caller
    return caller
