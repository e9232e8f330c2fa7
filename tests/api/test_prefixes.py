"""Behind a prefix: an API Gateway stage, a base path, CloudFront with an origin path, a proxy.

The addresses in answers work whether or not the app knows the prefix (SCRIPT_NAME).
"""

from urllib.parse import urljoin, urlsplit

import pytest
from werkzeug.test import Client as WsgiClient

from tests.people import make_token

SEEN_AND_PUBLIC = {
    "none": ("", ""),
    "stage": ("/dev", "/dev"),
    "CloudFront with an origin path": ("/dev", ""),
    "custom domain with a base path": ("", "/chats/v2"),
}
"""The prefix that the app knows, and the one that the client uses."""


@pytest.fixture(params=SEEN_AND_PUBLIC.values(), ids=SEEN_AND_PUBLIC)
def ask(request, app):
    """Sends a request to a public path as the gateway would pass it on."""
    seen, public = request.param
    headers = {"Authorization": f"Bearer {make_token('acme', 'alice')}"}

    def ask(method, url, **options):
        parts = urlsplit(urljoin(f"https://api.example.com{public}/", url))
        assert parts.path.startswith(f"{public}/"), parts.path
        answer = WsgiClient(app).open(
            parts.path.removeprefix(public),
            method=method,
            environ_overrides={"SCRIPT_NAME": seen},
            headers=headers,
            **options,
        )
        return parts.geturl(), answer

    return ask


@pytest.mark.parametrize("slash", ["", "/"])
def test_location_leads_to_what_was_created(ask, slash):
    url, created = ask("POST", f"api/v1/sessions{slash}", json={"domain_id": "d"})
    session_url, session = ask("GET", urljoin(url, created.headers["Location"]))
    assert session.json["session_id"] == created.json["session_id"]

    said = {"role": "user", "content": "Hello"}
    url, appended = ask("POST", f"{session_url}/messages{slash}", json=said)
    _, message = ask("GET", urljoin(url, appended.headers["Location"]))
    assert message.json == appended.json


def test_the_servers_address_is_relative_to_the_document(ask):
    """`servers` is relative to the document's own address."""
    url, document = ask("GET", "openapi.json")
    server = urljoin(url, document.json["servers"][0]["url"])
    _, health = ask("GET", urljoin(server, "health"))
    assert health.json == {"status": "ok"}


def test_a_foreign_host_header_is_in_no_answer(app):
    headers = {
        "Authorization": f"Bearer {make_token('acme', 'alice')}",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Host": "evil.example",
        "Host": "evil.example",
    }
    answer = app.test_client().post("/api/v1/sessions", json={"domain_id": "d"}, headers=headers)
    assert "evil" not in str(answer.headers)
