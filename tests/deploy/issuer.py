"""An issuer of tokens on loopback. It publishes its keys over HTTP and signs tokens for tests."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

NAME, AUDIENCE = "https://issuer.example.com/", "session-store"


class Issuer:
    def __init__(self) -> None:
        self._rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._ec = ec.generate_private_key(ec.SECP256R1())
        self.jwks_url = ""

    def token(self, tenant: str, user: str, *, algorithm: str = "RS256", **claims: Any) -> str:
        key = self._rsa if algorithm == "RS256" else self._ec
        told = {
            "tenant_id": tenant,
            "sub": user,
            "iss": NAME,
            "aud": AUDIENCE,
            "exp": int(time.time()) + 3600,
            **claims,
        }
        return jwt.encode(told, key, algorithm=algorithm, headers={"kid": algorithm})

    def jwks(self) -> bytes:
        keys = (
            (jwt.algorithms.RSAAlgorithm, self._rsa, "RS256"),
            (jwt.algorithms.ECAlgorithm, self._ec, "ES256"),
        )
        public = [
            {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
            for kind, key, kid in keys
        ]
        return json.dumps({"keys": public}).encode()


@contextmanager
def start() -> Iterator[Issuer]:
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(issuer.jwks())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    issuer.jwks_url = f"http://127.0.0.1:{server.server_port}/jwks.json"
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
