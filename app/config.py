"""The settings, from the environment. Nothing else reads it; no secret has a default."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, TypeVar
from urllib.parse import urlsplit

N = TypeVar("N", int, float)

MIN_SECRET_BYTES = 32
"""RFC 7518 section 3.2: an HS256 key has at least the size of the hash."""


class ConfigError(Exception):
    """A setting is missing or contradicts another; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """docs/configuration.md has a line for each of these; a test compares them."""

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

    def __post_init__(self) -> None:
        if not self.sessions_table:
            raise ConfigError("SESSIONS_TABLE is not set: the name of the DynamoDB table")
        if bool(self.jwt_secret) == bool(self.jwt_jwks_url):
            raise ConfigError(
                "JWT_SECRET (HS256) or JWT_JWKS_URL (RS256, ES256) must be set, and not both"
            )
        if self.jwt_secret and len(self.jwt_secret.encode()) < MIN_SECRET_BYTES:
            raise ConfigError(f"JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes")
        if self.jwt_jwks_url and not _is_trustworthy(self.jwt_jwks_url):
            raise ConfigError("JWT_JWKS_URL must be an https:// address (http:// for loopback)")
        if any(set(origin) & set("*?^$\\|()[]{}") for origin in self.cors_origins):
            raise ConfigError("CORS_ORIGINS lists origins as they are; patterns are not taken")
        if self.request_budget <= 0:
            raise ConfigError("REQUEST_BUDGET must be a positive number of seconds")
        if self.retention_days is not None and self.retention_days < 1:
            raise ConfigError("RETENTION_DAYS must be a positive number of days")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """
        Raises:
            ConfigError: naming the setting.
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
            request_budget=_number(env, "REQUEST_BUDGET", float) or 20.0,
            retention_days=_number(env, "RETENTION_DAYS", int),
            log_level=env.get("LOG_LEVEL") or "INFO",
            metrics_namespace=env.get("METRICS_NAMESPACE") or None,
        )


def _flag(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "").lower()
    if value not in ("", "0", "1", "false", "true"):
        raise ConfigError(f"{name} must be 1 or 0")
    return value in ("1", "true")


def _number(env: Mapping[str, str], name: str, kind: type[N]) -> N | None:
    try:
        return kind(env[name]) if env.get(name) else None
    except ValueError:
        raise ConfigError(f"{name} must be a number") from None


def _is_trustworthy(url: str) -> bool:
    parts = urlsplit(url)
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    return parts.scheme == "https" or (parts.scheme == "http" and loopback)
