"""How items of LangGraph's store are kept as values of the user.

An item is the value `store/<namespace>/<key>` with one segment for each label of the namespace. Its
body is the item's JSON object, or, if that has NaN or the name has a hash, an object with
namespace, key and value as Python's `json` writes it.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from session_store._bodies import JSON, encode
from session_store.adapters._langgraph.names import HASHED, escaped, unescaped
from session_store.models import Value

ROOT = "store/"
ITEM_TYPE = "application/vnd.langgraph.item"

LABEL, NAME = 100, 700
"""Bytes of a label of a namespace, and of a whole name."""

Namespace = tuple[str, ...]


def prefix_of(namespace: Namespace) -> str:
    """The beginning of the names of all items in a namespace and under it."""
    return "".join([ROOT, *(f"{escaped(label, LABEL)}/" for label in namespace)])


def name_of(namespace: Namespace, key: str) -> str:
    """
    Raises:
        ValueError: the namespace is too long.
    """
    prefix = prefix_of(namespace)
    if len(prefix) > NAME - LABEL:
        raise ValueError(f"The namespace has {len(namespace)} labels, which are too long together.")
    return prefix + escaped(key, NAME - len(prefix))


def body_of(namespace: Namespace, key: str, value: Mapping[str, Any]) -> tuple[bytes, str]:
    """The body, and its content type.

    Raises:
        TypeError: not JSON.
    """
    if f"/{HASHED}" not in name_of(namespace, key):
        with suppress(ValueError):  # NaN
            return encode(dict(value)), JSON
    about = {"namespace": namespace, "key": key, "value": dict(value)}
    return json.dumps(about).encode(), ITEM_TYPE


def item_of(value: Value) -> tuple[Namespace, str, Any]:
    """The namespace, key and value of an item."""
    if value.content_type == ITEM_TYPE:
        about = json.loads(value.content)
        return tuple(about["namespace"]), about["key"], about["value"]
    *labels, key = labels_of(value.name)
    return tuple(labels), key, value.content


def labels_of(path: str) -> Namespace:
    """Of a name, or of the beginning of one."""
    return tuple(map(unescaped, path.split("/")[1:]))
