"""Decides which failed calls to DynamoDB are retried, after what pause, and when to give up.

Temporary errors are retried. Errors that only an operator can fix (credentials, permissions, a
missing table) are not. Both end as a 503. Any other error is a bug in this program and a 500.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.errors import OutcomeUnknown, Unavailable
from app.table import budget

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
    "TransactionCanceledException",
}
"""Codes that mean that DynamoDB did nothing and the same call may succeed later. A cancelled
transaction has its codes in its reasons; its own code counts only if it comes without reasons.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html"""

FOR_THE_OPERATOR = {
    "AccessDenied",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignature",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "ResourceNotFound",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
}
"""Codes for problems with the credentials, the host's clock, the role or the table. Some of them
come with the suffix `Exception`.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html"""

READS_OF_A_TRANSACTION = 3
"""How often a reader reads in all if it misses an item of a transaction. The items of a transaction
become visible one after another, within milliseconds."""

THROTTLED = "ThrottlingException"
"""Also used for a batch of which DynamoDB carried out only a part."""

NO_ANSWER = "NoAnswer"
"""Also used for a response that leaves it open whether DynamoDB acted: its own 500, or a 502 from a
proxy."""

FAILED, FAILED_IN_TRANSACTION = "ConditionalCheckFailedException", "ConditionalCheckFailed"


class Retry:
    """The pauses between the tries of one call."""

    def __init__(self, sleep: Callable[[float], None], *, writes: bool, once: bool = False) -> None:
        """With `once`, there is no next try."""
        self.unknown = False
        self._once = once
        self._writes = writes
        self._budget = budget.current()
        self._sleep = sleep
        self._tries = 0

    def wait(self, code: str, cause: Exception | None = None) -> None:
        """Pauses before the next try.

        Raises:
            Unavailable: the request's time does not allow another try.
            OutcomeUnknown: as above, and an earlier try may have been carried out.
        """
        self.unknown |= self._writes and code == NO_ANSWER
        ceiling = min(BACKOFF_CAP, BACKOFF_BASE * 2**self._tries)
        pause = random.uniform(0, ceiling)  # noqa: S311  jitter, not a secret
        self._tries += 1
        if self._once or pause >= self._budget.remaining():
            raise self.given_up(code) from cause
        self._budget.retries += 1
        self._budget.throttles += "Thrott" in code or "Throughput" in code
        self._sleep(pause)

    def given_up(self, code: str, detail: str | None = None) -> Unavailable:
        """Returns the error to raise, and records `code` for the log."""
        self._budget.failure = code
        return OutcomeUnknown() if self.unknown else Unavailable(detail)


def failed_conditions(answer: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """The current items of the writes whose condition failed, by the write's name. None if the
    error is not about a condition. `names` are the names of the writes, in the order sent."""
    if answer["Error"]["Code"] == FAILED:
        return {names[0]: answer.get("Item", {})}
    found = {
        name: reason.get("Item", {})
        for name, reason in zip(names, answer.get("CancellationReasons") or (), strict=False)
        if reason.get("Code") == FAILED_IN_TRANSACTION
    }
    return found or None


def retryable_code(answer: Mapping[str, Any]) -> str | None:
    """The code of an error that a retry may fix, or None."""
    codes = _codes(answer)
    if all(code in NOT_DONE for code in codes):
        return codes[0]
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return NO_ANSWER if status >= 500 else None


def operators_code(answer: Mapping[str, Any]) -> str | None:
    """The code of an error that only an operator can fix, or None."""
    codes = (code for code in _codes(answer) if code.removesuffix("Exception") in FOR_THE_OPERATOR)
    return next(codes, None)


def _codes(answer: Mapping[str, Any]) -> list[str]:
    """The codes of the writes that made a transaction fail, or else the error's own code."""
    code = str(answer["Error"]["Code"])
    reasons = answer.get("CancellationReasons") or ()
    codes = [reason["Code"] for reason in reasons if reason.get("Code") not in (None, "None")]
    return codes or [code]
