"""Creates the table from `app.table.definition`, or updates an existing one.

Sets on-demand billing, point-in-time recovery, deletion protection, TTL for request records, tags
and, if a key is given, encryption with that key. If an update would lose data, it is refused before
anything is changed.
"""

from collections.abc import Callable, Iterator
from typing import Any

from app.table.db import Table
from app.table.definition import TTL_ATTRIBUTE, definition

Lines = Iterator[str]
"""Yields one line of text for each thing done or found."""

RECOVERY_TRIES = 30
"""Point-in-time recovery can only be switched on some seconds after a table was created."""


class Differs(Exception):
    """The existing table cannot be changed to the definition without losing data."""


def create(
    table: Table, *, kms_key: str | None = None, tags: dict[str, str] | None = None
) -> Lines:
    """Creates or updates the table.

    Raises:
        Differs: the keys, an index or the TTL attribute of the existing table are different.
    """
    existing = describe(table)
    if existing is None:
        yield from _create(table, kms_key, tags or {})
    else:
        _refuse_what_differs(table, existing)
        yield f"table {table.name} exists"
        yield from _bring_up_to_date(table, existing, kms_key)
        yield from _tag(table, existing["TableArn"], tags or {})
    yield from _enable_ttl(table)
    yield from _enable_recovery(table)


