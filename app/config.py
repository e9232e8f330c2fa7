"""Settings from the environment. No other module reads it, and no secret has a default.

This module is over 250 lines because every setting and its check are here.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Self, TypeVar
from urllib.parse import urlsplit

N = TypeVar("N", int, float)
D = TypeVar("D", float, None)

MIN_SECRET_BYTES = 32
"""RFC 7518 section 3.2: an HS256 key must be at least as long as the hash."""

MAX_BUDGET = 50
"""Seconds. A last call to DynamoDB may take 8 seconds more (its read timeout). The sum stays below
gunicorn's timeout of 60 seconds in the Dockerfile."""

MAX_RETENTION = 3650
"""Days. A session's own `expires_in_days` has the same limit."""

SEEN_WITHIN = 5
"""Seconds. What one process counts, the others know after this time."""

MAX_RATE = 100_000
"""Requests per second. More would be a mistake."""

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

DISCOVERY = re.compile(r"/\.well-known/(openid-configuration|oauth-authorization-server)")
"""Discovery documents, which say where the keys are. They are easily mistaken for the keys."""

PLACEHOLDER = "issuer.example.com"
"""The issuer's host in zappa_settings.json until it is replaced with a real one."""

DEFAULT_PORTS = {"http": 80, "https": 443}

NO_ORIGINS = {"", "ws", "wss", "ftp", "file", "data", "blob"}
"""Schemes that no page's origin has. Other schemes are allowed: apps and browser extensions have
their own."""


