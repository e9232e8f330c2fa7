"""Makes the table, or brings an existing one to what `app.keys` says, without losing data.

On demand, point-in-time recovery, deletion protection, TTL for request records, encryption with a
key of your own if one is named.
"""

from collections.abc import Iterator
from typing import Any

from app import db, keys

Lines = Iterator[str]
"""What was done, found or refused, a line each, as it happens."""


class Differs(Exception):
    """The table that exists cannot be made into ours without losing data."""


def create(
    table: db.Table, *, kms_key: str | None = None, tags: dict[str, str] | None = None
) -> Lines:
    """
    Raises:
        Differs: other keys, or an index of ours with another shape.
    """
    existing = describe(table)
    if existing is None:
        yield from _create(table, kms_key, tags or {})
    else:
        yield from _bring_up_to_date(table, existing, kms_key, tags or {})
    yield from _enable_ttl(table)
    yield from _enable_recovery(table)


def describe(table: db.Table) -> dict[str, Any] | None:
    """DescribeTable's answer, or None where there is no such table."""
    client: Any = table.client
    try:
        description: dict[str, Any] = client.describe_table(TableName=table.name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        return None
    return description


def _create(table: db.Table, kms_key: str | None, tags: dict[str, str]) -> Lines:
    client: Any = table.client
    options: dict[str, Any] = {"DeletionProtectionEnabled": True}
    if kms_key:
        options["SSESpecification"] = _encryption(kms_key)
    if tags:
        options["Tags"] = [{"Key": name, "Value": value} for name, value in tags.items()]
    client.create_table(**keys.definition(table.name), **options)
    _wait(table)
    yield f"created table {table.name}"


def _bring_up_to_date(
    table: db.Table, existing: dict[str, Any], kms_key: str | None, tags: dict[str, str]
) -> Lines:
    client: Any = table.client
    wanted = keys.definition(table.name)
    yield f"table {table.name} exists"
    if existing["KeySchema"] != wanted["KeySchema"]:
        raise Differs(
            f"its primary key is {_shape(existing)}, not {_shape(wanted)}: "
            "keys cannot be changed; name another table in SESSIONS_TABLE"
        )
    if existing.get("BillingModeSummary", {}).get("BillingMode") != "PAY_PER_REQUEST":
        client.update_table(TableName=table.name, BillingMode="PAY_PER_REQUEST")
        _wait(table)
        yield "changed billing to on demand"
    yield from _add_indexes(table, existing, wanted)
    if not existing.get("DeletionProtectionEnabled"):
        client.update_table(TableName=table.name, DeletionProtectionEnabled=True)
        _wait(table)
        yield "switched deletion protection on"
    used = existing.get("SSEDescription", {}).get("KMSMasterKeyArn", "")
    if kms_key and not used.endswith(kms_key):
        client.update_table(TableName=table.name, SSESpecification=_encryption(kms_key))
        _wait(table)
        yield f"changed encryption to the key {kms_key}"
    if tags:
        pairs = [{"Key": name, "Value": value} for name, value in tags.items()]
        client.tag_resource(ResourceArn=existing["TableArn"], Tags=pairs)


def _add_indexes(table: db.Table, existing: dict[str, Any], wanted: dict[str, Any]) -> Lines:
    client: Any = table.client
    present = {index["IndexName"]: index for index in existing.get("GlobalSecondaryIndexes", [])}
    for index in wanted["GlobalSecondaryIndexes"]:
        found = present.get(index["IndexName"])
        if found is None:
            client.update_table(
                TableName=table.name,
                AttributeDefinitions=wanted["AttributeDefinitions"],
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )
            _wait(table)
            yield f"added index {index['IndexName']}"
        elif _shape(found) != _shape(index):
            raise Differs(
                f"its index {index['IndexName']} is {_shape(found)}, not {_shape(index)}: an index "
                "cannot be changed in place (docs/operations.md has the way around)"
            )


def _shape(described: dict[str, Any]) -> str:
    names = [key["AttributeName"] for key in described["KeySchema"]]
    projection = described.get("Projection")
    if not projection:
        return " + ".join(names)
    attributes = sorted(projection.get("NonKeyAttributes", []))
    return f"{' + '.join(names)} with {projection['ProjectionType']} {attributes}"


def _enable_ttl(table: db.Table) -> Lines:
    client: Any = table.client
    state = client.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
    if state.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
        if state.get("AttributeName") != keys.TTL_ATTRIBUTE:
            raise Differs(f"its TTL is on {state.get('AttributeName')}, not {keys.TTL_ATTRIBUTE}")
        return
    client.update_time_to_live(
        TableName=table.name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": keys.TTL_ATTRIBUTE},
    )
    yield f"switched TTL on, on {keys.TTL_ATTRIBUTE}"


def _enable_recovery(table: db.Table) -> Lines:
    client: Any = table.client
    try:
        backups = client.describe_continuous_backups(TableName=table.name)
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "UnknownOperationException":
            raise
        yield "point-in-time recovery: not known to this engine (DynamoDB Local), left out"
        return
    recovery = backups["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") == "ENABLED":
        return
    client.update_continuous_backups(
        TableName=table.name,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    yield "switched point-in-time recovery on"


def _encryption(kms_key: str) -> dict[str, Any]:
    return {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": kms_key}


def _wait(table: db.Table) -> None:
    """Until the table and its indexes can be used; DynamoDB makes one index at a time."""
    while True:
        description = describe(table) or {}
        indexes = description.get("GlobalSecondaryIndexes", [])
        states = [description.get("TableStatus"), *(index.get("IndexStatus") for index in indexes)]
        if all(state in ("ACTIVE", None) for state in states):
            return
        table.pause(1.0)
