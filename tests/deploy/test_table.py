"""`flask table create`: makes what production needs, says what it changed, refuses to lose data.

On DynamoDB Local, and on the emulator, which also knows tags, backups and keys of one's own.
"""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import flask
import pytest
from flask.testing import FlaskCliRunner

from app.config import Config
from app.operations import cli, provision
from app.table import db
from app.table.definition import TTL_ATTRIBUTE, definition
from tests.deploy.emulator import REGION, Emulator
from tests.people import SECRET

KEY = f"arn:aws:kms:{REGION}:123456789012:key/0b1c2d3e-0000-4000-8000-000000000001"
OTHER_KEY = f"arn:aws:kms:{REGION}:123456789012:key/0b1c2d3e-0000-4000-8000-000000000002"


def say(table: db.Table, **options: Any) -> list[str]:
    return list(provision.create(table, **options))


@pytest.fixture
def absent(client: Any) -> Iterator[db.Table]:
    """A name on DynamoDB Local that no table has yet."""
    table = db.Table(f"test-{uuid4()}", client)
    yield table
    if provision.describe(table):
        list(provision.delete(table))


@pytest.fixture
def on_aws(emulator: Emulator) -> db.Table:
    """A name on the emulator that no table has yet."""
    return db.Table(f"test-{uuid4()}", emulator.client("dynamodb"))


@pytest.fixture(params=["on_aws", "absent"])
def either(request: pytest.FixtureRequest) -> db.Table:
    table: db.Table = request.getfixturevalue(request.param)
    return table


