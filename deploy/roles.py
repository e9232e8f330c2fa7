"""Waits until Lambda can assume a role that Zappa has just made.

It takes some seconds until a new role is known everywhere in AWS. Until then, Lambda refuses a
function with this role.
"""

from typing import Any

PAUSE = 5
ATTEMPTS = 13
"""A minute in all. IAM's changes usually arrive within seconds.
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html"""


def wait_for_new_roles(functions: Any) -> None:
    """Makes this boto3 client repeat CreateFunction."""
    functions.meta.events.register(
        "needs-retry.lambda.CreateFunction", _pause, unique_id="wait-for-new-roles"
    )


def _pause(response: Any, attempts: int, **_: Any) -> int | None:
    """Returns the seconds until botocore sends the request again, or None."""
    if response is None or attempts >= ATTEMPTS:  # no answer: botocore's own retries
        return None
    if "cannot be assumed" not in response[1].get("Error", {}).get("Message", ""):
        return None
    if attempts == 1:
        print("Lambda does not know the new role yet. Trying again …")
    return PAUSE
