"""What Chainlit's SQLAlchemy layer wrote into SQLite, read from the store after an import."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from chainlit.data.sql_alchemy import SQLAlchemyDataLayer
from chainlit.types import Feedback, Pagination, ThreadFilter
from chainlit.user import User

from suites import world
from suites.chainlit.conftest import step

SCHEMA = """
CREATE TABLE users ("id" UUID PRIMARY KEY, "identifier" TEXT NOT NULL UNIQUE,
  "metadata" JSONB NOT NULL, "createdAt" TEXT);
CREATE TABLE threads ("id" UUID PRIMARY KEY, "createdAt" TEXT, "name" TEXT, "userId" UUID,
  "userIdentifier" TEXT, "tags" TEXT[], "metadata" JSONB);
CREATE TABLE steps ("id" UUID PRIMARY KEY, "name" TEXT NOT NULL, "type" TEXT NOT NULL,
  "threadId" UUID NOT NULL, "parentId" UUID, "streaming" BOOLEAN NOT NULL, "waitForAnswer" BOOLEAN,
  "isError" BOOLEAN, "metadata" JSONB, "tags" TEXT[], "input" TEXT, "output" TEXT,
  "createdAt" TEXT, "command" TEXT, "start" TEXT, "end" TEXT, "generation" JSONB,
  "showInput" TEXT, "language" TEXT, "indent" INT, "defaultOpen" BOOLEAN);
CREATE TABLE elements ("id" UUID PRIMARY KEY, "threadId" UUID, "type" TEXT, "url" TEXT,
  "chainlitKey" TEXT, "name" TEXT NOT NULL, "display" TEXT, "objectKey" TEXT, "size" TEXT,
  "page" INT, "language" TEXT, "forId" UUID, "mime" TEXT, "props" JSONB);
CREATE TABLE feedbacks ("id" UUID PRIMARY KEY, "forId" UUID NOT NULL, "threadId" UUID,
  "value" INT NOT NULL, "comment" TEXT);
"""
"""As in Chainlit's documentation."""


@pytest.fixture
async def sql(tmp_path):
    path = tmp_path / "chainlit.db"
    with sqlite3.connect(path) as database:
        database.executescript(SCHEMA)
    layer = SQLAlchemyDataLayer(f"sqlite+aiosqlite:///{path}")
    layer.path = path
    yield layer
    await layer.close()


def run(path, *options):
    token = world.token("chainlit-app", more="sessions:import")
    return subprocess.run(
        [sys.executable, "-m", "session_store", "import", "--from", "chainlit", path, *options],
        env={**os.environ, "SESSION_STORE_TOKEN": token},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def plain(found):
    """A thread as both layers give it: SQLite has texts for objects."""
    if isinstance(found, list):
        return [plain(each) for each in found]
    if not isinstance(found, dict):
        return found
    members = {}
    for name, value in found.items():
        if name in ("metadata", "generation", "props") and isinstance(value, str):
            value = json.loads(value)
        if value not in (None, {}, "", []):
            members[name] = plain(value)
    return members


async def test_threads_come_over_as_they_were(sql, layer, enter):
    alice = await sql.create_user(User(identifier="alice", metadata={"role": "admin"}))
    bob = await sql.create_user(User(identifier="bob"))
    enter("t1", alice)
    for n in range(60):
        await sql.create_step(
            step(
                f"s{n}",
                "t1",
                createdAt=f"2026-11-29T10:00:{n:02}.123456Z",
                showInput="json",
                input="question" if n % 2 else "",
                metadata={"favorite": True, "n": 1.5} if n == 7 else {},
                isError=n == 3,
            )
        )
    await sql.upsert_feedback(Feedback(id="f1", forId="s3", threadId="t1", value=0, comment="No"))
    await sql.update_thread(
        "t1", "Potholes\nand lights", alice.id, {"chat_profile": "x", "a": None}
    )
    enter("t2", bob)
    await sql.create_step(step("b1", "t2"))
    await sql.update_thread("t2", "Bob's", bob.id)
    await sql.update_thread("t3", "Nobody's")
    with sqlite3.connect(sql.path) as database:
        database.execute(
            'INSERT INTO elements (id, "threadId", type, url, name, display, "forId", props)'
            " VALUES ('e1', 't1', 'custom', 'https://example.com/e1', 'Card', 'inline', 's3',"
            " '{\"n\": 1}')"
        )

    for _ in range(2):  # the second time, everything is there
        done = run(sql.path)
        assert done.returncode == 0, done.stdout + done.stderr

    assert await layer.get_user("alice") == alice
    for thread_id in ("t1", "t2", "t3"):
        before, after = (
            plain(await sql.get_thread(thread_id)),
            plain(await layer.get_thread(thread_id)),
        )
        assert {k: after[k] for k in before} == before
        assert [each["id"] for each in after.get("steps", [])] == [
            each["id"] for each in before.get("steps", [])
        ]
    assert await layer.get_thread_author("t1") == "alice"
    assert [each["id"] for each in await layer.get_favorite_steps(alice.id)] == ["s7"]
    for filters, found in (({}, ["t1"]), ({"feedback": 0}, ["t1"]), ({"feedback": 1}, [])):
        listed = await layer.list_threads(
            Pagination(first=5), ThreadFilter(userId=alice.id, **filters)
        )
        assert [each["id"] for each in listed.data] == found

    enter("t1", alice)
    await layer.update_step({"id": "s3", "threadId": "t1", "output": "edited"})
    await layer.delete_feedback("f1")
    await layer.create_step(step("new", "t1", createdAt="2026-11-30T10:00:00Z"))
    after = await layer.get_thread("t1")
    assert len(after["steps"]) == 61
    assert after["steps"][3]["output"] == "edited"
    assert "feedback" not in after["steps"][3]
    await layer.delete_thread("t1")
    assert await layer.get_thread("t1") is None


def test_a_file_of_another_kind_is_refused(tmp_path):
    world.use()
    other = Path(tmp_path / "other.db")
    other.write_text("no database")
    done = run(other)
    assert done.returncode
    assert re.search("other.db", done.stderr)
