"""The issuer's keys: fetched once, rotated, and kept while the issuer is away. The issuer is a real
server on loopback; only the clock is ours."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.config import Config
from app.errors import Unauthorized, Unavailable
from app.identity.jwks import LIFETIME, PAUSE, Jwks
from app.identity.tokens import Verifier
from tests.identity.issuer import (
    Issuer,
    alice,
    asymmetric,
    b64,
    ec_key,
    hs256,
    private_jwk,
    public_jwk,
    public_pem,
    rsa_key,
    send,
    write,
)
from tests.people import Client, problem


@pytest.fixture(scope="module")
def table(module_table):
    """One for all tests here: they look at what changed, not at all there is."""
    return module_table


class Seconds:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def one_key(keys):
    with Issuer(public_jwk(keys.rsa, "rsa-1")) as issuer:
        yield issuer


@pytest.fixture
def verifier(one_key, seconds):
    config = Config(sessions_table="none", jwt_jwks_url=one_key.url)
    return Verifier(config, Jwks(one_key.url, clock=seconds))


def token(key: Any, kid: str | None) -> str:
    algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
    header = {"alg": algorithm, **({"kid": kid} if kid else {})}
    return "Bearer " + write(header, alice(), asymmetric(key, algorithm))


def is_refused(verifier: Verifier, authorization: str) -> bool:
    try:
        verifier.verify(authorization)
    except Unauthorized:
        return True
    return False


def test_the_keys_are_fetched_once_for_many_requests(verifier, one_key, keys, seconds):
    for _ in range(20):
        assert verifier.verify(token(keys.rsa, "rsa-1")).caller.user == "alice"
        seconds.move(PAUSE)
    assert one_key.requests == 1


def test_no_keys_are_fetched_before_there_is_a_token(one_key, seconds):
    Verifier(
        Config(sessions_table="none", jwt_jwks_url=one_key.url), Jwks(one_key.url, clock=seconds)
    )
    assert one_key.requests == 0


def test_the_keys_are_fetched_again_after_their_lifetime(verifier, one_key, keys, seconds):
    verifier.verify(token(keys.rsa, "rsa-1"))
    seconds.move(LIFETIME)
    verifier.verify(token(keys.rsa, "rsa-1"))
    assert one_key.requests == 1
    seconds.move(1)
    verifier.verify(token(keys.rsa, "rsa-1"))
    verifier.verify(token(keys.rsa, "rsa-1"))
    assert one_key.requests == 2


def test_a_new_key_is_picked_up_by_one_fetch(verifier, one_key, keys, seconds):
    verifier.verify(token(keys.rsa, "rsa-1"))
    one_key.jwks.append(public_jwk(keys.other_rsa, "rsa-2"))
    seconds.move(PAUSE)
    for _ in range(5):
        assert verifier.verify(token(keys.other_rsa, "rsa-2")).caller.user == "alice"
        assert verifier.verify(token(keys.rsa, "rsa-1")).caller.user == "alice"
    assert one_key.requests == 2


def test_a_withdrawn_key_is_refused_after_the_next_fetch(verifier, one_key, keys, seconds):
    verifier.verify(token(keys.rsa, "rsa-1"))
    one_key.jwks[:] = [public_jwk(keys.other_rsa, "rsa-2")]
    seconds.move(LIFETIME + 1)
    assert is_refused(verifier, token(keys.rsa, "rsa-1"))
    assert not is_refused(verifier, token(keys.other_rsa, "rsa-2"))
    assert one_key.requests == 2


def test_unknown_key_ids_do_not_make_us_hammer_the_issuer(verifier, one_key, keys, seconds):
    verifier.verify(token(keys.rsa, "rsa-1"))
    for minute in range(3):
        seconds.move(PAUSE)
        for n in range(50):
            assert is_refused(verifier, token(keys.other_rsa, f"junk-{minute}-{n}"))
        verifier.verify(token(keys.rsa, "rsa-1"))
    assert one_key.requests == 1 + 3


def test_junk_from_the_first_moment_asks_the_issuer_once(verifier, one_key, keys):
    for n in range(50):
        assert is_refused(verifier, token(keys.other_rsa, f"junk-{n}"))
    assert one_key.requests == 1


def test_an_issuer_that_is_down_is_not_asked_more_often(one_key, keys, seconds):
    down = one_key.url
    one_key.answer = lambda to: send(to, b"down", 503)
    verifier = Verifier(Config(sessions_table="none", jwt_jwks_url=down), Jwks(down, clock=seconds))
    for _ in range(20):
        with pytest.raises(Unavailable):
            verifier.verify(token(keys.rsa, "rsa-1"))
    assert one_key.requests == 1


def test_valid_tokens_go_on_working_when_the_issuer_dies(verifier, one_key, keys, seconds):
    verifier.verify(token(keys.rsa, "rsa-1"))
    one_key.jwks.append(public_jwk(keys.ec, "ec-1"))
    seconds.move(PAUSE)
    verifier.verify(token(keys.ec, "ec-1"))
    one_key.stop()
    for _ in range(5):
        seconds.move(LIFETIME * 24)
        assert verifier.verify(token(keys.rsa, "rsa-1")).caller.user == "alice"
        assert verifier.verify(token(keys.ec, "ec-1")).caller.user == "alice"
        assert is_refused(verifier, token(keys.other_rsa, "rsa-1"))
        assert is_refused(verifier, token(keys.other_rsa, "rsa-3"))


def cut_off(to: BaseHTTPRequestHandler) -> None:
    """Dies in the middle of an answer."""
    to.send_response(200)
    to.send_header("Content-Length", "1000")
    to.end_headers()
    to.wfile.write(b'{"keys": [')
    to.close_connection = True


def cut_off_in_a_chunk(to: BaseHTTPRequestHandler) -> None:
    to.send_response(200)
    to.send_header("Transfer-Encoding", "chunked")
    to.end_headers()
    to.wfile.write(b'fff\r\n{"keys": [')
    to.close_connection = True


def no_http(to: BaseHTTPRequestHandler) -> None:
    to.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    to.close_connection = True


def nothing(to: BaseHTTPRequestHandler) -> None:
    to.close_connection = True


JUNK = {
    "an error": lambda to: send(to, b'{"keys": []}', 500),
    "not found": lambda to: send(to, b"", 404),
    "no content": lambda to: send(to, b"", 204),
    "empty": lambda to: send(to, b""),
    "HTML": lambda to: send(to, b"<!doctype html><title>Sign in</title>"),
    "not UTF-8": lambda to: send(to, b'{"keys": ["\xff"]}'),
    "a list": lambda to: send(to, b"[]"),
    "null": lambda to: send(to, b"null"),
    "no keys": lambda to: send(to, b"{}"),
    "keys null": lambda to: send(to, b'{"keys": null}'),
    "keys a string": lambda to: send(to, b'{"keys": "rsa-1"}'),
    "keys empty": lambda to: send(to, b'{"keys": []}'),
    "keys of strings": lambda to: send(to, b'{"keys": ["rsa-1", null, 1, []]}'),
    "nested deeply": lambda to: send(to, b"[" * 100_000),
    "2 MB": lambda to: send(to, b'{"keys": []' + b" " * 2_000_000 + b"}"),
    "cut off": cut_off,
    "cut off in a chunk": cut_off_in_a_chunk,
    "not HTTP": no_http,
    "nothing": nothing,
}  # fmt: skip


@pytest.mark.parametrize("answer", JUNK.values(), ids=JUNK)
def test_old_keys_are_kept_whatever_the_issuer_answers(verifier, one_key, keys, seconds, answer):
    verifier.verify(token(keys.rsa, "rsa-1"))
    one_key.answer = answer
    for _ in range(2):
        seconds.move(LIFETIME + 1)
        assert verifier.verify(token(keys.rsa, "rsa-1")).caller.user == "alice"
    assert is_refused(verifier, token(keys.other_rsa, "rsa-2"))
    assert one_key.requests == 3


@pytest.mark.parametrize("answer", JUNK.values(), ids=JUNK)
def test_without_any_keys_the_answer_is_503_and_not_401(
    one_key, keys, seconds, make_app, answer, log_lines
):
    """The client's token may be good: it should come again, not log its user out."""
    one_key.answer = answer
    config = Config(sessions_table="none", jwt_jwks_url=one_key.url)
    verifier = Verifier(config, Jwks(one_key.url, clock=seconds))
    app = make_app(jwt_jwks_url=one_key.url, verifier=verifier)
    client = Client(app, token(keys.rsa, "rsa-1").removeprefix("Bearer "))
    answer = client.get("/sessions")
    body = problem(answer, 503, "STORE_UNAVAILABLE")
    assert "127.0.0.1" not in answer.text
    assert body["detail"] == "The issuer's keys cannot be had."
    assert answer.headers["Retry-After"] == "30"
    assert log_lines[-1]["status"] == 503

    one_key.answer = lambda to: send(to, json.dumps({"keys": one_key.jwks}).encode())
    assert client.get("/sessions").status_code == 503, "not asked again at once"
    seconds.move(float(answer.headers["Retry-After"]))
    assert client.get("/sessions").status_code == 200