def describe(table: Table) -> dict[str, Any] | None:
    """DescribeTable's answer, or None if there is no such table."""
    client: Any = table.client
    try:
        description: dict[str, Any] = client.describe_table(TableName=table.name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        return None
    return description


def delete(table: Table) -> Lines:
    """Deletes the table and everything in it. If point-in-time recovery was on, AWS keeps a last
    backup for 35 days."""
    client: Any = table.client
    client.update_table(TableName=table.name, DeletionProtectionEnabled=False)
    _wait(table)
    yield "switched deletion protection off"
    client.delete_table(TableName=table.name)
    yield f"deleted table {table.name}"


def _create(table: Table, kms_key: str | None, tags: dict[str, str]) -> Lines:
    client: Any = table.client
    options: dict[str, Any] = {"DeletionProtectionEnabled": True}
    if kms_key:
        options["SSESpecification"] = _encryption(kms_key)
    if tags:
        options["Tags"] = _pairs(tags)
    client.create_table(**definition(table.name), **options)
    _wait(table)
    yield f"created table {table.name}, on demand, protected from deletion"
    if kms_key:
        yield f"encrypted with the key {kms_key}"


def _refuse_what_differs(table: Table, existing: dict[str, Any]) -> None:
    wanted = definition(table.name)
    if (found := _shape(existing, existing)) != (ours := _shape(wanted, wanted)):
        raise Differs(
            f"its primary key is {found}, not {ours}: "
            "keys cannot be changed; set SESSIONS_TABLE to another table"
        )
    present = _indexes(existing)
    for name, index in _indexes(wanted).items():
        if name not in present:
            continue
        found, ours = _shape(present[name], existing), _shape(index, wanted)
        if found != ours:
            raise Differs(
                f"its index {name} is {found}, not {ours}: an index cannot be changed in place "
                "(docs/operations.md describes how to replace it)"
            )
    ttl = _ttl(table)
    if ttl is not None and ttl != TTL_ATTRIBUTE:
        raise Differs(
            f"its TTL is on {ttl}, not {TTL_ATTRIBUTE}: a table has only one TTL attribute, and "
            "something else seems to use this one"
        )


def _bring_up_to_date(table: Table, existing: dict[str, Any], kms_key: str | None) -> Lines:
    if existing.get("BillingModeSummary", {}).get("BillingMode") != "PAY_PER_REQUEST":
        _update(table, BillingMode="PAY_PER_REQUEST")
        yield "changed billing to on demand"
    yield from _add_indexes(table, existing)
    if not existing.get("DeletionProtectionEnabled"):
        _update(table, DeletionProtectionEnabled=True)
        yield "switched deletion protection on"
    used = existing.get("SSEDescription", {}).get("KMSMasterKeyArn", "")
    if kms_key and used != kms_key and not used.endswith(f"/{kms_key}"):
        _update(table, SSESpecification=_encryption(kms_key))
        yield f"changed encryption to the key {kms_key}"


def _add_indexes(table: Table, existing: dict[str, Any]) -> Lines:
    """Adds indexes one at a time, each with only the attributes used so far, as DynamoDB
    requires."""
    wanted = definition(table.name)
    attributes = {a["AttributeName"]: a for a in existing["AttributeDefinitions"]}
    for name, index in _indexes(wanted).items():
        if name in _indexes(existing):
            continue
        used = {key["AttributeName"] for key in index["KeySchema"]}
        attributes |= {
            a["AttributeName"]: a
            for a in wanted["AttributeDefinitions"]
            if a["AttributeName"] in used
        }
        _update(
            table,
            AttributeDefinitions=list(attributes.values()),
            GlobalSecondaryIndexUpdates=[{"Create": index}],
        )
        yield f"added index {name}"


def _update(table: Table, **changes: Any) -> None:
    client: Any = table.client
    client.update_table(TableName=table.name, **changes)
    _wait(table)


def _indexes(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {index["IndexName"]: index for index in described.get("GlobalSecondaryIndexes", [])}


def _shape(part: dict[str, Any], described: dict[str, Any]) -> str:
    """A description of the keys, their types and the projection of a table or an index."""
    types = {a["AttributeName"]: a["AttributeType"] for a in described["AttributeDefinitions"]}
    keyed = [f"{key['AttributeName']} ({types[key['AttributeName']]})" for key in part["KeySchema"]]
    projection = part.get("Projection")
    if not projection:
        return " + ".join(keyed)
    attributes = sorted(projection.get("NonKeyAttributes", []))
    return f"{' + '.join(keyed)} with {projection['ProjectionType']} {attributes}"


def _tag(table: Table, arn: str, tags: dict[str, str]) -> Lines:
    client: Any = table.client
    if not tags:
        return
    found = _if_known(lambda: client.list_tags_of_resource(ResourceArn=arn))
    if found is None:
        yield "tags: this engine (DynamoDB Local) has none, skipped"
        return
    present = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    missing = {name: value for name, value in tags.items() if present.get(name) != value}
    if missing:
        client.tag_resource(ResourceArn=arn, Tags=_pairs(missing))
        yield f"tagged it {', '.join(f'{name}={value}' for name, value in missing.items())}"


def _ttl(table: Table) -> str | None:
    """The table's TTL attribute, or None."""
    client: Any = table.client
    state = client.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
    on = state.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    return str(state["AttributeName"]) if on else None


def _enable_ttl(table: Table) -> Lines:
    client: Any = table.client
    if _ttl(table) is None:
        client.update_time_to_live(
            TableName=table.name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE},
        )
        yield f"switched TTL on, on {TTL_ATTRIBUTE}"


def _enable_recovery(table: Table) -> Lines:
    client: Any = table.client
    backups = _if_known(lambda: client.describe_continuous_backups(TableName=table.name))
    if backups is None:
        yield "point-in-time recovery: this engine (DynamoDB Local) has none, skipped"
        return
    recovery = backups["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") == "ENABLED":
        return
    for attempt in range(RECOVERY_TRIES):
        try:
            client.update_continuous_backups(
                TableName=table.name,
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
            )
            break
        except client.exceptions.ContinuousBackupsUnavailableException:
            if attempt == RECOVERY_TRIES - 1:
                raise
            table.pause(2.0)
    yield "switched point-in-time recovery on"


def _if_known(call: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """The call's response, or None if the engine does not know the operation."""
    try:
        return call()
    except Exception as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code")
        if code != "UnknownOperationException":
            raise
        return None


def _pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def _encryption(kms_key: str) -> dict[str, Any]:
    return {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": kms_key}


def _wait(table: Table) -> None:
    """Waits until the table and its indexes are active. DynamoDB builds one index at a time."""
    while True:
        description = describe(table) or {}
        indexes = description.get("GlobalSecondaryIndexes", [])
        states = [description.get("TableStatus"), *(index.get("IndexStatus") for index in indexes)]
        if all(state in ("ACTIVE", None) for state in states):
            return
        table.pause(1.0)
