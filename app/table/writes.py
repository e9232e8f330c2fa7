"""Writes, built before they are sent: `Table.transact` carries out several, `Table.execute` one.

An item's values are strings and integers. On the wire they are tagged with their type; nothing
outside `app.table` sees that.
"""

import re
from collections.abc import Mapping
from typing import Any

Value = str | int
Item = dict[str, Value]

Write = dict[str, dict[str, Any]]
"""One entry of TransactWriteItems, without the table's name: `{"Put": {...}}` and the like.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItem.html"""


def put(
    key: Mapping[str, str],
    attributes: Mapping[str, Value | None],
    condition: str | None = None,
    values: Mapping[str, Value] | None = None,
) -> Write:
    """Writes a whole item; attributes that are None are left out."""
    present = {name: value for name, value in attributes.items() if value is not None}
    return {"Put": {"Item": encode({**key, **present}), **_conditional(condition, values)}}


def update(
    key: Mapping[str, str],
    expression: str,
    values: Mapping[str, Value] | None = None,
    condition: str | None = None,
) -> Write:
    """Changes some attributes of an item."""
    return {
        "Update": {
            "Key": encode(key),
            "UpdateExpression": expression,
            **_conditional(condition, values),
        }
    }


def delete(
    key: Mapping[str, str],
    condition: str | None = None,
    values: Mapping[str, Value] | None = None,
) -> Write:
    """Deletes an item. Without a condition it succeeds whether or not the item exists."""
    return {"Delete": {"Key": encode(key), **_conditional(condition, values)}}


def _conditional(condition: str | None, values: Mapping[str, Value] | None) -> dict[str, Any]:
    """A failed condition brings back the item it was checked against (ALL_OLD)."""
    parts: dict[str, Any] = {}
    if values:
        parts["ExpressionAttributeValues"] = encode(values)
    if condition:
        parts["ConditionExpression"] = condition
        parts["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return parts


def encode(item: Mapping[str, Value]) -> dict[str, dict[str, str]]:
    """
    >>> encode({"SK": "USER", "session_count": 3})
    {'SK': {'S': 'USER'}, 'session_count': {'N': '3'}}
    """
    return {
        name: {"S": value} if isinstance(value, str) else {"N": str(value)}
        for name, value in item.items()
    }


def decode(attributes: Mapping[str, Any]) -> Item:
    """
    >>> decode({"SK": {"S": "USER"}, "session_count": {"N": "3"}})
    {'SK': 'USER', 'session_count': 3}

    What no store writes counts as absent, so that the one item is damaged and others are not.

    >>> decode({"SK": {"S": "USER"}, "session_count": {"N": "0.5"}, "is_new": {"BOOL": True}})
    {'SK': 'USER'}
    """
    try:
        return {
            name: value["S"] if "S" in value else int(value["N"])
            for name, value in attributes.items()
        }
    except (KeyError, ValueError):
        return {
            name: value["S"] if "S" in value else int(value["N"])
            for name, value in attributes.items()
            if "S" in value or re.fullmatch(r"-?\d+", value.get("N", ""))
        }
