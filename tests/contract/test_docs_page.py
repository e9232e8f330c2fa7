"""/docs in a browser that reaches nothing but the app, and the examples that stand in it."""

import json
from urllib.parse import urlsplit

from tests.browser import open_page, send_from_swagger_ui
from tests.people import make_token


def test_the_page_renders_and_sends_a_request_with_no_network_but_the_apps(address, tmp_path):
    with open_page(tmp_path) as page:
        page.go(f"{address}/docs")
        shown = send_from_swagger_ui(page, make_token("acme", "alice"))
        page.screenshot(tmp_path / "docs.png")
        hosts = {urlsplit(url).netloc for url in page.requests if not url.startswith("data:")}
        assert page.complaints == []
    assert json.loads(shown.removeprefix("Download"))["session_id"].startswith("sess_")
    assert hosts == {urlsplit(address).netloc}


def test_the_examples_are_accepted_as_they_stand(app, alice):
    paths = app.test_client().get("/openapi.json").json["paths"]
    session_id = alice.create_session()["session_id"]
    tried = 0
    for path, operations in paths.items():
        for method, operation in operations.items():
            if "requestBody" not in operation:
                continue
            example = operation["requestBody"]["content"]["application/json"]["example"]
            filled = path.removeprefix("/api/v1").format(session_id=session_id)
            answer = alice.request(method.upper(), filled, json=example)
            assert answer.status_code in (200, 201), answer.text
            tried += 1
    assert tried == 4
