"""Invalid tokens, each with one fault in an otherwise good token. All get the same 401 answer."""

import gc
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from werkzeug.datastructures import Headers

from app.config import Config
from app.identity.caller import Caller
from app.identity.tokens import MAX_TOKEN, Verifier
from tests.identity.issuer import (
    Issuer,
    alice,
    asymmetric,
    b64,
    hs256,
    private_jwk,
    public_jwk,
    public_pem,
    unsigned,
    write,
)
from tests.people import SECRET, problem

HS = {"alg": "HS256", "typ": "JWT"}
NOW = int(time.time())
GOOD = hs256(SECRET)
DOT_NONE = ("none", "None", "NONE", "nOnE", "NoNe", " none", "none ", "none\0", "", "n\u00f6ne")


def signed(header: Any = HS, **changes: Any) -> str:
    return write(header, alice(**changes), GOOD)


def raw(payload: str) -> str:
    """A token with a payload that json.dumps would not write, signed with the right secret."""
    return write(HS, payload.replace("EXP", str(NOW + 600)), GOOD)


def as_rs256(keys: Any, **header: Any) -> str:
    return write({"alg": "RS256", "kid": "rsa-1", **header}, alice(), asymmetric(keys.rsa, "RS256"))


def by_forger(keys: Any, **header: Any) -> str:
    """Signed with the forger's own key."""
    sign = asymmetric(keys.other_rsa, "RS256")
    return write({"alg": "RS256", "kid": "rsa-1", **header}, alice(), sign)


def with_signature(change: Callable[[str], str], token: str) -> str:
    head, payload, signature = token.split(".")
    return f"{head}.{payload}.{change(signature)}"


