"""Several issuers at once: each with its keys, and none in the way of another."""

import gc
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.config import Config
from app.errors import IssuerMisconfigured, Unauthorized, Unavailable
from app.identity import gateway
from app.identity.jwks import MAX_KEYS, Jwks
from app.identity.tokens import _REASONS, Verifier
from app.operations.token_check import REASONS
from tests.identity.issuer import Issuer, alice, asymmetric, hs256, public_jwk, send, write
from tests.identity.test_jwks import Hanging, in_thread
from tests.identity.test_refusals import BY_SECRET, MISDIRECTED, tells
from tests.people import SECRET, Client, problem

ROOT = Path(__file__).parents[2]

ACME, GLOBEX = "https://login.acme.test/", "https://login.globex.test/"


@pytest.fixture(scope="module")
def table(module_table):
    """One table for all tests here. They compare what changed, not what the table holds."""
    return module_table


@pytest.fixture
def two(keys) -> Iterator[tuple[Issuer, Issuer]]:
    with (
        Issuer(public_jwk(keys.rsa, "k")) as acme,
        Issuer(public_jwk(keys.other_rsa, "k")) as globex,
    ):
        yield acme, globex


def entry(name: str, **changes: Any) -> dict[str, Any]:
    usual = {
        "issuer": name,
        "audiences": ["store"],
        "tenant_claim": "tenant_id",
        "rights": {"claims": ["scope"]},
    }
    return {**usual, **changes}


def text(*entries: dict[str, Any]) -> str:
    return json.dumps({"issuers": entries})


def both(two: tuple[Issuer, Issuer]) -> str:
    acme, globex = two
    return text(
        entry(ACME, jwks_url=acme.url, tenants=["acme"]),
        entry(GLOBEX, jwks_url=globex.url, tenants=["globex", "initech"]),
    )


def verifier_of(issuers: str, **secrets: str) -> Verifier:
    return Verifier(Config(sessions_table="none", issuers=issuers, issuer_secrets=secrets))


def of_acme(keys: Any, header: dict[str, Any] | None = None, **changes: Any) -> str:
    return write(
        {"alg": "RS256", "kid": "k", **(header or {})},
        alice(**{"iss": ACME, "aud": "store", "scope": "sessions:read", **changes}),
        asymmetric(keys.rsa, "RS256"),
    )


def of_globex(keys: Any, **changes: Any) -> str:
    return write(
        {"alg": "RS256", "kid": "k"},
        alice(
            **{"iss": GLOBEX, "aud": "store", "tenant_id": "globex", "sub": "charlie", **changes}
        ),
        asymmetric(keys.other_rsa, "RS256"),
    )


def why(verifier: Verifier, token: str) -> str:
    with pytest.raises(Unauthorized) as refused:
        verifier.verify(f"Bearer {token}")
    return refused.value.reason


def test_each_issuer_is_verified_with_its_own_keys(two, keys):
    verifier = verifier_of(both(two))
    assert verifier.verify(f"Bearer {of_acme(keys)}").caller.tenant == "acme"
    assert verifier.verify(f"Bearer {of_globex(keys)}").caller.tenant == "globex"
    crossed = write(
        {"alg": "RS256", "kid": "k"},
        alice(iss=ACME, aud="store"),
        asymmetric(keys.other_rsa, "RS256"),
    )
    assert why(verifier, crossed) == "wrong_signature"


def test_an_issuer_that_signs_for_anothers_tenant_is_refused_without_a_fetch(two, keys):
    verifier = verifier_of(both(two))
    assert why(verifier, of_globex(keys, tenant_id="acme")) == "tenant_of_another_issuer"
    assert why(verifier, of_acme(keys, tenant_id="globex")) == "tenant_of_another_issuer"
    assert why(verifier, of_acme(keys, tenant_id="Acme")) == "tenant_of_another_issuer"
    assert why(verifier, of_acme(keys, tenant_id="nobody")) == "tenant_of_another_issuer"
    assert [issuer.requests for issuer in two] == [0, 0]


