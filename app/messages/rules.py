"""Checks messages that programs pass to the store. Over HTTP, the schema has already checked the
same limits."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from app.errors import MAX_FAULTS, ValidationFailed
from app.json_rules import HALF_A_PAIR, SURROGATE, json_faults, line_fault
from app.literals import Literal, value_of
from app.messages.model import (
    MAX_BATCH,
    MAX_COMMENT,
    MAX_NAME,
    MAX_RATING,
    MAX_ROLE,
    STATUSES,
    NewMessage,
)
from app.messages.references import reference_faults

Faults = Iterator[tuple[str, str]]

NO_ROLE = "Missing. The format does not tell it."


def check(messages: Sequence[Any], *, only_count: bool = False) -> None:
    """With `only_count`, checks only the number of messages.

    Raises:
        ValidationFailed: lists the invalid fields.
    """
    if not 1 <= len(messages) <= MAX_BATCH:
        raise ValidationFailed.of_json([("messages", f"Must be 1 to {MAX_BATCH} messages.")])
    if not only_count:
        check_many(messages, MAX_BATCH)


def check_many(messages: Sequence[Any], most: int) -> None:
    """
    Raises:
        ValidationFailed: lists the invalid fields.
    """
    if len(messages) > most:
        raise ValidationFailed.of_json([("messages", f"Must be at most {most} messages.")])
    faults = (
        (f"messages[{index}]{path and '.'}{path}", text)
        for index, message in enumerate(messages)
        for path, text in _faults(message)
    )
    _raise(faults)


def check_edit(message: Any) -> None:
    """
    Raises:
        ValidationFailed: lists the invalid fields.
    """
    _raise(_faults(message, edit=True))


def check_status(status: Any) -> None:
    """
    Raises:
        ValidationFailed
    """
    _raise(_status_faults(status))


def check_feedback(rating: Any, comment: Any) -> None:
    """
    Raises:
        ValidationFailed
    """
    _raise(feedback_faults(rating, comment))


def feedback_faults(rating: Any, comment: Any) -> Faults:
    value = value_of(rating)
    if rating is None and comment is None:
        yield "", "Give a rating or a comment."
    if isinstance(value, str):
        if fault := line_fault(value, 1, MAX_RATING):
            yield "rating", fault
    elif isinstance(value, list | dict):
        yield "rating", "Must be a text, a number, true or false."
    else:
        yield from json_faults(value, "rating")
        if isinstance(rating, Literal) and len(rating.text) > MAX_RATING:
            yield "rating", f"Longer than {MAX_RATING} characters."
    if comment is not None:
        if not isinstance(comment, str) or not 1 <= len(comment) <= MAX_COMMENT:
            yield "comment", f"Must be a text of 1 to {MAX_COMMENT} characters."
        elif SURROGATE.search(comment):
            yield "comment", HALF_A_PAIR


def check_count(count: Any, most: int) -> None:
    """
    Raises:
        ValidationFailed
    """
    if type(count) is not int or not 1 <= count <= most:
        raise ValidationFailed.of_json([("count", f"Must be a whole number from 1 to {most}.")])


def _raise(faults: Faults) -> None:
    if found := list(islice(faults, MAX_FAULTS + 1)):
        raise ValidationFailed.of_json(found)


def _faults(message: Any, *, edit: bool = False) -> Faults:
    if not isinstance(message, NewMessage):
        yield "", "Not a NewMessage."
        return
    lines = (("role", MAX_ROLE), ("name", MAX_NAME), ("format", MAX_NAME))
    for name, most in lines:
        value = getattr(message, name)
        if value is not None and (fault := line_fault(value, 1, most)):
            yield name, fault
    if not edit and message.role is None and not message.spoken_role:
        yield "role", NO_ROLE
    yield from native_faults(message.format, message.native)
    yield from grounding_faults(value_of(message.grounding))
    yield from _status_faults(message.status)
    for name in ("content", "native", "grounding", "metadata"):
        value = getattr(message, name)
        if not isinstance(value, Literal):  # those have been parsed
            yield from json_faults(value, name, depth=2)
    metadata: Any = value_of(message.metadata)
    if not isinstance(metadata, dict | None):
        yield "metadata", "Not an object."
    elif metadata:
        for path, fault in reference_faults(metadata.get("references")):
            yield f"metadata.references{_written(path)}", fault


def native_faults(format: Any, native: Any) -> Faults:
    if native is not None and format is None:
        yield "format", "Missing. Name the kind of object that native is."
    if format is not None and native is None:
        yield "native", "Missing. It is the object that format names."


def grounding_faults(grounding: Any) -> Faults:
    if grounding is None:
        return
    if not isinstance(grounding, dict):
        yield "grounding", "Not an object."
    elif not isinstance(grounding.get("request"), dict):
        yield "grounding.request", "Missing, or not an object. It is what the provider was sent."
    elif len(grounding) > 1:
        yield "grounding", "Only request can be given. The rest is worked out."


def _status_faults(status: Any) -> Faults:
    if status not in STATUSES:
        yield "status", f"Must be one of: {', '.join(STATUSES)}."


def _written(path: Sequence[str | int]) -> str:
    """
    >>> _written((0, "location", "coordinates", 1))
    '[0].location.coordinates[1]'
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
