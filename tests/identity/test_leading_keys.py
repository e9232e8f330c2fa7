"""The IAM policy in docs/identity.md, compared with what the app really sends to DynamoDB.

DynamoDB Local does not enforce IAM, so the policy is evaluated here. It has only allow statements
with lists of actions, resources and leading keys.
"""

import json
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from app.grounding.sources import key_hash
from app.operations.sweep import sweep
from app.table import keys
from app.table.definition import BY_DUE_TIME, BY_SOURCE
from tests.people import Client, make_token
from tests.quotas import Closing

DOCS = Path(__file__).parents[2] / "docs/identity.md"
TABLE = "arn:aws:dynamodb:eu-central-1:123456789012:table/sessions"

Access = tuple[str, str, list[str]]
"""An action, the table or index, and the partition keys that it touches."""


def policy_for(tenant: str) -> dict[str, Any]:
    """The policy on the page, with the pattern for this tenant instead of acme."""
    text = DOCS.read_text()
    [block] = re.findall(r"<!-- policy: leading keys -->\n```json\n(.*?)```", text, re.DOTALL)
    pattern = keys.partition(tenant, "") + "*"
    for written in ('"acme#*"', '"SRC#acme#*"', '"GIVEN#acme#*"'):
        assert written in block
        block = block.replace(written, json.dumps(written[1:-1].replace("acme#*", pattern)))
    return json.loads(block)


def matches(pattern: str, value: str) -> bool:
    """IAM's StringLike: `*` matches any characters, `?` matches one."""
    assert "${" not in pattern, "a policy variable"
    parts = {"*": ".*", "?": "."}
    expression = "".join(parts.get(c, re.escape(c)) for c in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


def allows(policy: dict[str, Any], access: Access) -> bool:
    action, resource, touched = access
    for statement in policy["Statement"]:
        assert set(statement) == {"Sid", "Effect", "Action", "Resource", "Condition"}
        assert statement["Effect"] == "Allow"
        condition = statement["Condition"]
        assert condition["Null"] == {"dynamodb:LeadingKeys": "false"}
        patterns = condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
        if (
            action in statement["Action"]
            and resource in statement["Resource"]
            and touched
            and all(any(matches(pattern, key) for pattern in patterns) for key in touched)
        ):
            return True
    return False


def accesses(call: Any) -> Iterator[Access]:
    """What IAM checks for one request. For a transaction, it checks each member."""
    name, body = call.operation, call.body
    index = f"{TABLE}/index/{body['IndexName']}" if "IndexName" in body else TABLE
    if name == "TransactWriteItems":
        for member in body["TransactItems"]:
            [(kind, what)] = member.items()
            key = what.get("Item") or what["Key"]
            yield f"dynamodb:{kind}Item", TABLE, [key["PK"]["S"]]
    elif name == "BatchGetItem":
        [request] = body["RequestItems"].values()
        yield "dynamodb:BatchGetItem", TABLE, [key["PK"]["S"] for key in request["Keys"]]
    elif name == "BatchWriteItem":
        [requests] = body["RequestItems"].values()
        touched = [r["DeleteRequest"]["Key"]["PK"]["S"] for r in requests]
        yield "dynamodb:BatchWriteItem", TABLE, touched
    elif name == "Query":
        yield "dynamodb:Query", index, [body["ExpressionAttributeValues"][":pk"]["S"]]
    elif name == "Scan":
        yield "dynamodb:Scan", index, []
    else:
        key = body.get("Item") or body["Key"]
        yield f"dynamodb:{name}", TABLE, [key["PK"]["S"]]


def use_everything(person: Client) -> None:
    """Uses every access pattern through the API."""
    first = person.create_session()["session_id"]
    second = person.create_session(expires_in_days=3)["session_id"]
    key = {"Idempotency-Key": "k"}
    message = {"role": "user", "content": "x"}
    for _ in range(2):
        person.post("/sessions", {"domain_id": "d"}, headers=key)
        person.post(f"/sessions/{first}/messages", message, headers=key)
    long = person.append(first, "x" * 900_000)["message_id"]
    person.fill(first, 60)
    person.put(f"/sessions/{first}", {"title": "t"})
    for path in (
        "/sessions?limit=1",
        f"/sessions/{first}",
        f"/sessions/{first}/messages?limit=2&order=desc",
        f"/sessions/{first}/messages/{long}",
    ):
        assert person.get(path).status_code == 200
    assert person.get(f"/sessions/{second}", headers={"If-None-Match": "*"}).status_code == 304
    cites = {"references": [{"type": "report", "reference_id": "r1"}]}
    person.append(first, metadata=cites)
    for place in ("", "/tenant"):
        answers = person.get(f"{place}/sources/{key_hash('doc:r1')}/answers").json["answers"]
        assert [answer["session_id"] for answer in answers] == [first]
    for path in (f"/sessions/{first}/values", "/values", "/tenant/values"):
        for body in ({}, {"long": "x" * 900_000}):
            assert person.put(f"{path}/a", body).status_code in (200, 201)
        assert person.get(path).status_code == 200
    assert person.get("/export").status_code == 200
    assert person.get("/tenant/usage").status_code == 200
    assert person.delete("/tenant/values?all=true").status_code == 200
    source = f"/tenant/sources/{key_hash('doc:a')}"
    assert person.put(source, {"key": "doc:a", "state": "changed"}).status_code == 200
    assert person.get(source).status_code == 200
    person.append(first, metadata={"references": [{"reference_id": "a", "quote": "x"}]})
    assert person.post(f"{source}/redaction").json["redacted_messages"] == 1
    assert person.get(f"/sessions/{first}/grounding").status_code == 200
    assert person.delete(f"/sessions/{first}").status_code == 200
    assert person.delete("/sessions?confirm=all").status_code == 200


@pytest.fixture(scope="module")
def used(app_with, sent_in_module) -> list[Access]:
    """Everything that the API does in DynamoDB for Alice, and to count what she uses."""
    app = app_with(quota_tenant_requests_per_second=1000, quota_user_share=50)
    del sent_in_module[:]
    scope = "sessions:read sessions:write tenant-values:read tenant-values:write"
    scope += " sources:audit sources:govern tenant:usage"
    use_everything(Closing(app, make_token("acme", "alice", scope=scope)))
    return [access for call in sent_in_module for access in accesses(call)]


def test_the_policy_allows_what_the_api_does_for_the_tenant(used):
    policy = policy_for("acme")
    assert {(action, resource) for action, resource, _ in used} == {
        (action, resource)
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
        if "/index/" not in resource or action == "dynamodb:Query"
    }, "the policy allows an action that the API does not use, or lacks one"
    for access in used:
        assert allows(policy, access), access


@pytest.mark.parametrize("tenant", ["globex", "acm", "acmee", "ACME", "acme*", "*", "acme#"])
def test_the_policy_of_another_tenant_allows_none_of_it(used, tenant):
    for access in used:
        assert not allows(policy_for(tenant), access), access


def test_a_batch_with_one_key_of_another_tenant_is_denied():
    mixed = ("dynamodb:BatchGetItem", TABLE, ["acme#alice", "globex#charlie"])
    assert not allows(policy_for("acme"), mixed)
    assert allows(policy_for("acme"), ("dynamodb:BatchGetItem", TABLE, ["acme#alice", "acme#bob"]))


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("dynamodb:Scan", TABLE),
        ("dynamodb:Query", TABLE),
        ("dynamodb:Query", f"{TABLE}/index/GSI1"),
        ("dynamodb:PartiQLSelect", TABLE),
        ("dynamodb:DescribeTable", TABLE),
        ("dynamodb:DeleteTable", TABLE),
        ("dynamodb:ExportTableToPointInTime", TABLE),
    ],
)
def test_a_request_that_names_no_key_is_denied(action, resource):
    assert not allows(policy_for("acme"), (action, resource, []))


