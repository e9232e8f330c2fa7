"""Verifies bearer tokens, and caches them until they expire.

The configuration decides which keys and algorithms are accepted. A token's header never does.
"""

import base64
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from app.config import Config
from app.errors import Unauthorized
from app.identity.caller import Caller, NotACaller
from app.identity.jwks import Jwks
from app.json_rules import is_too_deep

LEEWAY = 30
"""Seconds by which the issuer's clock and ours may differ."""

MOST_REMEMBERED = 1000
"""Maximum number of cached tokens."""

MAX_TOKEN = 16_384
"""Characters of the whole header. Entra's tokens reach 12 KB. In the Dockerfile, gunicorn accepts
larger headers, so that this limit applies. API Gateway accepts 10,240 bytes of headers in all."""

_BEARER = re.compile(r"Bearer +([\w-]+)\.([\w-]+)\.([\w-]+)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Identity:
    """The content of a verified token. `scopes` is None if it has no authorisation claim."""

    caller: Caller
    scopes: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A token that was verified with `key`. If the key is withdrawn, the entry is not used."""

    identity: Identity
    head: Mapping[str, Any]
    key: Any
    expires_at: float


class InvalidToken(Exception):
    """The token is invalid. The message is one word for the log; the client does not get it."""


_REASONS: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: "expired",
    jwt.ImmatureSignatureError: "not_yet_valid",
    jwt.InvalidIssuerError: "wrong_issuer",
    jwt.InvalidAudienceError: "wrong_audience",
    jwt.InvalidAlgorithmError: "wrong_algorithm",
    jwt.InvalidSignatureError: "wrong_signature",
    jwt.InvalidKeyError: "weak_key",
    NotACaller: "unusable_id",
}


class Verifier:
    """Verifies tokens by RFC 7519 and RFC 8725: the configuration determines the keys, and the key
    determines the algorithm."""

    def __init__(self, config: Config, jwks: Jwks | None = None) -> None:
        self._config = config
        self._jwks = jwks or (Jwks(config.jwt_jwks_url) if config.jwt_jwks_url else None)
        self._remembered: dict[str, _Remembered] = {}

    def verify(self, authorization: str | None) -> Identity:
        """The identity in an `Authorization` header.

        Raises:
            Unauthorized: the token is missing or invalid. Its `reason` is only for the log.
            Unavailable, IssuerMisconfigured: there are no keys to verify the token with.
        """
        if not authorization:
            raise Unauthorized(error=None, reason="no_token")
        if len(authorization) > MAX_TOKEN:
            raise Unauthorized(reason="too_long")
        match = _BEARER.fullmatch(authorization)
        if not match:
            raise Unauthorized(reason="not_a_bearer_token")
        try:
            known = self._remembered.get(authorization)
            if known and time.time() < known.expires_at and self._key(known.head)[0] is known.key:
                return known.identity
            return self._verify_new(authorization, *match.groups())
        except (jwt.PyJWTError, NotACaller, InvalidToken) as error:
            raise Unauthorized(reason=_reason(error)) from None

    def has_keys(self) -> bool:
        """Whether it can verify tokens. Tries to fetch the issuer's keys if there are none."""
        return self._jwks is None or self._jwks.has_keys()

    def _verify_new(
        self, authorization: str, header: str, payload: str, signature: str
    ) -> Identity:
        """Verifies a token and caches it, because clients send the same token many times."""
        head = _parse(header)
        key, algorithm = self._key(head)
        claims = self._claims(head, key, algorithm, (header, payload, signature))
        identity = self._identity(claims)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[authorization] = _Remembered(identity, head, key, claims["exp"])
        return identity

    def _claims(
        self, head: Mapping[str, Any], key: Any, algorithm: str, parts: tuple[str, str, str]
    ) -> dict[str, Any]:
        _, payload, signature = parts
        claims = _parse(payload)
        if "crit" in head or "b64" in head:
            raise InvalidToken("unknown_extension")
        if base64.urlsafe_b64encode(_decode(signature)).rstrip(b"=") != signature.encode():
            raise InvalidToken("malformed")
        for name in ("exp", "nbf", "iat"):
            if name in claims and not _is_time(claims[name]):
                raise InvalidToken("not_a_time")
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
            raise InvalidToken("malformed")
        key = self._jwks.key(kid)
        if key is None:
            raise InvalidToken("ambiguous_key" if self._jwks.is_ambiguous(kid) else "unknown_key")
        return key, key.algorithm_name

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        config = self._config
        tenant = _claim(claims, config.jwt_tenant_claim)
        user = _claim(claims, config.jwt_user_claim)
        if tenant is None or user is None:
            raise InvalidToken("no_tenant_claim" if tenant is None else "no_user_claim")
        agent = None
        if "act" in claims:  # RFC 8693 section 4.1
            actor = claims["act"]
            if not (isinstance(actor, dict) and actor.get("sub")):
                raise InvalidToken("no_actor")
            agent = actor["sub"]
        return Identity(Caller(tenant, user, agent), _scopes(claims))


def _parse(part: str) -> dict[str, Any]:
    """Parses a part of a token as a JSON object. Repeated names are refused, because parsers differ
    in which of the two they use."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise InvalidToken("repeated_name")
        return members

    try:
        text = _decode(part).decode()
        if is_too_deep(text):
            raise InvalidToken("malformed")
        value = json.loads(text, object_pairs_hook=unique)
    except ValueError:
        raise InvalidToken("malformed") from None
    if not isinstance(value, dict):
        raise InvalidToken("malformed")
    return value


def _decode(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise InvalidToken("malformed") from None


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e12


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """The claim with this name. If there is none, `name` is read as a dotted path.

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
    """All scopes in the token's authorisation claims, or None if it has no such claim.

    The claims are `scope` (RFC 8693) or else `scp`, `roles` (Entra's app-only tokens) and
    `permissions` (Auth0). Each is a string of words or a list of them. An empty claim grants
    nothing.
    """
    names = ("scope" if "scope" in claims else "scp", "roles", "permissions")
    present = [claims[name] for name in names if name in claims]
    if not present:
        return None
    scopes: set[str] = set()
    for found in present:
        words = found.split() if isinstance(found, str) else found
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise InvalidToken("not_scopes")
        scopes.update(words)
    return frozenset(scopes)


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidToken):
        return str(error)
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"no_{error.claim}"  # exp, iss or aud, which jwt.decode requires
    return next((word for kind, word in _REASONS.items() if isinstance(error, kind)), "invalid")
