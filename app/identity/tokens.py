"""Bearer tokens: read strictly, verified, and remembered until they expire.

What decides is the configuration and the signature, never a header of the token.
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
from app.http.strict_json import is_too_deep
from app.identity.caller import Caller, NotACaller
from app.identity.jwks import Jwks

LEEWAY = 30
"""Seconds that the issuer's clock and ours may differ."""

MOST_REMEMBERED = 1000
"""Verified tokens that are kept at a time."""

MAX_TOKEN = 8192
"""Characters. API Gateway takes 10,240 bytes of headers in all."""

_BEARER = re.compile(r"Bearer +([\w-]+)\.([\w-]+)\.([\w-]+)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a verified token says. `scopes` is None if it says nothing about scopes."""

    caller: Caller
    scopes: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A token that was verified with `key` before. If the key is withdrawn, it counts no more."""

    identity: Identity
    head: Mapping[str, Any]
    key: Any
    expires_at: float


class InvalidToken(Exception):
    """Why a token was refused. The client is not told."""


class Verifier:
    """RFC 7519 and RFC 8725: the algorithm is pinned by the key, the key by the configuration."""

    def __init__(self, config: Config, jwks: Jwks | None = None) -> None:
        self._config = config
        self._jwks = jwks or (Jwks(config.jwt_jwks_url) if config.jwt_jwks_url else None)
        self._remembered: dict[str, _Remembered] = {}

    def verify(self, authorization: str | None) -> Identity:
        """The identity in an `Authorization` header.

        Raises:
            Unauthorized: for whatever reason; the client is not told which.
            Unavailable: the issuer's keys cannot be had.
        """
        if not authorization:
            raise Unauthorized(error=None)
        match = _BEARER.fullmatch(authorization)
        if not match or len(authorization) > MAX_TOKEN:
            raise Unauthorized
        try:
            known = self._remembered.get(authorization)
            if known and time.time() < known.expires_at and self._key(known.head)[0] is known.key:
                return known.identity
            return self._verify_new(authorization, *match.groups())
        except (jwt.PyJWTError, NotACaller, InvalidToken):
            raise Unauthorized from None

    def _verify_new(
        self, authorization: str, header: str, payload: str, signature: str
    ) -> Identity:
        """Verifies a token and remembers it: a client sends the same one for an hour."""
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
            raise InvalidToken("an extension that changes how the token is read")
        if base64.urlsafe_b64encode(_decode(signature)).rstrip(b"=") != signature.encode():
            raise InvalidToken("a signature with more than one spelling")
        for name in ("exp", "nbf", "iat"):
            if name in claims and not _is_time(claims[name]):
                raise InvalidToken(f"{name} is not a time")
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
            raise InvalidToken("kid is not a string")
        key = self._jwks.key(kid)
        if key is None:
            raise InvalidToken("unknown key")
        return key, key.algorithm_name

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        config = self._config
        tenant = _claim(claims, config.jwt_tenant_claim)
        user = _claim(claims, config.jwt_user_claim)
        agent = None
        if "act" in claims:  # RFC 8693 section 4.1
            actor = claims["act"]
            if not (isinstance(actor, dict) and actor.get("sub")):
                raise InvalidToken("act has no sub")
            agent = actor["sub"]
        return Identity(Caller(tenant, user, agent), _scopes(claims))


def _parse(part: str) -> dict[str, Any]:
    """A part of a token as a JSON object. A repeated name is refused: readers differ in which of
    the two they take."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise InvalidToken("a repeated name")
        return members

    try:
        text = _decode(part).decode()
        if is_too_deep(text):
            raise InvalidToken("nested too deeply")
        value = json.loads(text, object_pairs_hook=unique)
    except ValueError:
        raise InvalidToken("not JSON") from None
    if not isinstance(value, dict):
        raise InvalidToken("not an object")
    return value


def _decode(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise InvalidToken("not base64url") from None


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e12


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a dotted path if no claim has that name.

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
        raise InvalidToken("scopes are not a list of words")
    return frozenset(words)
