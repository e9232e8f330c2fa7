"""No two callers share a partition, whatever characters their ids contain."""

import json
import time
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from app.config import Config
from app.errors import Unauthorized
from app.identity.caller import Caller, NotACaller
from app.identity.tokens import Verifier
from app.sessions.users import users_of
from app.table import keys
from tests.identity.issuer import hs256, write
from tests.people import SECRET

# Characters that might reach into another caller's keys. Other strategies add any text.
SEPARATORS = st.text(alphabet="#%/ \\?&=+:|*$~._-a2F3\0\n\u00e9e\u0301\U0001f600", max_size=12)
LONG = st.integers(1, 256).flatmap(lambda n: st.sampled_from("aé#😀%").map(lambda c: c * n))
IDS = st.one_of(
    SEPARATORS, st.text(max_size=256), LONG, st.sampled_from(["", " ", "#", "%23", "a"])
)
PAIRS = st.tuples(IDS, IDS)

VERIFIER = Verifier(Config(sessions_table="none", jwt_secret=SECRET))


def partition_of(pair: tuple[str, str]) -> str | None:
    """The partition that a request with a signed token gets. None if the token gets 401."""
    claims = {"tenant_id": pair[0], "sub": pair[1], "exp": int(time.time()) + 60}
    token = write({"alg": "HS256"}, json.dumps(claims), hs256(SECRET))
    try:
        return VERIFIER.verify(f"Bearer {token}").caller.partition
    except Unauthorized:
        return None


@settings(max_examples=200, deadline=None)
@given(PAIRS, PAIRS)
@example(("a", "b#c"), ("a#b", "c"))
@example(("a#b", "c"), ("a", "b%23c"))
@example(("a%23b", "c"), ("a#b", "c"))
@example(("a", "b/c"), ("a/b", "c"))
@example(("a", " b"), ("a ", "b"))
@example(("a", "b"), ("a", "b "))
@example(("a", "b"), ("A", "b"))
@example(("a", "\u00e9"), ("a", "e\u0301"))
@example(("a", "b\0"), ("a", "b"))
@example(("", "ab"), ("a", "b"))
@example(("ab", ""), ("a", "b"))
@example(("x" * 256, "y" * 256), ("x" * 256, "y" * 255))
@example(("😀" * 256, "y"), ("😀" * 255, "y"))
def test_different_callers_never_share_a_partition(one, other):
    assume(one != other)
    first, second = partition_of(one), partition_of(other)
    assert first is None or first != second


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_a_partition_identifies_its_caller(pair):
    """If a partition can be decoded, it cannot belong to two callers."""
    partition = partition_of(pair)
    assume(partition is not None)
    tenant, user = partition.split("#")
    assert (tenant, user) == (quote(pair[0], safe=""), quote(pair[1], safe=""))
    assert len(partition) <= keys.MAX_PARTITION_BYTES
    assert set(partition) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~%#"
    )


@settings(max_examples=200, deadline=None)
@given(PAIRS, IDS)
@example(("acme", "alice"), "acm")
@example(("acme", "alice"), "acme#")
@example(("acme#alice", "x"), "acme")
@example(("acm", "e#alice"), "acme")
@example(("acme%", "alice"), "acme")
def test_a_tenants_prefix_never_matches_another_tenants_partition(pair, tenant):
    """A policy on leading keys depends on this."""
    assume(tenant != pair[0])
    partition = partition_of(pair)
    assume(partition is not None)
    assert not partition.startswith(keys.partition(tenant, ""))


@settings(max_examples=200, deadline=None)
@given(PAIRS, IDS)
@example(("acme", "#VALUES"), "acme")
@example(("acme#", "VALUES"), "acme")
@example(("acme##VALUES", "x"), "acme")
@example(("acme", "%23VALUES"), "acme")
def test_the_partition_of_a_tenants_values_is_that_of_no_user(pair, tenant):
    partition = partition_of(pair)
    assume(partition is not None)
    assert partition != keys.tenant_partition(tenant)
    assert not keys.is_tenant(partition)
    assert keys.is_tenant(keys.tenant_partition(tenant))
    own = keys.tenant_partition(pair[0])
    assert len(own) <= keys.MAX_PARTITION_BYTES
    assert own.startswith(keys.partition(pair[0], "")), "the tenant's policy covers it"
    assert (own == keys.tenant_partition(tenant)) is (pair[0] == tenant)


