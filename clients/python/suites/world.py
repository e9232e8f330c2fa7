"""What the plugins need in a framework's process: the server, and a tenant of its own per test.

Tokens are made from the time at which the run began, because some tests replace the clock.
"""

import os
import time
from uuid import uuid4

import jwt

BACKEND = os.environ["SUITES_BACKEND"]
"""`ours`, `builtin` or `dynamodb`."""

URL = os.environ["SESSION_STORE_URL"]
SECRET = os.environ["SESSION_STORE_SECRET"]
DYNAMODB_URL = os.environ["SUITES_DYNAMODB_URL"]

EXPIRES = int(time.time()) + 3600
SCOPES = (
    "sessions:read sessions:write sessions:import sessions:act-for-user "
    "tenant-values:read tenant-values:write"
)

_tenant = ""
_used = False


def begin() -> None:
    """Called before each test."""
    global _tenant, _used
    _tenant, _used = f"test-{uuid4().hex}", False


def use() -> None:
    """Called where a test gets a backend that stands in for the framework's."""
    global _used
    _used = True


def used() -> bool:
    """Whether the test that has just run had a backend."""
    return _used


def tenant() -> str:
    """The present test's."""
    return _tenant


def token(user: str = "tester") -> str:
    claims = {"tenant_id": _tenant, "sub": user, "exp": EXPIRES, "scope": SCOPES}
    return jwt.encode(claims, SECRET, algorithm="HS256")
