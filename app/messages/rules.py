"""Checks messages that programs pass to the store. Over HTTP, the schema has already checked the
same limits, and also the references."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from app.errors import MAX_FAULTS, ValidationFailed
from app.messages.model import MAX_BATCH, MAX_NAME, ROLES, NewMessage
from app.values import json_faults, line_fault


def check(messages: Sequence[Any], *, only_count: bool = False) -> None:
    """With `only_count`, checks only the number of messages.

    Raises:
        ValidationFailed: lists the invalid fields.
    """
    if not 1 <= len(messages) <= MAX_BATCH:
        raise ValidationFailed.of_json([("messages", f"Must be 1 to {MAX_BATCH} messages.")])
    if only_count:
        return
    faults = (
        (f"messages[{index}]{path and '.'}{path}", text)
        for index, message in enumerate(messages)
        for path, text in _faults(message)
    )
    if found := list(islice(faults, MAX_FAULTS + 1)):
        raise ValidationFailed.of_json(found)


def check_edit(new: Any, *, checked: bool = False) -> None:
    """
    Raises:
        ValidationFailed
    """
    if not checked:
        check([new])


def check_count(count: Any, most: int) -> None:
    """
    Raises:
        ValidationFailed
    """
    if type(count) is not int or not 1 <= count <= most:
        raise ValidationFailed.of_json([("count", f"Must be a whole number from 1 to {most}.")])


def _faults(message: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(message, NewMessage):
        yield "", "Not a NewMessage."
        return
    content: Any = message.content
    metadata: Any = message.metadata
    if message.role not in ROLES:
        yield "role", f"Must be one of: {', '.join(ROLES)}."
    if message.name is not None and (fault := line_fault(message.name, 1, MAX_NAME)):
        yield "name", fault
    if isinstance(content, str | list):
        yield from _block_faults(content)
        yield from json_faults(content, "content", depth=2)
    else:
        yield "content", "Must be a string or a list of objects with a type."
    if isinstance(metadata, dict | None):
        yield from json_faults(metadata, "metadata", depth=2)
    else:
        yield "metadata", "Not an object."


def _block_faults(content: str | list[Any]) -> Iterator[tuple[str, str]]:
    for index, block in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            yield f"content[{index}]", "Must be an object with a type that is a string."
