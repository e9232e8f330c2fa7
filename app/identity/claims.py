"""Reads claims out of a token's payload: by path, a tenant in one of three forms, and rights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Path = str | tuple[str, ...]
"""The name of a claim, or else a dotted path; or the steps of a path, whose names may have dots."""

TENANT_FORMS = ("text", "list", "keys")

_MISSING = object()


class InvalidToken(Exception):
    """The token is invalid. The message is one word for the log; the client does not get it."""


def claim_at(claims: Mapping[str, Any], path: Path, missing: Any = None) -> Any:
    """The claim with this name. If there is none, the name is read as a dotted path.

    >>> claim_at({"custom:tenant_id": "acme"}, "custom:tenant_id")
    'acme'
    >>> claim_at({"https://example.com/tenant": "acme"}, "https://example.com/tenant")
    'acme'
    >>> claim_at({"org": {"id": "acme"}}, "org.id")
    'acme'
    >>> claim_at({"roles": {"my.client": ["editor"]}}, ("roles", "my.client"))
    ['editor']
    """
    if isinstance(path, str):
        if path in claims:
            return claims[path]
        path = tuple(path.split("."))
    value: Any = claims
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return missing
        value = value[step]
    return value


def one_tenant(value: Any, form: str) -> Any:
    """The tenant in a claim of this form: the text itself, the only item of a list, or the only
    name in an object.

    The form is configured, never guessed: guessing would take `{"id": "acme"}` for tenant `id`.

    >>> one_tenant("acme", "text"), one_tenant(["acme"], "list"), one_tenant({"acme": {}}, "keys")
    ('acme', 'acme', 'acme')
    """
    if form == "text" or value is None:
        return value
    if not isinstance(value, list if form == "list" else dict) or len(value) != 1:
        raise InvalidToken("not_one_tenant")
    return next(iter(value))


@dataclass(frozen=True, eq=False, kw_only=True)
class Rights:
    """What gives a token its scopes.

    `claims` are the places to look. Each is a list of alternatives, of which the first present one
    counts. `prefix` and `grants` translate words. `otherwise` are the scopes of a token without any
    of the claims.
    """

    claims: tuple[tuple[Path, ...], ...] = ()
    prefix: str | None = None
    grants: Mapping[str, frozenset[str]] = field(default_factory=dict)
    otherwise: frozenset[str] = frozenset()

    def of(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """
        Raises:
            InvalidToken: a claim is neither a text of words nor a list of them.
        """
        words = [found for paths in self.claims if (found := _words(claims, paths)) is not None]
        if not words:
            return self.otherwise
        if self.prefix is None and not self.grants:  # the usual case, faster
            return frozenset().union(*words)
        return frozenset(scope for found in words for word in found for scope in self._scopes(word))

    def _scopes(self, word: str) -> frozenset[str]:
        if word in self.grants:
            return self.grants[word]
        if self.prefix is None or not word.startswith(self.prefix):
            return frozenset()
        return frozenset({word[len(self.prefix) :]})


def _words(claims: Mapping[str, Any], paths: tuple[Path, ...]) -> list[str] | None:
    for path in paths:
        found = claim_at(claims, path, _MISSING)
        if found is _MISSING:
            continue
        words = found.split() if isinstance(found, str) else found
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise InvalidToken("not_scopes")
        return words
    return None
