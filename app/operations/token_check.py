"""Shows an operator whom a token stands for, or why it is refused. Never shows the token itself."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.errors import IssuerMisconfigured, Unauthorized, Unavailable
from app.identity.claims import InvalidToken, Path, claim_at
from app.identity.issuers import Issuer
from app.identity.scopes import SCOPES
from app.identity.tokens import Identity, Verifier, unverified

MOST_SHOWN = 300
"""Characters of a claim's value."""

REASONS = {
    "no_token": "There is no token.",
    "not_a_bearer_token": "It is not a signed JWT: three parts of base64url, with dots. Some "
    "issuers give opaque tokens unless an audience is requested.",
    "too_long": "It is longer than the service accepts.",
    "malformed": "A part of it is not base64url, or not a JSON object.",
    "repeated_name": "A JSON object in it has a name twice.",
    "unknown_extension": "Its header has crit or b64, which are not supported.",
    "wrong_issuer": "Its iss is not that of a configured issuer. They are compared exactly, "
    "including a slash at the end.",
    "no_iss": "It has no iss.",
    "tenant_of_another_issuer": "Its issuer does not speak for this tenant: it is not in the "
    "issuer's tenants, belongs to another issuer, or is not what {tid} matches in the iss.",
    "no_client": "It has no claim that names the client.",
    "wrong_client": "Its client is none of client_ids.",
    "wrong_kind": "A claim in require is missing or has another value. It may be another kind of "
    "token, such as an ID token instead of an access token.",
    "no_tenant_claim": "It has no claim with the tenant.",
    "not_one_tenant": "The claim with the tenant has not exactly one, in the configured form.",
    "no_user_claim": "It has no claim with the user.",
    "unusable_id": "The tenant, user or agent cannot be used: not a text, empty, too long, with a "
    "control character, or with white space around it.",
    "no_actor": "Its act has no sub.",
    "not_scopes": "A claim with rights is neither a text nor a list of texts.",
    "unknown_key": "The issuer publishes no key with its kid that may sign for this issuer.",
    "ambiguous_key": "Several keys fit: the issuer publishes several without kid or with this one.",
    "weak_key": "The key is too short.",
    "wrong_algorithm": "Its alg is not that of the key.",
    "wrong_signature": "The signature is not valid for the issuer's key.",
    "expired": "It has expired.",
    "not_yet_valid": "It is not valid yet. Is the clock of the issuer or of this machine wrong?",
    "not_a_time": "Its exp, nbf or iat is not a time in seconds.",
    "no_exp": "It has no exp.",
    "wrong_audience": "Its aud has none of the configured audiences.",
    "no_aud": "It has no aud.",
    "invalid": "It is not valid.",
}
"""An explanation of each reason that the log may give."""

CLAIMS = {
    "wrong_issuer": ("iss",),
    "tenant_of_another_issuer": ("iss",),
    "no_client": ("client_id", "azp", "cid", "appid"),
    "expired": ("exp",),
    "not_yet_valid": ("nbf", "iat"),
    "not_a_time": ("exp", "nbf", "iat"),
    "wrong_audience": ("aud",),
    "no_actor": ("act",),
}
"""The claims that explain a reason with any configuration."""


@dataclass(frozen=True)
class Told:
    accepted: bool
    lines: tuple[str, ...]


def check(verifier: Verifier, token: str) -> Told:
    token = re.sub(r"(?i)^\s*(authorization:)?\s*bearer\s+", "", token).strip()
    try:
        identity = verifier.verify(f"Bearer {token}" if token else None)
    except Unauthorized as refusal:
        return Told(False, tuple(_refused(verifier, token, refusal.reason)))
    except (Unavailable, IssuerMisconfigured) as error:
        return Told(False, tuple(_no_keys(verifier, token, error)))
    return Told(True, tuple(_accepted(verifier, identity, unverified(token))))


