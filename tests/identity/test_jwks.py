"""The issuer's keys: fetched once, rotated, and kept while the issuer is down. The issuer is a real
server on loopback; only the clock is ours."""

import json
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from app import __version__
from app.config import Config
from app.errors import Unauthorized, Unavailable
from app.identity.fetch import fetch, kind_of
from app.identity.jwks import LIFETIME, PAUSE, Jwks
from app.identity.tokens import Verifier
from tests.identity.issuer import (
    Issuer,
    alice,
    asymmetric,
    b64,
    drip,
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
    """One table for all tests here. They compare what changed, not what the table holds."""
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


def test_unknown_key_ids_do_not_cause_many_fetches(verifier, one_key, keys, seconds):
    verifier.verify(token(keys.rsa, "rsa-1"))
    for minute in range(3):
        seconds.move(PAUSE)
        for n in range(50):
            assert is_refused(verifier, token(keys.other_rsa, f"junk-{minute}-{n}"))
        verifier.verify(token(keys.rsa, "rsa-1"))
    assert one_key.requests == 1 + 3


def test_junk_tokens_from_the_start_cause_one_fetch(verifier, one_key, keys):
    for n in range(50):
        assert is_refused(verifier, token(keys.other_rsa, f"junk-{n}"))
    assert one_key.requests == 1


def test_an_issuer_that_is_down_gets_no_more_fetches(one_key, keys, seconds):
    down = one_key.url
    one_key.answer = lambda to: send(to, b"down", 503)
    verifier = Verifier(Config(sessions_table="none", jwt_jwks_url=down), Jwks(down, clock=seconds))
    for _ in range(20):
        with pytest.raises(Unavailable):
            verifier.verify(token(keys.rsa, "rsa-1"))
    assert one_key.requests == 1


def test_valid_tokens_continue_to_work_when_the_issuer_is_down(verifier, one_key, keys, seconds):
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
    """Stops in the middle of an answer."""
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
def test_without_any_keys_the_answer_is_503_instead_of_401(
    one_key, keys, seconds, make_app, answer, logged
):
    """The client's token may be valid. It should retry, not log its user out."""
    one_key.answer = answer
    config = Config(sessions_table="none", jwt_jwks_url=one_key.url)
    verifier = Verifier(config, Jwks(one_key.url, clock=seconds))
    app = make_app(jwt_jwks_url=one_key.url, verifier=verifier)
    client = Client(app, token(keys.rsa, "rsa-1").removeprefix("Bearer "))
    answer = client.get("/sessions")
    body = problem(answer, 503, "STORE_UNAVAILABLE")
    assert "127.0.0.1" not in answer.text
    assert body["detail"] == "The issuer's keys cannot be fetched."
    assert answer.headers["Retry-After"] == "30"
    assert logged[-1]["status"] == 503

    one_key.answer = lambda to: send(to, json.dumps({"keys": one_key.jwks}).encode())
    assert client.get("/sessions").status_code == 503, "not asked again at once"
    seconds.move(float(answer.headers["Retry-After"]))
    assert client.get("/sessions").status_code == 200


def test_an_issuer_that_was_never_up_causes_503(keys, seconds, make_app):
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


def test_an_issuer_that_never_answers_times_out(verifier, one_key, keys):
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
    """`oct` is a shared secret. Anyone who reads the document could sign with it."""
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


def test_a_private_key_published_by_mistake_is_used_as_its_public_part(one_key, keys, seconds):
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
def test_one_broken_key_does_not_affect_the_others(one_key, keys, seconds, name):
    """RFC 7517 section 5: keys that are unknown or lack a member should be ignored."""
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


def test_an_issuer_that_hangs_does_not_delay_valid_tokens(verifier, one_key, keys, seconds):
    """Junk tokens cause a fetch. Requests with a valid token do not wait for it."""
    verifier.verify(token(keys.rsa, "rsa-1"))
    asked, go_on = threading.Event(), threading.Event()

    def hang(to: BaseHTTPRequestHandler) -> None:
        asked.set()
        go_on.wait(10)
        send(to, json.dumps({"keys": one_key.jwks}).encode())

    one_key.answer = hang
    seconds.move(LIFETIME + PAUSE)  # a fetch is due again anyway
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
    """All steps, through HTTP."""
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


# Slow issuers

TYPE = b"Content-Type: application/json\r\n"
SLOW = {
    "status line": b"HTTP/1.1 200 " + b"O" * 1000 + b"\r\n\r\n",
    "headers": b"HTTP/1.1 200 OK\r\n" + b"X-Filler: x\r\n" * 90,
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b" " * 1000,
    "body of unstated length": b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 1000,
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 200,
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
def test_a_slow_answer_is_given_up_at_the_deadline(one_key, answer):
    """Each read gets a byte in time, but the whole answer is late."""
    one_key.answer = drip(answer)
    started = time.monotonic()
    with pytest.raises(OSError) as raised:  # noqa: PT011
        fetch(one_key.url, 0.4)
    assert kind_of(raised.value) == "timeout"
    assert time.monotonic() - started < 10, "dripping it all would take 50 s"


def test_a_quick_answer_is_read_completely(one_key):
    assert json.loads(fetch(one_key.url, 5)) == {"keys": one_key.jwks}


def test_an_issuer_that_is_slow_from_the_start_causes_503_soon(one_key, keys, seconds):
    one_key.answer = drip(SLOW["body"])
    config = Config(sessions_table="none", jwt_jwks_url=one_key.url)
    verifier = Verifier(config, Jwks(one_key.url, clock=seconds, timeout=0.4))
    started = time.monotonic()
    for _ in range(20):
        with pytest.raises(Unavailable):
            verifier.verify(token(keys.rsa, "rsa-1"))
    assert time.monotonic() - started < 10
    assert one_key.requests == 1


class Hanging:
    """An issuer's answer that is held back until it is released."""

    def __init__(self, issuer: Issuer) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        self._issuer = issuer
        issuer.answer = self

    def __call__(self, to: BaseHTTPRequestHandler) -> None:
        self.asked.set()
        self.go_on.wait(30)
        send(to, json.dumps({"keys": self._issuer.jwks}).encode())


def in_thread(work: Any, *arguments: Any) -> tuple[threading.Thread, list[Any]]:
    given: list[Any] = []
    thread = threading.Thread(target=lambda: given.append(work(*arguments)), daemon=True)
    thread.start()
    return thread, given


def test_requests_with_a_known_key_do_not_wait_for_a_routine_fetch(one_key, keys, seconds):
    """The request that starts it waits only a moment. Afterwards the new keys count."""
    config = Config(sessions_table="none", jwt_jwks_url=one_key.url)
    verifier = Verifier(config, Jwks(one_key.url, clock=seconds, timeout=20))
    good = token(keys.rsa, "rsa-1")
    verifier.verify(good)
    hanging = Hanging(one_key)
    seconds.move(LIFETIME + 1)
    for _ in range(3):
        thread, given = in_thread(is_refused, verifier, good)
        thread.join(10)
        assert given == [False], "answered while the issuer was still silent"
    assert hanging.asked.wait(10)
    assert one_key.requests == 2
    one_key.jwks[:] = [public_jwk(keys.other_rsa, "rsa-2")]
    hanging.go_on.set()
    eventually(lambda: is_refused(verifier, good))
    assert not is_refused(verifier, token(keys.other_rsa, "rsa-2"))
    assert one_key.requests == 2


def test_requests_with_a_known_key_do_not_wait_for_an_unknown_key(one_key, keys, seconds):
    """Requests with the unknown key wait, and get it."""
    config = Config(sessions_table="none", jwt_jwks_url=one_key.url)
    verifier = Verifier(config, Jwks(one_key.url, clock=seconds, timeout=20))
    verifier.verify(token(keys.rsa, "rsa-1"))
    hanging = Hanging(one_key)
    one_key.jwks.append(public_jwk(keys.other_rsa, "rsa-2"))
    seconds.move(LIFETIME + PAUSE)
    waiting = [in_thread(is_refused, verifier, token(keys.other_rsa, "rsa-2")) for _ in range(5)]
    assert hanging.asked.wait(10)
    for _ in range(5):
        thread, given = in_thread(is_refused, verifier, token(keys.rsa, "rsa-1"))
        thread.join(10)
        assert given == [False]
    assert [given for _, given in waiting] == [[]] * 5
    hanging.go_on.set()
    for thread, given in waiting:
        thread.join(10)
        assert given == [False]
    assert one_key.requests == 2


def test_a_request_waits_for_an_unknown_key_no_longer_than_the_timeout(one_key, keys, seconds):
    config = Config(sessions_table="none", jwt_jwks_url=one_key.url)
    verifier = Verifier(config, Jwks(one_key.url, clock=seconds, timeout=0.4))
    verifier.verify(token(keys.rsa, "rsa-1"))
    hanging = Hanging(one_key)
    seconds.move(PAUSE)
    waiting = [in_thread(is_refused, verifier, token(keys.other_rsa, "rsa-2")) for _ in range(5)]
    for thread, given in waiting:
        thread.join(10)
        assert given == [True]
    hanging.go_on.set()


def eventually(check: Any) -> None:
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# What the log says

KINDS = {
    "an error": "http_500",
    "not found": "http_404",
    "no content": "not_json",
    "empty": "not_json",
    "HTML": "not_json",
    "not UTF-8": "not_json",
    "a list": "not_a_jwks",
    "null": "not_a_jwks",
    "no keys": "not_a_jwks",
    "keys null": "not_a_jwks",
    "keys a string": "not_a_jwks",
    "keys empty": "no_keys",
    "keys of strings": "no_keys",
    "nested deeply": "not_json",
    "2 MB": "too_large",
    "cut off": "connection_broken",
    "cut off in a chunk": "connection_broken",
    "not HTTP": "connection_broken",
    "nothing": "connection_broken",
}


@pytest.mark.parametrize("name", JUNK)
def test_the_log_says_why_keys_could_not_be_fetched(one_key, keys, seconds, logged, name):
    one_key.answer = JUNK[name]
    jwks = Jwks(one_key.url, clock=seconds)
    for _ in range(3):
        with pytest.raises(Unavailable):
            jwks.key("rsa-1")
    [line] = logged
    assert line["level"] == "WARNING"
    assert line["message"] == "issuer keys not fetched"
    assert (line["reason"], line["keys"]) == (KINDS[name], 0)


def test_the_log_says_how_many_keys_stay_in_use(verifier, one_key, keys, seconds, logged):
    verifier.verify(token(keys.rsa, "rsa-1"))
    one_key.answer = lambda to: send(to, b"", 302, Location="https://sign-in.example/")
    seconds.move(LIFETIME + 1)
    verifier.verify(token(keys.rsa, "rsa-1"))
    first, second = logged
    assert (first["message"], first["keys"]) == ("issuer keys fetched", 1)
    assert (second["reason"], second["keys"]) == ("redirect_302", 1)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://127.0.0.1:1/jwks.json", "connection_refused"),
        ("https://issuer.invalid/jwks.json", "unknown_host"),
    ],
)
def test_an_unreachable_issuer_has_a_reason(url, kind, logged):
    with pytest.raises(Unavailable):
        Jwks(url).key("rsa-1")
    assert [line["reason"] for line in logged] == [kind]