def test_an_issuer_without_a_list_has_all_tenants_that_are_not_anothers(two, keys):
    acme, globex = two
    verifier = verifier_of(
        text(
            entry(ACME, jwks_url=acme.url),
            entry(GLOBEX, jwks_url=globex.url, tenants=["globex"]),
        )
    )
    for tenant in ("acme", "anybody", "globex2", "GLOBEX"):
        identity = verifier.verify(f"Bearer {of_acme(keys, tenant_id=tenant)}")
        assert identity.caller.tenant == tenant
    assert why(verifier, of_acme(keys, tenant_id="globex")) == "tenant_of_another_issuer"


def test_a_fixed_tenant_is_not_read_from_the_token(two, keys):
    acme, _ = two
    fixed = entry(ACME, jwks_url=acme.url, tenant="acme")
    del fixed["tenant_claim"]
    verifier = verifier_of(text(fixed))
    identity = verifier.verify(f"Bearer {of_acme(keys, tenant_id='globex')}")
    assert identity.caller.tenant == "acme"


def test_an_exact_issuer_comes_before_a_pattern(two, keys):
    """So a tenant with an entry of its own is not under the pattern's rules."""
    acme, globex = two
    own = entry("https://login.test/acme/", jwks_url=acme.url, tenant="acme")
    del own["tenant_claim"]
    others = entry("https://login.test/{tid}/", jwks_url=globex.url)
    for entries in ((own, others), (others, own)):
        verifier = verifier_of(text(*entries))
        mine = of_acme(keys, iss="https://login.test/acme/", tenant_id=None)
        assert verifier.verify(f"Bearer {mine}").caller.tenant == "acme"
        forged = of_globex(keys, iss="https://login.test/acme/", tenant_id="acme")
        assert why(verifier, forged) == "wrong_signature"
        elsewhere = of_globex(keys, iss="https://login.test/initech/", tenant_id="acme")
        assert why(verifier, elsewhere) == "tenant_of_another_issuer"
        right = of_globex(keys, iss="https://login.test/initech/", tenant_id="initech")
        assert verifier.verify(f"Bearer {right}").caller.tenant == "initech"


def test_users_of_two_issuers_never_meet(two, keys, make_app):
    """The same user id of another issuer is in another tenant, and so another user."""
    app = make_app(verifier=verifier_of(both(two)))
    scope = "sessions:read sessions:write"
    hers = Client(app, of_acme(keys, scope=scope))
    his = Client(app, of_globex(keys, scope=scope, sub="alice"))
    session_id = hers.create_session()["session_id"]
    assert hers.get(f"/sessions/{session_id}").status_code == 200
    assert his.get(f"/sessions/{session_id}").status_code == 404
    forged = Client(app, of_globex(keys, scope=scope, sub="alice", tenant_id="acme"))
    problem(forged.get(f"/sessions/{session_id}"), 401, "UNAUTHORIZED")


def test_a_token_without_the_claim_for_rights_may_do_nothing(two, keys, make_app):
    app = make_app(verifier=verifier_of(both(two)))
    assert Client(app, of_acme(keys)).get("/sessions").status_code == 200
    silent = Client(app, of_acme(keys, scope=None, roles=["sessions:read"]))
    problem(silent.get("/sessions"), 403, "INSUFFICIENT_SCOPE")


def test_a_secret_of_one_issuer_signs_for_no_other(two, keys):
    acme, _ = two
    verifier = verifier_of(
        text(
            entry(ACME, jwks_url=acme.url, tenants=["acme"]),
            entry(GLOBEX, secret_env="ISSUER_SECRET_GLOBEX", tenants=["globex"]),
        ),
        ISSUER_SECRET_GLOBEX=SECRET,
    )
    told = {"aud": "store", "sub": "charlie"}
    hs = {"alg": "HS256", "kid": "k"}
    good = write(hs, alice(iss=GLOBEX, tenant_id="globex", **told), hs256(SECRET))
    assert verifier.verify(f"Bearer {good}").caller.tenant == "globex"
    forged = write(hs, alice(iss=ACME, tenant_id="acme", **told), hs256(SECRET))
    assert why(verifier, forged) == "wrong_algorithm"


# Keys