def _accepted(verifier: Verifier, identity: Identity, claims: Mapping[str, Any]) -> Iterator[str]:
    caller = identity.caller
    yield "accepted"
    yield f"issuer: {_name(verifier, identity.issuer)}"
    yield f"tenant: {caller.tenant}"
    yield f"user: {caller.user}"
    yield f"agent: {caller.agent or 'none'}"
    ours, others = identity.scopes & SCOPES, identity.scopes - SCOPES
    yield f"scopes: {', '.join(sorted(ours)) or 'none, so every request gets 403'}"
    if others:
        yield f"without effect: {_shown(sorted(others))}"
    yield f"expires: {datetime.fromtimestamp(claims['exp'], UTC):%Y-%m-%d %H:%M:%S} UTC"


def _refused(verifier: Verifier, token: str, reason: str) -> Iterator[str]:
    yield f"refused ({reason}): {REASONS.get(reason, REASONS['invalid'])}"
    try:
        claims = unverified(token)
    except InvalidToken:
        return
    issuer: Issuer | None = None
    try:
        issuer, _ = verifier.issuers.of(claims)
        yield f"issuer: {_name(verifier, issuer)}"
    except InvalidToken:
        yield f"configured issuers: {_shown([known.issuer for known in verifier.issuers.known])}"
    paths, configured = _details(reason, issuer)
    for path in (*CLAIMS.get(reason, ()), *paths):
        value = claim_at(claims, path)
        name = path if isinstance(path, str) else ".".join(path)
        yield f"in the token, {name}: {'missing' if value is None else _shown(value)}"
    yield from (f"configured, {name}: {_shown(value)}" for name, value in configured.items())
    if reason.startswith("no_") and reason.endswith("_claim"):
        yield f"claims in the token: {_shown(sorted(claims))}"


def _details(reason: str, issuer: Issuer | None) -> tuple[tuple[Path, ...], dict[str, Any]]:
    """The claims named in the issuer's entry that explain the reason, and the entry's own members
    that do."""
    if issuer is None:
        return (), {}
    tenant: tuple[Path, ...] = () if issuer.tenant else (issuer.tenant_claim,)
    details: dict[str, tuple[tuple[Path, ...], dict[str, Any]]] = {
        "wrong_audience": ((), {"audiences": issuer.audiences}),
        "no_aud": ((), {"audiences": issuer.audiences}),
        "wrong_client": ((issuer.client_claim,), {"client_ids": issuer.client_ids}),
        "no_client": ((), {"client_claim": issuer.client_claim}),
        "wrong_kind": (tuple(issuer.require), {"require": issuer.require}),
        "no_tenant_claim": (tenant, {}),
        "not_one_tenant": (tenant, {"tenant_form": issuer.tenant_form}),
        "tenant_of_another_issuer": (tenant, {"tenants": issuer.owned or "all that no other has"}),
        "no_user_claim": ((issuer.user_claim,), {}),
        "unusable_id": ((*tenant, issuer.user_claim), {}),
        "not_scopes": (tuple(path for paths in issuer.rights.claims for path in paths), {}),
    }
    return details.get(reason, ((), {}))


def _no_keys(verifier: Verifier, token: str, error: Exception) -> Iterator[str]:
    issuer, tid = verifier.issuers.of(unverified(token))
    jwks = verifier.keys[issuer].published(tid)
    yield f"cannot be checked: {error}"
    yield f"issuer: {_name(verifier, issuer)}"
    yield f"keys: {jwks.url}"
    reason = jwks.failure or "the fetch has not ended"
    yield f"reason: {reason} (docs/identity.md, What the log says)"


def _name(verifier: Verifier, issuer: Issuer) -> str:
    if issuer.issuer is None:
        return "any, because JWT_ISSUER is not set"
    return f"{issuer.issuer} (entry {verifier.issuers.known.index(issuer)})"


def _shown(value: Any) -> str:
    """In ASCII, so that a forged claim cannot confuse the terminal."""
    text = json.dumps(value, default=str)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
