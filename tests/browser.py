"""Swagger UI in a real browser: the installed Chromium, headless, driven by the DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import websocket
from dynamodb_local import die_with_parent

START_SECONDS = 30
WAIT_SECONDS = 20


def chromium() -> str:
    """The path of the browser. Without one, the test is skipped; in CI it fails."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    reason = "there is no Chromium on the PATH (on Debian: apt-get install chromium)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Page:
    """A browser tab. Keeps the URLs that it requested and the errors in its console."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket
        self._last = 0
        self.requests: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        command = {"id": self._last, "method": method, "params": parameters}
        self._socket.send(json.dumps(command))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._last:
                assert "error" not in message, message
                return dict(message["result"])
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(parameters["exceptionDetails"]))
            case "Log.entryAdded":
                self.complaints.append(str(parameters["entry"]))
            case "Network.loadingFailed":
                self.complaints.append(str(parameters))

    def go(self, url: str) -> None:
        self.send("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, converted from JSON."""
        result = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Waits until the expression is true and returns its value."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not (value := self.evaluate(expression)):
            if time.monotonic() > deadline:
                text = self.evaluate("document.body && document.body.innerText")
                raise AssertionError(f"never true: {expression}\n{text}\n{self.complaints}")
            time.sleep(0.05)
        return value

    def click(self, selector: str) -> None:
        self.wait_for(f"!!document.querySelector({json.dumps(selector)})")
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector: str, text: str) -> None:
        """Types like a person, replacing what is in the field."""
        self.wait_for(f"!!document.querySelector({json.dumps(selector)})")
        self.evaluate(
            f"(field => {{ field.focus(); field.select(); }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        self.send("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


@contextmanager
def open_page(folder: Path, *, names: dict[str, str] | None = None) -> Iterator[Page]:
    """Starts a browser with one empty tab and its profile in `folder`.

    The browser has no network access. No host name resolves, except those in `names`, each mapped
    to an address on this machine (`127.0.0.1:port`).
    """
    rules = [f"MAP {name} {address}" for name, address in (names or {}).items()]
    rules += ["MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1"]
    command = [
        chromium(),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--disable-dev-shm-usage", "--no-proxy-server", "--window-size=1280,1600"),
        "--disable-features=HttpsUpgrades",  # Chromium would try https:// first
        f"--host-resolver-rules={', '.join(rules)}",
        f"--user-data-dir={folder / 'profile'}",
        "--remote-debugging-port=0",
        "about:blank",
    ]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        socket = websocket.create_connection(
            _address_of_the_tab(process, folder), timeout=60, suppress_origin=True
        )
        try:
            yield Page(socket)
        finally:
            socket.close()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _address_of_the_tab(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Chromium writes its port to its profile when it starts to listen."""
    told = folder / "profile" / "DevToolsActivePort"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if told.exists() and len(lines := told.read_text().split()) == 2:
            with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json/list") as answer:
                tabs = [target for target in json.load(answer) if target["type"] == "page"]
            if tabs:
                return str(tabs[0]["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise RuntimeError(f"Chromium did not start:\n{(folder / 'chromium.log').read_text()}")


def send_from_swagger_ui(page: Page, token: str) -> str:
    """Authorizes with the token and sends the unchanged example of "Create a session".

    Returns the body that the page shows for the 201 answer.
    """
    page.wait_for("document.querySelectorAll('.opblock').length > 9")
    page.click(".btn.authorize")
    page.type(".auth-container input", token)
    page.click(".auth-btn-wrapper button[type=submit]")
    page.click(".auth-btn-wrapper .btn-done")
    operation = "#operations-sessions-create_session"
    page.click(f"{operation} .opblock-summary-control")
    page.click(f"{operation} .try-out__btn")
    page.click(f"{operation} .execute")
    answer = f"document.querySelector('{operation} .live-responses-table .response"
    status = page.wait_for(f"{answer} .response-col_status')?.innerText")
    body = page.evaluate(f"{answer} .highlight-code')?.innerText")
    assert status.startswith("201"), f"{status}: {body}"
    return str(body)