def test_an_issuer_without_tls_has_a_reason(one_key, logged):
    with pytest.raises(Unavailable):
        Jwks(one_key.url.replace("http:", "https:")).key("rsa-1")
    assert [line["reason"] for line in logged] == ["tls"]


def test_a_fetch_that_fails_unexpectedly_is_logged_and_tried_again(one_key, keys, seconds, logged):
    answers = [ZeroDivisionError("a secret"), json.dumps({"keys": one_key.jwks}).encode()]

    def fetch_badly(_: str) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    jwks = Jwks(one_key.url, fetch=fetch_badly, clock=seconds)
    with pytest.raises(Unavailable):
        jwks.key("rsa-1")
    assert [line["reason"] for line in logged] == ["failed"]
    assert "a secret" not in json.dumps(logged)
    seconds.move(PAUSE)
    assert jwks.key("rsa-1")


def test_the_fetch_sends_our_user_agent(verifier, one_key, keys):
    """A proxy in front of the issuer may refuse `Python-urllib`."""

    def refuse_urllib(to: BaseHTTPRequestHandler) -> None:
        ours = to.headers["User-Agent"] == f"session-store/{__version__}"
        send(to, json.dumps({"keys": one_key.jwks}).encode(), 200 if ours else 403)

    one_key.answer = refuse_urllib
    assert not is_refused(verifier, token(keys.rsa, "rsa-1"))