class ConfigError(Exception):
    """A setting is missing, invalid or contradicts another. The message names the setting."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every setting is described in docs/configuration.md; a test compares the two."""

    sessions_table: str
    jwt_secret: str | None = field(default=None, repr=False)
    jwt_jwks_url: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_tenant_claim: str = "tenant_id"
    jwt_user_claim: str = "sub"
    jwt_require_scopes: bool = False
    cors_origins: tuple[str, ...] = ()
    docs_enabled: bool = False
    dev_tokens: bool = False
    request_budget: float = 20.0
    retention_days: int | None = None
    log_level: str = "INFO"
    metrics_namespace: str | None = None
    quota_tenant_requests_per_second: float | None = None
    quota_tenant_burst: int | None = None
    quota_tenant_read_units_per_day: int | None = None
    quota_tenant_write_units_per_day: int | None = None
    quota_user_share: int | None = None
    usage_report: bool = False
    model_prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sessions_table:
            raise ConfigError("SESSIONS_TABLE is not set: the name of the DynamoDB table")
        for name in (setting.name for setting in fields(self)):
            value = getattr(self, name)
            if isinstance(value, str) and value != value.strip():
                raise ConfigError(f"{name.upper()} has white space around its value")
        self._check_identity()
        for origin in self.cors_origins:
            _check_origin(origin)
        if not 0 < self.request_budget <= MAX_BUDGET:
            raise ConfigError(f"REQUEST_BUDGET must be above 0 and at most {MAX_BUDGET} seconds")
        if self.retention_days is not None and not 1 <= self.retention_days <= MAX_RETENTION:
            raise ConfigError(f"RETENTION_DAYS must be from 1 to {MAX_RETENTION} days")
        if self.log_level not in LOG_LEVELS:
            raise ConfigError(f"LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}")
        if not re.fullmatch(
            r"(?!AWS/|:)[\w./#: -]{1,255}", self.metrics_namespace or "-", re.ASCII
        ):
            raise ConfigError(
                "METRICS_NAMESPACE is not a valid CloudWatch namespace: use up to 255 letters, "
                "digits, spaces and . _ - / # :, and do not start it with AWS/ or :"
            )
        if not re.fullmatch(r"[a-zA-Z0-9_.-]{3,255}", self.sessions_table):
            raise ConfigError(
                "SESSIONS_TABLE is not a valid name of a DynamoDB table: use 3 to 255 of "
                "a-z, A-Z, 0-9, _ . -"
            )
        self._check_quotas()

    @property
    def counts_usage(self) -> bool:
        """Whether it is counted what tenants use: for a quota, or only for the report."""
        return self.usage_report or self.has_quota

    @property
    def has_quota(self) -> bool:
        return any(
            (
                self.quota_tenant_requests_per_second,
                self.quota_tenant_read_units_per_day,
                self.quota_tenant_write_units_per_day,
            )
        )

    @property
    def burst(self) -> int:
        """The most requests that one process lets through in `SEEN_WITHIN` seconds."""
        rate = self.quota_tenant_requests_per_second or 0
        if self.quota_tenant_burst is not None:
            return self.quota_tenant_burst
        return math.ceil(2 * SEEN_WITHIN * rate) + 1

    def _check_quotas(self) -> None:
        rate, share = self.quota_tenant_requests_per_second, self.quota_user_share
        if rate is not None and not 0 < rate <= MAX_RATE:
            raise ConfigError(
                f"QUOTA_TENANT_REQUESTS_PER_SECOND must be above 0 and at most {MAX_RATE}"
            )
        if self.quota_tenant_burst is not None and rate is None:
            raise ConfigError("QUOTA_TENANT_BURST needs QUOTA_TENANT_REQUESTS_PER_SECOND")
        at_once = self.burst - SEEN_WITHIN * (rate or 0)
        if at_once < 1:
            raise ConfigError(
                "QUOTA_TENANT_BURST must be at least 1 more than "
                f"{SEEN_WITHIN} × QUOTA_TENANT_REQUESTS_PER_SECOND"
            )
        for name in ("quota_tenant_read_units_per_day", "quota_tenant_write_units_per_day"):
            units = getattr(self, name)
            if units is not None and units < 1:
                raise ConfigError(f"{name.upper()} must be at least 1")
        if share is None:
            return
        if not 1 <= share <= 100:
            raise ConfigError("QUOTA_USER_SHARE must be from 1 to 100 percent")
        if not self.has_quota:
            raise ConfigError("QUOTA_USER_SHARE needs a quota of the tenant")
        if rate and at_once * share < 100:
            raise ConfigError(
                "QUOTA_USER_SHARE leaves a user less than one request: raise it, or "
                "QUOTA_TENANT_BURST"
            )

    def _check_identity(self) -> None:
        if bool(self.jwt_secret) == bool(self.jwt_jwks_url):
            raise ConfigError(
                "set either JWT_SECRET (HS256) or JWT_JWKS_URL (published keys), but not both"
            )
        if self.jwt_secret:
            _check_secret(self.jwt_secret)
        for name, value in (("JWT_ISSUER", self.jwt_issuer), ("JWT_AUDIENCE", self.jwt_audience)):
            if value and re.search(r"[\s,]", value):
                raise ConfigError(f"{name} must be one value, without commas or white space")
        if self.jwt_issuer and DISCOVERY.search(self.jwt_issuer):
            right = DISCOVERY.split(self.jwt_issuer)[0]
            raise ConfigError(
                "JWT_ISSUER must be the iss claim of the tokens, not the address of the discovery "
                f"document: {right} or {right}/, whichever is the document's issuer"
            )
        if self.jwt_jwks_url:
            real = _check_jwks_url(self.jwt_jwks_url)
            if real and self.jwt_issuer and PLACEHOLDER in self.jwt_issuer.lower():
                raise ConfigError(f"JWT_ISSUER is still the placeholder {PLACEHOLDER}: set yours")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """
        Raises:
            ConfigError: a setting is missing or invalid.
        """
        return cls(
            sessions_table=env.get("SESSIONS_TABLE", ""),
            jwt_secret=env.get("JWT_SECRET"),
            jwt_jwks_url=env.get("JWT_JWKS_URL"),
            jwt_issuer=env.get("JWT_ISSUER") or None,
            jwt_audience=env.get("JWT_AUDIENCE") or None,
            jwt_tenant_claim=env.get("JWT_TENANT_CLAIM") or "tenant_id",
            jwt_user_claim=env.get("JWT_USER_CLAIM") or "sub",
            jwt_require_scopes=_flag(env, "JWT_REQUIRE_SCOPES"),
            cors_origins=tuple(env.get("CORS_ORIGINS", "").replace(",", " ").split()),
            docs_enabled=_flag(env, "DOCS_ENABLED"),
            dev_tokens=_flag(env, "DEV_TOKENS"),
            request_budget=_number(env, "REQUEST_BUDGET", float, 20.0),
            retention_days=_number(env, "RETENTION_DAYS", int, None),
            log_level=env.get("LOG_LEVEL") or "INFO",
            metrics_namespace=env.get("METRICS_NAMESPACE") or None,
            quota_tenant_requests_per_second=_number(
                env, "QUOTA_TENANT_REQUESTS_PER_SECOND", float, None
            ),
            quota_tenant_burst=_number(env, "QUOTA_TENANT_BURST", int, None),
            quota_tenant_read_units_per_day=_number(
                env, "QUOTA_TENANT_READ_UNITS_PER_DAY", int, None
            ),
            quota_tenant_write_units_per_day=_number(
                env, "QUOTA_TENANT_WRITE_UNITS_PER_DAY", int, None
            ),
            quota_user_share=_number(env, "QUOTA_USER_SHARE", int, None),
            usage_report=_flag(env, "USAGE_REPORT"),
            model_prices=_prices(env.get("MODEL_PRICES", "")),
        )


