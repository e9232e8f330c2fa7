"""/docs in a browser that can reach only the app, and the examples on the page."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from urllib.parse import urlsplit

import flask
import pytest
from werkzeug.serving import make_server

from app.grounding.sources import key_hash
from app.verdicts.schemas import EXAMPLE
from tests.browser import open_page, send_from_swagger_ui
from tests.people import Client, make_token


@contextmanager
def serve(app: flask.Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_page_renders_and_sends_a_request_with_no_network_but_the_apps(address, tmp_path):
    with open_page(tmp_path) as page:
        page.go(f"{address}/docs")
        shown = send_from_swagger_ui(page, make_token("acme", "alice"))
        page.screenshot(tmp_path / "docs.png")
        hosts = {urlsplit(url).netloc for url in page.requests if not url.startswith("data:")}
        assert page.complaints == []
    assert json.loads(shown.removeprefix("Download"))["session_id"].startswith("sess_")
    assert hosts == {urlsplit(address).netloc}


def test_a_token_takes_one_click_and_erasing_everything_takes_more(make_app, tmp_path):
    """On a developer's machine a button gets a token. No button erases everything."""
    with serve(make_app(dev_tokens=True)) as address, open_page(tmp_path) as page:
        page.go(f"{address}/docs/")
        page.wait_for("document.querySelectorAll('.opblock').length > 9")
        page.click("#get-token")
        page.wait_for("document.querySelector('#get-token').innerText.includes('You are alice')")
        operation = "#operations-sessions-delete_all_sessions"
        page.click(f"{operation} .opblock-summary-control")
        page.click(f"{operation} .try-out__btn")
        confirm = f"{operation} [data-param-name=confirm] input"
        page.wait_for(f"!!document.querySelector('{confirm}')")
        assert page.evaluate(f"document.querySelector('{confirm}').value") == ""
        page.click(f"{operation} .execute")
        page.wait_for(f"!!document.querySelector('{confirm}.invalid')")
        assert (
            page.evaluate(f"!!document.querySelector('{operation} .live-responses-table')") is False
        )
        assert page.complaints == []


@pytest.mark.parametrize(("width", "highest"), [(1280, 3000), (390, 3700)])
def test_errors_are_folded_and_open_with_a_click(address, tmp_path, width, highest):
    with open_page(tmp_path) as page:
        page.send(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": 1600, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        page.go(f"{address}/docs")
        page.wait_for("document.querySelectorAll('.opblock').length > 9")
        operation = "#operations-messages-append_message"
        page.click(f"{operation} .opblock-summary-control")
        page.wait_for(f"document.querySelectorAll('{operation} .folded').length == 12")
        height = page.evaluate(f"document.querySelector('{operation}').offsetHeight")
        assert height < highest
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.click(f"{operation} .folded[data-code='422'] button")
        shown = f"document.querySelector('{operation} .response[data-code=\"422\"]').innerText"
        page.wait_for(f"{shown}.includes('VALIDATION_FAILED')")
        assert page.evaluate(f"document.querySelectorAll('{operation} .folded').length") == 11
        assert page.complaints == []


def test_the_examples_are_accepted_unchanged(app, alice):
    paths = app.test_client().get("/openapi.json").json["paths"]
    session_id = alice.create_session()["session_id"]
    said = alice.append(session_id)["message_id"]
    scope = "sessions:read sessions:write sessions:import tenant-values:read tenant-values:write"
    importer = Client(app, make_token("acme", "alice", scope=f"{scope} sources:govern"))
    source = key_hash(EXAMPLE["key"])
    names = {"session_id": session_id, "name": "agent/state", "hash": source}
    tried = 0
    for path, operations in paths.items():
        for method, operation in operations.items():
            if "requestBody" not in operation:
                continue
            example = operation["requestBody"]["content"]["application/json"]["example"]
            example |= {name: said for name in ("from", "until") if name in example}
            filled = path.removeprefix("/api/v1").format(**names, message_id=said)
            answer = importer.request(method.upper(), filled, json=example)
            if example.get("from"):
                said = answer.json["messages"][0]["message_id"]
            assert answer.status_code in (200, 201), answer.text
            tried += 1
    assert tried == 12 + 3 * 3
