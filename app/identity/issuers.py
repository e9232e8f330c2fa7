"""The issuers whose tokens are accepted, and which issuer speaks for which tenant.

`of` and `tenant` look at claims before any signature is checked. So a stranger's token, or one that
names another issuer's tenant, causes no fetch of keys.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.config import Config
from app.identity.claims import InvalidToken, Path, Rights, claim_at, one_tenant
from app.identity.scopes import READ, WRITE

TID = "{tid}"
"""Stands for a part of `issuer` that differs from tenant to tenant."""

TID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
"""What `{tid}` may match. It has no slash, and so cannot lead to another place of a `jwks_url`."""

Required = Mapping[str, str | bool]


@dataclass(frozen=True, eq=False, kw_only=True)
class Issuer:
    """One issuer. docs/issuers.md describes each member. `issuer` is None only where JWT_ISSUER is
    not set; `tenants` is None if this issuer speaks for all tenants that no other issuer has."""

    issuer: str | None
    jwks_url: str | None = None
    secret: str | None = field(default=None, repr=False)
    algorithms: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    client_ids: tuple[str, ...] = ()
    client_claim: Path = "client_id"
    require: Required = field(default_factory=dict)
    tenant: str | None = None
    tenant_claim: Path = "tenant_id"
    tenant_form: str = "text"
    tenants: tuple[str, ...] | None = None
    user_claim: Path = "sub"
    rights: Rights

    @property
    def is_pattern(self) -> bool:
        return self.issuer is not None and TID in self.issuer

    @property
    def owned(self) -> tuple[str, ...] | None:
        """The tenants that belong to this issuer. None if it has neither a list nor a fixed one."""
        return (self.tenant,) if self.tenant not in (None, TID) else self.tenants


AUTHORISATION_CLAIMS: tuple[tuple[Path, ...], ...] = (
    ("scope", "scp"),
    ("roles",),
    ("permissions",),
)
"""`scope` (RFC 8693) or else `scp`, `roles` (Entra's app roles) and `permissions` (Auth0)."""


def issuers_of(config: Config) -> tuple[Issuer, ...]:
    """
    Raises:
        ConfigError: ISSUERS is not valid.
    """
    if config.issuers is None:
        return (from_settings(config),)
    from app.identity import issuer_file  # costs a cold start only where it is needed

    return issuer_file.read(config.issuers, config.issuer_secrets)


def from_settings(config: Config) -> Issuer:
    """The one issuer of the settings JWT_*. A token of it that has no authorisation claim may read
    and write sessions, unless JWT_REQUIRE_SCOPES is set."""
    otherwise = frozenset() if config.jwt_require_scopes else frozenset({READ, WRITE})
    return Issuer(
        issuer=config.jwt_issuer,
        jwks_url=config.jwt_jwks_url,
        secret=config.jwt_secret,
        audiences=(config.jwt_audience,) if config.jwt_audience else (),
        tenant_claim=config.jwt_tenant_claim,
        user_claim=config.jwt_user_claim,
        rights=Rights(claims=AUTHORISATION_CLAIMS, otherwise=otherwise),
    )


class Issuers:
    """Finds the issuer of a token. `app.identity.issuer_file` has refused what is ambiguous."""

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self.known = tuple(issuers)
        self._any = next((issuer for issuer in issuers if issuer.issuer is None), None)
        self._exact = {issuer.issuer: issuer for issuer in issuers if not issuer.is_pattern}
        self._patterns = [(_compiled(issuer), issuer) for issuer in issuers if issuer.is_pattern]
        self._owners = {tenant: issuer for issuer in issuers for tenant in issuer.owned or ()}
        self._of_all_others = next((issuer for issuer in issuers if issuer.owned is None), None)

    def of(self, claims: Mapping[str, Any]) -> tuple[Issuer, str | None]:
        """The issuer of these claims, and what its `{tid}` matches.

        Raises:
            InvalidToken: `iss` is missing or unknown.
        """
        if self._any:
            return self._any, None
        if "iss" not in claims:
            raise InvalidToken("no_iss")
        name = claims["iss"]
        if isinstance(name, str):
            if issuer := self._exact.get(name):
                return issuer, None
            for pattern, issuer in self._patterns:
                if match := pattern.fullmatch(name):
                    return issuer, match[1]
        raise InvalidToken("wrong_issuer")

    def tenant(self, issuer: Issuer, claims: Mapping[str, Any], tid: str | None) -> Any:
        """The tenant that these claims name.

        Raises:
            InvalidToken: there is none, it is not what `{tid}` matches, or the issuer does not
                speak for it.
        """
        if issuer.tenant is not None:
            tenant: Any = tid if issuer.tenant == TID else issuer.tenant
        else:
            tenant = one_tenant(claim_at(claims, issuer.tenant_claim), issuer.tenant_form)
            if tenant is None:
                raise InvalidToken("no_tenant_claim")
            if tid is not None and tenant != tid:
                raise InvalidToken("tenant_of_another_issuer")
        if not isinstance(tenant, str):
            raise InvalidToken("unusable_id")
        if self._owners.get(tenant, self._of_all_others) is not issuer:
            raise InvalidToken("tenant_of_another_issuer")
        return tenant


def _compiled(issuer: Issuer) -> re.Pattern[str]:
    before, after = str(issuer.issuer).split(TID)
    return re.compile(f"{re.escape(before)}({TID_PATTERN}){re.escape(after)}", re.ASCII)