def test_an_issuer_that_hangs_does_not_delay_the_tokens_of_another(two, keys):
    acme, globex = two
    verifier = verifier_of(both(two))
    hanging = Hanging(acme)
    waiting = [in_thread(verifier.verify, f"Bearer {of_acme(keys, sub=f'a{n}')}") for n in range(5)]
    assert hanging.asked.wait(10)
    for n in range(5):
        thread, given = in_thread(verifier.verify, f"Bearer {of_globex(keys, sub=f'c{n}')}")
        thread.join(10)
        assert [identity.caller.tenant for identity in given] == ["globex"]
    assert [given for _, given in waiting] == [[]] * 5, "still waiting meanwhile"
    hanging.go_on.set()
    for thread, given in waiting:
        thread.join(10)
        assert [identity.caller.tenant for identity in given] == ["acme"]
    assert [acme.requests, globex.requests] == [1, 1]


def test_an_issuer_that_is_down_or_misconfigured_affects_no_other(two, keys):
    acme, globex = two
    verifier = verifier_of(both(two))
    acme.answer = lambda to: send(to, b"down", 503)
    with pytest.raises(Unavailable):
        verifier.verify(f"Bearer {of_acme(keys)}")
    assert verifier.verify(f"Bearer {of_globex(keys)}").caller.tenant == "globex"


def test_junk_for_one_issuer_causes_no_fetch_of_another(two, keys):
    acme, globex = two
    verifier = verifier_of(both(two))
    verifier.verify(f"Bearer {of_acme(keys)}")
    for n in range(50):
        assert why(verifier, of_acme(keys, {"kid": f"junk-{n}"})) == "unknown_key"
    assert [acme.requests, globex.requests] == [1, 0]
    assert verifier.verify(f"Bearer {of_globex(keys)}").caller.tenant == "globex"


def test_keys_by_tenant_are_as_many_as_the_tenants_used(keys):
    with Issuer(public_jwk(keys.rsa, "k")) as issuer:
        url = issuer.url.replace("jwks.json", "{tid}/jwks.json")
        tenants = ["acme", "globex", "initech"]
        realm = entry("https://sso.test/{tid}", jwks_url=url, tenants=tenants, tenant="{tid}")
        del realm["tenant_claim"]
        verifier = verifier_of(text(realm))

        def caches() -> int:
            return sum(isinstance(found, Jwks) for found in gc.get_objects())

        before = caches()
        for _ in range(3):
            for tenant in ("acme", "globex"):
                token = of_acme(keys, iss=f"https://sso.test/{tenant}", jti=tenant)
                assert verifier.verify(f"Bearer {token}").caller.tenant == tenant
            for n in range(20):
                why(verifier, of_acme(keys, iss=f"https://sso.test/junk{n}"))
        assert caches() - before <= 2
        assert issuer.requests == 2


def test_threads_that_ask_for_a_realm_at_once_fetch_once(keys):
    with Issuer(public_jwk(keys.rsa, "k")) as issuer:
        url = issuer.url.replace("jwks.json", "{tid}/jwks.json")
        realm = entry("https://sso.test/{tid}", jwks_url=url, tenants=["acme"])
        verifier = verifier_of(text(realm))
        barrier = threading.Barrier(8)

        def work(n: int) -> str:
            barrier.wait(10)
            token = of_acme(keys, iss="https://sso.test/acme", sub=f"u{n}")
            return verifier.verify(f"Bearer {token}").caller.tenant

        threads = [in_thread(work, n) for n in range(8)]
        for thread, given in threads:
            thread.join(10)
            assert given == ["acme"]
        assert issuer.requests == 1


def test_too_many_keys_are_refused_as_a_whole(keys, logged):
    jwks = [public_jwk(keys.rsa, f"k{n}") for n in range(MAX_KEYS)]
    with Issuer(*jwks) as issuer:
        assert Jwks(issuer.url).key("k0")
        issuer.jwks.append(public_jwk(keys.rsa, "one more"))
        with pytest.raises(Unavailable):
            Jwks(issuer.url).key("k0")
    assert logged[-1]["reason"] == "too_many_keys"


