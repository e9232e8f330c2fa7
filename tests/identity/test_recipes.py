"""The recipes of docs/issuers.md: each configuration takes its token, and nothing beside it.

The configurations are read out of the page and used unchanged. Only the fetch goes to an issuer on
loopback, which answers at the documented path.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.config import Config
from app.errors import Unauthorized
from app.identity.fetch import fetch
from app.identity.jwks import TIMEOUT
from app.identity.tokens import Identity, Verifier
from tests.identity.issuer import Issuer, asymmetric, hs256, public_jwk, send, write
from tests.people import SECRET, Client

PAGE = (Path(__file__).parents[2] / "docs/issuers.md").read_text()


def blocks(kind: str) -> dict[str, str]:
    found = re.findall(rf"<!-- {kind}: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert len({name for name, _ in found}) == len(found)
    return dict(found)


CONFIGURATIONS, TOKENS = blocks("issuers"), blocks("token")
BOTH = {"sessions:read", "sessions:write"}


@dataclass(frozen=True)
class Recipe:
    tenant: str
    user: str
    scopes: set[str]
    algorithm: str = "RS256"
    configuration: str = ""  # that of the same name, if empty
    token: str = ""
    names_algorithm: bool = True  # whether the published key has `alg`: Entra's have none


ALICE_AT_COGNITO = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
ALICE_AT_AUTH0 = "auth0|5f7c8ec7c33c6c004bbafe82"
ALICE_AT_KEYCLOAK = "7a1f0c9e-2f4b-4b7e-9a43-1c5d6e7f8091"
ALICE_AT_SUPABASE = "123e4567-e89b-42d3-a456-426614174000"
GLOBEX_AT_ENTRA = "82229342-1101-4ab6-817b-70c0747630f3"

RECIPES = {
    "cognito-id": Recipe("acme", ALICE_AT_COGNITO, BOTH),
    "cognito-access": Recipe("acme", ALICE_AT_COGNITO, BOTH),
    "auth0": Recipe("acme", ALICE_AT_AUTH0, BOTH),
    "auth0-machine": Recipe(
        "acme", "Zx9TqexampleM2mClient@clients", {"sessions:read"}, configuration="auth0"
    ),
    "auth0-organizations": Recipe("org_9ybsU1dN2dKfDkBi", ALICE_AT_AUTH0, {"sessions:read"}),
    "entra": Recipe("acme", "690222be-ff1a-4d56-abd1-7e4f7d38e474", BOTH, names_algorithm=False),
    "entra-app": Recipe(
        "acme",
        "41ab23cd-0e1f-4a2b-9c3d-4e5f6a7b8c9d",
        {"sessions:read", "sessions:act-for-user"},
        configuration="entra",
        names_algorithm=False,
    ),
    "entra-multi": Recipe(
        GLOBEX_AT_ENTRA, "0b7c1d2e-3f4a-4b5c-9d6e-7f8a9b0c1d2e", BOTH, names_algorithm=False
    ),
    "keycloak-organizations": Recipe("acme", ALICE_AT_KEYCLOAK, BOTH),
    "keycloak-organizations-list": Recipe("acme", ALICE_AT_KEYCLOAK, BOTH),
    "keycloak-realms": Recipe("globex", "c0ffee00-2f4b-4b7e-9a43-1c5d6e7f8091", {"sessions:read"}),
    "okta": Recipe("acme", "00u1example2alice3d7", BOTH),
    "google": Recipe("acme.com", "110169484474386276334", BOTH),
    "firebase": Recipe("acme-x7k2p", "Vb3kq0exampleAlice1", BOTH),
    "clerk": Recipe("org_2abcExampleAcme", "user_2abcExampleAlice", BOTH),
    "supabase": Recipe("acme", ALICE_AT_SUPABASE, BOTH, "ES256"),
    "supabase-secret": Recipe("acme", ALICE_AT_SUPABASE, BOTH, "HS256", token="supabase"),
}

KEY_OF = {"RS256": ("rsa", "rsa-1"), "ES256": ("ec", "ec-1")}


def configuration(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CONFIGURATIONS[RECIPES[name].configuration or name])
    return found


def claims(name: str, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    told = json.loads(TOKENS[RECIPES[name].token or name])
    told = {**told, "iat": now, "exp": now + 600, "jti": "4f1c", **changes}
    return {claim: value for claim, value in told.items() if value is not None}


def keys_path(entry: dict[str, Any], told: dict[str, Any]) -> str:
    """Where the documented issuer publishes the keys for a token with these claims."""
    realm = str(told.get("iss")).rpartition("/")[2]
    return urlsplit(entry.get("jwks_url", "").replace("{tid}", realm)).path


@pytest.fixture
def sign(keys) -> Callable[..., str]:
    def sign(name: str, told: dict[str, Any]) -> str:
        algorithm = RECIPES[name].algorithm
        if algorithm == "HS256":
            token = write({"alg": "HS256", "typ": "JWT"}, told, hs256(SECRET))
        else:
            key, kid = KEY_OF[algorithm]
            header = {"alg": algorithm, "typ": "JWT", "kid": kid}
            token = write(header, told, asymmetric(getattr(keys, key), algorithm))
        return f"Bearer {token}"

    return sign


class World:
    """Verifiers for configurations, with an issuer on loopback for the published keys."""

    def __init__(self, issuer: Issuer, keys: Any) -> None:
        self.issuer, self.keys = issuer, keys
        self.paths: list[str] = []

    def verifier(self, document: dict[str, Any], name: str, *paths: str) -> Verifier:
        """The loopback issuer has keys only at these paths."""
        recipe = RECIPES[name]
        self.issuer.jwks[:] = [
            public_jwk(
                getattr(self.keys, key),
                kid,
                use="sig",
                **({"alg": algorithm} if recipe.names_algorithm else {}),
            )
            for algorithm, (key, kid) in KEY_OF.items()
        ]

        def answer(to: Any) -> None:
            self.paths.append(to.path)
            found = not paths or to.path in paths
            body = json.dumps({"keys": self.issuer.jwks}).encode()
            send(to, body if found else b"", 200 if found else 404)

        self.issuer.answer = answer
        here = self.issuer.url.removesuffix("/jwks.json")
        config = Config.from_env(
            {
                "SESSIONS_TABLE": "sessions",
                "ISSUERS": json.dumps(document),
                "ISSUER_SECRET_SUPABASE": SECRET,
            }
        )
        return Verifier(config, fetch=lambda url: fetch(here + urlsplit(url).path, TIMEOUT))


@pytest.fixture
def world(keys) -> Iterator[World]:
    with Issuer() as issuer:
        yield World(issuer, keys)


@pytest.fixture
def verify(world, sign) -> Callable[..., Identity]:
    """Verifies a recipe's token, with changes to its claims, under its documented configuration."""

    def verify(name: str, **changes: Any) -> Identity:
        document = configuration(name)
        path = keys_path(document["issuers"][0], claims(name))
        verifier = world.verifier(document, name, path)
        return verifier.verify(sign(name, claims(name, **changes)))

    return verify


