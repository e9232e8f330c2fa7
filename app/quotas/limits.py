"""How much a tenant or a user may use, and the header fields that show it.

The fields are those of draft-ietf-httpapi-ratelimit-headers-10.
https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/10/
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from app.config import SEEN_WITHIN, Config

DAY = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Limits:
    """Each is None if there is no such limit. `capacity` is what a full bucket holds."""

    per_second: float | None = None
    capacity: float = 0.0
    read_units: float | None = None
    write_units: float | None = None

    @classmethod
    def of_tenant(cls, config: Config) -> Self:
        """`SEEN_WITHIN` seconds pass before other processes know of a request. Meanwhile a process
        lets through what its bucket holds and what flows in, together at most the burst."""
        rate = config.quota_tenant_requests_per_second
        return cls(
            rate,
            config.burst - SEEN_WITHIN * rate if rate else 0.0,
            config.quota_tenant_read_units_per_day,
            config.quota_tenant_write_units_per_day,
        )

    def share(self, percent: int) -> "Limits":
        """
        >>> Limits(10, 51, 1000, None).share(50)
        Limits(per_second=5.0, capacity=25.5, read_units=500.0, write_units=None)
        """

        def part(limit: float | None) -> float | None:
            return None if limit is None else limit * percent / 100

        return Limits(
            part(self.per_second),
            self.capacity * percent / 100,
            part(self.read_units),
            part(self.write_units),
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit, and what is left of it. `wait` is the seconds until a request may pass again, 0 if
    it may now; `reset` the seconds until nothing counts as used."""

    policy: str
    quota: int
    window: int
    left: int
    reset: int
    wait: int = 0
    unit: str | None = None


def rate_standing(name: str, limits: Limits, level: float) -> Standing:
    """`level` is what the bucket holds. It is negative if too much was let through."""
    rate, capacity = limits.per_second or 0.0, limits.capacity
    return Standing(
        name,
        quota=int(capacity),
        window=math.ceil(capacity / rate),
        left=max(0, int(level + 1e-9)),
        reset=math.ceil((capacity - level) / rate),
        wait=0 if level >= 1 - 1e-9 else max(1, math.ceil((1 - level) / rate)),
    )


def day_standing(name: str, unit: str, limit: float, used: float, now: int) -> Standing:
    midnight = DAY - now // 1000 % DAY
    return Standing(
        name,
        quota=int(limit),
        window=DAY,
        left=max(0, int(limit - used)),
        reset=midnight,
        wait=midnight if used >= limit else 0,
        unit=unit,
    )


def headers(standings: Iterable[Standing]) -> dict[str, str]:
    """
    >>> headers([Standing("tenant", 50, 5, 12, 4)])
    {'RateLimit-Policy': '"tenant";q=50;w=5', 'RateLimit': '"tenant";r=12;t=4'}
    >>> headers([Standing("tenant-reads", 900, 86400, 0, 7, unit="units")])["RateLimit-Policy"]
    '"tenant-reads";q=900;qu="units";w=86400'
    """
    policies, left = [], []
    for each in standings:
        unit = f';qu="{each.unit}"' if each.unit else ""
        policies.append(f'"{each.policy}";q={each.quota}{unit};w={each.window}')
        left.append(f'"{each.policy}";r={each.left};t={each.reset}')
    if not policies:
        return {}
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(left)}