def another_spelling(signature: str) -> str:
    """Changes an unused bit. 32 bytes take 43 characters, and two bits of the last are unused."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]


def of_length(length: int) -> str:
    """An Authorization header of this length, padded with spaces after the scheme."""
    token = signed(filler="x" * (MAX_TOKEN * 5 // 7))
    return "Bearer" + token.rjust(length - len("Bearer"))


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


BY_SECRET: dict[str, Callable[[], str | list[str]]] = {
    # no signature
    **{f"alg {alg!r}, no signature": lambda alg=alg: signed({"alg": alg}) for alg in DOT_NONE},
    **{
        f"alg {alg!r}, empty signature": lambda alg=alg: write({"alg": alg}, alice(), unsigned)
        for alg in ("none", "None", "NONE", "nOnE")
    },
    "alg HS256, empty signature": lambda: write(HS, alice(), unsigned),
    "no alg": lambda: signed({"typ": "JWT"}),
    "alg null": lambda: signed({"alg": None}),
    "alg a list": lambda: signed({"alg": ["HS256"]}),
    "alg an object": lambda: signed({"alg": {"HS256": True}}),
    "alg twice": lambda: signed('{"alg":"none","alg":"HS256"}'),
    "alg in lower case": lambda: signed({"alg": "hs256"}),
    # another key or algorithm
    "another secret": lambda: write(HS, alice(), hs256("another-secret-of-at-least-32-bytes")),
    "no secret": lambda: write(HS, alice(), hs256("")),
    "HS512 of the right secret": lambda: write(
        {"alg": "HS512"}, alice(), hs256(SECRET, "sha512")
    ),
    "HS384 called HS256": lambda: write(HS, alice(), hs256(SECRET, "sha384")),
    "secret in the header": lambda: write(
        {**HS, "jwk": {"kty": "oct", "k": b64(b"x" * 32)}}, alice(), hs256("x" * 32)
    ),
    # parts
    "two parts": lambda: signed().rpartition(".")[0],
    "two parts and a dot": lambda: signed().rpartition(".")[0] + ".",
    "four parts": lambda: signed() + ".x",
    "five parts, as if encrypted": lambda: ".".join([signed(), "x", "y"]),
    "no parts": lambda: "token",
    "empty parts": lambda: "..",
    "no header part": lambda: "." + signed().partition(".")[2],
    "no payload part": lambda: "{0}..{2}".format(*signed().split(".")),
    "payload of another token": lambda: "{}.{}.{}".format(
        signed().split(".")[0], signed(sub="bob").split(".")[1], signed().split(".")[2]
    ),
    "header and payload swapped": lambda: "{1}.{0}.{2}".format(*signed().split(".")),
    "payload cut": lambda: "{}.{}.{}".format(
        *(p[:-4] if n == 1 else p for n, p in enumerate(signed().split(".")))
    ),
    "signature cut": lambda: with_signature(lambda s: s[:-4], signed()),
    "signature cut to nothing but a letter": lambda: with_signature(lambda s: s[:1], signed()),
    "signature extended": lambda: with_signature(lambda s: s + "AAAA", signed()),
    "signature of zeros": lambda: with_signature(lambda s: "A" * len(s), signed()),
    "signature in another spelling": lambda: with_signature(another_spelling, signed()),
    "signature with padding": lambda: with_signature(lambda s: s + "=", signed()),
    "header with padding": lambda: signed().replace(".", "=.", 1),
    "the other base64 alphabet": lambda: with_signature(lambda s: "+/" + s[2:], signed()),
    "a space in the signature": lambda: with_signature(lambda s: f"{s[:9]} {s[9:]}", signed()),
    "100 KB": lambda: signed(filler="x" * 75_000),
    "one character too long": lambda: [of_length(MAX_TOKEN + 1)],
    # JSON
    "header is not JSON": lambda: write("{", alice(), GOOD),
    "header a list": lambda: write([HS], alice(), GOOD),
    "header a string": lambda: write('"HS256"', alice(), GOOD),
    "header is not UTF-8": lambda: write(b'{"alg":"HS256","x":"\xff"}', alice(), GOOD),
    "header nested deeply": lambda: signed(f'{{"alg":"HS256","x":{nested(2000)}}}'),
    "payload is not JSON": lambda: raw("claims"),
    "payload empty": lambda: raw(""),
    "payload a list": lambda: raw('[{"tenant_id":"acme","sub":"alice","exp":EXP}]'),
    "payload a string": lambda: raw('"alice"'),
    "payload null": lambda: raw("null"),
    "payload nested deeply": lambda: raw(
        f'{{"tenant_id":"acme","sub":"alice","exp":EXP,"x":{nested(2500)}}}'
    ),
    "sub twice": lambda: raw('{"tenant_id":"acme","sub":"alice","sub":"bob","exp":EXP}'),
    "tenant twice": lambda: raw(
        '{"tenant_id":"globex","tenant_id":"acme","sub":"alice","exp":EXP}'
    ),
    "exp twice": lambda: raw('{"tenant_id":"acme","sub":"alice","exp":1,"exp":EXP}'),
    "a name twice, far inside": lambda: raw(
        '{"tenant_id":"acme","sub":"alice","exp":EXP,"act":{"sub":"a","sub":"b"}}'
    ),
    # time
    "expired": lambda: signed(exp=NOW - 3600),
    "expired just past the leeway": lambda: signed(exp=int(time.time()) - 31),
    "no exp": lambda: signed(exp=None),
    "exp null": lambda: raw('{"tenant_id":"acme","sub":"alice","exp":null}'),
    "exp a string": lambda: signed(exp=str(NOW + 600)),
    "exp a list": lambda: signed(exp=[NOW + 600]),
    "exp true": lambda: signed(exp=True),
    "exp negative": lambda: signed(exp=-1),
    "exp zero": lambda: signed(exp=0),
    "exp 1e400": lambda: raw('{"tenant_id":"acme","sub":"alice","exp":1e400}'),
    "exp NaN": lambda: raw('{"tenant_id":"acme","sub":"alice","exp":NaN}'),
    "exp Infinity": lambda: raw('{"tenant_id":"acme","sub":"alice","exp":Infinity}'),
    "exp in milliseconds": lambda: signed(exp=(NOW + 600) * 1000),
    "exp of 5,000 digits": lambda: raw(
        f'{{"tenant_id":"acme","sub":"alice","exp":{"9" * 5000}}}'
    ),
    "not valid yet": lambda: signed(nbf=NOW + 3600),
    "not valid until just past the leeway": lambda: signed(nbf=int(time.time()) + 60),
    "nbf a string": lambda: signed(nbf=str(NOW)),
    "nbf 1e400": lambda: raw('{"tenant_id":"acme","sub":"alice","exp":EXP,"nbf":-1e400}'),
    "nbf negative": lambda: signed(nbf=-1),
    "iat negative": lambda: signed(iat=-0.5),
    "issued in the future": lambda: signed(iat=NOW + 3600),
    "iat a string": lambda: signed(iat=str(NOW)),
    # tenant and user
    "no tenant": lambda: signed(tenant_id=None),
    "no user": lambda: signed(sub=None),
    "nothing but exp": lambda: write(HS, {"exp": NOW + 600}, GOOD),
    **{
        f"{claim} {name}": lambda claim=claim, value=value: raw(
            json.dumps({**alice(), claim: value})
        )
        for claim in ("sub", "tenant_id")
        for name, value in {
            "a list": ["alice"],
            "a number": 7,
            "true": True,
            "an object": {"id": "alice"},
            "null": None,
            "empty": "",
            "white space": " \t\u00a0",
            "with white space before it": " alice",
            "with white space after it": "alice\u2003",
            "with a NUL": "alice\0",
            "with a control character": "al\u0085ice",
            "half a surrogate pair": "\ud800",
            "too long for a key": "x" * 2048,
        }.items()
    },
    # act and scope
    **{
        f"act {name}": lambda value=value: raw(json.dumps({**alice(), "act": value}))
        for name, value in {
            "null": None,
            "a string": "agent",
            "empty": {},
            "without sub": {"client_id": "agent"},
            "with an empty sub": {"sub": ""},
            "with white space as sub": {"sub": "  "},
            "with a line feed in sub": {"sub": "agent\n7"},
            "with a list as sub": {"sub": ["agent"]},
            "with a number as sub": {"sub": 5},
            "a list": [{"sub": "agent"}],
        }.items()
    },
    **{
        f"{claim} {name}": lambda claim=claim, value=value: raw(
            json.dumps({**alice(), claim: value})
        )
        for claim in ("scope", "scp", "roles", "permissions")
        for name, value in {
            "null": None,
            "a number": 1,
            "true": True,
            "an object": {"sessions:read": True},
            "a list with a number": ["sessions:read", 1],
        }.items()
    },
    # headers of the token
    "crit": lambda: signed({**HS, "crit": ["exp"]}),
    "crit empty": lambda: signed({**HS, "crit": []}),
    "b64 false": lambda: signed({**HS, "b64": False, "crit": ["b64"]}),
    "b64 true": lambda: signed({**HS, "b64": True}),
    "kid a number": lambda: signed({**HS, "kid": 1}),
    "kid a list": lambda: signed({**HS, "kid": ["a"]}),
    # the header of the request
    "no scheme": lambda: [signed()],
    "another scheme": lambda: ["Basic " + signed()],
    "a scheme that begins like it": lambda: ["Bearerx " + signed()],
    "scheme and token without a space": lambda: ["Bearer" + signed()],
    "nothing after the scheme": lambda: ["Bearer "],
    "junk after the token": lambda: [f"Bearer {signed()} x"],
    "junk before the scheme": lambda: [f"x Bearer {signed()}"],
    "a comma after the token": lambda: [f"Bearer {signed()},"],
    "the token in quotes": lambda: [f'Bearer "{signed()}"'],
    "a tab after the scheme": lambda: [f"Bearer\t{signed()}"],
    "two headers, the same token": lambda: [f"Bearer {signed()}"] * 2,
    "two headers, the forged one first": lambda: ["Bearer a.b.c", f"Bearer {signed()}"],
    "two headers, the forged one last": lambda: [f"Bearer {signed()}", "Bearer a.b.c"],
    "not ASCII": lambda: ["Bearer \u00e9.\u00e9.\u00e9"],
}  # fmt: skip

BY_KEY: dict[str, Callable[[Any], str]] = {
    # key confusion
    "HS256 with the public key as PEM": lambda k: write(
        {"alg": "HS256", "kid": "rsa-1"}, alice(), hs256(public_pem(k.rsa))
    ),
    "HS256 with the public key as PEM, stripped": lambda k: write(
        {"alg": "HS256", "kid": "rsa-1"}, alice(), hs256(public_pem(k.rsa).strip())
    ),
    "HS256 with the public key as JWK": lambda k: write(
        {"alg": "HS256", "kid": "rsa-1"}, alice(), hs256(json.dumps(public_jwk(k.rsa, "rsa-1")))
    ),
    "HS256 with the modulus": lambda k: write(
        {"alg": "HS256", "kid": "rsa-1"}, alice(), hs256(public_jwk(k.rsa)["n"])
    ),
    "HS256 with the EC key as PEM": lambda k: write(
        {"alg": "HS256", "kid": "ec-1"}, alice(), hs256(public_pem(k.ec))
    ),
    "HS256 without a kid": lambda k: write(HS, alice(), hs256(public_pem(k.rsa))),
    "HS256 with a secret": lambda _: signed(),
    "alg none": lambda _: write({"alg": "none", "kid": "rsa-1"}, alice(), unsigned),
    "RS256 of the right key under the EC key's kid": lambda k: as_rs256(k, kid="ec-1"),
    "ES256 of the right key under the RSA key's kid": lambda k: write(
        {"alg": "ES256", "kid": "rsa-1"}, alice(), asymmetric(k.ec, "ES256")
    ),
    "RS512 of the right key": lambda k: write(
        {"alg": "RS512", "kid": "rsa-1"}, alice(), asymmetric(k.rsa, "RS512")
    ),
    "PS256 of the right key": lambda k: write(
        {"alg": "PS256", "kid": "rsa-1"}, alice(), asymmetric(k.rsa, "PS256")
    ),
    "PS256 called RS256": lambda k: write(
        {"alg": "RS256", "kid": "rsa-1"}, alice(), asymmetric(k.rsa, "PS256")
    ),
    "ES256 of a P-384 key that is published": lambda k: write(
        {"alg": "ES256", "kid": "p384-1"}, alice(), asymmetric(k.p384, "ES384")
    ),
    "ES384 of a P-256 key": lambda k: write(
        {"alg": "ES384", "kid": "ec-1"}, alice(), asymmetric(k.ec, "ES256")
    ),
    "ES256 of a P-384 key under the right kid": lambda k: write(
        {"alg": "ES256", "kid": "ec-1"}, alice(), asymmetric(k.p384, "ES384")
    ),
    "ES256 with r = s = 0": lambda _: write(
        {"alg": "ES256", "kid": "ec-1"}, alice(), lambda _: bytes(64)
    ),
    "ES256 in DER": lambda k: write(
        {"alg": "ES256", "kid": "ec-1"},
        alice(),
        lambda message: k.ec.sign(message, ecdsa_sha256()),
    ),
    # another key
    "another RSA key": by_forger,
    "another EC key": lambda k: write(
        {"alg": "ES256", "kid": "ec-1"}, alice(), asymmetric(k.other_ec, "ES256")
    ),
    "RS256 cut": lambda k: as_rs256(k)[:-8],
    "RS256 in another spelling": lambda k: with_signature(another_spelling, as_rs256(k)),
    "RS256 of zeros": lambda _: write(
        {"alg": "RS256", "kid": "rsa-1"}, alice(), lambda _: bytes(256)
    ),
    # kid
    "no kid, several keys": lambda k: write(
        {"alg": "RS256"}, alice(), asymmetric(k.rsa, "RS256")
    ),
    **{
        f"kid {kid!r}": lambda k, kid=kid: as_rs256(k, kid=kid)
        for kid in (
            "unknown", "", "RSA-1", "rsa-1 ", "rsa-1\0", "../../../../dev/null", "/dev/null",
            "' OR '1'='1", "rsa-1'; DROP TABLE keys; --", "http://127.0.0.1:1/", "x" * 2000,
            None, 1, True, ["rsa-1"], {"kid": "rsa-1"},
        )
    },
}  # fmt: skip

AT_THE_FORGERS: dict[str, Callable[[Any, str], dict[str, Any]]] = {
    "jku": lambda _, url: {"jku": url},
    "jku and an unknown kid": lambda _, url: {"jku": url, "kid": "forger-1"},
    "x5u": lambda _, url: {"x5u": url},
    "x5u and an unknown kid": lambda _, url: {"x5u": url, "kid": "forger-1"},
    "kid an address": lambda _, url: {"kid": url},
    "iss-like header": lambda _, url: {"iss": url, "kid": "forger-1"},
    "jwk": lambda k, _: {"jwk": public_jwk(k.other_rsa, "rsa-1")},
    "jwk and no kid": lambda k, _: {"jwk": public_jwk(k.other_rsa), "kid": None},
    "jwk with the private part": lambda k, _: {"jwk": private_jwk(k.other_rsa, "rsa-1")},
    "x5c": lambda k, _: {"x5c": [b64(public_pem(k.other_rsa))]},
}

MISDIRECTED = {
    "no iss": {"iss": None},
    "another iss": {"iss": "https://issuer.example.com.evil.io/"},
    "iss that begins like it": {"iss": "https://issuer.example.com"},
    "part of the iss": {"iss": "https://"},
    "iss empty": {"iss": ""},
    "iss a list": {"iss": ["https://issuer.example.com/"]},
    "no aud": {"aud": None},
    "another aud": {"aud": "billing"},
    "aud that begins like it": {"aud": "sessions-api-2"},
    "aud empty": {"aud": ""},
    "aud an empty list": {"aud": []},
    "aud a list of others": {"aud": ["billing", "sessions"]},
    "aud a list with a number": {"aud": ["sessions-api", 1]},
    "aud an object": {"aud": {"sessions-api": True}},
}

OURS = {"jwt_issuer": "https://issuer.example.com/", "jwt_audience": "sessions-api"}


def ecdsa_sha256() -> Any:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    return ECDSA(SHA256())


def ask(app: Any, token: str | list[str]) -> Any:
    """Lists sessions with this token, or with these Authorization headers."""
    told = [f"Bearer {token}"] if isinstance(token, str) else token
    headers = Headers([("Authorization", value) for value in told])
    return app.test_client().get("/api/v1/sessions", headers=headers)


def refused(answer: Any) -> None:
    """Checks the exact answer that every bad token gets."""
    body = problem(answer, 401, "UNAUTHORIZED")
    del body["request_id"]
    assert body == {
        "type": "urn:problem-type:unauthorized",
        "title": "Unauthorized",
        "status": 401,
        "detail": "A valid bearer token is required.",
        "code": "UNAUTHORIZED",
        "errors": [],
    }
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="sessions", error="invalid_token"'
    assert set(answer.headers.keys()) == {
        "Cache-Control",
        "Content-Length",
        "Content-Type",
        "Should-Retry",
        "Vary",
        "WWW-Authenticate",
        "X-Request-Id",
    }


@pytest.mark.parametrize("name", BY_SECRET)
def test_a_bad_token_under_a_secret_is_refused(app_with, name):
    refused(ask(app_with(), BY_SECRET[name]()))


@pytest.mark.parametrize("name", BY_KEY)
def test_a_bad_token_under_published_keys_is_refused(app_with, issuer, keys, name):
    refused(ask(app_with(jwt_jwks_url=issuer.url), BY_KEY[name](keys)))


@pytest.mark.parametrize("name", AT_THE_FORGERS)
def test_a_token_that_names_its_own_key_is_refused_without_fetching_it(
    app_with, issuer, keys, name
):
    with Issuer(public_jwk(keys.other_rsa, "rsa-1"), public_jwk(keys.other_rsa, "forger-1")) as its:
        header = {"alg": "RS256", "kid": "rsa-1", **AT_THE_FORGERS[name](keys, its.url)}
        header = {name: value for name, value in header.items() if value is not None}
        token = write(header, alice(), asymmetric(keys.other_rsa, "RS256"))
        refused(ask(app_with(jwt_jwks_url=issuer.url), token))
        assert its.requests == 0


@pytest.mark.parametrize("changes", MISDIRECTED.values(), ids=MISDIRECTED)
def test_a_token_for_another_issuer_or_audience_is_refused(app_with, changes):
    claims = alice(**{"iss": OURS["jwt_issuer"], "aud": OURS["jwt_audience"], **changes})
    refused(ask(app_with(**OURS), write(HS, claims, GOOD)))


@pytest.mark.parametrize("levels", range(900, 1000, 5))
def test_no_depth_of_nesting_causes_a_server_error(app_with, levels):
    """The depth at which Python's parser fails depends on the frames of its callers."""
    for token in (
        signed(f'{{"alg":"HS256","x":{nested(levels)}}}'),
        raw(f'{{"tenant_id":"acme","sub":"alice","exp":EXP,"x":{nested(levels)}}}'),
    ):
        assert ask(app_with(), token).status_code in (200, 401)