def why(call: Callable[[], Any]) -> str:
    with pytest.raises(Unauthorized) as refused:
        call()
    return refused.value.reason


def without(name: str, path: Any) -> dict[str, Any]:
    """The recipe's claims without the one at this path, as changes."""
    told = claims(name)
    place, steps = told, steps_of(path, told)
    for step in steps[:-1]:
        place = place[step]
    del place[steps[-1]]
    return {steps[0]: told.get(steps[0])}


def steps_of(path: str | list[str], told: dict[str, Any]) -> list[str]:
    if isinstance(path, list):
        return path
    return [path] if path in told else path.split(".")


def test_every_recipe_is_tested_and_every_block_is_a_recipe():
    assert {recipe.configuration or name for name, recipe in RECIPES.items()} == set(CONFIGURATIONS)
    assert {recipe.token or name for name, recipe in RECIPES.items()} == set(TOKENS)
    for name in ("cognito", "auth0", "entra", "keycloak", "okta", "google", "firebase", "clerk"):
        assert any(recipe.startswith(name) for recipe in RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_the_documented_configuration_takes_the_documented_token(verify, name):
    identity, recipe = verify(name), RECIPES[name]
    assert (identity.caller.tenant, identity.caller.user) == (recipe.tenant, recipe.user)
    assert identity.caller.agent is None
    assert {scope for scope in identity.scopes if scope.startswith("sessions:")} == recipe.scopes


@pytest.mark.parametrize("name", RECIPES)
def test_a_token_of_a_stranger_is_refused_without_a_fetch(verify, world, name):
    issuer = claims(name)["iss"]
    strangers = {
        issuer.upper(),
        issuer + "/",
        issuer.rstrip("/") + "x/y",
        issuer.replace(".", "-"),
        f"https://evil.test/{issuer}",
    }
    for stranger in strangers - {issuer}:
        assert why(lambda stranger=stranger: verify(name, iss=stranger)) == "wrong_issuer"
    assert why(lambda: verify(name, iss=None)) == "no_iss"
    assert why(lambda: verify(name, iss=[issuer])) == "wrong_issuer"
    assert world.paths == []


@pytest.mark.parametrize("name", RECIPES)
def test_a_token_for_another_app_is_refused(verify, name):
    [entry] = configuration(name)["issuers"]
    if "audiences" in entry:
        for value in ("other", ["other"], [], None):
            told = why(lambda value=value: verify(name, aud=value))
            assert told in ("wrong_audience", "no_aud")
    if "client_ids" in entry:
        claim = entry.get("client_claim", "client_id")
        for value, reason in (("other", "wrong_client"), ([], "wrong_client"), (None, "no_client")):
            assert why(lambda value=value: verify(name, **{claim: value})) == reason


@pytest.mark.parametrize("name", RECIPES)
def test_a_token_of_another_kind_is_refused(verify, name):
    [entry] = configuration(name)["issuers"]
    for claim, value in entry.get("require", {}).items():
        for other in (None, "other", not value, str(value).lower() + " ", [value]):
            assert why(lambda claim=claim, other=other: verify(name, **{claim: other})) == (
                "wrong_kind"
            )


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "google"])
def test_none_of_the_rights_means_no_rights(verify, name):
    """Fault E4: where an issuer has a claim for rights, none means none."""
    [entry] = configuration(name)["issuers"]
    [path] = entry["rights"]["claims"]
    assert verify(name, **without(name, path)).scopes == frozenset()
    if isinstance(path, str) and path in claims(name):
        for nothing in ([], "", "openid profile", ["Directory.Read.All", "sessions:*"]):
            scopes = verify(name, **{path: nothing}).scopes
            assert not scopes & {"sessions:read", "sessions:write", "sessions:act-for-user"}
        for broken in (7, {"sessions:read": True}, [7], True):
            assert why(lambda broken=broken: verify(name, **{path: broken})) == "not_scopes"


