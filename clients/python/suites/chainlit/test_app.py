"""The app of docs/frameworks.md, run by Chainlit, twice."""

import asyncio
import os
import re
import signal
import socket
import sys
import uuid
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import socketio

from suites import world

DOCS = Path(__file__).parents[4] / "docs" / "frameworks.md"
WAIT = 30  # seconds


def app_of_the_docs():
    [code] = re.findall(r"<!-- chainlit: app.py -->\n```python\n(.*?)```", DOCS.read_text(), re.S)
    return code


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def folder(tmp_path):
    world.use()
    (tmp_path / "app.py").write_text(app_of_the_docs())
    return tmp_path


@asynccontextmanager
async def running(folder):
    """The app's address. It is killed in the end, as in a crash."""
    port = free_port()
    environment = {
        **os.environ,
        "SESSION_STORE_TOKEN": world.token("chainlit-app"),
        "CHAINLIT_AUTH_SECRET": "s" * 64,
        "PASSWORD": "secret",
    }
    command = ["-m", "chainlit", "run", "app.py", "--headless", "--host", "127.0.0.1"]
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, "--port", str(port),
            cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient() as http:
            for _ in range(WAIT * 5):
                try:
                    await http.get(address)
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


class Browser:
    """What Chainlit's page does."""

    def __init__(self, address):
        self.http = httpx.AsyncClient(base_url=address)
        self.address = address

    async def log_in(self, name):
        answer = await self.http.post("/login", data={"username": name, "password": "secret"})
        assert answer.status_code == 200, answer.text
        return self

    async def open(self, thread_id=""):
        self.session_id = str(uuid.uuid4())
        self.events = []
        self.socket = socketio.AsyncClient()
        self.socket.on("*", lambda name, *data: self.events.append((name, *data)))
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        await self.socket.connect(
            self.address,
            headers={"Cookie": cookies},
            auth={"sessionId": self.session_id, "clientType": "webapp", "threadId": thread_id},
            socketio_path="/ws/socket.io",
        )
        await self.socket.emit("connection_successful")

    async def event(self, wanted, when=lambda _: True):
        async with asyncio.timeout(WAIT):
            while True:
                for event in self.events:
                    if event[0] == wanted and when(event[1]):
                        self.events.remove(event)
                        return event[1]
                await asyncio.sleep(0.05)

    async def say(self, text, files=()):
        references = []
        for name, content, mime in files:
            sent = await self.http.post(
                "/project/file",
                params={"session_id": self.session_id},
                files={"file": (name, content, mime)},
            )
            references.append({"id": sent.json()["id"]})
        said = {
            "id": str(uuid.uuid4()),
            "name": "alice",
            "type": "user_message",
            "output": text,
            "createdAt": "2026-11-30T10:00:00Z",
        }
        await self.socket.emit("client_message", {"message": said, "fileReferences": references})
        answer = await self.event("new_message", lambda new: new["type"] == "assistant_message")
        return answer["output"]

    async def threads(self, **filters):
        asked = {"pagination": {"first": 20}, "filter": filters}
        return (await self.http.post("/project/threads", json=asked)).json()["data"]

    async def thread(self, thread_id, steps):
        """Once it has that many, and all have ended: Chainlit does not wait for the data layer."""
        for _ in range(WAIT * 5):
            thread = (await self.http.get(f"/project/thread/{thread_id}")).json()
            found = thread.get("steps", [])
            if len(found) >= steps and all(each["end"] for each in found):
                return thread
            await asyncio.sleep(0.2)
        raise AssertionError(thread)


async def test_a_conversation_survives_a_restart(folder):
    photo = b"\x89PNG\r\n\x1a\n" + os.urandom(100_000)
    async with running(folder) as address:
        browser = await Browser(address).log_in("alice")
        await browser.open()
        text = "Any potholes\nnear me?"
        answer = await browser.say(text, [("p.png", photo, "image/png")])
        assert answer == f"You wrote {text!r}, message 1 of this thread."
        thread_id = (await browser.event("first_interaction"))["thread_id"]
        await browser.thread(thread_id, 4)

    async with running(folder) as address:
        browser = await Browser(address).log_in("alice")
        [thread] = await browser.threads()
        assert thread["name"] == text
        assert [t["id"] for t in await browser.threads(search="POTHOLES")] == [thread["id"]]
        assert await browser.threads(search="lights") == []
        whole = await browser.thread(thread["id"], 4)
        said = [(each["type"], each["output"]) for each in whole["steps"]]
        assert ("user_message", text) in said
        assert ("assistant_message", answer) in said
        assert ("tool", "1") in said
        [element] = whole["elements"]
        got = await browser.http.get(element["url"])
        assert (got.content, got.headers["Content-Type"]) == (photo, "image/png")

        await browser.open(thread["id"])
        resumed = await browser.event("resume_thread")
        assert [each["id"] for each in resumed["steps"]] == [each["id"] for each in whole["steps"]]
        assert "message 3 of this thread" in await browser.say("And lights?")

        [asked] = [each for each in whole["steps"] if each["output"] == answer]
        feedback = {"forId": asked["id"], "value": 1, "comment": "Good", "threadId": thread["id"]}
        rated = await browser.http.put(
            "/feedback", json={"feedback": feedback, "sessionId": browser.session_id}
        )
        assert [t["id"] for t in await browser.threads(feedback=1)] == [thread["id"]]
        await browser.http.request(
            "DELETE", "/feedback", json={"feedbackId": rated.json()["feedbackId"]}
        )
        assert await browser.threads(feedback=1) == []

        stranger = await Browser(address).log_in("bob")
        assert await stranger.threads() == []
        assert (await stranger.http.get(element["url"])).status_code == 404
        assert (await stranger.http.get(f"/project/thread/{thread['id']}")).status_code == 401
        nobody = await Browser(address).http.get(element["url"])
        assert nobody.status_code == 401

        renamed = {"threadId": thread["id"], "name": "Streets"}
        await browser.http.put("/project/thread", json=renamed)
        shared = {"threadId": thread["id"], "isShared": True}
        await browser.http.put("/project/thread/share", json=shared)
        [listed] = await browser.threads()
        assert (listed["name"], listed["metadata"]["is_shared"]) == ("Streets", True)
        assert (await stranger.http.get(element["url"])).content == photo

        await browser.http.request("DELETE", "/project/thread", json={"threadId": thread["id"]})
        assert await browser.threads() == []
        assert (await browser.http.get(element["url"])).status_code == 404
