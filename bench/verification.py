"""What the verification of a token costs, by algorithm.

    python -m bench.verification

Times are CPU time of this process, which runs the whole WSGI app but not the database:

- `verify_us`: `Verifier.verify` with a new token.
- `again_us`: the same with a token that the verifier has seen.
- `request_us`: a whole `GET /sessions/{id}` with ten messages and a new token, over DynamoDB Local.

Each is the median of several rounds. The algorithms take turns, so that a slow moment of the
machine affects all of them.
"""

import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from werkzeug.test import EnvironBuilder

from app import logs
from app.config import Config
from app.factory import create_app
from app.identity.caller import Caller
from app.identity.jwks import Jwks
from app.identity.tokens import Identity, Verifier
from app.messages.model import NewMessage
from app.messages.store import MessageStore
from app.operations import provision
from app.sessions.creation import NewSession
from app.sessions.store import SessionStore
from app.table import db

ROUNDS = 15
VERIFICATIONS, REQUESTS = 200, 40
"""Per round."""

MESSAGES = 10

Work = Callable[[], Any]

URL = "http://127.0.0.1/jwks.json"  # never fetched: the keys are passed in
SECRET = "a-secret-for-the-benchmark-of-32-bytes"  # noqa: S105


def measure(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """One row per algorithm: `verify_us`, `again_us`, `request_us` and `request_wall_us` in
    microseconds, and `share`, the part of the request's CPU time that verification takes (0 to 1).

    Uses the DynamoDB at AWS_ENDPOINT_URL_DYNAMODB if it is set; otherwise starts DynamoDB Local.
    """
    with ExitStack() as stack:
        options: dict[str, str] = {}
        if "AWS_ENDPOINT_URL_DYNAMODB" not in os.environ:
            sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
            import dynamodb_local

            engine = stack.enter_context(dynamodb_local.start())
            options = {"endpoint_url": engine.url, "region_name": "us-east-1"}
            options |= {"aws_access_key_id": "bench", "aws_secret_access_key": "bench"}
        table = db.Table(f"bench-{uuid4()}", db.connect(**options))
        list(provision.create(table))
        stack.callback(_drop, table)
        nowhere = stack.enter_context(Path(os.devnull).open("w"))
        handlers = logs.log.handlers
        stack.callback(setattr, logs.log, "handlers", handlers)
        return _measure(table, _session(table), rounds, nowhere)


def _measure(table: db.Table, session_id: str, rounds: int, log: TextIO) -> list[dict[str, Any]]:
    work: dict[str, tuple[Work, Work, Work]] = {}
    for algorithm, (make, token) in _verifiers().items():
        work[algorithm] = _work(table, session_id, make, f"Bearer {token}")
    # Formatting a log line is part of a request's cost. Where the line goes is not.
    for handler in logs.log.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(log)
    names = ("verify_us", "again_us", "request_us", "request_wall_us")
    found: dict[str, dict[str, list[float]]] = {
        algorithm: {name: [] for name in names} for algorithm in work
    }
    for round_ in range(-1, rounds):  # the first round warms up
        for algorithm, (verify, again, request) in work.items():
            cpu, wall = _times(request, REQUESTS)
            times = (_times(verify, VERIFICATIONS)[0], _times(again, VERIFICATIONS)[0], cpu, wall)
            for name, value in zip(names, times, strict=True):
                if round_ >= 0:
                    found[algorithm][name].append(value)
    rows = []
    for algorithm, times in found.items():
        medians = {name: round(statistics.median(values), 1) for name, values in times.items()}
        share = round(medians["verify_us"] / medians["request_us"], 4)
        rows.append({"algorithm": algorithm, **medians, "share": share})
    return rows


def _work(
    table: db.Table, session_id: str, make: Callable[[], Verifier], authorization: str
) -> tuple[Work, Work, Work]:
    """Functions that verify a new token, verify a known one, and send a request with a new one.

    A verifier remembers tokens, so each new token goes to a new verifier with the same keys.
    """
    known = make()
    verifier = _Anew(make)
    config = Config(sessions_table=table.name, jwt_secret=SECRET)
    app = create_app(config, table=table, verifier=verifier)
    headers = {"Authorization": authorization}
    environ = EnvironBuilder(f"/api/v1/sessions/{session_id}", headers=headers).get_environ()
    return (
        lambda: verifier.verify(authorization),
        lambda: known.verify(authorization),
        lambda: _request(app, environ),
    )


class _Anew(Verifier):
    """Treats every token as new."""

    def __init__(self, make: Callable[[], Verifier]) -> None:
        self._make = make
        self._always = make()

    def verify(self, authorization: str | None) -> Identity:
        return self._make().verify(authorization)

    def authorize(self, *arguments: Any) -> Caller:
        return self._always.authorize(*arguments)


def _verifiers() -> dict[str, tuple[Callable[[], Verifier], str]]:
    """For each algorithm: makes a verifier, configured as in production, and a token for it."""
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ec_key = ec.generate_private_key(ec.SECP256R1())
    claims = {
        "iss": "https://issuer.example.com/",
        "aud": "session-store",
        "tenant_id": "acme",
        "sub": "alice",
        "iat": int(time.time()),
        "exp": int(time.time()) + 3600,
        "scope": "sessions:read sessions:write",
    }
    checks = {"jwt_issuer": claims["iss"], "jwt_audience": claims["aud"]}
    by_secret = Config(sessions_table="none", jwt_secret=SECRET, **checks)
    made: dict[str, tuple[Callable[[], Verifier], str]] = {
        "HS256": (lambda: Verifier(by_secret), jwt.encode(claims, SECRET, "HS256"))
    }
    for algorithm, kind, key in (
        ("RS256", RSAAlgorithm, rsa_key),
        ("ES256", ECAlgorithm, ec_key),
    ):
        jwk = {**kind.to_jwk(key.public_key(), as_dict=True), "kid": "k"}
        document = json.dumps({"keys": [jwk]}).encode()
        config = Config(sessions_table="none", jwt_jwks_url=URL, **checks)
        jwks = Jwks(URL, fetch=lambda _, document=document: document)
        token = jwt.encode(claims, key, algorithm, headers={"kid": "k"})
        made[algorithm] = (lambda config=config, jwks=jwks: Verifier(config, jwks), token)
    return made


def _session(table: db.Table) -> str:
    caller = Caller("acme", "alice")
    session = SessionStore(table).create(caller, NewSession(domain_id="bench")).session
    new = [NewMessage(role="user", content="x" * 200) for _ in range(MESSAGES)]
    MessageStore(table).append(caller, session.session_id, new)
    return session.session_id


def _request(app: Any, environ: dict[str, Any]) -> None:
    status: list[str] = []
    body = app(dict(environ), lambda line, _headers, _info=None: status.append(line))
    size = sum(map(len, body))
    if status != ["200 OK"] or size < MESSAGES * 200:
        raise RuntimeError(f"{status}, {size} bytes")


def _times(work: Callable[[], Any], count: int) -> tuple[float, float]:
    """CPU and wall microseconds of one call, averaged over `count` calls."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        work()
    return (
        (time.process_time() - cpu) / count * 1e6,
        (time.perf_counter() - wall) / count * 1e6,
    )


def _drop(table: db.Table) -> None:
    client: Any = table.client
    client.update_table(TableName=table.name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=table.name)


def main() -> None:
    print(f"{'':8}{'verify':>10}{'again':>10}{'request':>12}{'share':>8}   (µs of CPU)")
    for row in measure():
        print(
            f"{row['algorithm']:8}{row['verify_us']:>10.1f}{row['again_us']:>10.1f}{row['request_us']:>12.1f}"
            f"{row['share']:>8.1%}"
        )


if __name__ == "__main__":
    main()