# Algorithms

RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


@pytest.fixture(scope="module")
def others(keys):
    """Keys by their purpose."""
    ed25519_key, ed448_key = ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()
    return {
        **dict.fromkeys(RSA_ALGORITHMS, keys.rsa),
        "ES256": keys.ec,
        "ES384": keys.p384,
        "ES512": ec_key(ec.SECP521R1()),
        "EdDSA": ed25519_key,
        "EdDSA with Ed448": ed448_key,
        "Ed25519": ed25519_key,
        "Ed448": ed448_key,
    }


ALGORITHM_OF = {
    name: name.split()[0]
    for name in (*RSA_ALGORITHMS, "ES256", "ES384", "ES512", "EdDSA", "EdDSA with Ed448")
}
NAMED_BY_CURVE = {"Ed25519": "EdDSA", "Ed448": "EdDSA"}
"""RFC 9864's names, by the name under which PyJWT signs."""


def signed_with(key: Any, algorithm: str, kid: str | None = "k") -> str:
    header = {"alg": algorithm, **({"kid": kid} if kid else {})}
    sign = asymmetric(key, NAMED_BY_CURVE.get(algorithm, algorithm))
    return "Bearer " + write(header, alice(), sign)


@pytest.mark.parametrize("name", [*ALGORITHM_OF, *NAMED_BY_CURVE])
def test_a_key_verifies_the_algorithm_that_it_names(others, seconds, name):
    algorithm = ALGORITHM_OF.get(name, name)
    with Issuer(public_jwk(others[name], "k", alg=algorithm, use="sig")) as issuer:
        config = Config(sessions_table="none", jwt_jwks_url=issuer.url)
        verifier = Verifier(config, Jwks(issuer.url, clock=seconds))
        assert not is_refused(verifier, signed_with(others[name], algorithm))