def differing(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The table's definition with one thing changed."""
    ours = definition("to be named")
    change(ours)
    return ours


def make(table: db.Table, definition: dict[str, Any]) -> None:
    table.client.create_table(**{**definition, "TableName": table.name})


def no_indexes(definition: dict[str, Any]) -> None:
    del definition["GlobalSecondaryIndexes"]
    definition["AttributeDefinitions"] = definition["AttributeDefinitions"][:2]


def one_index(definition: dict[str, Any]) -> None:
    del definition["GlobalSecondaryIndexes"][1:]
    definition["AttributeDefinitions"] = definition["AttributeDefinitions"][:4]


def before_values(definition: dict[str, Any]) -> None:
    del definition["GlobalSecondaryIndexes"][2]
    definition["AttributeDefinitions"] = definition["AttributeDefinitions"][:6]


def another_sort_key(definition: dict[str, Any]) -> None:
    definition["KeySchema"][1]["AttributeName"] = "GSI1SK"
    del definition["GlobalSecondaryIndexes"]
    definition["AttributeDefinitions"] = [
        {"AttributeName": name, "AttributeType": "S"} for name in ("PK", "GSI1SK")
    ]


def a_number_for_a_key(definition: dict[str, Any]) -> None:
    no_indexes(definition)
    definition["AttributeDefinitions"][1]["AttributeType"] = "N"


def another_projection(definition: dict[str, Any]) -> None:
    definition["GlobalSecondaryIndexes"][0]["Projection"] = {"ProjectionType": "KEYS_ONLY"}


def another_index_key(definition: dict[str, Any]) -> None:
    definition["GlobalSecondaryIndexes"][1]["KeySchema"][1]["AttributeName"] = "GSI1SK"
    definition["AttributeDefinitions"] = [
        told for told in definition["AttributeDefinitions"] if told["AttributeName"] != "GSI2SK"
    ]


def test_a_table_is_made_as_production_needs_it(on_aws):
    lines = say(on_aws, kms_key=KEY, tags={"stage": "production"})
    assert lines == [
        f"created table {on_aws.name}, on demand, protected from deletion",
        f"encrypted with the key {KEY}",
        "switched TTL on, on delete_after",
        "switched point-in-time recovery on",
    ]
    described = provision.describe(on_aws)
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert described["DeletionProtectionEnabled"]
    assert described["SSEDescription"]["KMSMasterKeyArn"] == KEY
    client = on_aws.client
    ttl = client.describe_time_to_live(TableName=on_aws.name)["TimeToLiveDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "delete_after")
    backups = client.describe_continuous_backups(TableName=on_aws.name)
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"
    tags = client.list_tags_of_resource(ResourceArn=described["TableArn"])["Tags"]
    assert tags == [{"Key": "stage", "Value": "production"}]


def test_a_second_time_nothing_is_changed(either):
    say(either, tags={"stage": "production"})
    before = provision.describe(either)
    lines = say(either, tags={"stage": "production"})
    assert lines[0] == f"table {either.name} exists"
    assert all("DynamoDB Local" in line for line in lines[1:])
    assert provision.describe(either) == before


@pytest.mark.parametrize(
    ("without", "added"),
    [
        (no_indexes, ["added index GSI1", "added index GSI2", "added index GSI3"]),
        (one_index, ["added index GSI2", "added index GSI3"]),
        (before_values, ["added index GSI3"]),
    ],
)
def test_missing_indexes_are_added(either, without, added):
    make(either, differing(without))
    lines = say(either)
    assert [line for line in lines if "index" in line] == added
    wanted = {index["IndexName"]: index for index in definition("")["GlobalSecondaryIndexes"]}
    for index in provision.describe(either)["GlobalSecondaryIndexes"]:
        assert index["KeySchema"] == wanted[index["IndexName"]]["KeySchema"]
        assert index["Projection"] == wanted[index["IndexName"]]["Projection"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (another_sort_key, r"primary key is PK \(S\) \+ GSI1SK \(S\), not PK \(S\) \+ SK \(S\)"),
        (a_number_for_a_key, r"primary key is PK \(S\) \+ SK \(N\)"),
        (another_projection, r"index GSI1 is .* with KEYS_ONLY \[\], not .* with ALL \[\]"),
        (another_index_key, r"index GSI2 is GSI2PK \(S\) \+ GSI1SK \(S\) with"),
    ],
)
def test_what_cannot_be_changed_without_losing_data_is_refused(either, change, told):
    make(either, differing(change))
    before = provision.describe(either)
    with pytest.raises(provision.Differs, match=told):
        say(either, kms_key=KEY, tags={"stage": "production"})
    assert provision.describe(either) == before


def test_ttl_on_another_attribute_is_refused(either):
    make(either, definition(either.name))
    specification = {"Enabled": True, "AttributeName": "gone_at"}
    either.client.update_time_to_live(TableName=either.name, TimeToLiveSpecification=specification)
    with pytest.raises(provision.Differs, match="TTL is on gone_at, not delete_after"):
        say(either)
    assert not provision.describe(either).get("DeletionProtectionEnabled")


def test_everything_that_may_be_changed_is_brought_up_to_date(on_aws):
    throughput = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}

    def provisioned(definition: dict[str, Any]) -> None:
        definition["BillingMode"] = "PROVISIONED"
        definition["ProvisionedThroughput"] = throughput
        for index in definition["GlobalSecondaryIndexes"]:
            index["ProvisionedThroughput"] = throughput

    make(on_aws, differing(provisioned))
    assert say(on_aws, kms_key=KEY, tags={"stage": "production", "team": "data"}) == [
        f"table {on_aws.name} exists",
        "changed billing to on demand",
        "switched deletion protection on",
        f"changed encryption to the key {KEY}",
        "tagged it stage=production, team=data",
        "switched TTL on, on delete_after",
        "switched point-in-time recovery on",
    ]
    assert say(on_aws, kms_key=OTHER_KEY, tags={"stage": "production", "team": "search"}) == [
        f"table {on_aws.name} exists",
        f"changed encryption to the key {OTHER_KEY}",
        "tagged it team=search",
    ]
    assert say(on_aws, kms_key=OTHER_KEY.rsplit("/")[-1]) == [f"table {on_aws.name} exists"]


