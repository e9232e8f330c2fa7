"""Makes the table, or brings an existing one to what `app.keys` says, without losing data.

On demand, point-in-time recovery, deletion protection, TTL for request records, tags, encryption
with a key of your own if one is named. What would lose data is refused before anything is changed.
"""

from collections.abc import Callable, Iterator
from typing import Any

from app import db, keys

Lines = Iterator[str]
"""What was done or found, a line each, as it happens."""

RECOVERY_TRIES = 30
"""A table's backups can be switched on some seconds after it was made."""


class Differs(Exception):
    """The table that exists cannot be made into ours without losing data."""


def create(
    table: db.Table, *, kms_key: str | None = None, tags: dict[str, str] | None = None
) -> Lines:
    """
    Raises:
        Differs: other keys, an index of ours with another shape, TTL on another attribute.
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


def describe(table: db.Table) -> dict[str, Any] | None:
    """DescribeTable's answer, or None where there is no such table."""
    client: Any = table.client
    try:
        description: dict[str, Any] = client.describe_table(TableName=table.name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        return None
    return description


def delete(table: db.Table) -> Lines:
    """All there is, for good; Amazon keeps a last backup for 35 days where recovery was on."""
    client: Any = table.client
    client.update_table(TableName=table.name, DeletionProtectionEnabled=False)
    _wait(table)
    yield "switched deletion protection off"
    client.delete_table(TableName=table.name)
    yield f"deleted table {table.name}"


def _create(table: db.Table, kms_key: str | None, tags: dict[str, str]) -> Lines:
    client: Any = table.client
    options: dict[str, Any] = {"DeletionProtectionEnabled": True}
    if kms_key:
        options["SSESpecification"] = _encryption(kms_key)
    if tags:
        options["Tags"] = _pairs(tags)
    client.create_table(**keys.definition(table.name), **options)
    _wait(table)
    yield f"created table {table.name}, on demand, protected from deletion"
    if kms_key:
        yield f"encrypted with the key {kms_key}"


def _refuse_what_differs(table: db.Table, existing: dict[str, Any]) -> None:
    wanted = keys.definition(table.name)
    if (found := _shape(existing, existing)) != (ours := _shape(wanted, wanted)):
        raise Differs(
            f"its primary key is {found}, not {ours}: "
            "keys cannot be changed; name another table in SESSIONS_TABLE"
        )
    present = _indexes(existing)
    for name, index in _indexes(wanted).items():
        if name not in present:
            continue
        found, ours = _shape(present[name], existing), _shape(index, wanted)
        if found != ours:
            raise Differs(
                f"its index {name} is {found}, not {ours}: an index cannot be changed in place "
                "(docs/operations.md has the way around)"
            )
    ttl = _ttl(table)
    if ttl is not None and ttl != keys.TTL_ATTRIBUTE:
        raise Differs(
            f"its TTL is on {ttl}, not {keys.TTL_ATTRIBUTE}: a table has one, and something else "
            "seems to rely on it"
        )


def _bring_up_to_date(table: db.Table, existing: dict[str, Any], kms_key: str | None) -> Lines:
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


def _add_indexes(table: db.Table, existing: dict[str, Any]) -> Lines:
    """One at a time, as DynamoDB wants it, and with no attribute that no index uses yet."""
    wanted = keys.definition(table.name)
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


def _update(table: db.Table, **changes: Any) -> None:
    client: Any = table.client
    client.update_table(TableName=table.name, **changes)
    _wait(table)


def _indexes(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {index["IndexName"]: index for index in described.get("GlobalSecondaryIndexes", [])}


def _shape(part: dict[str, Any], described: dict[str, Any]) -> str:
    """Keys with their types, and the projection, of a table or of an index of it."""
    types = {a["AttributeName"]: a["AttributeType"] for a in described["AttributeDefinitions"]}
    keyed = [f"{key['AttributeName']} ({types[key['AttributeName']]})" for key in part["KeySchema"]]
    projection = part.get("Projection")
    if not projection:
        return " + ".join(keyed)
    attributes = sorted(projection.get("NonKeyAttributes", []))
    return f"{' + '.join(keyed)} with {projection['ProjectionType']} {attributes}"


def _tag(table: db.Table, arn: str, tags: dict[str, str]) -> Lines:
    client: Any = table.client
    if not tags:
        return
    found = _if_known(lambda: client.list_tags_of_resource(ResourceArn=arn))
    if found is None:
        yield "tags: not known to this engine (DynamoDB Local), left out"
        return
    present = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    missing = {name: value for name, value in tags.items() if present.get(name) != value}
    if missing:
        client.tag_resource(ResourceArn=arn, Tags=_pairs(missing))
        yield f"tagged it {', '.join(f'{name}={value}' for name, value in missing.items())}"


def _ttl(table: db.Table) -> str | None:
    """The attribute that TTL is on, if any."""
    client: Any = table.client
    state = client.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
    on = state.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    return str(state["AttributeName"]) if on else None


def _enable_ttl(table: db.Table) -> Lines:
    client: Any = table.client
    if _ttl(table) is None:
        client.update_time_to_live(
            TableName=table.name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": keys.TTL_ATTRIBUTE},
        )
        yield f"switched TTL on, on {keys.TTL_ATTRIBUTE}"


def _enable_recovery(table: db.Table) -> Lines:
    client: Any = table.client
    backups = _if_known(lambda: client.describe_continuous_backups(TableName=table.name))
    if backups is None:
        yield "point-in-time recovery: not known to this engine (DynamoDB Local), left out"
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
    """What the call gives, or None where the engine does not know the operation."""
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


def _wait(table: db.Table) -> None:
    """Until the table and its indexes can be used; DynamoDB makes one index at a time."""
    while True:
        description = describe(table) or {}
        indexes = description.get("GlobalSecondaryIndexes", [])
        states = [description.get("TableStatus"), *(index.get("IndexStatus") for index in indexes)]
        if all(state in ("ACTIVE", None) for state in states):
            return
        table.pause(1.0)
