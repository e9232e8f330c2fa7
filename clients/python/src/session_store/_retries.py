"""Which requests are sent again, and after how long."""

import random
import uuid
from collections.abc import Mapping

BASE, LONGEST = 0.25, 8.0
"""Seconds. The nth retry waits for up to BASE * 2^n, at most LONGEST."""

LONGEST_ASKED = 60.0
"""Seconds. If `Retry-After` is more, the error is raised at once."""

REPEATABLE = {429, 502, 503, 504}


def is_repeatable(status: int, headers: Mapping[str, str]) -> bool:
    """The service's own word counts first. Without one, an answer is from a proxy or gateway."""
    told = headers.get("Should-Retry")
    if told is not None:
        return told == "true"
    return status in REPEATABLE


def pause(retry: int, headers: Mapping[str, str]) -> float | None:
    """Seconds to wait before retry 0, 1, 2, …; None if the service asks for more than is honoured.

    Full jitter, see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. The
    jitter comes after what `Retry-After` asks for, so that clients do not return all at once.
    """
    jitter = random.uniform(0, min(LONGEST, BASE * 2**retry))  # noqa: S311
    asked = headers.get("Retry-After", "")
    if not asked.isdecimal():
        return jitter
    return None if int(asked) > LONGEST_ASKED else int(asked) + jitter


def new_key() -> str:
    """An Idempotency-Key."""
    return str(uuid.uuid4())
