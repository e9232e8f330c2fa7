"""Reads the issuers from ISSUERS, and refuses what is unknown, could never work or is ambiguous.

docs/issuers.schema.json describes the form for editors, and docs/issuers.md the meaning. The checks
are written by hand: a library for schemas would cost more time at each cold start than this whole
module, and its messages could not say what is right.

This module is over 250 lines because it has a check and a message for each member.
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from app.config import SECRETS, ConfigError, check_issuer, check_jwks_url, check_secret
from app.identity.caller import NotACaller, check_tenant
from app.identity.claims import TENANT_FORMS, Path, Rights
from app.identity.issuers import TID, TID_PATTERN, Issuer
from app.identity.jwks import ALGORITHMS
from app.identity.scopes import SCOPES
from app.json_rules import is_too_deep

MAX_ISSUERS = 50
MAX_LISTED = 10_000
"""Items of a list, such as `tenants`."""

MAX_TENANTS_WITH_KEYS = 200
"""Tenants of an issuer that publishes keys for each of them: each has a cache of its own."""

KNOWN_ALGORITHMS = tuple(sorted({name for names in ALGORITHMS.values() for name in names}))

MEMBERS = frozenset(
    {
        "issuer",
        "jwks_url",
        "secret_env",
        "algorithms",
        "audiences",
        "any_audience",
        "client_ids",
        "client_claim",
        "require",
        "tenant",
        "tenant_claim",
        "tenant_form",
        "tenants",
        "user_claim",
        "rights",
    }
)
RIGHTS_MEMBERS = frozenset({"claims", "prefix", "map", "everyone"})

CHANGED_BY_USERS = {"user_metadata", "unsafe_metadata", "unsafeMetadata"}
"""Claims of Auth0, Supabase and Clerk that users can write themselves."""


def read(text: str, secrets: Mapping[str, str]) -> tuple[Issuer, ...]:
    """
    Raises:
        ConfigError: the message names the entry and the member, and what is right.
    """
    issuers = tuple(
        _Entry(members, f"ISSUERS: issuers[{number}]", secrets).issuer()
        for number, members in enumerate(_entries(text))
    )
    _check_names(issuers)
    _check_tenants(issuers)
    _check_secrets(issuers)
    return issuers


def _entries(text: str) -> list[Any]:
    document = _parse(text)
    if not isinstance(document, dict) or not isinstance(document.get("issuers"), list):
        raise ConfigError('ISSUERS must be an object of the form {"issuers": [{…}, …]}')
    _refuse_unknown(document, frozenset({"issuers", "$schema"}), "ISSUERS")
    entries: list[Any] = document["issuers"]
    if not 1 <= len(entries) <= MAX_ISSUERS:
        raise ConfigError(f"ISSUERS: issuers must have 1 to {MAX_ISSUERS} entries")
    return entries


def _parse(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"ISSUERS has the member {twice} twice in one object: leave one out")
        return members

    try:
        if is_too_deep(text):
            raise ValueError
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"ISSUERS is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except ValueError:
        raise ConfigError("ISSUERS is not JSON") from None


class _Entry:
    """One entry. Its methods take a member's name and return its checked value."""

    def __init__(self, members: Any, where: str, secrets: Mapping[str, str]) -> None:
        self._where = where
        if not isinstance(members, dict):
            raise ConfigError(f"{where} must be an object")
        self._members: dict[str, Any] = members
        self._secrets = secrets
        _refuse_unknown(members, MEMBERS, where)

    def issuer(self) -> Issuer:
        issuer = self._issuer_name()
        jwks_url = self._jwks_url()
        tenants = self._tenants(has_keys_by_tenant=TID in (jwks_url or ""))
        self._check_the_pattern(issuer, jwks_url, tenants)
        audiences, client_ids = self._list("audiences"), self._list("client_ids")
        self._check_what_it_is_for(audiences, client_ids)
        tenant, tenant_claim = self._tenant(TID in issuer, tenants)
        return Issuer(
            issuer=issuer,
            jwks_url=jwks_url,
            secret=self._secret(jwks_url),
            algorithms=self._algorithms(jwks_url),
            audiences=audiences,
            client_ids=client_ids,
            client_claim=self._path("client_claim", "client_id"),
            require=self._required(),
            tenant=tenant,
            tenant_claim=tenant_claim,
            tenant_form=self._tenant_form(tenant),
            tenants=tenants,
            user_claim=self._path("user_claim", "sub"),
            rights=self._rights(),
        )

    def _fault(self, name: str, told: str) -> ConfigError:
        return ConfigError(f"{self._where}.{name} {told}")

    def _text(self, name: str) -> str | None:
        value = self._members.get(name)
        if value is None and name not in self._members:
            return None
        if not isinstance(value, str) or not value or value != value.strip():
            raise self._fault(name, "must be a text, not empty and without white space around it")
        return value

    def _list(self, name: str) -> tuple[str, ...]:
        if name not in self._members:
            return ()
        values = self._texts(name, self._members[name])
        if any(re.search(r"[\s,]", value) for value in values):
            raise self._fault(name, "must have one value in each item: no commas, no white space")
        return values

    def _texts(self, name: str, values: Any) -> tuple[str, ...]:
        if not isinstance(values, list) or not 1 <= len(values) <= MAX_LISTED:
            raise self._fault(name, f"must be a list of 1 to {MAX_LISTED} texts")
        if not all(isinstance(value, str) and value for value in values):
            raise self._fault(name, "must have only texts that are not empty")
        if len(set(values)) != len(values):
            raise self._fault(name, "has an item twice: leave one out")
        return tuple(values)

    def _path(self, name: str, default: str) -> Path:
        return self._as_path(name, self._members[name]) if name in self._members else default

    def _as_path(self, name: str, value: Any) -> Path:
        """The name of a claim, or the steps to it."""
        path: Path
        if isinstance(value, str) and value and value == value.strip():
            path = value
        elif isinstance(value, list) and value and all(isinstance(s, str) and s for s in value):
            path = tuple(value)
        else:
            raise self._fault(
                name, 'must be the name of a claim, a dotted path, or its steps: ["org", "id"]'
            )
        steps = path.split(".") if isinstance(path, str) else path
        if CHANGED_BY_USERS.intersection(steps):
            raise self._fault(
                name,
                "must not be in metadata that users can change themselves: use app_metadata or "
                "public metadata",
            )
        return path

    def _issuer_name(self) -> str:
        name = self._text("issuer")
        if name is None:
            raise self._fault("issuer", "is missing: the iss claim of the tokens, exactly")
        if re.search(r"[\s,]", name):
            raise self._fault("issuer", "must be one value, without commas or white space")
        if name.count(TID) > 1 or set(name.replace(TID, "")) & set("<>{}"):
            raise self._fault("issuer", f"may have {TID} once, and no other placeholder")
        return name

    def _jwks_url(self) -> str | None:
        url = self._text("jwks_url")
        real = False
        if url is not None:
            real = check_jwks_url(f"{self._where}.jwks_url", url.replace(TID, "tid"))
        check_issuer(f"{self._where}.issuer", self._issuer_name(), is_real=real)
        return url

    def _secret(self, jwks_url: str | None) -> str | None:
        name = self._text("secret_env")
        if name is None:
            if jwks_url is None:
                raise self._fault(
                    "jwks_url", f"is missing: the address of the keys; or secret_env for {SECRETS}…"
                )
            return None
        if not re.fullmatch(rf"{SECRETS}[A-Z0-9_]+", name):
            raise self._fault(
                "secret_env",
                f"must be the name of a variable that begins with {SECRETS}, such as "
                f"{SECRETS}SUPABASE. The secret itself does not belong in ISSUERS",
            )
        if not (secret := self._secrets.get(name)):
            raise self._fault("secret_env", f"names {name}, which is not set: set the variable")
        if secret != secret.strip():
            raise ConfigError(f"{name} has white space around its value")
        check_secret(name, secret)
        return secret

    def _algorithms(self, jwks_url: str | None) -> tuple[str, ...]:
        names = self._list("algorithms")
        if names and jwks_url is None:
            raise self._fault("algorithms", "is only for jwks_url; a secret is always for HS256")
        if unknown := set(names) - set(KNOWN_ALGORITHMS):
            raise self._fault(
                "algorithms", f"has {min(unknown)}; known are {', '.join(KNOWN_ALGORITHMS)}"
            )
        return names

    def _check_what_it_is_for(
        self, audiences: tuple[str, ...], client_ids: tuple[str, ...]
    ) -> None:
        anyone = self._members.get("any_audience", False)
        if not isinstance(anyone, bool):
            raise self._fault("any_audience", "must be true or false")
        if anyone and (audiences or client_ids):
            raise self._fault("any_audience", "contradicts audiences and client_ids: leave one out")
        if not (anyone or audiences or client_ids):
            raise self._fault(
                "audiences",
                "is missing: without it, or client_ids, a token for any other app of the issuer "
                "would be accepted. If you want that, set any_audience to true",
            )
        if "client_claim" in self._members and not client_ids:
            raise self._fault("client_claim", "is only for client_ids: set them too")

    def _required(self) -> dict[str, str | bool]:
        required = self._members.get("require", {})
        if not isinstance(required, dict) or not all(
            name and isinstance(value, str | bool) for name, value in required.items()
        ):
            raise self._fault(
                "require", 'must be an object of claims and values, such as {"token_use": "id"}'
            )
        return required

    def _tenants(self, *, has_keys_by_tenant: bool) -> tuple[str, ...] | None:
        if "tenants" not in self._members:
            return None
        tenants = self._texts("tenants", self._members["tenants"])
        for tenant in tenants:
            self._check_tenant("tenants", tenant)
            if has_keys_by_tenant and not re.fullmatch(TID_PATTERN, tenant, re.ASCII):
                raise self._fault(
                    "tenants",
                    f"has {tenant}, which {TID} cannot match: it takes letters, digits and . _ -",
                )
        if has_keys_by_tenant and len(tenants) > MAX_TENANTS_WITH_KEYS:
            raise self._fault(
                "tenants",
                f"has more than {MAX_TENANTS_WITH_KEYS}, each with keys of its own: use several "
                "deployments, or an issuer with one address for all keys",
            )
        return tenants

    def _check_tenant(self, name: str, tenant: str) -> None:
        try:
            check_tenant(tenant)
        except NotACaller as fault:
            raise self._fault(name, f"has an impossible tenant: {fault}") from None

    def _check_the_pattern(
        self, issuer: str, jwks_url: str | None, tenants: tuple[str, ...] | None
    ) -> None:
        if jwks_url and TID in jwks_url:
            if TID not in issuer:
                raise self._fault("jwks_url", f"has {TID}, but issuer does not")
            if tenants is None:
                raise self._fault(
                    "tenants",
                    f"is missing: with {TID} in jwks_url, list them, so that no token can make the "
                    "service ask for keys of others",
                )

    def _tenant(self, is_pattern: bool, tenants: tuple[str, ...] | None) -> tuple[str | None, Path]:
        tenant = self._text("tenant")
        if (tenant is None) == ("tenant_claim" not in self._members):
            raise self._fault(
                "tenant_claim",
                "is missing, or tenant: set one of the two, and not both. tenant_claim names the "
                f"claim with the tenant; tenant is the one tenant of this issuer, or {TID}",
            )
        if tenant is None:
            return None, self._path("tenant_claim", "")
        if tenant == TID and not is_pattern:
            raise self._fault("tenant", f"is {TID}, but issuer has no {TID} in it")
        if tenant != TID:
            self._check_tenant("tenant", tenant)
            if is_pattern:
                raise self._fault("tenant", f"must be {TID}, since issuer differs by tenant")
            if tenants is not None:
                raise self._fault("tenants", "contradicts tenant, the only one: leave it out")
        return tenant, "tenant_id"

    def _tenant_form(self, tenant: str | None) -> str:
        form = self._text("tenant_form") or "text"
        if form not in TENANT_FORMS:
            raise self._fault("tenant_form", f"must be one of {', '.join(TENANT_FORMS)}")
        if "tenant_form" in self._members and tenant is not None:
            raise self._fault("tenant_form", "is only for tenant_claim: leave it out")
        return form

    def _rights(self) -> Rights:
        rights = self._members.get("rights")
        if not isinstance(rights, dict):
            raise self._fault(
                "rights",
                'is missing: {"claims": ["scope"]} for tokens that list what they allow, or '
                '{"everyone": ["sessions:read", "sessions:write"]}',
            )
        _refuse_unknown(rights, RIGHTS_MEMBERS, f"{self._where}.rights")
        if ("claims" in rights) == ("everyone" in rights):
            raise self._fault("rights", "must have claims or everyone, and not both")
        if "everyone" in rights:
            if len(rights) > 1:
                raise self._fault(
                    "rights", "with everyone has no prefix and no map: leave them out"
                )
            return Rights(otherwise=self._scopes("rights.everyone", rights["everyone"]))
        if not isinstance(rights["claims"], list) or not 1 <= len(rights["claims"]) <= 10:
            raise self._fault(
                "rights.claims", 'must be a list of 1 to 10 claims, such as ["scope"]'
            )
        prefix = rights.get("prefix")
        if "prefix" in rights and not isinstance(prefix, str):
            raise self._fault("rights.prefix", "must be a text, such as store/")
        grants = rights.get("map", {})
        if not isinstance(grants, dict) or ("map" in rights and not grants):
            raise self._fault(
                "rights.map", 'must be an object such as {"editors": ["sessions:read"]}'
            )
        return Rights(
            claims=tuple((self._as_path("rights.claims", path),) for path in rights["claims"]),
            prefix=prefix,
            grants={
                word: self._scopes(f"rights.map.{word}", scopes) for word, scopes in grants.items()
            },
        )

    def _scopes(self, name: str, values: Any) -> frozenset[str]:
        scopes = frozenset(self._texts(name, values))
        if unknown := scopes - SCOPES:
            raise self._fault(name, f"has {min(unknown)}; known are {', '.join(sorted(SCOPES))}")
        return scopes


