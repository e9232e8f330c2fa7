"""The examples in docs/identity.md work unchanged."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.config import Config
from app.errors import Forbidden, Unauthorized
from app.identity.auth import READ, WRITE, authorize
from app.identity.jwks import Jwks
from app.identity.tokens import Verifier
from tests.identity.issuer import Issuer, asymmetric, send, write

DOCS = Path(__file__).parents[2] / "docs/identity.md"


def block(kind: str, name: str) -> str:
    pattern = rf"<!-- {kind}: {re.escape(name)} -->\n```\w+\n(.*?)```"
    [found] = re.findall(pattern, DOCS.read_text(), re.DOTALL)
    return found


def settings(name: str) -> dict[str, str]:
    lines = block("configuration", name).splitlines()
    return {"SESSIONS_TABLE": "sessions", **dict(line.split("=", 1) for line in lines)}


def claims(name: str) -> dict:
    return {**json.loads(block("token", name)), "exp": int(time.time()) + 600}


NAMES = re.findall(r"<!-- configuration: (\S+) -->", DOCS.read_text())


@pytest.fixture
def verify(issuer, keys):
    """Uses the documented settings, except for the address of the keys."""

    def verify(name, told):
        config = Config.from_env(settings(name))
        verifier = Verifier(config, Jwks(issuer.url))
        header = {"alg": "RS256", "kid": "rsa-1"}
        token = write(header, told, asymmetric(keys.rsa, "RS256"))
        return verifier, verifier.verify(f"Bearer {token}")

    return verify


def test_every_provider_has_settings_and_a_token():
    assert set(NAMES) == {
        "cognito-id",
        "cognito-access",
        "auth0",
        "auth0-organizations",
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_documented_settings_take_the_documented_token(verify, name):
    told = claims(name)
    verifier, identity = verify(name, told)
    assert identity.caller.user == told["sub"]
    assert identity.caller.tenant == told[settings(name)["JWT_TENANT_CLAIM"]]
    for scope in (READ, WRITE):
        assert authorize(identity, scope) == identity.caller


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("claim", ["iss", "sub", "the tenant"])
def test_the_documented_token_without_what_matters_is_refused(verify, name, claim):
    told = claims(name)
    del told[settings(name)["JWT_TENANT_CLAIM"] if claim == "the tenant" else claim]
    with pytest.raises(Unauthorized):
        verify(name, told)


def test_the_access_token_settings_of_cognito_keep_its_id_tokens_out(verify):
    """One pool makes both, with the same keys and no audience to tell them apart."""
    with pytest.raises(Unauthorized):
        verify("cognito-access", claims("cognito-id"))


def test_the_id_token_settings_of_cognito_keep_its_access_tokens_out(verify):
    with pytest.raises(Unauthorized):
        verify("cognito-id", claims("cognito-access"))


@pytest.mark.parametrize("name", ["cognito-access", "auth0", "auth0-organizations"])
def test_a_provider_that_was_not_told_of_our_scopes_makes_tokens_for_nothing(verify, name):
    verifier, identity = verify(name, {**claims(name), "scope": "openid profile"})
    with pytest.raises(Forbidden):
        authorize(identity, READ)


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