@pytest.mark.parametrize(
    "name", [name for name in RECIPES if "map" in str(CONFIGURATIONS.get(name))]
)
def test_our_own_words_count_for_nothing_where_there_is_a_map(verify, name):
    """So a group that anybody may found cannot be called `sessions:write`."""
    [path] = configuration(name)["issuers"][0]["rights"]["claims"]
    if path in claims(name):
        assert verify(name, **{path: ["sessions:read", "sessions:write"]}).scopes == frozenset()


def test_a_prefix_must_be_there(verify):
    for scope in (
        "sessions:read",
        "shop/sessions:read",
        "Store/sessions:read",
        "store//sessions:read",
    ):
        assert "sessions:read" not in verify("cognito-access", scope=scope).scopes
    assert verify("cognito-access", scope="store/sessions:read").scopes == {"sessions:read"}


@pytest.mark.parametrize(
    "name", [name for name in RECIPES if "tenant_claim" in configuration(name)["issuers"][0]]
)
def test_a_token_without_the_tenant_is_refused(verify, name):
    path = configuration(name)["issuers"][0]["tenant_claim"]
    assert why(lambda: verify(name, **without(name, path))) == "no_tenant_claim"


@pytest.mark.parametrize("name", RECIPES)
def test_a_token_without_the_user_is_refused(verify, name):
    claim = configuration(name)["issuers"][0].get("user_claim", "sub")
    assert why(lambda: verify(name, **{claim: None})) == "no_user_claim"


# Of one provider each


