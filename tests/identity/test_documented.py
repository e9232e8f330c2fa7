"""The examples in docs/identity.md work unchanged, and that for one issuer by variables.

`test_recipes.py` has the others of docs/issuers.md.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from app.config import Config
from app.errors import Forbidden, Unauthorized
from app.identity.auth import authorize
from app.identity.caller import Caller
from app.identity.jwks import Jwks
from app.identity.scopes import READ, WRITE
from app.identity.tokens import Verifier
from tests.identity.issuer import Issuer, asymmetric, send, write

DOCS, RECIPES = (Path(__file__).parents[2] / f"docs/{name}.md" for name in ("identity", "issuers"))


def block(kind: str, name: str, page: Path = DOCS) -> str:
    pattern = rf"<!-- {kind}: {re.escape(name)} -->\n```\w+\n(.*?)```"
    [found] = re.findall(pattern, page.read_text(), re.DOTALL)
    return found


def settings() -> dict[str, str]:
    lines = block("configuration", "cognito-id-by-variables", RECIPES).splitlines()
    return {"SESSIONS_TABLE": "sessions", **dict(line.split("=", 1) for line in lines)}


def claims(**changes: Any) -> dict[str, Any]:
    told = json.loads(block("token", "cognito-id", RECIPES))
    told = {**told, "exp": int(time.time()) + 600, **changes}
    return {name: value for name, value in told.items() if value is not None}


@pytest.fixture
def verify(issuer, keys):
    """Uses the documented settings, except for the address of the keys."""

    def verify(told):
        verifier = Verifier(Config.from_env(settings()), Jwks(issuer.url))
        header = {"alg": "RS256", "kid": "rsa-1"}
        token = write(header, told, asymmetric(keys.rsa, "RS256"))
        return verifier.verify(f"Bearer {token}")

    return verify


def test_the_documented_settings_take_the_documented_token(verify):
    identity = verify(claims())
    assert identity.caller == Caller("acme", claims()["sub"])
    for scope in (READ, WRITE):
        assert authorize(identity, scope) == identity.caller


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "custom:tenant_id"])
def test_the_documented_token_without_what_matters_is_refused(verify, claim):
    with pytest.raises(Unauthorized):
        verify(claims(**{claim: None}))


def test_a_token_that_was_given_no_scopes_of_ours_is_for_nothing(verify):
    with pytest.raises(Forbidden):
        authorize(verify(claims(scope="openid profile")), READ)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the commands use openssl")
def test_the_commands_for_an_issuer_of_your_own_work_as_pasted(tmp_path):
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    script = "\n".join(block("run", name) for name in ("key", "settings", "token"))
    done = subprocess.run(
        ["bash", "-euc", f"{script}\nenv\necho TOKEN=$TOKEN"],
        cwd=tmp_path,
        env={**os.environ, "JWT_SECRET": "to be unset", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    config = Config.from_env(told)
    published = tmp_path / ".local/issuer/public"
    assert [file.name for file in published.iterdir()] == ["jwks.json"]
    document = (published / "jwks.json").read_bytes()
    assert not {"d", "p", "q"} & json.loads(document)["keys"][0].keys()
    assert (tmp_path / ".local/issuer/private.pem").stat().st_mode & 0o777 == 0o600
    with Issuer() as issuer:
        issuer.answer = lambda to: send(to, document)
        identity = Verifier(config, Jwks(issuer.url)).verify(f"Bearer {told['TOKEN']}")
    assert (identity.caller.tenant, identity.caller.user) == ("acme", "alice")