def test_an_issuer_that_was_never_up_makes_503(keys, seconds, make_app):
    with Issuer() as gone:
        url = gone.url
    config = Config(sessions_table="none", jwt_jwks_url=url)
    app = make_app(jwt_jwks_url=url, verifier=Verifier(config, Jwks(url, clock=seconds)))
    authorization = token(keys.rsa, "rsa-1").removeprefix("Bearer ")
    problem(Client(app, authorization).get("/sessions"), 503, "STORE_UNAVAILABLE")
    problem(Client(app, None).get("/sessions"), 401, "UNAUTHORIZED")
    problem(Client(app, "junk").get("/sessions"), 401, "UNAUTHORIZED")


@pytest.mark.parametrize(("size", "taken"), [(500_000, True), (2_000_000, False)])
def test_a_document_is_read_up_to_a_limit(verifier, one_key, keys, size, taken):
    document = json.dumps({"keys": one_key.jwks}).encode()
    one_key.answer = lambda to: send(to, document[:-1] + b" " * size + b"}")
    if taken:
        assert not is_refused(verifier, token(keys.rsa, "rsa-1"))
    else:
        with pytest.raises(Unavailable):
            verifier.verify(token(keys.rsa, "rsa-1"))


def test_an_issuer_that_never_answers_is_given_up(verifier, one_key, keys):
    go_on = threading.Event()

    def hang(to: BaseHTTPRequestHandler) -> None:
        go_on.wait(20)
        send(to, json.dumps({"keys": one_key.jwks}).encode())

    one_key.answer = hang
    with pytest.raises(Unavailable):
        verifier.verify(token(keys.rsa, "rsa-1"))
    go_on.set()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(verifier, one_key, keys, seconds, status):
    with Issuer(public_jwk(keys.other_rsa, "rsa-2")) as elsewhere:
        verifier.verify(token(keys.rsa, "rsa-1"))
        one_key.answer = lambda to: send(to, b"", status, Location=elsewhere.url)
        seconds.move(PAUSE)
        assert is_refused(verifier, token(keys.other_rsa, "rsa-2"))
        assert not is_refused(verifier, token(keys.rsa, "rsa-1"))
        assert elsewhere.requests == 0