LOOKALIKES: dict[str, Callable[[str], str]] = {
    "signature of zeros": lambda token: with_signature(lambda s: "A" * len(s), token),
    "signature in another spelling": lambda token: with_signature(another_spelling, token),
    "signature cut": lambda token: token[:-1],
    "no signature": lambda token: token.rpartition(".")[0] + ".",
    "header of alg none": lambda token: b64(b'{"alg":"none"}') + token[token.index(".") :],
    "another user": lambda token: "{}.{}.{}".format(
        token.split(".")[0], b64(json.dumps(alice(sub="bob")).encode()), token.split(".")[2]
    ),
}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_a_remembered_token_does_not_make_a_similar_one_valid(app_with, name):
    """What is remembered holds only for exactly the same token."""
    good = signed()
    for _ in range(2):
        assert ask(app_with(), good).status_code == 200
    refused(ask(app_with(), LOOKALIKES[name](good)))
    assert ask(app_with(), good).status_code == 200


def test_a_remembered_token_still_expires(app_with):
    """Tried within the leeway of 30 s, with seconds to spare for a busy machine, and after it."""
    app = app_with()
    expired_at = int(time.time()) - 25
    token = signed(exp=expired_at)
    for _ in range(2):
        assert ask(app, token).status_code == 200
    time.sleep(expired_at + 31 - time.time())
    refused(ask(app, token))


