"""The pages `/` and `/docs`: their links work behind any prefix, and they show no secret."""

from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest
from werkzeug.test import Client as WsgiClient

from app.config import Config, ConfigError
from app.factory import create_app
from app.table import db
from tests.people import SECRET, Client, problem


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        link = told.get("href") or told.get("src")
        if link and not link.startswith("data:"):
            self.found.append(link)


def open_url(app, prefix, path, event=None):
    """Follows redirects like a browser. API Gateway passes `/dev` on as the path `/`."""
    for _ in range(3):
        assert path == prefix or path.startswith(f"{prefix}/"), path
        overrides = {"SCRIPT_NAME": prefix}
        if event:
            overrides["lambda.event"] = {"requestContext": {"path": path}}
            overrides["SCRIPT_NAME"] = ""
        inner = path.removeprefix(prefix)
        if not event:
            overrides["PATH_INFO"] = inner
        answer = WsgiClient(app).get(inner or "/", environ_overrides=overrides)
        if answer.status_code != 308:
            return path, answer
        path = urljoin(path, answer.headers["Location"])
    raise AssertionError(f"redirected for ever: {path}")


@pytest.mark.parametrize("event", [None, "API Gateway"])
@pytest.mark.parametrize("page", ["/", "/docs", "/docs/"])
@pytest.mark.parametrize("prefix", ["", "/dev", "/chats/v2"])
def test_every_link_works(app, prefix, page, event):
    path, answer = open_url(app, prefix, prefix + page, event)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    parser = Links()
    parser.feed(answer.text)
    assert len(parser.found) > 1
    for link in parser.found:
        _, found = open_url(app, prefix, urljoin(path, link), event)
        assert found.status_code == 200, link
        found.close()


@pytest.mark.parametrize("event", [None, "API Gateway"])
@pytest.mark.parametrize("prefix", ["/dev", "/chats/v2"])
def test_a_prefix_without_its_slash_leads_to_the_page_with_it(app, prefix, event):
    path, answer = open_url(app, prefix, prefix, event)
    assert (path, answer.status_code) == (f"{prefix}/", 200)


@pytest.mark.parametrize("path", ["/openapi.json/", "/docs-assets/docs.css/", "/docs//"])
def test_a_page_is_not_served_where_relative_links_would_break(app, path):
    assert app.test_client().get(path).status_code == 404


def test_the_page_says_where_tokens_come_from(make_app):
    told = {
        "JWT_SECRET": make_app(docs_enabled=False),
        "identity provider": make_app(
            jwt_jwks_url="https://issuer.acme.test/keys", jwt_issuer="https://issuer.acme.test/"
        ),
        "A button in": make_app(dev_tokens=True),
    }
    for text, app in told.items():
        answer = app.test_client().get("/")
        assert [other for other in told if other in answer.text] == [text]
        for secret in (SECRET, "acme.test", app.extensions["table"].name):
            assert secret not in answer.text


def test_without_docs_the_page_does_not_link_to_them(make_app):
    page = make_app(docs_enabled=False).test_client().get("/").text
    assert 'href="docs"' not in page
    assert "openapi.json" not in page


def test_the_pages_policy_allows_no_scripts(app):
    answer = app.test_client().get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"


# The button for a token


def get_token(app, **options):
    return app.test_client().post("/dev-token", **options)


def test_on_a_developers_machine_the_button_gets_a_token(make_app):
    app = make_app(dev_tokens=True)
    answer = get_token(app)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert Client(app, answer.json["token"]).create_session()["session_id"]


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"Host": "evil.example"}},
        {"headers": {"Host": "127.0.0.1.evil.example:5000"}},
        {"environ_overrides": {"REMOTE_ADDR": "192.0.2.1"}},
    ],
    ids=["name", "like loopback", "peer"],
)
def test_a_request_from_elsewhere_gets_no_token(make_app, options):
    answer = get_token(make_app(dev_tokens=True), **options)
    assert answer.status_code == 404
    assert "token" not in answer.text


def test_without_the_setting_there_is_no_token(app):
    problem(get_token(app), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "settings",
    [{"jwt_secret": SECRET}, {"jwt_jwks_url": "https://issuer.acme.test/keys"}],
    ids=["database elsewhere", "issuer"],
)
def test_the_setting_stops_the_start_on_other_machines(settings, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB")
    config = Config(sessions_table="none", dev_tokens=True, **settings)
    with pytest.raises(ConfigError, match="DEV_TOKENS"):
        create_app(config, table=db.Table("none"))
