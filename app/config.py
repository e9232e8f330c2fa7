"""Settings from the environment. No other module reads it, and no secret has a default.

This module is over 250 lines because every setting and its check are here.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
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

INDEX_SOURCES = ("documents", "all")

SEEN_WITHIN = 5
"""Seconds. What one process counts, the others know after this time."""

MAX_RATE = 100_000
"""Requests per second. More would be a mistake."""

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

OTEL_EXPORTERS = ("otlp", "none")

DISCOVERY = re.compile(r"/\.well-known/(openid-configuration|oauth-authorization-server)")
"""Discovery documents, which say where the keys are. They are easily mistaken for the keys."""

PLACEHOLDER = "issuer.example.com"
"""The issuer's host in zappa_settings.json until it is replaced with a real one."""

DEFAULT_PORTS = {"http": 80, "https": 443}

NO_ORIGINS = {"", "ws", "wss", "ftp", "file", "data", "blob"}
"""Schemes that no page's origin has. Other schemes are allowed: apps and browser extensions have
their own."""


SECRETS = "ISSUER_SECRET_"
"""How the variables begin that hold the secrets of `issuers`. It names them, and cannot name any
other variable."""

MAX_ISSUERS_BYTES = 1_000_000


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
    issuers: str | None = None
    issuer_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    cors_origins: tuple[str, ...] = ()
    docs_enabled: bool = False
    dev_tokens: bool = False
    request_budget: float = 20.0
    retention_days: int | None = None
    index_sources: str = "documents"
    log_level: str = "INFO"
    metrics_namespace: str | None = None
    otel_enabled: bool = False
    otel_traces_exporter: str = "otlp"
    otel_metrics_exporter: str = "otlp"
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
        self._check_choices()
        self._check_metrics()
        self._check_quotas()
        if not re.fullmatch(r"[a-zA-Z0-9_.-]{3,255}", self.sessions_table):
            raise ConfigError(
                "SESSIONS_TABLE is not a valid name of a DynamoDB table: use 3 to 255 of "
                "a-z, A-Z, 0-9, _ . -"
            )

    def _check_metrics(self) -> None:
        if not re.fullmatch(
            r"(?!AWS/|:)[\w./#: -]{1,255}", self.metrics_namespace or "-", re.ASCII
        ):
            raise ConfigError(
                "METRICS_NAMESPACE is not a valid CloudWatch namespace: use up to 255 letters, "
                "digits, spaces and . _ - / # :, and do not start it with AWS/ or :"
            )
        for name in ("otel_traces_exporter", "otel_metrics_exporter"):
            if getattr(self, name) not in OTEL_EXPORTERS:
                raise ConfigError(f"{name.upper()} must be one of {', '.join(OTEL_EXPORTERS)}")

    def _check_choices(self) -> None:
        for name, choices in (("index_sources", INDEX_SOURCES), ("log_level", LOG_LEVELS)):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name.upper()} must be one of {', '.join(choices)}")

    @property
    def counts_usage(self) -> bool:
        """Whether the use of each tenant is counted, for a quota or only for the report."""
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
        if self.issuers is not None:
            self._check_that_issuers_stand_alone()
            return
        if bool(self.jwt_secret) == bool(self.jwt_jwks_url):
            raise ConfigError(
                "set either JWT_SECRET (HS256) or JWT_JWKS_URL (published keys), but not both"
            )
        if self.jwt_secret:
            check_secret("JWT_SECRET", self.jwt_secret)
        for name, value in (("JWT_ISSUER", self.jwt_issuer), ("JWT_AUDIENCE", self.jwt_audience)):
            if value and re.search(r"[\s,]", value):
                raise ConfigError(f"{name} must be one value, without commas or white space")
        real = check_jwks_url("JWT_JWKS_URL", self.jwt_jwks_url) if self.jwt_jwks_url else False
        if self.jwt_issuer:
            check_issuer("JWT_ISSUER", self.jwt_issuer, is_real=real)

    def _check_that_issuers_stand_alone(self) -> None:
        """`app.identity.issuer_file` reads them, and checks them as the service starts."""
        for setting in fields(self):
            name = setting.name
            if name.startswith("jwt_") and getattr(self, name) != setting.default:
                raise ConfigError(
                    f"set either ISSUERS (or ISSUERS_FILE) or {name.upper()}, but not both: an "
                    "entry of ISSUERS has a member for each of the settings JWT_…"
                )

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
            issuers=_issuers(env),
            issuer_secrets={name: env[name] for name in env if name.startswith(SECRETS)},
            cors_origins=split_origins(env.get("CORS_ORIGINS", "")),
            docs_enabled=_flag(env, "DOCS_ENABLED"),
            dev_tokens=_flag(env, "DEV_TOKENS"),
            request_budget=_number(env, "REQUEST_BUDGET", float, 20.0),
            retention_days=_number(env, "RETENTION_DAYS", int, None),
            index_sources=env.get("INDEX_SOURCES") or "documents",
            log_level=env.get("LOG_LEVEL") or "INFO",
            metrics_namespace=env.get("METRICS_NAMESPACE") or None,
            otel_enabled=_flag(env, "OTEL_ENABLED"),
            otel_traces_exporter=env.get("OTEL_TRACES_EXPORTER") or "otlp",
            otel_metrics_exporter=env.get("OTEL_METRICS_EXPORTER") or "otlp",
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


