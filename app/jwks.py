"""The issuer's public keys (RFC 7517), kept across requests.

Own code because PyJWT's client asks the issuer for every unknown `kid`, and forgets its keys when
the issuer is down: junk tokens could make us hammer it, and its outage would be ours.
"""

import json
import threading
import time
import urllib.error
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
        with self._lock:
            stale = self._clock() - self._fetched_at > LIFETIME
            if (stale or self._find(kid) is None) and self._clock() - self._tried_at >= PAUSE:
                self._refresh()
            if not self._keys:
                raise Unavailable("The issuer's keys cannot be had.", retry_after=int(PAUSE))
            return self._find(kid)

    def _find(self, kid: str | None) -> jwt.PyJWK | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _refresh(self) -> None:
        """Keeps the old keys where no new ones can be had."""
        self._tried_at = self._clock()
        try:
            document = json.loads(self._fetch(self._url))
            found = {jwk.get("kid"): _public_key(jwk) for jwk in document["keys"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return
        usable = {kid: key for kid, key in found.items() if key}
        if usable:
            self._keys = usable
            self._fetched_at = self._clock()


def _public_key(jwk: dict[str, Any]) -> jwt.PyJWK | None:
    """None for a key that is not for verifying RS256 or ES256 signatures."""
    algorithm = ALGORITHMS.get(jwk.get("kty", ""))
    if not algorithm or jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in jwk.items() if name != "d"}
    try:
        return jwt.PyJWK(public, algorithm=algorithm)
    except jwt.PyJWTError:
        return None
