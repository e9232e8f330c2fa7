"""Keys, an issuer, apps that share one table per module, and a record of DynamoDB requests."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import flask
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.config import Config
from app.factory import create_app
from app.operations import provision
from app.table import db
from tests.identity.issuer import Issuer, ec_key, public_jwk, rsa_key
from tests.people import SECRET


@dataclass(frozen=True)
class Keys:
    rsa: rsa.RSAPrivateKey
    ec: ec.EllipticCurvePrivateKey
    other_rsa: rsa.RSAPrivateKey
    other_ec: ec.EllipticCurvePrivateKey
    p384: ec.EllipticCurvePrivateKey


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys(rsa_key(), ec_key(), rsa_key(), ec_key(), ec_key(ec.SECP384R1()))


@pytest.fixture(scope="module")
def issuer(keys: Keys) -> Iterator[Issuer]:
    """Publishes an RSA key, and EC keys of two curves."""
    jwks = (
        public_jwk(keys.rsa, "rsa-1", alg="RS256", use="sig"),
        public_jwk(keys.ec, "ec-1"),
        public_jwk(keys.p384, "p384-1"),
    )
    with Issuer(*jwks) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def module_table(client: Any) -> Iterator[db.Table]:
    """One table per module, for tests that write nothing or ignore items of other tests."""
    table = db.Table(f"test-{uuid4()}", client)
    list(provision.create(table))
    yield table
    client.update_table(TableName=table.name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=table.name)


@pytest.fixture(scope="module")
def app_with(module_table: db.Table) -> Callable[..., flask.Flask]:
    """Makes an app with these settings on the module's table. Equal settings give the same app."""
    made: dict[str, flask.Flask] = {}

    def app_with(**settings: Any) -> flask.Flask:
        usual = {"sessions_table": module_table.name, "docs_enabled": True}
        if "jwt_jwks_url" not in settings:
            usual["jwt_secret"] = SECRET
        config = Config(**{**usual, **settings})
        name = repr(sorted(settings.items()))  # the repr of a Config leaves out the secret
        if name not in made:
            made[name] = create_app(config, table=module_table)
        return made[name]

    return app_with


@dataclass(frozen=True)
class Call:
    """A request that was sent to DynamoDB."""

    operation: str
    body: dict[str, Any]

    @property
    def text(self) -> str:
        return json.dumps(self.body, ensure_ascii=False)


@contextmanager
def recorded(client: Any) -> Iterator[list[Call]]:
    """The requests that the app sends to DynamoDB."""
    calls: list[Call] = []

    def note(request: Any, **_: Any) -> None:
        operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
        calls.append(Call(operation, json.loads(request.body)))

    client.meta.events.register("before-send.dynamodb", note)
    yield calls
    client.meta.events.unregister("before-send.dynamodb", note)


@pytest.fixture
def sent(client: Any) -> Iterator[list[Call]]:
    with recorded(client) as calls:
        yield calls


@pytest.fixture(scope="module")
def sent_in_module(client: Any) -> Iterator[list[Call]]:
    with recorded(client) as calls:
        yield calls