def _flag(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "").lower()
    if value not in ("", "0", "1", "false", "true"):
        raise ConfigError(f"{name} must be 1 or 0")
    return value in ("1", "true")


def _number(env: Mapping[str, str], name: str, kind: type[N], default: D) -> N | D:
    """Accepts digits and, for a float, a decimal point. Python itself would also accept nan, 1e3
    and 1_000."""
    value = env.get(name)
    if not value:
        return default
    try:
        if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", value):
            raise ValueError
        return kind(value)
    except ValueError:
        whole = "whole " if kind is int else ""
        raise ConfigError(f"{name} must be a {whole}number, such as 20") from None


def _prices(text: str) -> dict[str, tuple[float, float]]:
    """Prices per million tokens by model: those of the input and those of the output.

    >>> _prices('{"gpt-5.2": {"input": 1.25, "output": 10}}')
    {'gpt-5.2': (1.25, 10.0)}
    """
    if not text:
        return {}
    try:
        found = json.loads(text)
        prices = {}
        for model, price in found.items():
            if price.keys() != {"input", "output"}:
                raise ValueError
            each = [price["input"], price["output"]]
            if not all(type(p) in (int, float) and 0 <= p < math.inf for p in each):
                raise ValueError
            prices[model] = float(each[0]), float(each[1])
        return prices
    except (ValueError, AttributeError, RecursionError):
        raise ConfigError(
            "MODEL_PRICES must be a JSON object of models and their prices per million tokens, "
            'such as {"gpt-5.2": {"input": 1.25, "output": 10}}'
        ) from None


def _check_secret(secret: str) -> None:
    """PyJWT takes no key pair for HS256: each token would be refused."""
    try:
        size = len(secret.encode())
    except UnicodeEncodeError:
        raise ConfigError("JWT_SECRET is not UTF-8") from None
    if size < MIN_SECRET_BYTES:
        raise ConfigError(f"JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes")
    if "-----BEGIN " in secret or secret.startswith(("ssh-", "ecdsa-sha2-")):
        raise ConfigError(
            "JWT_SECRET is one secret (HS256), not a public or private key. The keys of an issuer "
            "come by JWT_JWKS_URL"
        )


def _check_jwks_url(url: str) -> bool:
    """Returns whether the address is on another machine. One on this machine is for development."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is not a number
    except ValueError:
        raise ConfigError("JWT_JWKS_URL is not a valid address") from None
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        raise ConfigError("JWT_JWKS_URL must be an https:// address (http:// for loopback)")
    if parts.username is not None or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise ConfigError(
            "JWT_JWKS_URL must be plain ASCII, without user, password, fragment or white space"
        )
    if set(url) & set("<>{}"):  # no address has them
        raise ConfigError("JWT_JWKS_URL still has a placeholder in it: put your issuer's name")
    if DISCOVERY.search(parts.path):
        raise ConfigError(
            "JWT_JWKS_URL must be the address of the keys, not of the discovery document. Open "
            f"{parts.scheme}://{parts.netloc}{parts.path} and use its jwks_uri"
        )
    if parts.hostname == PLACEHOLDER:
        raise ConfigError(f"JWT_JWKS_URL is still the placeholder {PLACEHOLDER}: set yours")
    return not loopback


def _check_origin(origin: str) -> None:
    """Refuses an origin that could never match. Browsers send each origin in one spelling
    (RFC 6454), and origins are compared as strings."""
    if set(origin) & set("*?^$\\|()[]{}"):
        raise ConfigError("CORS_ORIGINS takes exact origins; patterns are not supported")
    if origin.lower() == "null":
        raise ConfigError("CORS_ORIGINS cannot hold null: any sandboxed page has that origin")
    if "://" not in origin:
        host = re.sub(r"^(https?:)?/*|(?<=[^/:])/.*", "", origin)
        scheme = "http" if host.startswith(("localhost", "127.0.0.1")) else "https"
        raise ConfigError(f"CORS_ORIGINS: {origin} has no scheme; write {scheme}://{host}")
    try:
        parts = urlsplit(origin)
        host = (parts.hostname or "").encode("idna").decode()
        port = "" if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    except ValueError:
        host = port = ""
    if not re.fullmatch(r"[a-z0-9._-]+", host) or parts.scheme in NO_ORIGINS:
        raise ConfigError(f"CORS_ORIGINS: {origin} is not an origin such as https://app.acme.com")
    right = f"{parts.scheme}://{host}{port}"
    if origin != right:
        raise ConfigError(f"CORS_ORIGINS: {origin} must be written {right}")
