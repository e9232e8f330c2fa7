"""Operations on values, as a request may have many of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import ValidationFailed
from app.values import rules
from app.values.changes import Change
from app.values.model import Order

MAX_OPERATIONS = 100


@dataclass(frozen=True, slots=True)
class Get:
    name: str


@dataclass(frozen=True, slots=True)
class Page:
    prefix: str
    limit: int = 100
    order: Order = "asc"
    cursor: str | None = None
    names_only: bool = False


Operation = Change | Get | Page


def check(operations: Sequence[Any], *, parsed: bool = False) -> None:
    """
    Raises:
        ValidationFailed, TooLarge
    """
    if not 1 <= len(operations) <= MAX_OPERATIONS:
        fault = f"Must be 1 to {MAX_OPERATIONS} operations."
        raise ValidationFailed.of_json([("operations", fault)])
    for operation in operations:
        if isinstance(operation, Change) and operation.content:
            rules.check_content(operation.content, parsed=parsed)
        if isinstance(operation, Change | Get):
            rules.check_name(operation.name)
        elif wrong := rules.prefix_fault(operation.prefix):
            raise ValidationFailed.of_json([("operations", wrong)])


def check_once(changes: Sequence[Change]) -> None:
    """
    Raises:
        ValidationFailed: two of the changes have the same name.
    """
    names = [change.name for change in changes]
    if len(set(names)) < len(names):
        fault = "A name appears twice. DynamoDB writes each item of a transaction once."
        raise ValidationFailed.of_json([("operations", fault)])
