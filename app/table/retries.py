"""Which failed calls to DynamoDB are tried again, after what pause, and when to give up.

What another try may cure is tried again. What only an operator can cure (credentials, permissions,
a table that is not there) is given up at once. Both end as 503. All else is our own mistake, and
a 500.
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
"""Codes after which DynamoDB did nothing and the same call may succeed. A cancelled transaction has
its codes in its reasons; its own code is here for one that comes without reasons.
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
"""Codes that say what is wrong with the credentials, the host's clock, the role or the table. Some
have `Exception` behind them.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html"""

READS_OF_A_TRANSACTION = 3
"""A transaction's items become visible one after another, within milliseconds. A reader that misses
one of them reads this often in all."""

THROTTLED = "ThrottlingException"
"""Also for a batch that DynamoDB carried out only in part."""

NO_ANSWER = "NoAnswer"
"""Also for an answer that does not say whether DynamoDB acted: its own 500, or a 502 of something
in between."""

FAILED, FAILED_IN_TRANSACTION = "ConditionalCheckFailedException", "ConditionalCheckFailed"


class Retry:
    """The pauses between the tries of one call."""

    def __init__(self, sleep: Callable[[float], None], *, writes: bool) -> None:
        self.unknown = False
        self._writes = writes
        self._budget = budget.current()
        self._sleep = sleep
        self._tries = 0

    def wait(self, code: str, cause: Exception | None = None) -> None:
        """Pauses before the next try.

        Raises:
            Unavailable: the request's time does not allow another try.
            OutcomeUnknown: the same, and an earlier try may have been carried out.
        """
        self.unknown |= self._writes and code == NO_ANSWER
        ceiling = min(BACKOFF_CAP, BACKOFF_BASE * 2**self._tries)
        pause = random.uniform(0, ceiling)  # noqa: S311  jitter, not a secret
        self._tries += 1
        if pause >= self._budget.remaining():
            raise self.given_up(code) from cause
        self._budget.retries += 1
        self._budget.throttles += "Thrott" in code or "Throughput" in code
        self._sleep(pause)

    def given_up(self, code: str, detail: str | None = None) -> Unavailable:
        """The error to raise, `code` being noted for the log."""
        self._budget.failure = code
        return OutcomeUnknown() if self.unknown else Unavailable(detail)


def failed_conditions(answer: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """The items found by the writes whose condition failed, by the write's name; None if the error
    is something else. `names` has the writes in the order in which they were sent."""
    if answer["Error"]["Code"] == FAILED:
        return {names[0]: answer.get("Item", {})}
    found = {
        name: reason.get("Item", {})
        for name, reason in zip(names, answer.get("CancellationReasons") or (), strict=False)
        if reason.get("Code") == FAILED_IN_TRANSACTION
    }
    return found or None


def retryable_code(answer: Mapping[str, Any]) -> str | None:
    """The code in an error answer that makes another try worthwhile, or None."""
    codes = _codes(answer)
    if all(code in NOT_DONE for code in codes):
        return codes[0]
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return NO_ANSWER if status >= 500 else None


def operators_code(answer: Mapping[str, Any]) -> str | None:
    """The code in an error answer that an operator has to look at, or None."""
    codes = (code for code in _codes(answer) if code.removesuffix("Exception") in FOR_THE_OPERATOR)
    return next(codes, None)


def _codes(answer: Mapping[str, Any]) -> list[str]:
    """The error's code, or those of the writes that made a transaction fail; at least one."""
    code = str(answer["Error"]["Code"])
    reasons = answer.get("CancellationReasons") or ()
    codes = [reason["Code"] for reason in reasons if reason.get("Code") not in (None, "None")]
    return codes or [code]