def test_a_secret_among_the_public_keys_verifies_nothing(verifier, one_key, keys, seconds):
    """`oct` is a shared secret: whoever reads the document could sign with it."""
    secret = "a-secret-of-at-least-32-bytes-that-anybody-can-read"
    one_key.jwks += [
        {"kty": "oct", "kid": "oct-1", "k": b64(secret.encode())},
        {"kty": "oct", "kid": "oct-2", "k": b64(secret.encode()), "alg": "HS256", "use": "sig"},
        {"kty": "oct", "kid": "oct-3", "k": b64(secret.encode()), "alg": "RS256"},
    ]
    for n in (1, 2, 3):
        for algorithm in ("HS256", "RS256"):
            forged = write({"alg": algorithm, "kid": f"oct-{n}"}, alice(), hs256(secret))
            assert is_refused(verifier, f"Bearer {forged}")
    assert not is_refused(verifier, token(keys.rsa, "rsa-1")), "the others are taken"


def test_a_private_key_that_was_published_by_mistake_serves_as_its_public_part(
    one_key, keys, seconds
):
    one_key.jwks[:] = [private_jwk(keys.rsa, "rsa-1"), private_jwk(keys.ec, "ec-1")]
    jwks = Jwks(one_key.url, clock=seconds)
    verifier = Verifier(Config(sessions_table="none", jwt_jwks_url=one_key.url), jwks)
    assert not is_refused(verifier, token(keys.rsa, "rsa-1"))
    assert not is_refused(verifier, token(keys.ec, "ec-1"))
    assert not hasattr(jwks.key("rsa-1").key, "sign")
    assert not hasattr(jwks.key("ec-1").key, "sign")


