"""A small page in plain JavaScript, on another origin, does what a chat needs: one request each."""

import json
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode

import flask
import pytest
from werkzeug.serving import make_server

from tests.browser import open_page
from tests.people import Client, make_token

PAGE = Path(__file__).parents[1] / "fixtures" / "chat.html"

ORIGIN = "http://chat.example"


@pytest.fixture
def serve():
    """Serves WSGI apps on this machine, each with a port of its own."""
    servers = []

    def start(app):
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"127.0.0.1:{server.port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def chat(serve, make_app, tmp_path):
    """The page, and Alice, who uses the same account elsewhere."""
    api = make_app(cors_origins=(ORIGIN,))
    front = flask.Flask("front")
    front.add_url_rule("/", view_func=lambda: PAGE.read_text())
    token = make_token("acme", "alice")
    told = urlencode({"api": f"http://{serve(api)}/api/v1", "token": token})
    with open_page(tmp_path, names={"chat.example": serve(front)}) as page:
        page.go(f"{ORIGIN}/#{told}")
        page.wait_for("typeof archive == 'function'")
        yield page, Client(api, token)
        expected = ("favicon", "status of 412")  # the browser notes every failed request
        assert [t for t in page.complaints if not any(e in t for e in expected)] == []


def test_the_page_is_about_forty_lines():
    _, script = PAGE.read_text().split("<script>")
    assert len(script.splitlines()) < 50


def test_a_chat_needs_one_request_for_each_thing(chat, tmp_path):
    page, alice = chat

    def do(script, *wanted):
        page.evaluate("sent.length = 0")
        value = page.evaluate(script)
        assert page.evaluate("sent") == list(wanted)
        return value

    def shown():
        return page.evaluate("$('messages').innerText").splitlines()

    made = alice.create_session(title="Potholes")["session_id"]
    alice.append(made, "first")
    alice.create_session(title="Lights")
    path = f"/sessions/{made}"

    do("list()", "GET /sessions?archived=false")
    assert page.evaluate("$('list').innerText").split("\n")[2:4] == ["Potholes", "first"]
    do(f"open_('{made}')", f"GET {path}?messages=50")
    assert shown() == ["user: first"]

    do("send('second')", f"POST {path}/messages")
    assert page.evaluate("etag") == alice.get(path).headers["ETag"]
    alice.append(made, "by an agent", role="assistant")
    polled = page.evaluate("messages.at(-1).message_id")
    do("poll()", f"GET {path}/messages?after={polled}")
    assert shown() == ["user: first", "user: second", "assistant: by an agent"]

    do("edit(messages[1], 'edited')", f"POST {path}/messages/replace")
    assert shown() == ["user: first", "user: edited"]
    do("send('It is', 'assistant', 'in_progress')", f"POST {path}/messages")
    assert shown()[-1] == "assistant: It is (in_progress)"
    answer = page.evaluate("messages.at(-1).message_id")
    do("stop(messages[2], 'It is 9')", f"PUT {path}/messages/{answer}")
    assert shown()[-1] == "assistant: It is 9 (interrupted)"
    do("rate(messages[2], 'up')", f"PUT {path}/messages/{answer}/feedback")
    assert shown()[-1].endswith("★")
    page.screenshot(tmp_path / "chat.png")
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.send("Emulation.setDeviceMetricsOverride", **phone)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.screenshot(tmp_path / "phone.png")

    for n in range(5):
        alice.append(made, f"more {n}")
        do(f"rename('Renamed {n}')", f"PUT {path}")
    assert alice.get(path).json["title"] == "Renamed 4"
    alice.put(path, {"title": "by somebody else"})
    assert page.evaluate("rename('mine').catch(error => error.message)") == "SETTINGS_CHANGED"

    alice.put(f"{path}/messages/{answer}", {"content": "It is 9."})
    page.evaluate("poll()")
    assert shown()[2] == "assistant: It is 9. ★", "an edit elsewhere is noticed"

    page.evaluate("$('q').value = 'SOMEBODY'")
    do("list()", "GET /sessions?archived=false&q=SOMEBODY")
    assert page.evaluate("$('list').children.length") == 1
    do("archive()", f"PUT {path}")
    page.evaluate("$('q').value = ''")
    do("list()", "GET /sessions?archived=false")
    assert json.dumps(page.evaluate("$('list').innerText")).count("Lights") == 1
    assert page.evaluate("$('list').children.length") == 1
