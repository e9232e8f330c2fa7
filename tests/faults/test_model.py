"""Random sequences of requests by three people on all routes, compared with a small model."""

import json
import unicodedata
from collections import Counter
from copy import deepcopy
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.config import Config
from app.factory import create_app
from app.operations import check, provision
from app.operations.sweep import sweep
from app.table import db, ids
from tests.conftest import Clock
from tests.people import SECRET, Client, make_token

START = 1_800_000_000_000
DAY = 24 * 60 * 60 * 1000

PEOPLE = {"alice": "acme", "bob": "acme", "charlie": "globex"}

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3),
    max_leaves=8,
)
names = st.text(max_size=5).filter(
    lambda name: name != "references"
)  # references have a fixed form
blocks = st.lists(st.fixed_dictionaries({"type": st.sampled_from(["text", "image"])}), max_size=3)
new_messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system", "tool"]),
        "content": st.text(max_size=50) | blocks,
        "name": st.none() | st.just("query-agent"),
        "metadata": st.dictionaries(names, json_values, max_size=2),
    }
)
changes = st.fixed_dictionaries(
    {"title": st.text("abc ", max_size=5)},
    optional={
        "metadata": st.dictionaries(st.text("ab", min_size=1, max_size=2), st.text(max_size=3)),
        "expires_in_days": st.sampled_from([None, 1, 2]),
        "archived": st.booleans(),
        "pinned": st.booleans(),
    },
)
keys = st.none() | st.sampled_from(["key-1", "key-2"])
mostly_owners = st.sampled_from(["owner"] * 5 + list(PEOPLE))
if_matches = st.sampled_from(["none", "none", "right", "wrong"])


def excerpt(content: Any) -> str:
    """What the list shows of a message. The blocks above have no text."""
    text = content if isinstance(content, str) else ""
    seen = (" " if unicodedata.category(char) == "Cc" else char for char in text)
    return " ".join("".join(seen).split())


def same(one: Any, other: Any) -> bool:
    """Exact equality: 1 is not 1.0, and order counts."""
    return json.dumps(one) == json.dumps(other)