@pytest.mark.parametrize(
    ("members", "algorithms", "accepted"),
    [
        ({}, None, "RS256"),
        ({}, ["PS256"], "PS256"),
        ({}, ["ES256", "RS512", "RS256"], "RS512"),
        ({"alg": "RS384"}, None, "RS384"),
        ({"alg": "RS384"}, ["RS256", "RS384"], "RS384"),
        ({"alg": "RS384"}, ["RS256"], None),
        ({}, ["ES256", "EdDSA"], None),
    ],
)
def test_an_issuers_algorithms_narrow_what_its_keys_verify(keys, members, algorithms, accepted):
    """A key has one algorithm: its `alg`, or the first configured one that fits its type."""
    with Issuer(public_jwk(keys.rsa, "k", **members)) as issuer:
        changes = {"algorithms": algorithms} if algorithms else {}
        verifier = verifier_of(text(entry(ACME, jwks_url=issuer.url, **changes)))
        for algorithm in ("RS256", "RS384", "RS512", "PS256"):
            token = write(
                {"alg": algorithm, "kid": "k"},
                alice(iss=ACME, aud="store"),
                asymmetric(keys.rsa, algorithm),
            )
            if algorithm == accepted:
                assert verifier.verify(f"Bearer {token}").caller.user == "alice"
            elif accepted:
                assert why(verifier, token) == "wrong_algorithm"
            else:
                with pytest.raises(IssuerMisconfigured):
                    verifier.verify(f"Bearer {token}")


# The log, and the authorizer

BY_ISSUER: dict[str, dict[str, Any]] = {
    "tenant_of_another_issuer": {"tenant_id": ["globex"]},
    "not_one_tenant": {"tenant_id": ["acme", "globex"]},
    "no_client": {"azp": None},
    "wrong_client": {"azp": "elsewhere"},
    "wrong_kind": {"typ": "billing"},
}


@pytest.mark.parametrize("reason", BY_ISSUER)
def test_the_log_says_why_an_issuer_was_not_believed(two, keys, make_app, logged, reason):
    mine = entry(
        ACME,
        jwks_url=two[0].url,
        client_ids=["web"],
        client_claim="azp",
        require={"typ": "Bearer"},
        tenant_form="list",
        tenants=["acme"],
    )
    app = make_app(verifier=verifier_of(text(mine)))
    good = {"tenant_id": ["acme"], "azp": "web", "typ": "Bearer"}
    assert Client(app, of_acme(keys, **good)).get("/sessions").status_code == 200
    bad = Client(app, of_acme(keys, **{**good, **BY_ISSUER[reason]}))
    problem(bad.get("/sessions"), 401, "UNAUTHORIZED")
    tells(logged[-1], reason)


def test_every_reason_is_documented_and_told_in_plain_words():
    sources = "".join(file.read_text() for file in (ROOT / "app/identity").glob("*.py"))
    raised = set(re.findall(r'(?:InvalidToken\(|Unauthorized\(.*reason=)"(\w+)"', sources))
    assert raised >= {"no_token", "tenant_of_another_issuer", "not_scopes", "malformed"}
    reasons = {*raised, *_REASONS.values(), *BY_SECRET, *MISDIRECTED, *BY_ISSUER, "ambiguous_key"}
    assert reasons | {"no_exp", "invalid"} == set(REASONS)
    told = (ROOT / "docs/identity.md").read_text()
    assert {reason for reason in reasons if f"`{reason}`" not in told} == set()


def test_the_authorizer_reads_the_same_issuers(two, keys, monkeypatch, tmp_path):
    file = tmp_path / "issuers.json"
    file.write_text(both(two))
    for name in ("JWT_SECRET", "JWT_JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SESSIONS_TABLE", "sessions")
    monkeypatch.setenv("ISSUERS_FILE", str(file))
    gateway._verifier.cache_clear()
    arn = "arn:aws:execute-api:eu-central-1:1:a/production"

    def ask(token: str) -> Any:
        event = {"authorizationToken": f"Bearer {token}", "methodArn": f"{arn}/GET/api"}
        return gateway.handler(event, None)

    assert ask(of_acme(keys))["context"] == {"tenant": "acme", "user": "alice", "agent": ""}
    assert ask(of_globex(keys))["context"]["tenant"] == "globex"
    with pytest.raises(Exception, match="^Unauthorized$"):
        ask(of_globex(keys, tenant_id="acme"))
    gateway._verifier.cache_clear()