@settings(max_examples=200, deadline=None)
@given(PAIRS, IDS)
@example(("acme", "alice"), "acme#9")
@example(("acme#9", "alice"), "acme")
@example(("acme", "x" * 1024), "acm")
def test_the_index_by_tenant_has_no_user_of_another_tenant(pair, tenant):
    partition = partition_of(pair)
    assume(partition is not None)
    entry = keys.by_tenant(partition)
    assert entry["GSI3PK"] in keys.tenant_shards(pair[0])
    assert (entry["GSI3PK"] in keys.tenant_shards(tenant)) <= (tenant == pair[0])
    assert len(entry["GSI3PK"]) <= keys.MAX_PARTITION_BYTES
    assert partition.startswith(entry["GSI3SK"])
    assert len(entry["GSI3SK"]) <= keys.MAX_SORT_KEY_BYTES


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_the_library_and_the_verifier_agree_on_who_can_be_a_caller(pair):
    try:
        made = Caller(*pair).partition
    except NotACaller:
        made = None
    assert made == partition_of(pair)


@pytest.mark.parametrize(
    "pair",
    [
        ("", "alice"),
        ("acme", ""),
        ("", ""),
        (" ", "alice"),
        ("acme", "\t\n\u2003"),
        ("acme", "\ud83d"),
        ("\udc00acme", "alice"),
        ("x" * 2048, "alice"),
        ("x" * 1024, "y" * 1024),
        ("#" * 683, "alice"),
        ("acme", "😀" * 256),
        ("acme", "alice\0"),
        ("ac\nme", "alice"),
        ("acme", "al\x7fice"),
        ("acme", "al\x9fice"),
        (" acme", "alice"),
        ("acme", "alice\u2003"),
        ("acme", "alice\u2028"),
    ],
)
def test_an_invalid_id_makes_no_caller(pair):
    assert partition_of(pair) is None
    with pytest.raises(NotACaller):
        Caller(*pair)


@pytest.mark.parametrize("agent", ["", " ", "a\0", "a\x1b[2J", " a", "a ", "a\x85b"])
def test_an_agent_is_held_to_the_same_rules(agent):
    with pytest.raises(NotACaller):
        Caller("acme", "alice", agent)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("jos\u00e9", "jose\u0301"),
        ("alice", "Alice"),
        ("alice", "al\u200bice"),
        ("alice", "\ufeffalice"),
        ("a b", "a\u00a0b"),
    ],
)
def test_ids_that_look_alike_are_different_users(one, other):
    """docs/identity.md says so: ids are compared byte for byte."""
    partitions = {partition_of(("acme", one)), partition_of(("acme", other))}
    assert None not in partitions
    assert len(partitions) == 2


@pytest.mark.parametrize("value", [None, 1, 1.5, True, b"acme", ["acme"], {"id": "acme"}])
def test_an_id_that_is_not_text_makes_no_caller(value):
    for arguments in ((value, "alice"), ("acme", value)):
        with pytest.raises(NotACaller):
            Caller(*arguments)
    if value is not None:
        with pytest.raises(NotACaller):
            Caller("acme", "alice", value)


def test_the_longest_ids_that_fit_a_key_are_accepted():
    assert partition_of(("x" * 1023, "y" * 1024))
    assert partition_of(("x" * 1024, "y" * 1024)) is None
    assert partition_of(("x" * 2007, "y"))
    assert partition_of(("x" * 2010, "y")) is None  # its edges would have too long a key


@pytest.mark.parametrize("pair", [("a" * 256, "b" * 256), ("ü /#%" * 25, "😀" * 60)])
def test_long_and_unusual_ids_work_end_to_end(app, table, items, pair):
    from tests.people import Client, make_token

    scope = "sessions:read sessions:write tenant-values:write"
    person = Client(app, make_token(*pair, scope=scope))
    session_id = person.create_session()["session_id"]
    person.append(session_id)
    for path in ("/values/a", "/tenant/values/a"):
        assert person.put(path, {}).status_code == 201
    assert person.get(f"/sessions/{session_id}").json["message_count"] == 1
    own = {keys.partition(*pair), keys.tenant_partition(pair[0])}
    assert {item["PK"]["S"] for item in items()} == own
    assert list(users_of(table, pair[0])) == [keys.partition(*pair)]
