"""An issuer with real keys and a JWKS server on loopback, and functions to forge tokens by hand."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Key = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
Signer = Callable[[bytes], bytes]

ALGORITHMS = jwt.algorithms.get_default_algorithms()


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def _kind(key: Key) -> Any:
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAAlgorithm
    return ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else OKPAlgorithm


def public_jwk(key: Key, kid: str | None = None, **members: Any) -> dict[str, Any]:
    jwk = _kind(key).to_jwk(key.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, **({"kid": kid} if kid else {}), **members}


def private_jwk(key: Key, kid: str) -> dict[str, Any]:
    return {**_kind(key).to_jwk(key, as_dict=True), "kid": kid}


def public_pem(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def hs256(secret: str | bytes, hash_name: str = "sha256") -> Signer:
    """Signs without PyJWT, which refuses a PEM as a secret. A forger would use one."""
    raw = secret.encode() if isinstance(secret, str) else secret
    return lambda message: hmac.new(raw, message, getattr(hashlib, hash_name)).digest()


def asymmetric(key: Key, algorithm: str) -> Signer:
    return lambda message: ALGORITHMS[algorithm].sign(message, key)


def unsigned(_: bytes) -> bytes:
    return b""


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def alice(**changes: Any) -> dict[str, Any]:
    """The claims of a valid token, with changes. None removes a claim."""
    claims = {"tenant_id": "acme", "sub": "alice", "exp": int(time.time()) + 600, **changes}
    return {name: value for name, value in claims.items() if value is not None}


def write(header: Any, claims: Any, sign: Signer) -> str:
    """A token with these parts. Objects become JSON; text and bytes are used unchanged."""
    parts = ".".join(
        b64(
            part
            if isinstance(part, bytes)
            else (part if isinstance(part, str) else json.dumps(part)).encode()
        )
        for part in (header, claims)
    )
    return f"{parts}.{b64(sign(parts.encode()))}"


class Issuer:
    """A JWKS server on a free loopback port that counts its requests.

    `answer` may be replaced. After `stop` it refuses connections, like an issuer that is down.
    """

    def __init__(self, *jwks: dict[str, Any]) -> None:
        self.requests = 0
        self.answer: Callable[[BaseHTTPRequestHandler], None] = lambda to: send(
            to, json.dumps({"keys": self.jwks}).encode()
        )
        self.jwks = list(jwks)
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests += 1
                issuer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/jwks.json"

    def wrap(self, context: ssl.SSLContext) -> None:
        """Switches the server to TLS."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def send(to: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    to.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        to.send_header(name.replace("_", "-"), value)
    to.end_headers()
    to.wfile.write(body)


def drip(answer: bytes, seconds: float = 0.05) -> Callable[[BaseHTTPRequestHandler], None]:
    """Sends a whole answer one byte at a time, so that each read is short."""

    def send_slowly(to: BaseHTTPRequestHandler) -> None:
        to.close_connection = True
        try:
            for n in range(len(answer)):
                to.wfile.write(answer[n : n + 1])
                time.sleep(seconds)
        except OSError:  # the client has closed the connection
            pass

    return send_slowly