@pytest.mark.parametrize("name", ["cognito-id", "cognito-access"])
def test_the_two_kinds_of_cognitos_tokens_are_not_mixed_up(world, sign, name):
    other = {"cognito-id": "cognito-access", "cognito-access": "cognito-id"}[name]
    verifier = world.verifier(configuration(name), name)
    assert why(lambda: verifier.verify(sign(other, claims(other)))) in ("no_client", "wrong_kind")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("keycloak-organizations", {"acme": {}, "globex": {}}, "not_one_tenant"),
        ("keycloak-organizations", {}, "not_one_tenant"),
        ("keycloak-organizations", ["acme"], "not_one_tenant"),
        ("keycloak-organizations", "acme", "not_one_tenant"),
        ("keycloak-organizations", {"": {}}, "unusable_id"),
        ("keycloak-organizations-list", ["acme", "globex"], "not_one_tenant"),
        ("keycloak-organizations-list", [], "not_one_tenant"),
        ("keycloak-organizations-list", {"acme": {}}, "not_one_tenant"),
        ("keycloak-organizations-list", [["acme"]], "unusable_id"),
        ("keycloak-organizations-list", [None], "no_tenant_claim"),
        ("keycloak-organizations-list", [7], "unusable_id"),
    ],
)
def test_a_token_for_several_organizations_or_none_is_refused(verify, name, value, reason):
    assert why(lambda: verify(name, organization=value)) == reason


OTHER_TID = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
UNKNOWN_TID = "00000000-0000-4000-8000-000000000000"


def test_entras_tid_must_be_that_of_the_issuer(verify, world):
    for tid in (OTHER_TID, UNKNOWN_TID, GLOBEX_AT_ENTRA.upper()):
        assert why(lambda tid=tid: verify("entra-multi", tid=tid)) == "tenant_of_another_issuer"
    stranger = f"https://login.microsoftonline.com/{UNKNOWN_TID}/v2.0"
    assert why(lambda: verify("entra-multi", iss=stranger)) == "tenant_of_another_issuer"
    assert why(lambda: verify("entra-multi", iss=stranger, tid=UNKNOWN_TID)) == (
        "tenant_of_another_issuer"
    )
    assert world.paths == [], "all that is known before anything is fetched"


@pytest.mark.parametrize(
    ("issuer", "accepted"),
    [
        ("https://login.microsoftonline.com/{tenantid}/v2.0", True),
        (f"https://login.microsoftonline.com/{GLOBEX_AT_ENTRA}/v2.0", True),
        (f"https://login.microsoftonline.com/{OTHER_TID}/v2.0", False),
        ("https://login.partner.microsoftonline.cn/{tenantid}/v2.0", False),
        ("https://sts.windows.net/{tenantid}/", False),
    ],
)
def test_entras_keys_sign_only_for_the_issuer_that_they_name(world, sign, issuer, accepted):
    verifier = world.verifier(configuration("entra-multi"), "entra-multi")
    for jwk in world.issuer.jwks:
        jwk["issuer"] = issuer
    token = sign("entra-multi", claims("entra-multi"))
    if accepted:
        assert verifier.verify(token).caller.tenant == GLOBEX_AT_ENTRA
    else:
        assert why(lambda: verifier.verify(token)) == "unknown_key"


def test_each_realm_of_keycloak_has_its_own_keys(world, sign, keys):
    """A realm's administrator cannot sign for another realm."""
    name = "keycloak-realms"
    certs = "/realms/globex/protocol/openid-connect/certs"
    verifier = world.verifier(configuration(name), name, certs)
    assert verifier.verify(sign(name, claims(name))).caller.tenant == "globex"
    acme = claims(name, iss="https://sso.acme.com/realms/acme")
    with pytest.raises(Exception, match="keys cannot be fetched"):
        verifier.verify(sign(name, acme))
    assert world.paths == [certs, "/realms/acme/protocol/openid-connect/certs"]


@pytest.mark.parametrize(
    "realm", ["initech", "ACME", "..", "acme/../globex", "acme%2F", "acme?", "", "a" * 129, "acmé"]
)
def test_a_realm_that_is_not_listed_makes_nobody_fetch(verify, world, realm):
    issuer = f"https://sso.acme.com/realms/{realm}"
    assert why(lambda: verify("keycloak-realms", iss=issuer)) in (
        "wrong_issuer",
        "tenant_of_another_issuer",
    )
    assert world.paths == []


