"""ISSUERS: what is refused as the service starts, with what is right instead. The schema agrees."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from app.config import Config, ConfigError
from app.identity import issuer_file
from app.identity.issuers import issuers_of
from app.identity.scopes import SCOPES
from tests.people import SECRET

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs/issuers.schema.json").read_text())

KEYS = "https://login.acme.test/keys"
BASE: dict[str, Any] = {
    "issuer": "https://login.acme.test/",
    "jwks_url": KEYS,
    "audiences": ["session-store"],
    "tenant_claim": "org_id",
    "rights": {"claims": ["scope"]},
}
REALMS = {
    "issuer": "https://sso.test/realms/{tid}",
    "jwks_url": "https://sso.test/realms/{tid}/certs",
    "tenant": "{tid}",
    "tenant_claim": None,
    "tenants": ["acme", "globex"],
}
SECRETS = {
    "ISSUER_SECRET_A": "a" * 32,
    "ISSUER_SECRET_B": "b" * 32,
    "ISSUER_SECRET_SAME": "a" * 32,
    "ISSUER_SECRET_SHORT": "a" * 31,
    "ISSUER_SECRET_BLANK": " " + "a" * 32,
    "ISSUER_SECRET_PEM": "-----BEGIN PUBLIC KEY-----" + "a" * 32,
}


def entry(**changes: Any) -> dict[str, Any]:
    """The entry BASE with changes. None removes a member."""
    return {name: value for name, value in {**BASE, **changes}.items() if value is not None}


def read(*entries: Any, **more: Any) -> tuple[Any, ...]:
    text = json.dumps({"issuers": entries, **more})
    return issuers_of(
        Config(sessions_table="none", issuers=text, issuer_secrets={**SECRETS, **more})
    )


def agrees(document: Any) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


GOOD: dict[str, dict[str, Any]] = {
    "usual": {},
    "secret": {"jwks_url": None, "secret_env": "ISSUER_SECRET_A"},
    "secret beside keys": {"secret_env": "ISSUER_SECRET_A"},
    "keys on loopback": {"issuer": "https://issuer.example.com/", "jwks_url": "http://[::1]:9/k"},
    "no address at all": {"issuer": "accounts.google.com"},
    "algorithms": {"algorithms": ["PS256", "EdDSA"]},
    "client ids": {"audiences": None, "client_ids": ["web", "cli"], "client_claim": "azp"},
    "both": {"client_ids": ["web"]},
    "any audience": {"audiences": None, "any_audience": True},
    "any audience false": {"any_audience": False},
    "fixed tenant": {"tenant_claim": None, "tenant": "acme & co"},
    "tenants": {"tenants": ["acme", "ünïque"]},
    "list": {"tenant_form": "list"},
    "keys": {"tenant_claim": "organization", "tenant_form": "keys"},
    "steps": {"tenant_claim": ["org", "my.id"], "user_claim": ["user", "id"]},
    "require": {"require": {"token_use": "access", "verified": True}},
    "pattern with claim": {"issuer": "https://login.test/{tid}/v2.0", "tenant_claim": "tid"},
    "pattern with list": {"issuer": "https://login.test/{tid}/v2.0", "tenants": ["a b"]},
    "realms": REALMS,
    "prefix": {"rights": {"claims": ["scope", "roles"], "prefix": "store/"}},
    "map": {"rights": {"claims": ["groups"], "map": {"editors": sorted(SCOPES)}}},
    "map and words": {
        "rights": {"claims": ["a.b", ["c", "d"]], "prefix": "", "map": {"x": ["sessions:read"]}}
    },
    "everyone": {"rights": {"everyone": ["sessions:read", "sessions:write"]}},
}


@pytest.mark.parametrize("name", GOOD)
def test_an_entry_that_can_work_is_accepted_by_the_code_and_the_schema(name):
    [issuer] = read(entry(**GOOD[name]))
    assert issuer.issuer == entry(**GOOD[name])["issuer"]
    assert agrees({"issuers": [entry(**GOOD[name])], "$schema": "issuers.schema.json"})


FORM: list[tuple[dict[str, Any], str, str]] = [
    # (changes, the member, what the message says): refused by the schema too
    ({"jwks_uri": KEYS}, "issuers[0]", "unknown member jwks_uri; known are"),
    ({"issuer": None}, "issuer", "is missing"),
    ({"issuer": 7}, "issuer", "must be a text"),
    ({"issuer": ""}, "issuer", "not empty"),
    ({"issuer": " https://a.test/"}, "issuer", "white space"),
    ({"issuer": "https://a.test/,https://b.test/"}, "issuer", "one value"),
    ({"issuer": "https://login.test/{tenantid}/v2.0"}, "issuer", "{tid}"),
    ({"issuer": "https://login.test/{tid}/{tid}"}, "issuer", "{tid} once"),
    ({"issuer": "https://<tenant>.auth0.test/"}, "issuer", "placeholder"),
    ({"jwks_url": None}, "jwks_url", "is missing"),
    ({"jwks_url": 7}, "jwks_url", "must be a text"),
    ({"jwks_url": "login.acme.test/keys"}, "jwks_url", "https://"),
    ({"jwks_url": "https://login.acme.test/my keys"}, "jwks_url", "white space"),
    ({"secret_env": "AWS_SECRET_ACCESS_KEY"}, "secret_env", "ISSUER_SECRET_SUPABASE"),
    ({"secret_env": SECRET}, "secret_env", "does not belong"),
    ({"algorithms": ["HS256"]}, "algorithms", "known are ES256"),
    ({"algorithms": ["none"]}, "algorithms", "has none"),
    ({"algorithms": []}, "algorithms", "1 to"),
    ({"algorithms": ["RS256", "RS256"]}, "algorithms", "twice"),
    (
        {"algorithms": ["RS256"], "jwks_url": None, "secret_env": "ISSUER_SECRET_A"},
        "algorithms",
        "only for jwks_url",
    ),
    ({"audiences": None}, "audiences", "any_audience to true"),
    ({"audiences": None, "any_audience": False}, "audiences", "any_audience to true"),
    ({"audiences": []}, "audiences", "1 to"),
    ({"audiences": "a"}, "audiences", "list"),
    ({"audiences": ["a,b"]}, "audiences", "one value in each item"),
    ({"audiences": ["a b"]}, "audiences", "one value in each item"),
    ({"audiences": ["a", 7]}, "audiences", "only texts"),
    ({"audiences": [""]}, "audiences", "not empty"),
    ({"audiences": ["a", "a"]}, "audiences", "twice"),
    ({"any_audience": True}, "any_audience", "contradicts"),
    ({"any_audience": "yes"}, "any_audience", "true or false"),
    ({"client_claim": "azp"}, "client_claim", "only for client_ids"),
    ({"client_ids": ["a"], "client_claim": 7}, "client_claim", "name of a claim"),
    ({"require": ["token_use"]}, "require", "object"),
    ({"require": {"n": 7}}, "require", "object"),
    ({"require": {"": "x"}}, "require", "object"),
    ({"tenant_claim": None}, "tenant_claim", "one of the two"),
    ({"tenant": "acme"}, "tenant_claim", "one of the two"),
    ({"tenant_claim": ""}, "tenant_claim", "name of a claim"),
    ({"tenant_claim": " org"}, "tenant_claim", "name of a claim"),
    ({"tenant_claim": []}, "tenant_claim", "name of a claim"),
    ({"tenant_claim": ["org", 1]}, "tenant_claim", "name of a claim"),
    ({"user_claim": {}}, "user_claim", "name of a claim"),
    ({"tenant_form": "array"}, "tenant_form", "text, list, keys"),
    ({"tenant_claim": None, "tenant": "acme", "tenant_form": "list"}, "tenant_form", "only for"),
    ({"tenant_claim": None, "tenant": "a", "tenants": ["a"]}, "tenants", "contradicts"),
    ({"tenant_claim": None, "tenant": " "}, "tenant", "white space"),
    ({"tenants": []}, "tenants", "1 to"),
    ({"tenants": ["acme", "acme"]}, "tenants", "twice"),
    ({"tenants": [" acme"]}, "tenants", "white space"),
    ({"rights": None}, "rights", '{"everyone": ["sessions:read", "sessions:write"]}'),
    ({"rights": {}}, "rights", "claims or everyone"),
    ({"rights": {"prefix": "a"}}, "rights", "claims or everyone"),
    ({"rights": {"claims": ["a"], "everyone": ["sessions:read"]}}, "rights", "not both"),
    ({"rights": {"everyone": ["sessions:read"], "prefix": "a"}}, "rights", "leave them out"),
    ({"rights": {"claims": ["a"], "otherwise": "all"}}, "rights", "unknown member otherwise"),
    ({"rights": {"claims": []}}, "rights.claims", "list of 1 to 10"),
    ({"rights": {"claims": "scope"}}, "rights.claims", "list of 1 to 10"),
    ({"rights": {"claims": [7]}}, "rights.claims", "name of a claim"),
    ({"rights": {"claims": ["a"], "prefix": None}}, "rights.prefix", "text"),
    ({"rights": {"claims": ["a"], "map": {}}}, "rights.map", "object"),
    ({"rights": {"claims": ["a"], "map": None}}, "rights.map", "object"),
    ({"rights": {"claims": ["a"], "map": {"x": []}}}, "rights.map.x", "list"),
    ({"rights": {"claims": ["a"], "map": {"x": ["read"]}}}, "rights.map.x", "known are sessions"),
    ({"rights": {"everyone": ["sessions:*"]}}, "rights.everyone", "has sessions:*; known are"),
    ({"rights": {"everyone": ["sessions:read"] * 2}}, "rights.everyone", "twice"),
]
MEANING: list[tuple[dict[str, Any], str, str]] = [
    # the schema cannot tell
    ({"issuer": "https://issuer.example.com/"}, "issuer", "placeholder"),
    (
        {"issuer": "https://a.test/.well-known/openid-configuration"},
        "issuer",
        "https://a.test or https://a.test/,",
    ),
    ({"jwks_url": "https://a.test/.well-known/openid-configuration"}, "jwks_url", "jwks_uri"),
    ({"jwks_url": "https://issuer.example.com/keys"}, "jwks_url", "placeholder"),
    ({"jwks_url": "https://<tenant>.test/keys"}, "jwks_url", "placeholder"),
    ({"jwks_url": "http://login.acme.test/keys"}, "jwks_url", "https://"),
    ({"jwks_url": "https://u:p@login.acme.test/keys"}, "jwks_url", "user"),
    ({"jwks_url": "https://login.test/{tid}/keys"}, "jwks_url", "issuer does not"),
    ({**REALMS, "tenants": None}, "tenants", "list them"),
    ({**REALMS, "tenants": ["a/b"]}, "tenants", "cannot match"),
    ({**REALMS, "tenants": [".."]}, "tenants", "cannot match"),
    ({**REALMS, "tenants": [f"t{n}" for n in range(201)]}, "tenants", "more than 200"),
    ({**REALMS, "tenant": "acme", "tenants": None}, "tenants", "list them"),
    (
        {"issuer": "https://a.test/{tid}", "tenant_claim": None, "tenant": "acme"},
        "tenant",
        "must be {tid}",
    ),
    ({"tenant_claim": None, "tenant": "{tid}"}, "tenant", "no {tid}"),
    ({"tenants": ["a\0b"]}, "tenants", "control character"),
    ({"tenants": ["a\ud800"]}, "tenants", "surrogate"),
    ({"tenants": ["ü" * 400]}, "tenants", "too long"),
    ({"secret_env": "ISSUER_SECRET_NONE"}, "secret_env", "not set"),
    ({"secret_env": "ISSUER_SECRET_SHORT"}, "ISSUER_SECRET_SHORT", "shorter than 32"),
    ({"secret_env": "ISSUER_SECRET_BLANK"}, "ISSUER_SECRET_BLANK", "white space"),
    ({"secret_env": "ISSUER_SECRET_PEM"}, "ISSUER_SECRET_PEM", "jwks_url"),
    ({"tenant_claim": "user_metadata.tenant"}, "tenant_claim", "app_metadata"),
    ({"tenant_claim": ["user_metadata", "tenant"]}, "tenant_claim", "app_metadata"),
    ({"user_claim": "unsafe_metadata.id"}, "user_claim", "users can change"),
    ({"rights": {"claims": ["user_metadata.roles"]}}, "rights.claims", "users can change"),
]


@pytest.mark.parametrize(
    ("changes", "member", "said", "by_schema"),
    [
        pytest.param(*case, by_schema, id=f"{case[1]}-{case[2]}-{number}")
        for cases, by_schema in ((FORM, True), (MEANING, False))
        for number, case in enumerate(cases)
    ],
)
def test_a_member_that_could_never_work_is_refused_by_name(changes, member, said, by_schema):
    with pytest.raises(ConfigError) as refused:
        read(entry(**changes))
    told = str(refused.value)
    assert member in told
    assert said in told
    assert not any(secret in told for secret in SECRETS.values())
    assert agrees({"issuers": [entry(**changes)]}) is not by_schema


DOCUMENTS = {
    "not JSON": ("{", "line 1, column 2"),
    "too deep": ("[" * 100 + "]" * 100, "not JSON"),
    "a huge number": ("9" * 5000, "not JSON"),
    "a list": ("[]", '{"issuers": [{…}, …]}'),
    "no list": ('{"issuers": {}}', '{"issuers": [{…}, …]}'),
    "empty": ('{"issuers": []}', "1 to 50"),
    "too many": (json.dumps({"issuers": [{}] * 51}), "1 to 50"),
    "no object": ('{"issuers": [7]}', "issuers[0] must be an object"),
    "an unknown member": ('{"issuers": [{}], "version": 1}', "unknown member version"),
    "a name twice": ('{"issuers": [{"issuer": "a", "issuer": "b"}]}', "member issuer twice"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_of_another_form_is_refused(name):
    text, said = DOCUMENTS[name]
    with pytest.raises(ConfigError) as refused:
        issuers_of(Config(sessions_table="none", issuers=text))
    assert "ISSUERS" in str(refused.value)
    assert said in str(refused.value)


# Several issuers

OTHER = {"issuer": "https://login.globex.test/"}
PATTERN = {"issuer": "https://login.test/{tid}/v2.0", "tenant_claim": "tid"}

TOGETHER: dict[str, tuple[list[dict[str, Any]], str]] = {
    "the same issuer": ([{"tenants": ["a"]}, {"tenants": ["b"]}], "the same as that of issuers[0]"),
    "no lists": ([{}, OTHER], "issuers[0] and issuers[1] could both speak"),
    "no lists, one pattern": ([{}, PATTERN], "could both speak"),
    "no lists among three": (
        [{"tenants": ["a"]}, OTHER, {"issuer": "https://third.test/"}],
        "issuers[1] and issuers[2] could both speak",
    ),
    "a tenant twice": (
        [{"tenants": ["acme", "b"]}, {**OTHER, "tenants": ["c", "acme"]}],
        "tenant acme belongs to both issuers[0] and issuers[1]",
    ),
    "a tenant listed and fixed": (
        [{"tenants": ["acme"]}, {**OTHER, "tenant_claim": None, "tenant": "acme"}],
        "tenant acme belongs to both",
    ),
    "a tenant fixed twice": (
        [
            {"tenant_claim": None, "tenant": "acme"},
            {**OTHER, "tenant_claim": None, "tenant": "acme"},
        ],
        "tenant acme belongs to both",
    ),
    "patterns for the same": (
        [PATTERN, {**PATTERN, "issuer": "https://login.test/{tid}", "tenants": ["a"]}],
        "may match the same tokens",
    ),
    "patterns, one within the other": (
        [PATTERN, {**PATTERN, "issuer": "https://{tid}/v2.0", "tenants": ["a"]}],
        "may match the same tokens",
    ),
    "one secret": (
        [
            {"secret_env": "ISSUER_SECRET_A"},
            {**OTHER, "secret_env": "ISSUER_SECRET_SAME", "tenants": ["a"]},
        ],
        "could sign tokens of the other",
    ),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_issuers_that_could_speak_for_each_other_refuse_the_start(name):
    entries, said = TOGETHER[name]
    with pytest.raises(ConfigError) as refused:
        read(*(entry(**changes) for changes in entries))
    assert said in str(refused.value)


def test_issuers_that_are_told_apart_are_accepted():
    made = read(
        entry(),
        entry(**OTHER, tenants=["globex"], secret_env="ISSUER_SECRET_A"),
        entry(**{**REALMS, "tenants": ["initech"]}, secret_env="ISSUER_SECRET_B"),
        entry(**PATTERN, tenants=["x"]),
        entry(issuer="https://login.test/y/v2.0", tenant_claim=None, tenant="y"),
    )
    assert len(made) == 5


# Settings

GOOD_TEXT = json.dumps({"issuers": [BASE]})
ENV = {"SESSIONS_TABLE": "sessions"}


def test_the_file_and_the_variable_say_the_same(tmp_path):
    file = tmp_path / "issuers.json"
    file.write_text(GOOD_TEXT + "\n")
    by_file = Config.from_env({**ENV, "ISSUERS_FILE": str(file)})
    assert by_file == Config.from_env({**ENV, "ISSUERS": GOOD_TEXT})
    assert len(issuers_of(by_file)) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_SECRET", "x" * 32),
        ("JWT_JWKS_URL", KEYS),
        ("JWT_ISSUER", "https://a.test/"),
        ("JWT_AUDIENCE", "a"),
        ("JWT_TENANT_CLAIM", "org"),
        ("JWT_USER_CLAIM", "oid"),
        ("JWT_REQUIRE_SCOPES", "1"),
        ("ISSUERS_FILE", "issuers.json"),
    ],
)
def test_both_forms_at_once_are_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"either ISSUERS.*{name}.*not both"):
        Config.from_env({**ENV, "ISSUERS": GOOD_TEXT, name: value})


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"\xff", "cannot be read"), (b"", "empty"), (b" \n", "empty")],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path, content, said):
    file = tmp_path / "issuers.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"ISSUERS_FILE: .*issuers.json.*{said}"):
        Config.from_env({**ENV, "ISSUERS_FILE": str(file)})


def test_a_file_is_read_up_to_a_limit(tmp_path):
    file = tmp_path / "issuers.json"
    file.write_text(GOOD_TEXT + " " * 1_000_000)
    with pytest.raises(ConfigError, match="more than 1000000"):
        Config.from_env({**ENV, "ISSUERS_FILE": str(file)})


def test_only_variables_for_secrets_are_taken_from_the_environment():
    config = Config.from_env(
        {**ENV, "ISSUERS": GOOD_TEXT, "ISSUER_SECRET_A": "a" * 32, "AWS_SECRET_ACCESS_KEY": "b"}
    )
    assert config.issuer_secrets == {"ISSUER_SECRET_A": "a" * 32}
    assert "a" * 32 not in repr(config)


def test_a_secret_is_not_shown_in_an_issuer():
    [issuer] = read(entry(secret_env="ISSUER_SECRET_A"))
    assert issuer.secret == "a" * 32
    assert "a" * 32 not in repr(issuer)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps({"issuers": [entry(audience="x")]}), "has the unknown member audience; known"),
        (json.dumps({"issuers": [entry(), entry(**OTHER)]}), "could both speak for the same"),
    ],
)
def test_the_start_stops_with_the_message_and_no_traceback(text, said):
    start = subprocess.run(
        [sys.executable, "-c", "import app.wsgi"],
        env={"PATH": os.environ["PATH"], **ENV, "ISSUERS": text, "AWS_REGION": "us-east-1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert start.returncode == 1
    assert start.stderr.startswith("session store: ISSUERS: ")
    assert said in start.stderr
    assert len(start.stderr.splitlines()) == 1


# The schema

ISSUER = SCHEMA["$defs"]["issuer"]["properties"]


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_has_what_the_code_has():
    assert set(ISSUER) == issuer_file.MEMBERS
    assert set(ISSUER["rights"]["properties"]) == issuer_file.RIGHTS_MEMBERS
    assert ISSUER["algorithms"]["items"]["enum"] == list(issuer_file.KNOWN_ALGORITHMS)
    assert SCHEMA["$defs"]["scopes"]["items"]["enum"] == sorted(SCOPES)
    assert tuple(ISSUER["tenant_form"]["enum"]) == issuer_file.TENANT_FORMS
    assert SCHEMA["properties"]["issuers"]["maxItems"] == issuer_file.MAX_ISSUERS
    assert ISSUER["tenants"]["maxItems"] == issuer_file.MAX_LISTED
    assert SCHEMA["$defs"]["values"]["maxItems"] == issuer_file.MAX_LISTED


def test_every_member_is_documented():
    told = (ROOT / "docs/issuers.md").read_text()
    for name in issuer_file.MEMBERS | issuer_file.RIGHTS_MEMBERS:
        assert f"| `{name}`" in told, name
