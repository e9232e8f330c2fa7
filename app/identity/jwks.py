"""The issuer's public keys (RFC 7517), cached across requests.

PyJWT's own client is not used. It calls the issuer for every unknown `kid`, so junk tokens could
make us overload the issuer. It also drops its keys while the issuer is down, so its outage would be
ours.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jwt

from app.errors import IssuerMisconfigured, Unavailable
from app.identity.fetch import fetch as fetch_within
from app.identity.fetch import kind_of
from app.logs import log, log_event

LIFETIME = 3600.0
"""Seconds after which the keys are fetched again, to notice withdrawn keys."""

PAUSE = 30.0
"""Minimum seconds between two fetches, whether or not the first one succeeded."""

TIMEOUT = 3.0
"""Maximum seconds of a fetch, and of a request's wait for a key that is not cached yet."""

MOMENT = 0.25
"""Seconds that a request waits for a routine fetch that it has started. Lambda freezes a function's
threads once it has responded, so without the wait a rarely used function would never finish one."""

MAX_KEYS = 100
"""Keys of one document. Issuers publish two or three; reading thousands would take seconds."""

MIN_RSA_BITS = 2048
"""RFC 7518 section 3.3: a smaller key must not be used."""

ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC P-256": ("ES256",),
    "EC P-384": ("ES384",),
    "EC P-521": ("ES512",),
    "OKP Ed25519": ("EdDSA", "Ed25519"),
    "OKP Ed448": ("EdDSA", "Ed448"),
}
"""The algorithms that a key of this type and curve can verify. A key is used only for the one in
its `alg`, or else for the first, whatever a token says. If an issuer's `algorithms` are configured,
only those count, in their order. Other types, such as `oct`, are no public keys and are ignored."""

Fetch = Callable[[str], bytes]


class _NotUsable(Exception):
    """The document has no usable key. `published` is true if it has unusable ones."""

    def __init__(self, kind: str, *, published: bool = False) -> None:
        super().__init__(kind)
        self.published = published


class Key(jwt.PyJWK):
    """A published key. `issuer` is whose tokens it signs, where one document serves many issuers:
    a member of Entra's keys, such as `https://login.microsoftonline.com/{tenantid}/v2.0`."""

    issuer: str | None = None


class Jwks:
    """The cached keys of one issuer. `clock` gives seconds and must be monotonic."""

    def __init__(
        self,
        url: str,
        *,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.monotonic,
        timeout: float = TIMEOUT,
        algorithms: Sequence[str] = (),
    ) -> None:
        self.failure: str | None = None  # why the last fetch failed, as in the log
        self._algorithms = tuple(algorithms)
        self.url = url
        self._fetch = fetch or partial(fetch_within, seconds=timeout)
        self._clock = clock
        self._timeout = timeout
        self._lock = threading.Lock()
        self._fetching: threading.Thread | None = None
        self._keys: dict[str | None, Key] = {}
        self._ambiguous: frozenset[str | None] = frozenset()
        self._misconfigured = False
        self._fetched_at = self._tried_at = float("-inf")

    def key(self, kid: str | None) -> Key | None:
        """The key with this id. Without an id, the issuer's key if it has only one.

        Only a request whose key is not cached waits for the issuer, up to the timeout.

        Raises:
            Unavailable: there are no keys, because the issuer has never been reached.
            IssuerMisconfigured: the issuer publishes keys, but none is usable.
        """
        known = self._find(kid)
        if known and not self._is_due():
            return known
        started = self._start_fetching()
        if self._fetching and (started or not known):
            self._fetching.join(MOMENT if known else self._timeout)
        if self._keys:
            return self._find(kid)
        if self._misconfigured:
            raise IssuerMisconfigured
        raise Unavailable("The issuer's keys cannot be fetched.", retry_after=int(PAUSE))

    @property
    def has_keys(self) -> bool:
        return bool(self._keys)

    def fetch_first(self) -> bool:
        """Fetches keys that have never been fetched, like the first request with a token. Returns
        whether there are keys."""
        self._start_fetching()
        if self._fetching:
            self._fetching.join(self._timeout)
        return self.has_keys

    def is_ambiguous(self, kid: str | None) -> bool:
        """Whether several keys match this id, or there are several and no id is given."""
        several = len(self._keys) + len(self._ambiguous) > 1
        return kid in self._ambiguous or (kid is None and several)

    def _find(self, kid: str | None) -> Key | None:
        keys = self._keys  # replaced as a whole, never changed
        if kid is None and len(keys) == 1 and not self._ambiguous:
            return next(iter(keys.values()))
        return keys.get(kid)

    def _is_due(self) -> bool:
        return self._may_try() and self._clock() - self._fetched_at > LIFETIME

    def _may_try(self) -> bool:
        return self._clock() - self._tried_at >= PAUSE

    def _start_fetching(self) -> bool:
        """Starts a thread that fetches the keys, unless one is running or started recently. Returns
        whether it did."""
        with self._lock:
            if not self._may_try() or (self._fetching and self._fetching.is_alive()):
                return False
            self._tried_at = self._clock()
            self._fetching = threading.Thread(target=self._refresh, daemon=True)
            self._fetching.start()
            return True

    def _refresh(self) -> None:
        """Fetches the keys. If that fails, the old keys remain."""
        try:
            keys, ambiguous = _read(self._fetch(self.url), self._algorithms)
        except Exception as error:  # in a thread, nobody else would see it
            unusable = error if isinstance(error, _NotUsable) else None
            self._misconfigured = unusable is not None and unusable.published
            self.failure = str(unusable) if unusable else kind_of(error)
            details: dict[str, Any] = {"reason": self.failure, "keys": len(self._keys)}
            log.warning("issuer keys not fetched", extra={"fields": details})
            return
        # Set in this order, so that no request uses an ambiguous key in between.
        self._ambiguous, self._keys = ambiguous, keys
        self._fetched_at = self._clock()
        self.failure = None
        details = {"keys": len(keys), "ambiguous": len(ambiguous)}
        if ambiguous:
            log.warning("issuer keys ambiguous", extra={"fields": details})
        else:
            log_event("issuer keys fetched", details)


