"""GET /ready: what it says when the table or the issuer does not answer, and what it costs."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from werkzeug.test import TestResponse

from app.config import Config
from app.http.readiness import FRESH, PATIENCE, Readiness
from app.identity.jwks import PAUSE, Jwks
from app.identity.tokens import Verifier
from tests.faults.proxy import Exchange, Proxy, refused
from tests.identity.issuer import Issuer, public_jwk, rsa_key, send
from tests.people import problem


class Seconds:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer(public_jwk(rsa_key(), "rsa-1")) as issuer:
        yield issuer


def ask(app: flask.Flask, method: str = "GET") -> TestResponse:
    return app.test_client().open("/ready", method=method)


def pass_a_moment() -> None:
    """After this, an earlier result is not used again."""
    time.sleep(FRESH + 0.05)


def test_it_is_ready_without_a_token(app, sent_to_table):
    answer = ask(app)
    assert (answer.status_code, answer.json) == (200, {"status": "ready"})
    assert answer.headers["Cache-Control"] == "no-store"
    head = ask(app, "HEAD")
    assert (head.status_code, head.data) == (200, b"")
    assert sent_to_table == ["GetItem"]


@pytest.fixture
def sent_to_table(client: Any) -> Iterator[list[str]]:
    sent: list[str] = []

    def note(model: Any, **_: Any) -> None:
        sent.append(model.name)

    client.meta.events.register("before-call.dynamodb", note)
    yield sent
    client.meta.events.unregister("before-call.dynamodb", note)


def test_many_requests_are_one_look_a_second():
    looks, clock = [], Seconds()
    started = threading.Barrier(9)

    def look() -> bool:
        looks.append(1)
        time.sleep(0.1)
        return True

    def one() -> None:
        started.wait()
        assert readiness.missing() == []

    readiness = Readiness({"table": look}, clock)
    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    started.wait()
    for thread in threads:
        thread.join()
    assert len(looks) == 1
    clock.now += 0.9
    assert readiness.missing() == []
    assert len(looks) == 1
    clock.now += 0.2
    assert readiness.missing() == []
    assert len(looks) == 2


@pytest.mark.parametrize(
    "code", ["ResourceNotFoundException", "AccessDeniedException", "ExpiredTokenException"]
)
def test_a_table_that_cannot_be_used_is_named_and_the_reason_only_logged(
    code: str, make_far_app: Callable[..., flask.Flask], proxy: Proxy, logged: list[dict[str, Any]]
) -> None:
    app = make_far_app()
    proxy.plan = lambda _: refused(code)
    answer = ask(app)
    problem(answer, 503, "NOT_READY", not_ready=["table"])
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Cache-Control"] == "no-store"
    assert code not in answer.text
    assert ask(app, "HEAD").status_code == 503
    assert app.test_client().get("/health").status_code == 200
    [line] = [line for line in logged if line["message"] == "table does not answer"]
    assert line["reason"] == code


def test_a_table_that_hangs_does_not_hang_it(make_far_app, proxy):
    over = threading.Event()

    def hangs(exchange: Exchange) -> None:
        over.wait(30)
        exchange.forward()

    app = make_far_app()
    proxy.plan = lambda _: hangs
    started = time.monotonic()
    problem(ask(app), 503, "NOT_READY", not_ready=["table"])
    assert PATIENCE <= time.monotonic() - started < PATIENCE + 2
    problem(ask(app), 503, "NOT_READY", not_ready=["table"])
    assert proxy.calls == ["GetItem"], "a second look began although the first is under way"
    proxy.plan = lambda _: None
    over.set()
    pass_a_moment()
    assert ask(app).status_code == 200


def test_the_issuers_keys_are_fetched_once_and_missed_if_that_fails(make_app, issuer):
    clock = Seconds()
    config = Config(sessions_table="none", jwt_jwks_url=issuer.url)
    verifier = Verifier(config, Jwks(issuer.url, clock=clock))
    app = make_app(jwt_jwks_url=issuer.url, verifier=verifier)
    publish, issuer.answer = issuer.answer, lambda to: send(to, b"", 503)
    for _ in range(3):
        problem(ask(app), 503, "NOT_READY", not_ready=["issuer_keys"])
        pass_a_moment()
    assert issuer.requests == 1, "tried more than once within the pause"
    issuer.answer = publish
    clock.now += PAUSE
    assert ask(app).status_code == 200
    pass_a_moment()
    issuer.stop()
    clock.now += 86_400
    assert ask(app).status_code == 200, "keys that were fetched are kept"


def test_an_issuer_that_hangs_does_not_make_it_wait_for_another_whose_keys_are_there(make_app):
    """Otherwise it would be unready for 3 seconds in each 30, for the users of both."""
    over, asked = threading.Event(), []
    document = json.dumps({"keys": [public_jwk(rsa_key(), "k")]}).encode()

    def fetch(url: str) -> bytes:
        asked.append(url)
        if "hangs" in url:
            over.wait(30)
        return document

    issuers = [
        {
            "issuer": f"https://{name}.test/",
            "jwks_url": f"https://{name}.test/keys",
            "audiences": ["store"],
            "tenant": name,
            "rights": {"everyone": ["sessions:read"]},
        }
        for name in ("hangs", "works")
    ]
    config = Config(sessions_table="none", issuers=json.dumps({"issuers": issuers}))
    verifier = Verifier(config, fetch=fetch)
    works = verifier.keys[verifier.issuers.known[1]]
    assert works.can_be_had()
    started = time.monotonic()
    assert ask(make_app(verifier=verifier)).status_code == 200
    assert time.monotonic() - started < PATIENCE / 2
    over.set()
    assert asked == ["https://works.test/keys"]


def test_both_parts_are_named(app):
    app.extensions["readiness"] = Readiness({"table": lambda: False, "issuer_keys": lambda: False})
    problem(ask(app), 503, "NOT_READY", not_ready=["table", "issuer_keys"])