def test_the_number_of_remembered_tokens_is_limited():
    """A client can request any number of tokens from the issuer."""
    verifier = Verifier(Config(sessions_table="none", jwt_secret=SECRET))

    def callers() -> int:
        return sum(isinstance(found, Caller) for found in gc.get_objects())

    before = callers()
    for number in range(2_500):
        verifier.verify(f"Bearer {signed(sub=f'user-{number}')}")
    assert callers() - before <= 1_000


def test_a_token_remembered_by_one_app_can_be_invalid_for_another(app_with):
    token = signed()
    assert ask(app_with(), token).status_code == 200
    refused(ask(app_with(**OURS), token))
    refused(ask(app_with(jwt_tenant_claim="org_id"), token))
    refused(ask(app_with(jwt_secret="another-secret-of-at-least-32-bytes"), token))


def test_a_missing_header_is_refused_without_an_error_code(app_with):
    """RFC 6750 section 3.1: if no token was sent, the challenge names no error."""
    answer = app_with().test_client().get("/api/v1/sessions")
    body = problem(answer, 401, "UNAUTHORIZED")
    assert body["detail"] == "A valid bearer token is required."
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="sessions"'


def test_a_token_outside_the_header_is_ignored(app_with):
    client = app_with().test_client()
    assert client.get(f"/api/v1/sessions?access_token={signed()}").status_code == 401
    client.set_cookie("Authorization", f"Bearer {signed()}")
    client.set_cookie("access_token", signed())
    assert client.get("/api/v1/sessions").status_code == 401
    form = client.post("/api/v1/sessions", data={"access_token": signed()})
    assert form.status_code == 401