def _refuse_unknown(members: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    if unknown := members.keys() - known:
        raise ConfigError(
            f"{where} has the unknown member {min(unknown)}; known are {', '.join(sorted(known))}"
        )


def _check_names(issuers: Sequence[Issuer]) -> None:
    """No `iss` may belong to two entries. An exact one comes before a pattern that matches it."""
    for (first, one), (second, other) in combinations(enumerate(issuers), 2):
        if one.issuer == other.issuer:
            raise ConfigError(
                f"ISSUERS: issuers[{second}].issuer is the same as that of issuers[{first}]: put "
                "what both accept into one entry"
            )
        if one.is_pattern and other.is_pattern and _overlap(str(one.issuer), str(other.issuer)):
            raise ConfigError(
                f"ISSUERS: issuers[{second}].issuer may match the same tokens as that of "
                f"issuers[{first}]: make the patterns differ, or list their issuers one by one"
            )


def _overlap(one: str, other: str) -> bool:
    """Whether some `iss` could match both patterns. It may say so too often."""
    (before, after), (start, end) = one.split(TID), other.split(TID)
    return (before.startswith(start) or start.startswith(before)) and (
        after.endswith(end) or end.endswith(after)
    )


def _check_tenants(issuers: Sequence[Issuer]) -> None:
    """A tenant belongs to one issuer. One issuer at most may have all that are not listed."""
    owners: dict[str, int] = {}
    rest: int | None = None
    for number, issuer in enumerate(issuers):
        if issuer.owned is None:
            if rest is not None:
                raise ConfigError(
                    f"ISSUERS: issuers[{rest}] and issuers[{number}] could both speak for the same "
                    "tenants: list the tenants of all issuers but one in tenants"
                )
            rest = number
        for tenant in issuer.owned or ():
            if tenant in owners:
                raise ConfigError(
                    f"ISSUERS: the tenant {tenant} belongs to both issuers[{owners[tenant]}] and "
                    f"issuers[{number}]: one issuer must not speak for another's tenants"
                )
            owners[tenant] = number


def _check_secrets(issuers: Sequence[Issuer]) -> None:
    for (first, one), (second, other) in combinations(enumerate(issuers), 2):
        if one.secret and one.secret == other.secret:
            raise ConfigError(
                f"ISSUERS: issuers[{second}] has the secret of issuers[{first}]: with it, each "
                "could sign tokens of the other. Give each its own"
            )
