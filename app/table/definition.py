"""The table's definition for CreateTable: on-demand billing and three sparse indexes."""

from typing import Any

BY_ACTIVITY = "GSI1"
"""A user's sessions by their last activity."""

BY_DUE_TIME = "GSI2"
"""Sessions and users that the sweep has to handle, by due time."""

BY_SOURCE = BY_DUE_TIME
"""The same index has the messages that cite a source, under other keys."""

BY_TENANT = "GSI3"
"""The users of a tenant, for exporting and erasing it. Only a user's own item is in it, which is
written when the user's first session or value is created. Later writes do not change its entry."""

TTL_ATTRIBUTE = "delete_after"
"""Seconds since 1970. Only request records and counters of use have it. A session must not have it,
because DynamoDB would remove only the session's own item and leave its messages (see
`expires_at`)."""

_INDEXES: dict[str, dict[str, Any]] = {
    # ALL, because the attributes of an index cannot be changed later.
    BY_ACTIVITY: {"ProjectionType": "ALL"},
    BY_DUE_TIME: {"ProjectionType": "KEYS_ONLY"},
    BY_TENANT: {"ProjectionType": "KEYS_ONLY"},
}


def definition(table_name: str) -> dict[str, Any]:
    """The arguments of CreateTable.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
    """
    attributes = ["PK", "SK", *(f"{index}{key}" for index in _INDEXES for key in ("PK", "SK"))]
    return {
        "TableName": table_name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _key_schema(),
        "AttributeDefinitions": [{"AttributeName": a, "AttributeType": "S"} for a in attributes],
        "GlobalSecondaryIndexes": [
            {"IndexName": index, "KeySchema": _key_schema(index), "Projection": projection}
            for index, projection in _INDEXES.items()
        ],
    }


def _key_schema(index: str = "") -> list[dict[str, str]]:
    """Key attributes are named after their index: `GSI1PK`, `GSI1SK`."""
    return [
        {"AttributeName": f"{index}PK", "KeyType": "HASH"},
        {"AttributeName": f"{index}SK", "KeyType": "RANGE"},
    ]