def _read(
    document: bytes, algorithms: tuple[str, ...]
) -> tuple[dict[str | None, Key], frozenset[str | None]]:
    """The usable keys by `kid`, and the `kid`s that several different keys share.

    A shared `kid` gets no key, because choosing one would be a guess. Other keys are not affected.
    """
    jwks = json.loads(document)
    published = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(published, list):
        raise _NotUsable("not_a_jwks")
    if len(published) > MAX_KEYS:
        raise _NotUsable("too_many_keys")
    entries = [jwk for jwk in published if isinstance(jwk, dict)]
    keys: dict[str | None, Key] = {}
    seen: dict[str | None, dict[str, Any]] = {}
    ambiguous = set()
    for jwk in entries:
        if key := _public_key(jwk, algorithms):
            kid = jwk.get("kid")
            keys[kid] = key
            if seen.setdefault(kid, jwk) != jwk:
                ambiguous.add(kid)
    usable = {kid: key for kid, key in keys.items() if kid not in ambiguous}
    if not usable:
        kind = "ambiguous_keys" if ambiguous else "no_usable_key" if entries else "no_keys"
        raise _NotUsable(kind, published=bool(entries))
    return usable, frozenset(ambiguous)


def _public_key(jwk: dict[str, Any], wanted: tuple[str, ...]) -> Key | None:
    """The key, or None if it is broken or not for verifying signatures. Returning None keeps the
    other keys of the document usable."""
    kind = " ".join(str(jwk[name]) for name in ("kty", "crv") if name in jwk)
    possible = ALGORITHMS.get(kind, ())
    algorithms = tuple(name for name in wanted or possible if name in possible)
    algorithm = jwk.get("alg", algorithms[0] if algorithms else None)
    if algorithm not in algorithms or not isinstance(jwk.get("kid"), str | None):
        return None
    if jwk.get("use", "sig") != "sig" or not _may_verify(jwk):
        return None
    public = {name: value for name, value in jwk.items() if name != "d"}
    try:
        key = Key(public, algorithm="EdDSA" if jwk["kty"] == "OKP" else algorithm)
        if jwk["kty"] == "RSA" and key.key.key_size < MIN_RSA_BITS:
            return None
    except Exception:  # PyJWT and cryptography raise many kinds for malformed keys
        return None
    key.algorithm_name = algorithm  # PyJWT does not know Ed25519 and Ed448 (RFC 9864) by name
    key.issuer = jwk["issuer"] if isinstance(jwk.get("issuer"), str) else None
    return key


def _may_verify(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    # A private key published by mistake says "sign". Its public part can still verify.
    wanted = "sign" if "d" in jwk else "verify"
    return isinstance(operations, list) and ("verify" in operations or wanted in operations)
