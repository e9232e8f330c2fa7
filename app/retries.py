"""When a call to DynamoDB is worth another try, how long to wait before it, and when to give up."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from app import work
from app.errors import OutcomeUnknown, Unavailable

BACKOFF_BASE, BACKOFF_CAP = 0.025, 1.0
"""Seconds. Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/"""

NOT_DONE = {
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "TransactionConflict",
    "TransactionConflictException",
    "TransactionInProgressException",
    "LimitExceededException",
}
"""Codes after which DynamoDB did nothing and the same call may succeed.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html"""

THROTTLED = "ThrottlingException"
"""Also what a batch was that DynamoDB took only in part."""

NO_ANSWER = "NoAnswer"
"""Or one that does not say whether DynamoDB acted: its own 500, or a 502 of something between."""

FAILED, FAILED_IN_TRANSACTION = "ConditionalCheckFailedException", "ConditionalCheckFailed"


class Retry:
    """The pauses between the tries of one call."""

    def __init__(self, sleep: Callable[[float], None], *, writes: bool) -> None:
        self.unknown = False
        self._writes = writes
        self._work = work.current()
        self._sleep = sleep
        self._tries = 0

    def wait(self, code: str, cause: Exception | None = None) -> None:
        self.unknown |= self._writes and code == NO_ANSWER
        ceiling = min(BACKOFF_CAP, BACKOFF_BASE * 2**self._tries)
        pause = random.uniform(0, ceiling)  # noqa: S311  jitter, not a secret
        self._tries += 1
        if pause >= self._work.remaining():
            raise (OutcomeUnknown if self.unknown else Unavailable)() from cause
        self._work.retries += 1
        self._work.throttles += "Thrott" in code or "Throughput" in code
        self._sleep(pause)


def failed_conditions(answer: Mapping[str, Any]) -> list[dict[str, Any] | None] | None:
    """What `ConditionFailed.found` is made of, if that is what the error answer says: an entry for
    each write, None where its condition held."""
    if answer["Error"]["Code"] == FAILED:
        return [answer.get("Item", {})]
    reasons = answer.get("CancellationReasons", [])
    found = [
        reason.get("Item", {}) if reason.get("Code") == FAILED_IN_TRANSACTION else None
        for reason in reasons
    ]
    return found if any(item is not None for item in found) else None


def retryable_code(answer: Mapping[str, Any]) -> str | None:
    """The code in an error answer that makes another try worthwhile, or None."""
    codes: list[str] = [answer["Error"]["Code"]]
    if codes == ["TransactionCanceledException"]:
        reasons = answer.get("CancellationReasons", [])
        codes = [reason["Code"] for reason in reasons if reason.get("Code") not in (None, "None")]
        if not all(code in NOT_DONE for code in codes):
            return None
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if codes[0] in NOT_DONE:
        return codes[0]
    return NO_ANSWER if status >= 500 else None