class Model:
    """What the API promises, without concurrency, storage or faults."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}  # until removed, even if expired
        self.owner: dict[str, str] = {}  # of every session ever created
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.etags: dict[str, str] = {}
        self.changed: dict[str, str] = {}
        self.answers: dict[tuple[str, str, str], tuple[int, Any, Any]] = {}  # by who, path, key

    def find(self, who: str, session: str, now: int) -> dict[str, Any] | None:
        found = self.sessions.get(session)
        if found is None or self.owner[session] != who:
            return None
        until = found["expires_at"]
        return None if until and until <= ids.iso_time(now) else found

    def all_of(self, who: str) -> list[dict[str, Any]]:
        return [s for name, s in self.sessions.items() if self.owner[name] == who]

    def remove(self, session: str) -> int:
        del self.sessions[session]
        self.answers = {
            made: (at, body, answer)
            for made, (at, body, answer) in self.answers.items()
            if session not in made[1]
        }
        return len(self.messages.pop(session))


class Machine(RuleBasedStateMachine):
    client: Any
    done: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.table = db.Table(f"model-{uuid4()}", self.client, database_time=self.clock)
        list(provision.create(self.table))
        self.clock.freeze(START)
        config = Config(sessions_table=self.table.name, jwt_secret=SECRET, log_level="ERROR")
        app = create_app(config, table=self.table, ulids=ids.UlidSource(self.clock))
        self.people = {who: Client(app, make_token(PEOPLE[who], who)) for who in PEOPLE}
        self.model = Model()
        self.steps = 0

    def teardown(self) -> None:
        for who in PEOPLE:
            self.compare_list(who, 100)
        for session in self.model.owner:
            self.compare_session(session)
        assert [str(finding) for finding in check.check(self.table, self.clock)] == []
        self.client.update_table(TableName=self.table.name, DeletionProtectionEnabled=False)
        self.client.delete_table(TableName=self.table.name)

    @property
    def now(self) -> int:
        return self.clock()

    @invariant()
    def time_passes(self) -> None:
        self.clock.offset += 1
        self.steps += 1
        self.done["steps"] += 1

    @initialize()
    def everybody_has_a_session(self) -> None:
        for who in PEOPLE:
            self.create(who, {"title": who}, "key-1")

    def send(self, who: str, method: str, path: str, **options: Any) -> Any:
        self.done["requests"] += 1
        return self.people[who].request(method, path, **options)

    def pick(self, data: Any) -> str:
        return data.draw(st.sampled_from(sorted(self.model.owner)), label="session")

    # Writing

    @rule(who=st.sampled_from(list(PEOPLE)), new=changes, key=keys)
    def create(self, who: str, new: Any, key: str | None) -> None:
        body = {"domain_id": "d", **new}
        answer = self.send(who, "POST", "/sessions", json=body, headers=key_header(key))
        if self.is_replay(who, "/sessions", key, body, answer):
            return
        assert answer.status_code == 201, answer.text
        session = answer.json
        now = ids.iso_time(self.now)
        days = new.get("expires_in_days")
        assert session == {
            "session_id": session["session_id"],
            "id": session["id"],
            "key": None,
            "domain_id": "d",
            "title": new["title"],
            "metadata": new.get("metadata", {}),
            "archived": new.get("archived", False),
            "pinned": new.get("pinned", False),
            "message_count": 0,
            "feedback_count": 0,
            "last_message": None,
            "version": 1,
            "settings_version": 1,
            "created_at": now,
            "updated_at": now,
            "last_activity": now,
            "expires_at": ids.iso_time(self.now + days * DAY) if days else None,
            "forked_from": None,
            "imported": False,
        }
        name = session["session_id"]
        assert answer.headers["ETag"] == f'"{name[5:]}"'
        self.model.etags[name], self.model.changed[name] = answer.headers["ETag"], name[5:]
        assert session["session_id"] not in self.model.owner
        self.model.sessions[session["session_id"]] = deepcopy(session)
        self.model.owner[session["session_id"]] = who
        self.model.messages[session["session_id"]] = []
        self.remember(who, "/sessions", key, body, session)

    @precondition(lambda self: self.model.owner)
    @rule(
        data=st.data(),
        by=mostly_owners,
        key=keys,
        new=st.lists(new_messages, min_size=1, max_size=4),
        batch=st.booleans(),
        if_match=if_matches,
    )
    def append(
        self, data: Any, by: str, key: str | None, new: Any, batch: bool, if_match: str
    ) -> None:
        self._append(self.pick(data), by, key, new if batch else new[:1], batch, if_match)

    @precondition(lambda self: self.model.owner and self.steps % 5 == 0)
    @rule(data=st.data(), key=keys)
    def append_large(self, data: Any, key: str | None) -> None:
        small = {"role": "user", "content": "small"}
        large = {"role": "tool", "content": "ż" * 205_000}  # 410 KB: two parts
        self._append(self.pick(data), "owner", key, [small, large, small], True, "none")

    def _append(
        self, session: str, by: str, key: str | None, new: Any, batch: bool, if_match: str
    ) -> None:
        who = self.model.owner[session] if by == "owner" else by
        path = f"/sessions/{session}/messages" + ("/batch" if batch else "")
        body = {"messages": new} if batch else new[0]
        found = self.model.find(who, session, self.now)
        headers = key_header(key) | self.if_match(if_match, session)
        answer = self.send(who, "POST", path, json=body, headers=headers)
        if found is None:
            assert answer.status_code == 404, answer.text
            return
        if self.is_replay(who, path, key, body, answer):
            return
        if if_match == "wrong":
            assert answer.status_code == 412, answer.text
            return
        assert answer.status_code == 201, answer.text
        answered = answer.json["messages"] if batch else [answer.json]
        last = max([m["message_id"] for m in self.model.messages[session]], default="")
        for sent, got in zip(new, answered, strict=True):
            assert got["message_id"] > last
            last = got["message_id"]
            expected = {
                "message_id": last,
                "session_id": session,
                "timestamp": ids.iso_time(self.now),
                "created_by": who,
                "role": sent["role"],
                "name": sent.get("name"),
                "status": "complete",
                "edited_at": None,
                "content": sent["content"],
                "metadata": sent.get("metadata", {}),
            }
            assert same(got, expected)
            self.model.messages[session].append(expected)
        found["message_count"] += len(new)
        found["last_activity"] = ids.iso_time(self.now)
        found["last_message"] = {
            "message_id": last,
            "role": new[-1]["role"],
            "text": excerpt(new[-1]["content"]),
        }
        self.wrote(found, answer.headers["Session-ETag"])
        assert self.model.etags[session] == f'"{last[4:]}"'
        self.remember(who, path, key, body, answer.json)

    @precondition(lambda self: self.model.owner)
    @rule(data=st.data(), by=mostly_owners, change=changes, if_match=if_matches)
    def change(self, data: Any, by: str, change: Any, if_match: str) -> None:
        session = self.pick(data)
        who = self.model.owner[session] if by == "owner" else by
        found = self.model.find(who, session, self.now)
        headers = self.if_match(if_match, session)
        answer = self.send(who, "PUT", f"/sessions/{session}", json=change, headers=headers)
        if found is None:
            assert answer.status_code == 404
            return
        if if_match == "wrong":
            assert answer.status_code == 412
            return
        assert answer.status_code == 200, answer.text
        self.wrote(found, answer.headers["ETag"])
        found["settings_version"] += 1
        for name in ("title", "metadata", "archived", "pinned"):
            found[name] = change.get(name, found[name])
        if "expires_in_days" in change:
            days = change["expires_in_days"]
            found["expires_at"] = ids.iso_time(self.now + days * DAY) if days else None
        assert answer.json == found

    def wrote(self, found: dict[str, Any], etag: str) -> None:
        """What every write to a session moves."""
        session = found["session_id"]
        found["version"] += 1
        found["updated_at"] = ids.iso_time(self.now)
        assert etag > self.model.etags[session]
        assert ids.timestamp(etag.strip('"')) == found["updated_at"]
        self.model.etags[session] = etag

    @precondition(lambda self: self.model.owner)
    @rule(data=st.data(), by=mostly_owners, if_match=if_matches)
    def delete(self, data: Any, by: str, if_match: str) -> None:
        session = self.pick(data)
        who = self.model.owner[session] if by == "owner" else by
        found = self.model.find(who, session, self.now)
        headers = self.if_match(if_match, session)
        answer = self.send(who, "DELETE", f"/sessions/{session}", headers=headers)
        if found is None:
            assert answer.status_code == 404
        elif if_match == "wrong":
            assert answer.status_code == 412
        else:
            assert answer.status_code == 200
            removed = self.model.remove(session)
            assert answer.json == {"session_id": session, "deleted_messages": removed}

    @precondition(lambda self: self.steps % 7 == 0)
    @rule(who=st.sampled_from(list(PEOPLE)))
    def delete_all(self, who: str) -> None:
        answer = self.send(who, "DELETE", "/sessions?confirm=all")
        assert answer.status_code == 200
        mine = [session["session_id"] for session in self.model.all_of(who)]
        messages = sum([self.model.remove(session) for session in mine])
        assert answer.json == {"deleted_sessions": len(mine), "deleted_messages": messages}

    @rule(hours=st.sampled_from([1, 12, 23, 25, 49]))
    def let_time_pass(self, hours: int) -> None:
        self.clock.offset += hours * DAY // 24

    @rule()
    def sweep(self) -> None:
        swept = sweep(self.table, self.clock)
        now = ids.iso_time(self.now)
        past = [n for n, s in self.model.sessions.items() if (s["expires_at"] or "~") <= now]
        messages = sum([self.model.remove(session) for session in past])
        assert (swept.sessions, swept.messages, swept.finished) == (len(past), messages, True)

    # Reading

    @precondition(lambda self: self.model.owner)
    @rule(data=st.data(), who=st.sampled_from(list(PEOPLE)))
    def look_at_any_session(self, data: Any, who: str) -> None:
        self.compare_session(self.pick(data), who)

    def compare_session(self, session: str, who: str | None = None) -> None:
        who = who or self.model.owner[session]
        found = self.model.find(who, session, self.now)
        answer = self.send(who, "GET", f"/sessions/{session}")
        if found is None:
            assert answer.status_code == 404
            return
        messages = self.model.messages[session]
        expected = {
            **found,
            "messages": messages,
            "next_cursor": None,
            "changed": self.model.changed[session],
        }
        assert answer.status_code == 200
        assert same(sorted(answer.json.items()), sorted(expected.items()))
        current = {"If-None-Match": answer.headers["ETag"]}
        assert answer.headers["ETag"] == self.model.etags[session]
        unchanged = self.send(who, "GET", f"/sessions/{session}", headers=current)
        assert unchanged.status_code == 304

    @precondition(lambda self: self.model.owner)
    @rule(data=st.data(), limit=st.integers(1, 4), order=st.sampled_from(["asc", "desc"]))
    def page_through_messages(self, data: Any, limit: int, order: str) -> None:
        session = self.pick(data)
        who = self.model.owner[session]
        messages = self.model.messages.get(session, [])
        path = query = f"/sessions/{session}/messages?limit={limit}&order={order}"
        after = data.draw(st.sampled_from([None, *[m["message_id"] for m in messages]]))
        if after:
            path = query = f"{path}&after={after}"
            messages = [m for m in messages if m["message_id"] > after]
        if self.model.find(who, session, self.now) is None:
            assert self.send(who, "GET", query).status_code == 404
            return
        rest = messages if order == "asc" else messages[::-1]
        while True:
            answer = self.send(who, "GET", query).json
            assert same(answer["messages"], rest[:limit])
            assert answer["changed"] == self.model.changed[session]
            rest = rest[limit:]
            assert bool(rest) == bool(answer["next_cursor"])
            if not rest:
                break
            query = f"{path}&cursor={answer['next_cursor']}"

    @precondition(lambda self: self.model.owner)
    @rule(data=st.data(), who=st.sampled_from(list(PEOPLE)))
    def look_at_one_message(self, data: Any, who: str) -> None:
        session, other = self.pick(data), self.pick(data)
        messages = self.model.messages.get(other, [])
        if not messages:
            return
        message = data.draw(st.sampled_from(messages))
        answer = self.send(who, "GET", f"/sessions/{session}/messages/{message['message_id']}")
        if session == other and self.model.find(who, session, self.now):
            assert answer.status_code == 200
            assert same(answer.json, message)
        else:
            assert answer.status_code == 404

    @rule(who=st.sampled_from(list(PEOPLE)), limit=st.integers(1, 4))
    def page_through_sessions(self, who: str, limit: int) -> None:
        self.compare_list(who, limit)

    def compare_list(self, who: str, limit: int) -> None:
        now = ids.iso_time(self.now)
        everything = self.model.all_of(who)
        live = [s for s in everything if (s["expires_at"] or "~") > now]
        live.sort(key=lambda s: (s["last_activity"], s["session_id"]), reverse=True)
        rest = live
        cursor, page = "", 1
        while True:
            where = f"&cursor={cursor}" if cursor else ""
            answer = self.send(who, "GET", f"/sessions?limit={limit}{where}").json
            by_number = self.send(who, "GET", f"/sessions?limit={limit}&page={page}").json
            assert answer["sessions"] == by_number["sessions"] == rest[:limit]
            assert answer["pagination"]["total"] == len(everything)
            rest, page = rest[limit:], page + 1
            cursor = answer["pagination"]["next_cursor"]
            assert bool(cursor) == bool(rest)
            assert by_number["pagination"]["next_cursor"] == cursor
            if not rest:
                break

    # Conditions and repetitions

    def if_match(self, which: str, session: str) -> dict[str, str]:
        right = self.model.etags[session]
        versions = {"right": right, "wrong": f'"{ids.series(right[1:-1], 2)[1]}"'}
        return {"If-Match": versions[which]} if which in versions else {}

    def remember(self, who: str, path: str, key: str | None, body: Any, answer: Any) -> None:
        if key:
            self.model.answers[who, path, key] = (self.now // 1000, body, answer)

    def is_replay(self, who: str, path: str, key: str | None, body: Any, answer: Any) -> bool:
        """Whether the request repeats one of the last 24 hours. If so, checks the answer."""
        made = self.model.answers.get((who, path, key or ""))
        if not made or made[0] + 24 * 60 * 60 <= self.now // 1000:
            assert "Idempotent-Replayed" not in answer.headers
            return False
        _, first_body, first_answer = made
        if not same(body, first_body):
            assert answer.status_code == 422, answer.text
            assert answer.json["code"] == "IDEMPOTENCY_KEY_REUSED"
            return True
        if path == "/sessions":  # the session as it is by now
            first_answer = self.model.find(who, first_answer["session_id"], self.now)
        if first_answer is None:
            assert answer.status_code == 410, answer.text
            assert answer.json["code"] == "GONE_SINCE"
        else:
            assert answer.status_code == 201, answer.text
            assert answer.headers["Idempotent-Replayed"] == "true"
            assert same(answer.json, first_answer)
        return True


def key_header(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


def test_the_api_matches_the_model(client, full, record_figures):
    examples, steps = (120, 50) if full else (8, 30)
    machine: Any = type("MachineOnEngine", (Machine,), {"client": client, "done": Counter()})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=not full,
            suppress_health_check=list(HealthCheck),
        ),
    )
    record_figures(runs=examples, **machine.done)