def test_an_index_of_somebody_else_is_left_alone(either):
    def with_another(definition: dict[str, Any]) -> None:
        index = {**definition["GlobalSecondaryIndexes"][1], "IndexName": "Theirs"}
        definition["GlobalSecondaryIndexes"].append(index)

    make(either, differing(with_another))
    assert not [line for line in say(either) if "index" in line]
    assert len(provision.describe(either)["GlobalSecondaryIndexes"]) == 4


@pytest.fixture
def run(absent: db.Table, make_app: Callable[..., flask.Flask]) -> FlaskCliRunner:
    """`flask table …` on a name that no table has yet."""
    app = make_app(sessions_table=absent.name)
    app.extensions["table"] = absent
    cli.init_app(app, Config(sessions_table=absent.name, jwt_secret=SECRET))
    return app.test_cli_runner()


def test_the_command_says_what_it_did_and_what_differs(run, absent):
    created = run.invoke(args=["table", "create", "--tag", "stage=dev"])
    assert created.exit_code == 0, created.output
    assert f"created table {absent.name}" in created.output
    absent.client.update_time_to_live(
        TableName=absent.name,
        TimeToLiveSpecification={"Enabled": False, "AttributeName": TTL_ATTRIBUTE},
    )
    absent.client.update_time_to_live(
        TableName=absent.name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "gone_at"},
    )
    refused = run.invoke(args=["table", "create"])
    assert refused.exit_code == 1
    assert f"Error: table {absent.name} differs: its TTL is on gone_at" in refused.output


@pytest.mark.parametrize(
    ("argument", "told"),
    [("--tag=stage", "must be NAME=VALUE"), ("--kms-key=alias/sessions", "not an alias")],
)
def test_the_command_refuses_what_it_cannot_use(run, absent, argument, told):
    result = run.invoke(args=["table", "create", argument])
    assert result.exit_code == 2
    assert told in result.output
    assert provision.describe(absent) is None


def test_deleting_takes_the_tables_name(run, absent):
    say(absent)
    refused = run.invoke(args=["table", "delete", "another"])
    assert refused.exit_code == 1
    assert "nothing was deleted" in refused.output
    assert provision.describe(absent)
    deleted = run.invoke(args=["table", "delete", absent.name])
    assert deleted.exit_code == 0, deleted.output
    assert provision.describe(absent) is None


def test_a_protected_table_cannot_be_deleted_in_passing(either):
    say(either)
    with pytest.raises(either.client.exceptions.ClientError, match="[Pp]rotect"):
        either.client.delete_table(TableName=either.name)


def test_backups_that_are_not_ready_yet_are_waited_for(on_aws):
    say(on_aws)
    waits: list[float] = []

    class NotReadyYet:
        """The emulator's client, as Amazon answers for some seconds after a table was made."""

        def __init__(self, client: Any) -> None:
            self._client, self._left = client, 2

        def __getattr__(self, name: str) -> Any:
            return getattr(self._client, name)

        def describe_continuous_backups(self, **_: Any) -> dict[str, Any]:
            return {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "DISABLED"}}

        def update_continuous_backups(self, **options: Any) -> Any:
            self._left -= 1
            if self._left:
                raise self._client.exceptions.ContinuousBackupsUnavailableException(
                    {"Error": {"Code": "ContinuousBackupsUnavailableException"}}, "Update"
                )
            return self._client.update_continuous_backups(**options)

    slow: Any = NotReadyYet(on_aws.client)
    lines = say(db.Table(on_aws.name, slow, sleep=waits.append))
    assert lines[-1] == "switched point-in-time recovery on"
    assert len(waits) == 1


def test_boto3_finds_nothing_wrong_with_what_is_sent(raw):
    """`db.connect` leaves parameters unchecked; here boto3 checks them."""
    table = db.Table(f"test-{uuid4()}", raw)
    say(table)
    list(provision.delete(table))
