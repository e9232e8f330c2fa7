"""Where a client's token comes from."""

import base64
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote

import pytest

from session_store import Client, ClientCredentials, TokenRefused, Unauthorized
from tests.people import make_token


class Issuer(ThreadingHTTPServer):
    """A token endpoint on loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self.server_port}/token"
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.expires_in, self.lifetime, self.status = 3600, 3600, 200


class Endpoint(BaseHTTPRequestHandler):
    server: Issuer

    def do_POST(self) -> None:
        issuer = self.server
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        issuer.asked.append((self.headers["Authorization"], parse_qs(form)))
        token = make_token("acme", "worker", exp=int(time.time()) + issuer.lifetime)
        body = {"access_token": token, "expires_in": issuer.expires_in, "token_type": "Bearer"}
        told = json.dumps(body if issuer.status == 200 else {"error": "invalid_client"}).encode()
        self.send_response(issuer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def credentials(issuer: Issuer) -> ClientCredentials:
    return ClientCredentials(issuer.url, "id:1", "se/cret", scope="store/all", audience="api")


@pytest.fixture
def worker(address: str, credentials: ClientCredentials) -> Iterator[Client]:
    with Client(f"{address}/api/v1", credentials) as client:
        yield client


def test_a_function_is_asked_for_each_request(connect):
    tokens = [make_token("acme", "bob"), make_token("acme", "alice"), make_token("acme", "bob")]
    store = connect(lambda: tokens.pop())
    store.sessions.create(domain_id="d")
    assert list(store.sessions.list()) == []  # Alice's
    assert len(list(store.sessions.list())) == 1


@pytest.mark.parametrize("connect", ["async"], indirect=True)
def test_a_coroutine_function_is_awaited(connect):
    async def token() -> str:
        return make_token("acme", "bob")

    assert list(connect(token).sessions.list()) == []


def test_a_synchronous_client_has_no_use_for_a_coroutine(address):
    async def token() -> str:
        return ""

    with pytest.raises(TypeError, match="AsyncClient"):
        next(Client(f"{address}/api/v1", token).sessions.list())


def test_client_credentials_are_exchanged_once(worker, issuer):
    for _ in range(3):
        list(worker.sessions.list())
    [(header, form)] = issuer.asked
    name, secret = base64.b64decode(header.removeprefix("Basic ")).decode().split(":")
    assert (unquote(name), unquote(secret)) == ("id:1", "se/cret")
    assert form == {
        "grant_type": ["client_credentials"],
        "scope": ["store/all"],
        "audience": ["api"],
    }


def test_a_token_is_replaced_before_it_ends(worker, issuer):
    issuer.expires_in = 30
    for _ in range(2):
        list(worker.sessions.list())
    assert len(issuer.asked) == 2


def test_a_token_that_is_refused_is_replaced_at_once(worker, issuer):
    issuer.lifetime = -3600
    with pytest.raises(Unauthorized):
        list(worker.sessions.list())
    issuer.lifetime = 3600
    worker.sessions.create(domain_id="d")
    assert len(issuer.asked) == 2


def test_an_issuer_that_gives_no_token_is_an_error(worker, issuer):
    issuer.status = 401
    with pytest.raises(TokenRefused) as refused:
        list(worker.sessions.list())
    assert "401" in str(refused.value)
    assert "se/cret" not in str(refused.value)


def test_two_clients_share_credentials(address, credentials, issuer):
    for _ in range(2):
        with Client(f"{address}/api/v1", credentials) as client:
            list(client.sessions.list())
    assert len(issuer.asked) == 1


def test_the_sessions_are_the_workers(address, credentials):
    with Client(f"{address}/api/v1", credentials) as client:
        made = client.sessions.create(domain_id="d")
    with Client(f"{address}/api/v1", make_token("acme", "worker")) as client:
        assert next(client.sessions.list()).session_id == made.session_id