def _issuers(env: Mapping[str, str]) -> str | None:
    """The text of ISSUERS, or of the file that ISSUERS_FILE names."""
    text, file = env.get("ISSUERS"), env.get("ISSUERS_FILE")
    if text and file:
        raise ConfigError("set either ISSUERS (the JSON itself) or ISSUERS_FILE, but not both")
    if file:
        try:
            with Path(file).open(encoding="utf-8") as opened:
                text = opened.read(MAX_ISSUERS_BYTES + 1)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"ISSUERS_FILE: {file} cannot be read ({type(error).__name__}). Name a JSON file "
                "in UTF-8 that is deployed with the app; see docs/issuers.md"
            ) from None
        if not text.strip():
            raise ConfigError(f"ISSUERS_FILE: {file} is empty; see docs/issuers.md")
    if text and len(text) > MAX_ISSUERS_BYTES:
        raise ConfigError(f"ISSUERS has more than {MAX_ISSUERS_BYTES} characters")
    return text.strip() if text else None


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


def check_secret(name: str, secret: str) -> None:
    """PyJWT takes no key pair for HS256: each token would be refused."""
    try:
        size = len(secret.encode())
    except UnicodeEncodeError:
        raise ConfigError(f"{name} is not UTF-8") from None
    if size < MIN_SECRET_BYTES:
        raise ConfigError(f"{name} is shorter than {MIN_SECRET_BYTES} bytes")
    if "-----BEGIN " in secret or secret.startswith(("ssh-", "ecdsa-sha2-")):
        raise ConfigError(
            f"{name} is one secret (HS256), not a public or private key. The keys of an issuer "
            "come by JWT_JWKS_URL, or jwks_url in ISSUERS"
        )


def check_issuer(name: str, issuer: str, *, is_real: bool) -> None:
    """`is_real` says that the keys are on another machine."""
    if DISCOVERY.search(issuer):
        right = DISCOVERY.split(issuer)[0]
        raise ConfigError(
            f"{name} must be the iss claim of the tokens, not the address of the discovery "
            f"document: {right} or {right}/, whichever is the document's issuer"
        )
    if is_real and PLACEHOLDER in issuer.lower():
        raise ConfigError(f"{name} is still the placeholder {PLACEHOLDER}: set yours")


def check_jwks_url(name: str, url: str) -> bool:
    """Returns whether the address is on another machine. One on this machine is for development."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is not a number
    except ValueError:
        raise ConfigError(f"{name} is not a valid address") from None
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        raise ConfigError(f"{name} must be an https:// address (http:// for loopback)")
    if parts.username is not None or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise ConfigError(
            f"{name} must be plain ASCII, without user, password, fragment or white space"
        )
    if set(url) & set("<>{}"):  # no address has them
        raise ConfigError(f"{name} still has a placeholder in it: put your issuer's name")
    if DISCOVERY.search(parts.path):
        raise ConfigError(
            f"{name} must be the address of the keys, not of the discovery document. Open "
            f"{parts.scheme}://{parts.netloc}{parts.path} and use its jwks_uri"
        )
    if parts.hostname == PLACEHOLDER:
        raise ConfigError(f"{name} is still the placeholder {PLACEHOLDER}: set yours")
    return not loopback


def split_origins(listed: str) -> tuple[str, ...]:
    """The origins in CORS_ORIGINS.

    >>> split_origins("https://a.example, https://b.example")
    ('https://a.example', 'https://b.example')
    """
    return tuple(listed.replace(",", " ").split())


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