ODD = [
    "acme", "ACME", "acm", "acme*", "ac*", "*", "?", "acm?", "????", "acme$", "${*}", "$", "#",
    "acme#", "acme#alice", "acme%", "acme%23", "acme%2A", "%", "%25", "acme/", "acme ", "acmé",
    "acme\\", "a{b}", "acme~", "ac-me", "ac.me", "ac_me", "acme,globex", "SRC", "SRC#acme",
    "SWEEP", "SWEEP#0", "\n",
]  # fmt: skip


@pytest.mark.parametrize("tenant", ODD, ids=repr)
def test_a_policy_covers_only_its_own_tenant_whatever_the_names(tenant):
    policy = policy_for(tenant)
    for other in ODD:
        for user in ("alice", "a#b", "*", "ü"):
            partition = keys.partition(other, user)
            access = ("dynamodb:GetItem", TABLE, [partition])
            assert allows(policy, access) is (other == tenant), other
            for cited in (True, False):
                source = keys.by_source(partition, "0" * 32, "01M", cited=cited)["GSI2PK"]
                access = ("dynamodb:Query", f"{TABLE}/index/{BY_SOURCE}", [source])
                assert allows(policy, access) is (other == tenant), other


def test_percent_encoding_leaves_no_pattern_characters():
    """The special characters of IAM's StringLike are `*`, `?` and `$` with braces."""
    everything = "".join(map(chr, range(0x300)))
    left = {c for c in quote(everything, safe="") if c not in string.ascii_letters + string.digits}
    assert left == set("_.-~%")


def test_a_tenant_written_into_the_policy_unencoded_could_widen_it():
    """This is why the page says how to encode a tenant."""
    assert matches("ac*#*", keys.partition("acme", "alice"))
    assert matches("acm?#*", keys.partition("acme", "alice"))
    assert not matches(keys.partition("ac*", "") + "*", keys.partition("acme", "alice"))


@pytest.mark.parametrize("tenant", ["acme", "SWEEP"])
def test_the_sweeps_index_is_denied_even_to_a_tenant_named_like_its_keys(app, table, sent, tenant):
    """The keys of GSI2 are SWEEP#0 to SWEEP#9, shared by all tenants."""
    del sent[:]
    sweep(table)
    asked = [access for call in sent for access in accesses(call)]
    assert {resource for _, resource, _ in asked} == {f"{TABLE}/index/{BY_DUE_TIME}"}
    assert not [access for access in asked if allows(policy_for(tenant), access)]


def test_a_tenant_named_sweep_does_not_write_to_the_sweeps_keys(app, items):
    Client(app, make_token("SWEEP", "3")).create_session()
    assert {item["PK"]["S"] for item in items()} == {"SWEEP#3"}
    assert not [item for item in items() if "GSI2PK" in item]