@pytest.mark.parametrize("name", ["RS256", "ES256", "ES384", "ES512", "EdDSA", "EdDSA with Ed448"])
def test_a_key_that_names_no_algorithm_has_that_of_its_type(others, seconds, name):
    with Issuer(public_jwk(others[name], "k")) as issuer:
        config = Config(sessions_table="none", jwt_jwks_url=issuer.url)
        verifier = Verifier(config, Jwks(issuer.url, clock=seconds))
        assert not is_refused(verifier, signed_with(others[name], ALGORITHM_OF[name]))


@pytest.mark.parametrize("named", [None, *RSA_ALGORITHMS])
def test_a_token_does_not_choose_among_the_algorithms_of_its_key(others, seconds, logged, named):
    """The signature is valid, but the key is for another algorithm."""
    members = {"alg": named} if named else {}
    with Issuer(public_jwk(others["RS256"], "k", **members)) as issuer:
        config = Config(sessions_table="none", jwt_jwks_url=issuer.url)
        verifier = Verifier(config, Jwks(issuer.url, clock=seconds))
        taken = [
            algorithm
            for algorithm in RSA_ALGORITHMS
            if not is_refused(verifier, signed_with(others["RS256"], algorithm))
        ]
    assert taken == [named or "RS256"]


UNSUPPORTED = {
    "a curve nobody signs with": lambda _: [public_jwk(ec_key(ec.SECP256K1()), "k")],
    "for encryption": lambda k: [public_jwk(k.rsa, "k", use="enc")],
    "key_ops for encryption": lambda k: [public_jwk(k.rsa, "k", key_ops=["encrypt", "wrapKey"])],
    "an algorithm of encryption": lambda k: [public_jwk(k.rsa, "k", alg="RSA-OAEP")],
    "another type": lambda _: [{"kty": "AKP", "kid": "k", "alg": "ML-DSA-44", "pub": "AAAA"}],
    "a shared secret": lambda _: [{"kty": "oct", "kid": "k", "k": b64(b"x" * 32)}],
    "broken": lambda _: [{"kty": "RSA", "kid": "k", "e": "AQAB"}],
    "a kid twice and nothing else": lambda k: [public_jwk(k.rsa, "k"), public_jwk(k.ec, "k")],
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_keys_that_can_never_work_are_a_configuration_error(keys, seconds, make_app, logged, name):
    with Issuer(*UNSUPPORTED[name](keys)) as issuer:
        config = Config(sessions_table="none", jwt_jwks_url=issuer.url)
        verifier = Verifier(config, Jwks(issuer.url, clock=seconds))
        client = Client(
            make_app(jwt_jwks_url=issuer.url, verifier=verifier),
            token(keys.rsa, "k").removeprefix("Bearer "),
        )
        answer = client.get("/sessions")
        body = problem(answer, 503, "ISSUER_MISCONFIGURED")
        assert "Trying again does not help" in body["detail"]
        assert "Retry-After" not in answer.headers
        fetched = logged[0]
        assert fetched["message"] == "issuer keys not fetched"
        assert fetched["reason"] in ("no_usable_key", "ambiguous_keys")

        issuer.jwks[:] = [public_jwk(keys.rsa, "k")]
        seconds.move(PAUSE)
        assert client.get("/sessions").status_code == 200, "mended without a restart"


# Which key is meant


@pytest.fixture
def publishing(seconds):
    """A verifier for an issuer that publishes these keys."""
    with Issuer() as issuer:

        def publish(*jwks: Any) -> Verifier:
            issuer.jwks[:] = jwks
            config = Config(sessions_table="none", jwt_jwks_url=issuer.url)
            return Verifier(config, Jwks(issuer.url, clock=seconds))

        yield publish


def why(verifier: Verifier, authorization: str) -> str | None:
    """The reason in the log for the refusal of a token."""
    try:
        verifier.verify(authorization)
    except Unauthorized as refusal:
        return refusal.reason
    return None


@pytest.mark.parametrize("turned", [False, True])
def test_two_keys_without_kid_are_ambiguous(publishing, keys, logged, turned):
    jwks = [public_jwk(keys.rsa), public_jwk(keys.other_rsa)]
    verifier = publishing(*(reversed(jwks) if turned else jwks), public_jwk(keys.ec, "ec-1"))
    assert why(verifier, token(keys.rsa, None)) == "ambiguous_key"
    assert why(verifier, token(keys.other_rsa, None)) == "ambiguous_key"
    assert why(verifier, token(keys.ec, None)) == "ambiguous_key"
    assert why(verifier, token(keys.ec, "ec-1")) is None, "the others stay"
    assert (logged[0]["message"], logged[0]["level"]) == ("issuer keys ambiguous", "WARNING")
    assert (logged[0]["keys"], logged[0]["ambiguous"]) == (1, 1)


@pytest.mark.parametrize("turned", [False, True])
def test_a_kid_that_two_keys_have_is_ambiguous(publishing, keys, turned):
    jwks = [public_jwk(keys.rsa, "a"), public_jwk(keys.other_rsa, "a")]
    verifier = publishing(*(reversed(jwks) if turned else jwks), public_jwk(keys.ec, "ec-1"))
    assert why(verifier, token(keys.rsa, "a")) == "ambiguous_key"
    assert why(verifier, token(keys.other_rsa, "a")) == "ambiguous_key"
    assert why(verifier, token(keys.ec, None)) == "ambiguous_key"
    assert why(verifier, token(keys.ec, "ec-1")) is None


def test_a_kid_shared_by_keys_of_two_types_is_ambiguous(publishing, keys):
    """RFC 7517 section 4.5 allows it, but then the token's alg would choose the key."""
    verifier = publishing(
        public_jwk(keys.rsa, "a"), public_jwk(keys.ec, "a"), public_jwk(keys.other_rsa, "b")
    )
    assert why(verifier, token(keys.rsa, "a")) == "ambiguous_key"
    assert why(verifier, token(keys.ec, "a")) == "ambiguous_key"


def test_the_same_key_published_twice_is_one_key(publishing, keys):
    verifier = publishing(public_jwk(keys.rsa, "a"), public_jwk(keys.rsa, "a"))
    assert why(verifier, token(keys.rsa, "a")) is None
    assert why(verifier, token(keys.rsa, None)) is None


def test_a_key_that_cannot_be_used_makes_no_other_ambiguous(publishing, keys):
    verifier = publishing(public_jwk(keys.other_rsa, "a", use="enc"), public_jwk(keys.rsa, "a"))
    assert why(verifier, token(keys.rsa, "a")) is None


def test_a_token_without_kid_is_ambiguous_among_several_keys(publishing, keys):
    verifier = publishing(public_jwk(keys.rsa, "a"), public_jwk(keys.other_rsa, "b"))
    assert why(verifier, token(keys.rsa, None)) == "ambiguous_key"


def test_ambiguity_ends_with_the_next_fetch(one_key, verifier, keys, seconds):
    one_key.jwks.append(public_jwk(keys.other_rsa, "rsa-1"))
    one_key.jwks.append(public_jwk(keys.ec, "ec-1"))
    assert why(verifier, token(keys.rsa, "rsa-1")) == "ambiguous_key"
    del one_key.jwks[1]
    seconds.move(PAUSE)
    assert why(verifier, token(keys.rsa, "rsa-1")) is None


@pytest.mark.parametrize(
    ("members", "usable"),
    [
        ({"key_ops": ["verify"]}, True),
        ({"key_ops": ["sign", "verify"]}, True),
        ({"key_ops": ["verify"], "use": "sig"}, True),
        ({"key_ops": []}, False),
        ({"key_ops": ["sign"]}, False),
        ({"key_ops": ["encrypt", "wrapKey"]}, False),
        ({"key_ops": "verify"}, False),
        ({"key_ops": None}, False),
        ({"key_ops": [["verify"]]}, False),
        ({"key_ops": ["verify"], "use": "enc"}, False),
        ({"use": "enc"}, False),
        ({"use": "Sig"}, False),
        ({"use": None}, False),
        ({"use": ["sig"]}, False),
    ],
    ids=str,
)
def test_a_key_is_used_only_for_its_published_purpose(publishing, keys, members, usable):
    verifier = publishing(public_jwk(keys.rsa, "a", **members), public_jwk(keys.ec, "b"))
    assert why(verifier, token(keys.rsa, "a")) == (None if usable else "unknown_key")


# The connection


@pytest.fixture
def https_issuer(one_key, keys, tmp_path, monkeypatch):
    """The issuer behind TLS, with a certificate that this process trusts."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(keys.ec.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(keys.ec, SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    private = keys.ec.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "both.pem").write_bytes(private + pem)
    (tmp_path / "trusted.pem").write_bytes(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    one_key.wrap(context)
    return one_key


def test_keys_are_fetched_over_https(https_issuer):
    url = https_issuer.url.replace("http://127.0.0.1", "https://localhost")
    assert json.loads(fetch(url, 10)) == {"keys": https_issuer.jwks}


def test_the_deadline_holds_over_https_too(https_issuer):
    https_issuer.answer = drip(SLOW["headers"])
    url = https_issuer.url.replace("http://127.0.0.1", "https://localhost")
    with pytest.raises(OSError) as raised:  # noqa: PT011
        fetch(url, 1)
    assert kind_of(raised.value) == "timeout"


def test_a_certificate_of_another_name_is_refused(https_issuer, logged):
    with pytest.raises(Unavailable):
        Jwks(https_issuer.url.replace("http://", "https://")).key("rsa-1")
    assert [line["reason"] for line in logged] == ["tls"]


def test_the_environments_proxy_is_used(one_key, monkeypatch):
    """urllib uses it. Without a proxy, an issuer may be unreachable."""
    monkeypatch.setenv("http_proxy", one_key.url)
    monkeypatch.setenv("no_proxy", "")
    assert json.loads(fetch("http://issuer.invalid/jwks.json", 5)) == {"keys": one_key.jwks}