def test_the_attack_suite_has_not_shrunk():
    assert len(BY_SECRET) + len(BY_KEY) + len(AT_THE_FORGERS) + len(MISDIRECTED) >= 150


# Good tokens, made in the same way as the bad ones above.

ACCEPTED: dict[str, Callable[[], str | list[str]]] = {
    "as made above": signed,
    "as made by PyJWT": lambda: jwt.encode(alice(), SECRET, "HS256"),
    "without typ": lambda: signed({"alg": "HS256"}),
    "another typ": lambda: signed({"alg": "HS256", "typ": "at+jwt"}),
    "expired within the leeway": lambda: signed(exp=int(time.time()) - 20),
    "not valid before, within the leeway": lambda: signed(nbf=int(time.time()) + 20),
    "issued in the future, within the leeway": lambda: signed(iat=int(time.time()) + 20),
    "times with fractions": lambda: signed(exp=NOW + 600.5, iat=NOW - 0.5, nbf=NOW - 0.25),
    "nbf and iat in the past": lambda: signed(nbf=NOW - 5, iat=NOW - 5),
    "nbf and iat of 1970": lambda: signed(nbf=0, iat=0),
    "a kid, which means nothing here": lambda: signed({**HS, "kid": "k"}),
    "claims of no concern": lambda: signed(email="a@example.com", groups=["x"], deep=[[[{}]]]),
    "an aud where none is configured": lambda: signed(aud="somebody"),
    "act": lambda: signed(act={"sub": "agent"}),
    "a chain of actors": lambda: signed(act={"sub": "agent", "act": {"sub": "another"}}),
    "scope": lambda: signed(scope="openid sessions:read"),
    "scp a list": lambda: signed(scp=["sessions:read"]),
    "scheme in lower case": lambda: [f"bearer {signed()}"],
    "scheme in upper case": lambda: [f"BEARER {signed()}"],
    "more than one space": lambda: [f"Bearer   {signed()}"],
    "as long as may be": lambda: [of_length(MAX_TOKEN)],
    "an id with everything in it": lambda: signed(sub="a#b%/ ü😀", tenant_id="x|y"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_good_token_under_a_secret_is_accepted(app_with, name):
    answer = ask(app_with(), ACCEPTED[name]())
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("kid", "algorithm", "key"),
    [("rsa-1", "RS256", "rsa"), ("ec-1", "ES256", "ec"), ("p384-1", "ES384", "p384")],
)
def test_a_good_token_under_a_published_key_is_accepted(
    app_with, issuer, keys, kid, algorithm, key
):
    sign = asymmetric(getattr(keys, key), algorithm)
    token = write({"alg": algorithm, "kid": kid}, alice(), sign)
    assert ask(app_with(jwt_jwks_url=issuer.url), token).status_code == 200


def test_a_pointer_to_another_key_changes_nothing_for_a_good_token(app_with, issuer, keys):
    with Issuer() as elsewhere:
        token = as_rs256(keys, jku=elsewhere.url, x5u=elsewhere.url)
        assert ask(app_with(jwt_jwks_url=issuer.url), token).status_code == 200
        assert elsewhere.requests == 0


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", "rsa"), ("ES256", "ec")])
@pytest.mark.parametrize("published_kid", ["only", None])
def test_a_token_without_kid_is_accepted_if_there_is_only_one_key(
    app_with, keys, algorithm, key, published_kid
):
    with Issuer(public_jwk(getattr(keys, key), published_kid)) as issuer:
        token = write({"alg": algorithm}, alice(), asymmetric(getattr(keys, key), algorithm))
        assert ask(app_with(jwt_jwks_url=issuer.url), token).status_code == 200


@pytest.mark.parametrize("aud", ["sessions-api", ["billing", "sessions-api"]], ids=str)
def test_the_configured_issuer_and_audience_are_accepted(app_with, aud):
    claims = alice(iss=OURS["jwt_issuer"], aud=aud)
    assert ask(app_with(**OURS), write(HS, claims, GOOD)).status_code == 200


SPACE = "https://example.com/"


@pytest.mark.parametrize(
    ("tenant_claim", "user_claim", "claims"),
    [
        ("custom:tenant_id", "sub", {"custom:tenant_id": "acme", "sub": "alice"}),
        (f"{SPACE}tenant", "sub", {f"{SPACE}tenant": "acme", "sub": "alice"}),
        ("org_id", "sub", {"org_id": "acme", "sub": "alice"}),
        ("org.id", "sub", {"org": {"id": "acme"}, "sub": "alice"}),
        ("org.id", "sub", {"org.id": "acme", "org": {"id": "globex"}, "sub": "alice"}),
        ("tenant_id", f"{SPACE}user", {"tenant_id": "acme", f"{SPACE}user": "alice"}),
        ("a.b.c", "user.name", {"a": {"b": {"c": "acme"}}, "user": {"name": "alice"}, "sub": "x"}),
        ("tenant_id", "email", {"tenant_id": "acme", "email": "alice"}),
    ],
)  # fmt: skip
def test_tenant_and_user_come_from_the_configured_claims(
    app_with, logged, tenant_claim, user_claim, claims
):
    app = app_with(jwt_tenant_claim=tenant_claim, jwt_user_claim=user_claim)
    assert ask(app, write(HS, {**claims, "exp": NOW + 600}, GOOD)).status_code == 200
    assert (logged[-1]["tenant"], logged[-1]["user"]) == ("acme", "alice")


@pytest.mark.parametrize(
    "claims",
    [
        {"tenant_id": "acme"},
        {"org": "acme"},
        {"org": {"id": {"id": "acme"}}},
        {"org": {"ID": "acme"}},
        {"org": ["id"]},
        {"org": None},
        {"org.id": None, "org": {"id": "acme"}},
    ],
    ids=str,
)
def test_a_token_without_the_configured_claim_is_refused(app_with, claims):
    claims = {"sub": "alice", "exp": NOW + 600, **claims}
    refused(ask(app_with(jwt_tenant_claim="org.id"), write(HS, claims, GOOD)))


def test_identities_from_a_gateway_are_ignored(app_with):
    """Values that a gateway or proxy may have added to the request do not count."""
    forged = {
        "API_GATEWAY_AUTHORIZER": {"tenant": "acme", "user": "alice", "principalId": "acme#alice"},
        "serverless.authorizer": {"tenant": "acme", "user": "alice"},
        "lambda.event": {"requestContext": {"authorizer": {"tenant": "acme", "user": "alice"}}},
        "REMOTE_USER": "alice",
        "HTTP_X_TENANT_ID": "acme",
        "HTTP_X_USER_ID": "alice",
        "HTTP_X_FORWARDED_USER": "alice",
    }
    answer = app_with().test_client().get("/api/v1/sessions", environ_overrides=forged)
    assert answer.status_code == 401