def test_supabases_secret_and_keys_work_together_while_a_project_moves(world, sign, keys):
    document = configuration("supabase")
    document["issuers"][0]["secret_env"] = "ISSUER_SECRET_SUPABASE"
    verifier = world.verifier(document, "supabase")
    told = claims("supabase")
    assert verifier.verify(sign("supabase-secret", told)).caller.tenant == "acme"
    assert world.paths == [], "a secret needs no keys"
    assert verifier.verify(sign("supabase", told)).caller.tenant == "acme"
    for key in (json.dumps(world.issuer.jwks[1]), "another-secret-of-at-least-32-bytes"):
        forged = write({"alg": "HS256", "kid": "ec-1"}, told, hs256(key))
        assert why(lambda forged=forged: verifier.verify(f"Bearer {forged}")) == "wrong_signature"
    unsigned = write({"alg": "none", "kid": "ec-1"}, told, lambda _: b"x")
    assert why(lambda: verifier.verify(f"Bearer {unsigned}")) == "wrong_algorithm"


def test_metadata_that_users_write_themselves_names_no_tenant(verify):
    assert verify("supabase", user_metadata={"tenant": "initech"}).caller.tenant == "acme"
    assert why(
        lambda: verify("supabase", app_metadata={"provider": "email", "store_role": "editor"})
    ) == ("no_tenant_claim")


# All together

TOGETHER = [
    name
    for name in RECIPES
    if name == RECIPES[name].configuration or not RECIPES[name].configuration
]
FIRST_OF_ITS_ISSUER = {
    configuration(name)["issuers"][0]["issuer"]: name for name in reversed(TOGETHER)
}


def all_together() -> dict[str, Any]:
    """One entry of each issuer, each with its own tenants."""
    entries = []
    for name in FIRST_OF_ITS_ISSUER.values():
        [entry] = configuration(name)["issuers"]
        tenant = f"{name}-tenant"
        if "tenant" in entry and entry["tenant"] != "{tid}":
            entry["tenant"] = tenant
        elif "tenants" not in entry:
            entry["tenants"] = [tenant, RECIPES[name].tenant + "-" + name]
        entries.append(entry)
    return {"issuers": entries}


def with_tenant(name: str, tenant: str) -> dict[str, Any]:
    """The recipe's claims, naming another tenant, as if its issuer had signed that."""
    path = configuration(name)["issuers"][0].get("tenant_claim")
    told = claims(name)
    if path is None:
        return told
    place, steps = told, steps_of(path, told)
    for step in steps[:-1]:
        place = place[step]
    form = configuration(name)["issuers"][0].get("tenant_form", "text")
    place[steps[-1]] = {"text": tenant, "list": [tenant], "keys": {tenant: {}}}[form]
    return told


@pytest.mark.parametrize("name", FIRST_OF_ITS_ISSUER.values())
def test_no_issuer_speaks_for_the_tenants_of_another(world, sign, name):
    document = all_together()
    verifier = world.verifier(document, name)
    [entry] = [
        e for e in document["issuers"] if e["issuer"] == configuration(name)["issuers"][0]["issuer"]
    ]
    own = entry.get("tenants", [f"{name}-tenant"])
    told = with_tenant(name, own[0]) if "{tid}" not in entry["issuer"] else claims(name)
    assert verifier.verify(sign(name, told)).caller.tenant in own
    if "tenant_claim" not in entry:
        return
    foreign = {t for e in document["issuers"] for t in e.get("tenants", [e.get("tenant")])} - set(
        own
    )
    assert len(foreign) > 10
    for tenant in {*foreign, "nobody's"}:
        token = sign(name, with_tenant(name, tenant))
        assert why(lambda token=token: verifier.verify(token)) == "tenant_of_another_issuer"


def test_a_recipe_works_through_http(world, sign, make_app):
    verifier = world.verifier(all_together(), "auth0")
    app = make_app(verifier=verifier)
    token = sign("auth0", with_tenant("auth0", "auth0-tenant")).removeprefix("Bearer ")
    alice = Client(app, token)
    session_id = alice.create_session()["session_id"]
    assert alice.get(f"/sessions/{session_id}").status_code == 200
    nothing = with_tenant("auth0", "auth0-tenant") | {"permissions": []}
    answer = Client(app, sign("auth0", nothing).removeprefix("Bearer ")).get("/sessions")
    assert answer.status_code == 403
