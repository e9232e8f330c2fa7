"""The keys of one issuer: its secret, or what it publishes, separately for each `{tid}`."""

from collections.abc import Callable, Mapping
from typing import Any

from app.identity.claims import InvalidToken
from app.identity.issuers import TID, Issuer
from app.identity.jwks import Fetch, Jwks, Key

Found = tuple[Any, str]
"""A key, and the one algorithm that it verifies."""


class Keys:
    """Each issuer has its own, with its own fetches, so that none waits for another's keys."""

    def __init__(self, issuer: Issuer, jwks: Jwks | None, fetch: Fetch | None) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._published: dict[str | None, Jwks] = {}
        if jwks:
            self._published[None] = jwks
        self._by_tid = TID in (issuer.jwks_url or "")

    def finder(self, head: Mapping[str, Any], tid: str | None) -> Callable[[], Found]:
        """A function that finds the key for tokens with this header, and finds it again later: the
        issuer may have withdrawn it.

        Where an issuer has a secret and published keys, the token's `alg` chooses between the two.
        That is safe, because neither key is ever used with another algorithm than its own.

        Raises:
            InvalidToken: the header names no key.
        """
        issuer = self._issuer
        if issuer.secret and (not issuer.jwks_url or head.get("alg") == "HS256"):
            secret = (issuer.secret, "HS256")
            return lambda: secret
        kid = head.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise InvalidToken("malformed")
        jwks = self.published(tid)

        def find() -> Found:
            key = jwks.key(kid)
            if key is None:
                raise InvalidToken("ambiguous_key" if jwks.is_ambiguous(kid) else "unknown_key")
            if tid is not None and not self._signs_for(key, tid):
                raise InvalidToken("unknown_key")
            return key, key.algorithm_name

        return find

    def published(self, tid: str | None = None) -> Jwks:
        """The published keys. The tenants that `{tid}` can name are listed, if `jwks_url` has it;
        so their number is bounded."""
        place = tid if self._by_tid else None
        if place not in self._published:
            url = str(self._issuer.jwks_url).replace(TID, place or "")
            jwks = Jwks(url, fetch=self._fetch, algorithms=self._issuer.algorithms)
            self._published.setdefault(place, jwks)
        return self._published[place]

    def are_had(self) -> bool:
        """Whether there are any now. Those that differ by `{tid}` are fetched when a token names
        one, so nothing is missing before."""
        return bool(self._issuer.secret) or self._by_tid or self.published().has_keys

    def can_be_had(self) -> bool:
        """The same, but tries to fetch them if they have never been fetched."""
        return self.are_had() or self.published().fetch_first()

    def _signs_for(self, key: Key, tid: str) -> bool:
        """Whether the document lets this key sign for this tenant's issuer. Entra publishes the
        keys of all its clouds and tenants together."""
        if key.issuer is None or self._by_tid:
            return True
        mine = str(self._issuer.issuer).replace(TID, tid)
        return key.issuer.replace("{tenantid}", tid).replace(TID, tid) == mine
