"""The issuer's public keys (RFC 7517), kept across requests.

Own code because PyJWT's client asks the issuer for every unknown `kid`, and forgets its keys when
the issuer is down: junk tokens could make us hammer it, and its outage would be ours.
"""

import http.client
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import jwt

from app.errors import Unavailable

LIFETIME = 3600.0
"""Seconds after which the keys are fetched again, so that a withdrawn key is noticed."""

PAUSE = 30.0
"""Seconds between two fetches at the least, whatever tokens come and whether or not they worked."""

TIMEOUT = 3.0
MAX_BYTES = 1_000_000

ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}
"""What a key may verify is said by its type, never by the token. Others, `oct` above all, are not
public keys."""

Fetch = Callable[[str], bytes]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could lead away from https."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def fetch(url: str) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(url, timeout=TIMEOUT) as answer:  # config.py admits https and loopback only
        document: bytes = answer.read(MAX_BYTES)
    return document


class Jwks:
    """`clock` is in seconds and only ever rises."""

    def __init__(
        self, url: str, *, fetch: Fetch = fetch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")

    def key(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of that id; the only key there is where a token names none.

        Raises:
            Unavailable: there are no keys at all, since the issuer was never reached.
        """
        known = self._find(kid)
        if known and not self._is_due():
            return known  # without the lock: whoever holds it may be waiting for the issuer
        with self._lock:
            if self._is_due() or (self._find(kid) is None and self._may_try()):
                self._refresh()
            if not self._keys:
                raise Unavailable("The issuer's keys cannot be had.", retry_after=int(PAUSE))
            return self._find(kid)

    def _is_due(self) -> bool:
        return self._may_try() and self._clock() - self._fetched_at > LIFETIME

    def _may_try(self) -> bool:
        return self._clock() - self._tried_at >= PAUSE

    def _find(self, kid: str | None) -> jwt.PyJWK | None:
        keys = self._keys  # replaced as a whole, never changed
        if kid is None and len(keys) == 1:
            return next(iter(keys.values()))
        return keys.get(kid)

    def _refresh(self) -> None:
        """Keeps the old keys where no new ones can be had."""
        self._tried_at = self._clock()
        try:
            published = list(json.loads(self._fetch(self._url))["keys"])
        except _NO_DOCUMENT:
            return
        usable = {jwk.get("kid"): key for jwk in published if (key := _public_key(jwk))}
        if usable:
            self._keys = usable
            self._fetched_at = self._clock()


_NO_DOCUMENT = (
    OSError,
    http.client.HTTPException,  # cut off, or no HTTP
    ValueError,
    KeyError,
    TypeError,
    RecursionError,
)


def _public_key(jwk: Any) -> jwt.PyJWK | None:
    """None for what is not a key for verifying RS256 or ES256 signatures, or is broken: one such
    entry must not take the others with it."""
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str | None):
        return None
    algorithm = ALGORITHMS.get(str(jwk.get("kty")))
    if not algorithm or jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in jwk.items() if name != "d"}
    try:
        return jwt.PyJWK(public, algorithm=algorithm)
    except jwt.PyJWTError:
        return None
