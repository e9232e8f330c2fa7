"""Verifies bearer tokens, and caches them until they expire.

The configuration decides which keys and algorithms are accepted. A token's header never does.
"""

import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from app.config import Config
from app.errors import Unauthorized
from app.identity.caller import Caller, NotACaller
from app.identity.claims import InvalidToken, claim_at
from app.identity.issuers import Issuer, Issuers, issuers_of
from app.identity.jwks import Fetch, Jwks
from app.identity.keys import Keys
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
    """The content of a verified token. `issuer` is the entry of the configuration it is under."""

    caller: Caller
    scopes: frozenset[str]
    issuer: Issuer


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A token that was verified with `key`. If the key is withdrawn, the entry is not used."""

    identity: Identity
    find_key: Callable[[], Any]
    key: Any
    expires_at: float


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

    def __init__(
        self, config: Config, jwks: Jwks | None = None, *, fetch: Fetch | None = None
    ) -> None:
        """`jwks` are the keys of a single issuer. `fetch` gets the documents of all others.

        Raises:
            ConfigError: ISSUERS is not valid.
        """
        self.issuers = Issuers(issuers_of(config))
        self.keys = {issuer: Keys(issuer, jwks, fetch) for issuer in self.issuers.known}
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
            if known and time.time() < known.expires_at and known.find_key()[0] is known.key:
                return known.identity
            return self._verify_new(authorization, *match.groups())
        except (jwt.PyJWTError, NotACaller, InvalidToken) as error:
            raise Unauthorized(reason=_reason(error)) from None

    def has_keys(self) -> bool:
        """Whether it can verify the tokens of at least one issuer, so that an issuer that is down
        does not take the service from the users of the others. Only if there are no keys at all
        does it try to fetch some, and wait for them."""
        known = self.keys.values()
        return any(keys.are_had() for keys in known) or any(keys.can_be_had() for keys in known)

    def _verify_new(
        self, authorization: str, header: str, payload: str, signature: str
    ) -> Identity:
        """Verifies a token and caches it, because clients send the same token many times."""
        head, claims = _parse(header), _parse(payload)
        issuer, tid = self.issuers.of(claims)
        _check_claims(issuer, claims)
        tenant = self.issuers.tenant(issuer, claims, tid)
        find_key = self.keys[issuer].finder(head, tid)
        key, algorithm = find_key()
        _check_signature(issuer, head, key, algorithm, (header, payload, signature))
        identity = _identity(issuer, claims, tenant)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[authorization] = _Remembered(identity, find_key, key, claims["exp"])
        return identity


def _check_claims(issuer: Issuer, claims: Mapping[str, Any]) -> None:
    """Checks what needs no key. PyJWT checks `exp`, `nbf`, `iat` and `aud` with the signature."""
    for name in ("exp", "nbf", "iat"):
        if name in claims and not _is_time(claims[name]):
            raise InvalidToken("not_a_time")
    if issuer.client_ids:
        client = claim_at(claims, issuer.client_claim)
        if client is None:
            raise InvalidToken("no_client")
        if client not in issuer.client_ids:
            raise InvalidToken("wrong_client")
    for name, value in issuer.require.items():
        found = claim_at(claims, name)
        if type(found) is not type(value) or found != value:
            raise InvalidToken("wrong_kind")


def _check_signature(
    issuer: Issuer,
    head: Mapping[str, Any],
    key: Any,
    algorithm: str,
    parts: tuple[str, str, str],
) -> None:
    signature = parts[2]
    if "crit" in head or "b64" in head:
        raise InvalidToken("unknown_extension")
    if base64.urlsafe_b64encode(_decode(signature)).rstrip(b"=") != signature.encode():
        raise InvalidToken("malformed")
    jwt.decode(
        ".".join(parts),
        key,
        algorithms=[algorithm],
        audience=issuer.audiences or None,
        leeway=LEEWAY,
        options={
            "require": ["exp"],
            "verify_aud": bool(issuer.audiences),
            "enforce_minimum_key_length": True,
        },
    )


def _identity(issuer: Issuer, claims: Mapping[str, Any], tenant: str) -> Identity:
    user = claim_at(claims, issuer.user_claim)
    if user is None:
        raise InvalidToken("no_user_claim")
    agent = None
    if "act" in claims:  # RFC 8693 section 4.1
        actor = claims["act"]
        if not (isinstance(actor, dict) and actor.get("sub")):
            raise InvalidToken("no_actor")
        agent = actor["sub"]
    return Identity(Caller(tenant, user, agent), issuer.rights.of(claims), issuer)


def unverified(token: str) -> dict[str, Any]:
    """The claims of a token, of which nothing is verified: only to tell an operator about it.

    Raises:
        InvalidToken: it cannot be read.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise InvalidToken("malformed")
    return _parse(parts[1])


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


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidToken):
        return str(error)
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"no_{error.claim}"  # exp, iss or aud, which jwt.decode requires
    return next((word for kind, word in _REASONS.items() if isinstance(error, kind)), "invalid")
