"""API Gateway's authorizer, with the events and the environment that Lambda gives it."""

import json

import pytest

from app.identity import gateway
from app.table.keys import partition
from tests.identity.issuer import Issuer, alice, asymmetric, public_jwk, write
from tests.people import SECRET, Client, make_token


@pytest.fixture(scope="module")
def table(module_table):
    """One for all tests here: they look at what changed, not at all there is."""
    return module_table


ARN = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/production"


@pytest.fixture
def environment(monkeypatch):
    """Sets what the function's environment holds; the next event starts it anew."""

    def set_environment(**settings: str) -> None:
        for name in ("JWT_SECRET", "JWT_JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE", "CORS_ORIGINS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"SESSIONS_TABLE": "sessions", **settings}.items():
            monkeypatch.setenv(name, value)
        gateway._verifier.cache_clear()

    set_environment(JWT_SECRET=SECRET)
    yield set_environment
    gateway._verifier.cache_clear()


def event(token: str | None, resource: str = f"{ARN}/GET/api/v1/sessions") -> dict[str, str]:
    told = {"type": "TOKEN", "methodArn": resource}
    return told | ({"authorizationToken": token} if token is not None else {})


def test_a_good_token_gets_a_policy_for_the_whole_stage(environment):
    answer = gateway.handler(event(f"Bearer {make_token('acme', 'alice')}"), None)
    assert answer == {
        "principalId": "acme#alice",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow",
                    "Resource": f"{ARN}/*",
                }
            ],
        },
        "context": {"tenant": "acme", "user": "alice", "agent": ""},
    }


@pytest.mark.parametrize(
    "resource",
    [
        f"{ARN}/GET/",
        f"{ARN}/DELETE/api/v1/sessions/sess_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        f"{ARN}/POST/api/v1/sessions/a/messages/batch",
        f"{ARN}/GET/../../other/*",
    ],
)
def test_the_policy_is_the_same_whatever_the_route(environment, resource):
    """The gateway caches it by token."""
    answer = gateway.handler(event(f"Bearer {make_token('acme', 'a')}", resource), None)
    [statement] = answer["policyDocument"]["Statement"]
    assert statement["Resource"] == f"{ARN}/*"


def test_the_context_holds_only_what_the_gateway_takes(environment):
    """Strings, numbers and booleans; an answer with anything else becomes a 500."""
    token = make_token("a#b|ü", "x y%", act={"sub": "agent-7"})
    answer = gateway.handler(event(f"Bearer {token}"), None)
    assert answer["context"] == {"tenant": "a#b|ü", "user": "x y%", "agent": "agent-7"}
    assert answer["principalId"] == partition("a#b|ü", "x y%")
    assert all(type(value) is str for value in answer["context"].values())
    assert json.loads(json.dumps(answer)) == answer


BAD = {
    "none": lambda: None,
    "empty": lambda: "",
    "no scheme": lambda: make_token("acme", "alice"),
    "junk": lambda: "Bearer junk",
    "another secret": lambda: f"Bearer {make_token('acme', 'alice', secret='x' * 32)}",
    "expired": lambda: f"Bearer {make_token('acme', 'alice', exp=1)}",
    "alg none": lambda: "Bearer " + write({"alg": "none"}, alice(), lambda _: b""),
    "no tenant": lambda: f"Bearer {make_token('', 'alice')}",
    "two tokens": lambda: f"Bearer {make_token('acme', 'a')}, Bearer {make_token('acme', 'a')}",
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD)
def test_anything_else_is_exactly_unauthorized(environment, token):
    """The gateway answers 401 to this text and 500 to any other."""
    with pytest.raises(Exception) as raised:  # noqa: B017, PT011  its very type matters
        gateway.handler(event(token()), None)
    assert type(raised.value) is Exception
    assert str(raised.value) == "Unauthorized"
    assert raised.value.__suppress_context__, "the reason is not told"


def test_it_verifies_published_keys_as_the_app_does(environment, keys):
    with Issuer(public_jwk(keys.ec, "ec-1")) as issuer:
        environment(JWT_JWKS_URL=issuer.url)
        token = write({"alg": "ES256", "kid": "ec-1"}, alice(), asymmetric(keys.ec, "ES256"))
        for _ in range(3):
            answer = gateway.handler(event(f"Bearer {token}"), None)
            assert answer["context"]["user"] == "alice"
        assert issuer.requests == 1, "keys are kept from one event to the next"
        with pytest.raises(Exception, match="^Unauthorized$"):
            gateway.handler(event(f"Bearer {make_token('acme', 'alice')}"), None)


def test_an_issuer_that_is_down_is_not_called_unauthorized(environment, keys):
    """The gateway would cache nothing and answer 500: the client should not log its user out."""
    with Issuer() as gone:
        url = gone.url
    environment(JWT_JWKS_URL=url)
    token = write({"alg": "ES256", "kid": "ec-1"}, alice(), asymmetric(keys.ec, "ES256"))
    with pytest.raises(Exception, match="keys cannot be fetched"):
        gateway.handler(event(f"Bearer {token}"), None)


@pytest.mark.parametrize("own_token", [True, False])
def test_the_app_takes_no_ones_word_for_who_is_calling(app, alice, own_token):
    """What Zappa hands on from the gateway's authorizer can't make anybody Alice."""
    session_id = alice.create_session()["session_id"]
    claims = {"tenant": "acme", "user": "alice", "agent": "", "principalId": "acme#alice"}
    forged = {
        "API_GATEWAY_AUTHORIZER": claims,
        "lambda.event": {"requestContext": {"authorizer": claims}},
        "REMOTE_USER": "alice",
    }
    told = {"Authorization": f"Bearer {make_token('globex', 'charlie')}"} if own_token else {}
    answer = app.test_client().get(
        f"/api/v1/sessions/{session_id}", headers=told, environ_overrides=forged
    )
    assert answer.status_code == (404 if own_token else 401)


def test_a_policy_of_the_authorizer_does_not_replace_the_apps_own_check(environment, app):
    """Its answer in hand, a client without a token is still nobody."""
    answer = gateway.handler(event(f"Bearer {make_token('acme', 'alice')}"), None)
    forged = {"API_GATEWAY_AUTHORIZER": {**answer["context"], "principalId": "acme#alice"}}
    nobody = app.test_client().get("/api/v1/sessions", environ_overrides=forged)
    assert nobody.status_code == 401
    assert Client(app, "x.y.z").get("/sessions").status_code == 401