def broken(key: Any) -> dict[str, Any]:
    return {
        "no kty": {"kid": "x", "n": "AQAB", "e": "AQAB"},
        "kty a list": {"kid": "x", "kty": ["RSA"]},
        "kty unknown": {"kid": "x", "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"},
        "no modulus": {"kid": "x", "kty": "RSA", "e": "AQAB"},
        "modulus a number": {"kid": "x", "kty": "RSA", "n": 5, "e": "AQAB"},
        "modulus null": {"kid": "x", "kty": "RSA", "n": None, "e": "AQAB"},
        "modulus no base64": {"kid": "x", "kty": "RSA", "n": "é", "e": "AQAB"},
        "exponent one": {**public_jwk(key, "x"), "e": "AQ"},
        "no curve": {"kid": "x", "kty": "EC", "x": "AQ", "y": "AQ"},
        "a point off the curve": {
            "kid": "x", "kty": "EC", "crv": "P-256", "x": b64(b"1" * 32), "y": b64(b"2" * 32),
        },
        "coordinates too short": {"kid": "x", "kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"},
        "coordinates numbers": {"kid": "x", "kty": "EC", "crv": "P-256", "x": 1, "y": 1},
        "no y": {"kid": "x", "kty": "EC", "crv": "P-256", "x": "AQ"},
        "crv a list": {"kid": "x", "kty": "EC", "crv": ["P-256"], "x": "AQ", "y": "AQ"},
        "alg a list": {**public_jwk(key, "x"), "alg": ["RS256"]},
        "exponent missing": {"kid": "x", "kty": "RSA", "n": "AQAB"},
        "oth": {**public_jwk(key, "x"), "oth": 5, "p": 5, "q": None},
        "kid a list": {**public_jwk(key), "kid": ["x"]},
        "kid an object": {**public_jwk(key), "kid": {}},
        "a string": "key",
        "null": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", broken(rsa_key()))
def test_one_broken_key_does_not_spoil_the_others(one_key, keys, seconds, name):
    """RFC 7517 section 5: what is not understood or has a member missing should be ignored."""
    bad = broken(keys.other_rsa)[name]
    for document in ([bad, *one_key.jwks], [*one_key.jwks, bad]):
        with Issuer(*document) as issuer:
            config = Config(sessions_table="none", jwt_jwks_url=issuer.url)
            verifier = Verifier(config, Jwks(issuer.url, clock=seconds))
            assert not is_refused(verifier, token(keys.rsa, "rsa-1"))


@pytest.mark.parametrize(
    "members",
    [{"use": "enc"}, {"alg": "RS512"}, {"alg": "PS256"}, {"alg": "RSA-OAEP"}, {"alg": "HS256"}],
    ids=str,
)
def test_a_key_for_another_purpose_is_not_used(one_key, keys, seconds, members):
    one_key.jwks.append(public_jwk(keys.other_rsa, "rsa-2", **members))
    config = Config(sessions_table="none", jwt_jwks_url=one_key.url)
    verifier = Verifier(config, Jwks(one_key.url, clock=seconds))
    assert is_refused(verifier, token(keys.other_rsa, "rsa-2"))
    assert not is_refused(verifier, token(keys.rsa, "rsa-1"))


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_an_rsa_key_that_is_too_short_verifies_nothing(one_key, keys, seconds):
    """RFC 7518 section 3.3: 2,048 bits at the least."""
    short = rsa_key(1024)
    one_key.jwks.append(public_jwk(short, "short"))
    config = Config(sessions_table="none", jwt_jwks_url=one_key.url)
    verifier = Verifier(config, Jwks(one_key.url, clock=seconds))
    assert is_refused(verifier, token(short, "short"))
    assert not is_refused(verifier, token(keys.rsa, "rsa-1"))


def test_an_issuer_that_hangs_does_not_hold_up_valid_tokens(verifier, one_key, keys, seconds):
    """Junk makes us ask; whoever has a good token does not wait for the answer."""
    verifier.verify(token(keys.rsa, "rsa-1"))
    asked, go_on = threading.Event(), threading.Event()

    def hang(to: BaseHTTPRequestHandler) -> None:
        asked.set()
        go_on.wait(10)
        send(to, json.dumps({"keys": one_key.jwks}).encode())

    one_key.answer = hang
    seconds.move(LIFETIME + PAUSE)  # due again anyway, too
    junk = threading.Thread(target=is_refused, args=(verifier, token(keys.other_rsa, "junk")))
    junk.start()
    assert asked.wait(5)
    started = time.monotonic()
    good = threading.Thread(target=verifier.verify, args=(token(keys.rsa, "rsa-1"),))
    good.start()
    good.join(1)
    held_up = good.is_alive()
    go_on.set()
    good.join()
    junk.join()
    assert not held_up, f"waited for {time.monotonic() - started:.1f} s"


def test_many_threads_at_once_fetch_the_keys_once(verifier, one_key, keys):
    def slowly(to: BaseHTTPRequestHandler) -> None:
        time.sleep(0.2)
        send(to, json.dumps({"keys": one_key.jwks}).encode())

    one_key.answer = slowly
    good = token(keys.rsa, "rsa-1")
    refusals: list[bool] = []
    threads = [
        threading.Thread(target=lambda: refusals.append(is_refused(verifier, good)))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refusals == [False] * 10
    assert one_key.requests == 1


def test_a_real_app_rotates_and_survives_its_issuer(one_key, keys, seconds, make_app):
    """The whole story, through HTTP."""
    config = Config(sessions_table="none", jwt_jwks_url=one_key.url)
    verifier = Verifier(config, Jwks(one_key.url, clock=seconds))
    app = make_app(jwt_jwks_url=one_key.url, verifier=verifier)

    def alice_with(key: Any, kid: str) -> Client:
        return Client(app, token(key, kid).removeprefix("Bearer "))

    session_id = alice_with(keys.rsa, "rsa-1").create_session()["session_id"]
    new = ec_key()
    one_key.jwks[:] = [public_jwk(new, "ec-2")]
    seconds.move(PAUSE)
    assert alice_with(new, "ec-2").get(f"/sessions/{session_id}").status_code == 200
    problem(alice_with(keys.rsa, "rsa-1").get("/sessions"), 401, "UNAUTHORIZED")
    one_key.stop()
    seconds.move(LIFETIME * 2)
    assert alice_with(new, "ec-2").get(f"/sessions/{session_id}").status_code == 200
    forged = write({"alg": "HS256", "kid": "ec-2"}, alice(), hs256(public_pem(new)))
    problem(Client(app, forged).get("/sessions"), 401, "UNAUTHORIZED")
