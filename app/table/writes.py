"""Builds writes. `Table.execute` sends one, `Table.transact` several.

An item's values are strings, integers and bytes. DynamoDB's type tags (`{"S": ...}`) stay inside
`app.table`.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

Value = str | int | bytes
Item = dict[str, Value]

Write = dict[str, dict[str, Any]]
"""One entry of TransactWriteItems without the table's name, such as `{"Put": {...}}`.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItem.html"""


def put(
    key: Mapping[str, str],
    attributes: Mapping[str, Value | None],
    condition: str | None = None,
    values: Mapping[str, Value] | None = None,
) -> Write:
    """Writes a whole item. Attributes that are None are left out."""
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


def change(
    key: Mapping[str, str],
    sets: Mapping[str, Value | None],
    values: Mapping[str, Value],
    condition: str,
    adds: Mapping[str, int] | None = None,
) -> Write:
    """Sets attributes, removes those that are None, and adds to numbers. `values` are those of the
    condition; the others are named after their attributes.

    >>> change({"SK": "USER"}, {"a": 1, "b": None}, {}, "c = :a")["Update"]["UpdateExpression"]
    'SET a = :a REMOVE b'
    """
    present = {name: value for name, value in sets.items() if value is not None}
    absent = [name for name, value in sets.items() if value is None]
    adds = {name: number for name, number in (adds or {}).items() if number}
    clauses = [
        ("SET", ", ".join(f"{name} = :{name}" for name in present)),
        ("REMOVE", ", ".join(absent)),
        ("ADD", ", ".join(f"{name} :{name}" for name in adds)),
    ]
    expression = " ".join(f"{word} {what}" for word, what in clauses if what)
    named = {f":{name}": value for name, value in {**present, **adds}.items()}
    return update(key, expression, {**named, **values}, condition)


def delete(
    key: Mapping[str, str],
    condition: str | None = None,
    values: Mapping[str, Value] | None = None,
) -> Write:
    """Deletes an item. Without a condition it succeeds whether or not the item exists."""
    return {"Delete": {"Key": encode(key), **_conditional(condition, values)}}


def check(
    key: Mapping[str, str], condition: str, values: Mapping[str, Value] | None = None
) -> Write:
    """Writes nothing. The condition must hold for the other writes of the transaction. Needs a
    permission of its own, which the service's role does not have."""
    return {"ConditionCheck": {"Key": encode(key), **_conditional(condition, values)}}


def _conditional(condition: str | None, values: Mapping[str, Value] | None) -> dict[str, Any]:
    """Asks DynamoDB to return the current item if the condition fails (ALL_OLD)."""
    parts: dict[str, Any] = {}
    if values:
        parts["ExpressionAttributeValues"] = encode(values)
    if condition:
        parts["ConditionExpression"] = condition
        parts["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return parts


def encode(item: Mapping[str, Value]) -> dict[str, dict[str, Any]]:
    """
    >>> encode({"SK": "USER", "session_count": 3})
    {'SK': {'S': 'USER'}, 'session_count': {'N': '3'}}
    """
    return {
        name: {"S": value}
        if isinstance(value, str)
        else {"B": value}
        if isinstance(value, bytes)
        else {"N": str(value)}
        for name, value in item.items()
    }


def decode(attributes: Mapping[str, Any]) -> Item:
    """
    >>> decode({"SK": {"S": "USER"}, "session_count": {"N": "3"}})
    {'SK': 'USER', 'session_count': 3}

    Values that no store writes count as absent. So one damaged item does not make a page
    unreadable.

    >>> decode({"SK": {"S": "USER"}, "session_count": {"N": "0.5"}, "is_new": {"BOOL": True}})
    {'SK': 'USER'}
    """
    try:
        return {
            name: value["S"] if "S" in value else int(value["N"])
            for name, value in attributes.items()
        }
    except (KeyError, ValueError):
        read = {name: _read(value) for name, value in attributes.items()}
        return {name: value for name, value in read.items() if value is not None}


def _read(value: Mapping[str, str]) -> Value | None:
    """`app.table.client` leaves bytes as base64."""
    if "S" in value:
        return value["S"]
    if "B" in value:
        return b64decode(value["B"])
    number = value.get("N", "")
    return int(number) if re.fullmatch(r"-?\d+", number) else None
