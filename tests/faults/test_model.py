"""Random sequences of requests by three people on all routes, compared with a small model."""

import json
import re
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
from app.table.writes import encode
from tests.conftest import Clock
from tests.edges import cuts_in, found_in, hashes, references
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
cited = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda ids: references(*ids))
blocks = st.lists(st.fixed_dictionaries({"type": st.sampled_from(["text", "image"])}), max_size=3)
new_messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system", "tool"]),
        "content": st.text(max_size=50) | blocks,
        "name": st.none() | st.just("query-agent"),
        "metadata": st.dictionaries(names, json_values, max_size=2) | cited,
    }
)
changes = st.fixed_dictionaries(
    {"title": st.text("abc ", max_size=5)},
    optional={
        "metadata": st.dictionaries(st.text("ab", min_size=1, max_size=2), json_values, max_size=2)
        | st.just({"long": "x" * 300}),
        "expires_in_days": st.sampled_from([None, 1, 2]),
        "archived": st.booleans(),
        "pinned": st.booleans(),
    },
)
MEMBERS = ("role", "name", "content", "metadata")

EDGES = "PK, SK, GSI2PK, GSI2SK, cut_lo, cut_hi"

LARGE = "large"
"""Stands for a text of two parts, which Hypothesis would print."""

edits = st.fixed_dictionaries(
    {"content": st.text(max_size=50) | st.just(LARGE)},
    optional={
        "metadata": cited,
        "name": st.just("editor"),
        "role": st.just("critic"),
        "status": st.sampled_from(["in_progress", "interrupted"]),
    },
) | st.fixed_dictionaries({"status": st.sampled_from(["in_progress", "complete"])})
starts = st.sampled_from(["from", "after", "all"])
keys = st.none() | st.sampled_from(["key-1", "key-2"])
mostly_owners = st.sampled_from(["owner"] * 5 + list(PEOPLE))
if_matches = st.sampled_from(["none", "none", "right", "wrong"])


def same(one: Any, other: Any) -> bool:
    """Exact equality: 1 is not 1.0, and order counts."""
    return json.dumps(one) == json.dumps(other)


def last_message(message: dict[str, Any]) -> dict[str, Any]:
    text = message["content"] if isinstance(message["content"], str) else ""
    line = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text[:640]).strip()[:160]
    shown = line.encode()[:240].decode(errors="ignore")
    return {"message_id": message["message_id"], "role": message["role"], "text": shown}


class Model:
    """What the API promises, without concurrency, storage or faults."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}  # until removed, even if expired
        self.owner: dict[str, str] = {}  # of every session ever created
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.answers: dict[tuple[str, str, str], tuple[int, Any, Any]] = {}  # by who, path, key
        self.etags: dict[str, str] = {}
        self.changed: dict[str, str | None] = {}  # None until it has been seen

    def find(self, who: str, session: str, now: int) -> dict[str, Any] | None:
        found = self.sessions.get(session)
        if found is None or self.owner[session] != who:
            return None
        until = found["expires_at"]
        return None if until and until <= ids.iso_time(now) else found

    def all_of(self, who: str) -> list[dict[str, Any]]:
        return [s for name, s in self.sessions.items() if self.owner[name] == who]

    def add(self, who: str, session: dict[str, Any], etag: str) -> None:
        name = session["session_id"]
        self.sessions[name] = deepcopy(session)
        self.owner[name] = who
        self.messages[name] = []
        self.etags[name], self.changed[name] = etag, None

    def written(self, session: str, etag: str, now: int, *, said: bool = False) -> None:
        """Every write raises the version and gives a new ETag. `said`: what was said changed."""
        assert etag > self.etags[session]
        self.etags[session] = etag
        found = self.sessions[session]
        found["version"] += 1
        found["updated_at"] = ids.iso_time(now)
        messages = self.messages[session]
        found["message_count"] = len(messages)
        found["feedback_count"] = sum(len(m.get("feedback", ())) for m in messages)
        found["last_message"] = messages[-1] and last_message(messages[-1]) if messages else None
        if said:
            self.changed[session] = etag.strip('"')

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
        scope = "sessions:read sessions:write sessions:import"
        self.people = {
            who: Client(app, make_token(PEOPLE[who], who, scope=scope)) for who in PEOPLE
        }
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

    @invariant()
    def edges_are_those_of_the_messages(self) -> None:
        """Those of hidden messages may still be there."""
        items = [encode(item) for page in self.table.scan(only=EDGES) for item in page]
        cuts = cuts_in(items)
        found = {
            (session, message): set(sources)
            for (session, message), sources in found_in(items).items()
            if not cuts.get(session, "~")[0] <= message <= cuts.get(session, ("", ""))[1]
        }
        self.done["edges"] += sum(map(len, found.values()))
        assert found == {
            (session, message["message_id"]): hashes(*(each["reference_id"] for each in listed))
            for session, messages in self.model.messages.items()
            for message in messages
            if (listed := message["metadata"].get("references"))
        }

    @initialize()
    def everybody_has_a_session(self) -> None:
        for who in PEOPLE:
            self.create(who, {"title": who}, "key-1")

    def send(self, who: str, method: str, path: str, **options: Any) -> Any:
        self.done["requests"] += 1
        return self.people[who].request(method, path, **options)

    def pick(self, data: Any) -> str:
        return data.draw(st.sampled_from(list(self.model.owner)), label="session")

    # Writing

    @rule(
        who=st.sampled_from(list(PEOPLE)),
        new=changes,
        key=keys,
        own=st.sampled_from([None, None, "a", "b"]),
    )
    def create(self, who: str, new: Any, key: str | None, own: str | None = None) -> None:
        body = {"domain_id": "d", **new}
        if own:
            body["key"] = f"{who} {own}"
        answer = self.send(who, "POST", "/sessions", json=body, headers=key_header(key))
        if self.is_replay(who, "/sessions", key, body, answer):
            return
        if own and self.model.find(who, ids_of_key(body["key"]), self.now):
            assert answer.status_code == 200, answer.text
            assert same_members(answer.json, self.model.sessions[ids_of_key(body["key"])])
            return
        assert answer.status_code == 201, answer.text
        session = answer.json
        self.added(who, session, new, body.get("key"))
        self.model.add(who, session, answer.headers["ETag"])
        self.remember(who, "/sessions", key, body, session)

    def added(self, who: str, session: Any, new: Any, key: str | None) -> None:
        now = ids.iso_time(self.now)
        days = new.get("expires_in_days")
        expected = {
            "session_id": session["session_id"],
            "id": session["id"],
            "key": key,
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
        assert same_members(session, expected)
        if key:
            assert session["session_id"] == ids_of_key(key)
            if session["session_id"] in self.model.sessions:  # it had expired
                self.model.remove(session["session_id"])
        else:
            assert session["session_id"] not in self.model.owner

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

    @precondition(lambda self: self.model.owner and self.steps % 7 == 0)
    @rule(data=st.data())
    def append_many(self, data: Any) -> None:
        """So many that the tail is hidden before it is removed, if it is deleted."""
        session, small = self.pick(data), {"role": "user", "content": "one of many"}
        for _ in range(5):
            cited = [{**small, "metadata": references("a")}, *[small] * 49]
            self._append(session, "owner", None, cited, True, "none")

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
        last = "msg_" + self.model.etags[session].strip('"')
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
        found["last_activity"] = ids.iso_time(self.now)
        self.model.written(session, answer.headers["Session-ETag"], self.now)
        self.remember(who, path, key, body, answer.json)

    @precondition(lambda self: self.model.owner)
    @rule(
        data=st.data(),
        by=mostly_owners,
        change=changes,
        if_match=if_matches,
        method=st.sampled_from(["PUT", "PATCH"]),
        guard=st.sampled_from([None, None, 0, 1]),
    )
    def change(
        self, data: Any, by: str, change: Any, if_match: str, method: str, guard: int | None
    ) -> None:
        session = self.pick(data)
        who = self.model.owner[session] if by == "owner" else by
        found = self.model.find(who, session, self.now)
        headers = self.if_match(if_match, session)
        body = dict(change)
        if guard is not None and found:
            body["if_settings_version"] = found["settings_version"] + guard
        answer = self.send(who, method, f"/sessions/{session}", json=body, headers=headers)
        if found is None:
            assert answer.status_code == 404
            return
        if if_match == "wrong" or guard == 1:
            assert answer.status_code == 412
            return
        assert answer.status_code == 200, answer.text
        found["settings_version"] += 1
        for name in ("title", "archived", "pinned"):
            found[name] = change.get(name, found[name])
        if "metadata" in change:
            old = found["metadata"] if method == "PATCH" else {}
            found["metadata"] = (
                merged(old, change["metadata"]) if method == "PATCH" else change["metadata"]
            )
        if "expires_in_days" in change:
            days = change["expires_in_days"]
            found["expires_at"] = ids.iso_time(self.now + days * DAY) if days else None
        self.model.written(session, answer.headers["ETag"], self.now)
        assert same_members(answer.json, found)

    # Changing what was said

    def start(self, data: Any, session: str, kind: str) -> tuple[dict[str, Any], int]:
        """A tail, and how many messages stay before it."""
        messages = self.model.messages.get(session, [])
        if kind == "all" or not messages:
            return {"all": True}, 0
        at = data.draw(st.integers(0, len(messages) - 1))
        return {kind: messages[at]["message_id"]}, at + (kind == "after")

    @precondition(lambda self: self.model.owner)
    @rule(data=st.data(), by=mostly_owners, edit=edits)
    def edit(self, data: Any, by: str, edit: Any) -> None:
        session = self.pick(data)
        who = self.model.owner[session] if by == "owner" else by
        messages = self.model.messages.get(session) or [{"message_id": f"msg_{ids.LEAST}"}]
        message = data.draw(st.sampled_from(messages))
        path = f"/sessions/{session}/messages/{message['message_id']}"
        found = self.model.find(who, session, self.now)
        if edit.get("content") == LARGE:
            edit = {**edit, "content": "ż" * 205_000}
        data_sent = json.dumps(edit, ensure_ascii=False).encode()
        answer = self.send(who, "PUT", path, data=data_sent)
        if not found or "content" not in message:
            assert answer.status_code == 404, answer.text
            return
        assert answer.status_code == 200, answer.text
        if "content" in edit:
            message |= {"content": edit["content"], "metadata": edit.get("metadata", {})}
        message |= {name: edit[name] for name in ("name", "role") if name in edit}
        message |= {"status": edit.get("status", "complete"), "edited_at": ids.iso_time(self.now)}
        self.model.written(session, answer.headers["Session-ETag"], self.now, said=True)

    @precondition(lambda self: self.model.owner)
    @rule(data=st.data(), by=mostly_owners)
    def delete_message(self, data: Any, by: str) -> None:
        session = self.pick(data)
        who = self.model.owner[session] if by == "owner" else by
        messages = self.model.messages.get(session) or [{"message_id": f"msg_{ids.LEAST}"}]
        message = data.draw(st.sampled_from(messages))
        found = self.model.find(who, session, self.now)
        path = f"/sessions/{session}/messages/{message['message_id']}"
        answer = self.send(who, "DELETE", path)
        if not found or "content" not in message:
            assert answer.status_code == 404
            return
        assert answer.json == {"deleted_messages": 1}
        messages.remove(message)
        self.model.written(session, answer.headers["Session-ETag"], self.now, said=True)

    @precondition(lambda self: self.model.owner and self.steps % 3 == 0)
    @rule(data=st.data(), by=mostly_owners, kind=starts, if_match=if_matches)
    def delete_tail(self, data: Any, by: str, kind: str, if_match: str) -> None:
        session = self.pick(data)
        who = self.model.owner[session] if by == "owner" else by
        start, kept = self.start(data, session, kind)
        [(name, value)] = start.items()
        query = f"{name}={'true' if value is True else value}"
        found = self.model.find(who, session, self.now)
        headers = self.if_match(if_match, session)
        path = f"/sessions/{session}/messages?{query}"
        answer = self.send(who, "DELETE", path, headers=headers)
        if found is None:
            assert answer.status_code == 404
            return
        if if_match == "wrong":
            assert answer.status_code == 412
            return
        messages = self.model.messages[session]
        assert answer.json == {"deleted_messages": len(messages) - kept}
        if messages[kept:]:
            del messages[kept:]
            self.model.written(session, answer.headers["Session-ETag"], self.now, said=True)

    @precondition(lambda self: self.model.owner)
    @rule(data=st.data(), by=mostly_owners, count=st.integers(1, 4), key=keys)
    def pop(self, data: Any, by: str, count: int, key: str | None) -> None:
        session = self.pick(data)
        who = self.model.owner[session] if by == "owner" else by
        path, body = f"/sessions/{session}/messages/pop", {"count": count}
        found = self.model.find(who, session, self.now)
        answer = self.send(who, "POST", path, json=body, headers=key_header(key))
        if found is None:
            assert answer.status_code == 404
            return
        if self.is_replay(who, path, key, body, answer):
            return
        messages = self.model.messages[session]
        popped = messages[-count:]
        named = [message["message_id"] for message in popped]
        assert same(answer.json, {"message_ids": named, "messages": popped})
        if popped:
            del messages[-count:]
            self.model.written(session, answer.headers["Session-ETag"], self.now, said=True)
            self.remember(who, path, key, body, {"message_ids": named, "messages": None})

    @precondition(lambda self: self.model.owner)
    @rule(
        data=st.data(),
        by=mostly_owners,
        kind=starts,
        new=st.lists(new_messages, min_size=1, max_size=3),
    )
    def replace(self, data: Any, by: str, kind: str, new: Any) -> None:
        session = self.pick(data)
        who = self.model.owner[session] if by == "owner" else by
        start, kept = self.start(data, session, kind)
        path = f"/sessions/{session}/messages/replace"
        found = self.model.find(who, session, self.now)
        answer = self.send(who, "POST", path, json={**start, "messages": new})
        if found is None:
            assert answer.status_code == 404
            return
        assert answer.status_code == 200, answer.text
        messages = self.model.messages[session]
        assert answer.json["deleted_messages"] == len(messages) - kept
        assert [m["content"] for m in answer.json["messages"]] == [m["content"] for m in new]
        messages[kept:] = answer.json["messages"]
        found["last_activity"] = ids.iso_time(self.now)
        self.model.written(session, answer.headers["Session-ETag"], self.now, said=True)

    @precondition(lambda self: self.model.owner)
    @rule(data=st.data(), by=mostly_owners, rating=st.sampled_from(["up", "down", None]))
    def rate(self, data: Any, by: str, rating: str | None) -> None:
        session = self.pick(data)
        who = self.model.owner[session] if by == "owner" else by
        messages = self.model.messages.get(session) or [{"message_id": f"msg_{ids.LEAST}"}]
        message = data.draw(st.sampled_from(messages))
        path = f"/sessions/{session}/messages/{message['message_id']}/feedback"
        found = self.model.find(who, session, self.now)
        body = {"rating": rating} if rating else None
        answer = self.send(who, "PUT" if rating else "DELETE", path, json=body)
        if not found or "content" not in message or not (rating or "feedback" in message):
            assert answer.status_code == 404
            return
        assert answer.status_code == 200, answer.text
        if rating:
            said = {name: message.pop(name) for name in ("content", "metadata")}
            message |= {"feedback": [answer.json], **said}  # in the order of the answer
        else:
            del message["feedback"]
        self.model.written(session, answer.headers["Session-ETag"], self.now)

    @precondition(lambda self: self.model.owner and self.steps % 4 == 0)
    @rule(data=st.data(), by=mostly_owners, key=keys)
    def fork(self, data: Any, by: str, key: str | None) -> None:
        session = self.pick(data)
        who = self.model.owner[session] if by == "owner" else by
        messages = self.model.messages.get(session, [])
        body = {}
        if messages and data.draw(st.booleans()):
            body = {"until": data.draw(st.sampled_from(messages))["message_id"]}
        path = f"/sessions/{session}/fork"
        answer = self.send(who, "POST", path, json=body, headers=key_header(key))
        if self.is_replay(who, path, key, body, answer):
            return
        found = self.model.find(who, session, self.now)
        if found is None:
            assert answer.status_code == 404
            return
        copied = [m for m in messages if m["message_id"] <= body.get("until", "msg_~")]
        if answer.status_code == 409:  # an older fork with the same Idempotency-Key
            assert key
            assert answer.json["session_id"] in self.model.owner
            return
        assert answer.status_code == 201, answer.text
        fork = answer.json
        last = copied[-1]["message_id"] if copied else None
        expected = {
            **found,
            **{name: fork[name] for name in ("session_id", "id")},
            **dict.fromkeys(("created_at", "updated_at", "last_activity"), ids.iso_time(self.now)),
            **{"version": 1, "settings_version": 1, "archived": False, "pinned": False},
            **{"imported": False, "key": None, "feedback_count": 0, "message_count": len(copied)},
            "forked_from": {"session_id": session, "message_id": last},
            "last_message": last_message(copied[-1]) if copied else None,
        }
        assert same_members(fork, expected)
        self.model.add(who, fork, answer.headers["ETag"])
        self.model.messages[fork["session_id"]] = [
            {
                **{name: value for name, value in message.items() if name != "feedback"},
                "session_id": fork["session_id"],
            }
            for message in copied
        ]
        self.remember(who, path, key, body, fork)

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

    @precondition(lambda self: self.steps % 4 == 0)
    @rule(
        who=st.sampled_from(list(PEOPLE)),
        new=st.lists(new_messages, max_size=3),
        key=keys,
        hours=st.integers(0, 48),
    )
    def load(self, who: str, new: Any, key: str | None, hours: int) -> None:
        """Imports a session."""
        at = ids.iso_time(START - hours * DAY // 24)
        body = {
            "session": {"domain_id": "d", "title": "imported", "created_at": at},
            "messages": [{**message, "created_at": at, "created_by": "x"} for message in new],
        }
        answer = self.send(who, "POST", "/import", json=body, headers=key_header(key))
        if self.is_replay(who, "/import", key, body, answer):
            return
        assert answer.status_code == 201, answer.text
        session = answer.json
        now = ids.iso_time(self.now)
        assert (session["created_at"], session["last_activity"]) == (at, at)
        assert (session["updated_at"], session["imported"]) == (now, True)
        assert session["message_count"] == len(new)
        self.model.add(who, session, answer.headers["ETag"])
        name = session["session_id"]
        found = self.send(who, "GET", f"/sessions/{name}").json["messages"]
        assert [message["timestamp"] for message in found] == [at] * len(new)
        assert all(m["imported"] and m["created_by"] == "x" for m in found)
        for sent, got in zip(new, found, strict=True):
            assert same([sent[n] for n in MEMBERS], [got[n] for n in MEMBERS])
        self.model.messages[name] = found
        self.remember(who, "/import", key, body, session)

    # Reading

    @rule(
        who=st.sampled_from(list(PEOPLE)),
        wanted=st.fixed_dictionaries(
            {},
            optional={
                "pinned": st.booleans(),
                "archived": st.booleans(),
                "q": st.sampled_from(["a", "B ", "imported"]),
            },
        ),
    )
    def filter_sessions(self, who: str, wanted: dict[str, Any]) -> None:
        now = ids.iso_time(self.now)
        query = "&".join(f"{name}={json.dumps(v).strip(chr(34))}" for name, v in wanted.items())
        answer = self.send(who, "GET", f"/sessions?limit=100&{query}").json
        found = {
            session["session_id"]
            for session in self.model.all_of(who)
            if (session["expires_at"] or "~") > now
            and all(session[n] == wanted[n] for n in ("pinned", "archived") if n in wanted)
            and wanted.get("q", "").casefold() in session["title"].casefold()
        }
        assert {row["session_id"] for row in answer["sessions"]} == found

    @precondition(lambda self: self.model.owner)
    @rule(data=st.data(), count=st.integers(0, 4))
    def open_with_the_last_messages(self, data: Any, count: int) -> None:
        session = self.pick(data)
        who = self.model.owner[session]
        answer = self.send(who, "GET", f"/sessions/{session}?messages={count}")
        if self.model.find(who, session, self.now) is None:
            assert answer.status_code == 404
            return
        messages = self.model.messages[session]
        assert same(answer.json["messages"], messages[len(messages) - min(count, len(messages)) :])
        checked = self.send(who, "GET", f"/sessions/{session}/check").json
        assert (checked["checked_messages"], checked["complete"]) == (len(messages), True)

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
        shown = answer.json
        changed = self.model.changed[session] or shown["changed"]
        self.model.changed[session] = changed
        expected = {**found, "messages": messages, "next_cursor": None, "changed": changed}
        assert answer.status_code == 200
        assert same_members(shown, expected)
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
            assert answer["sessions"] == by_number["sessions"]
            assert len(answer["sessions"]) == len(rest[:limit])
            for row, session in zip(answer["sessions"], rest, strict=False):
                assert same_members(row, as_row(session, row))
            assert answer["pagination"]["total"] == len(everything)
            rest, page = rest[limit:], page + 1
            cursor = answer["pagination"]["next_cursor"]
            assert bool(cursor) == bool(rest)
            assert by_number["pagination"]["next_cursor"] == cursor
            if not rest:
                break

    # Conditions and repetitions

    def if_match(self, which: str, session: str) -> dict[str, str]:
        etag = self.model.etags.get(session, '""')
        versions = {"right": etag, "wrong": '"01ARZ3NDEKTSV4RRFFQ69G5FAV"'}
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
        if path in ("/sessions", "/import") or path.endswith(
            "/fork"
        ):  # the session as it is by now
            first_answer = self.model.find(who, first_answer["session_id"], self.now)
        elif not path.endswith("/pop"):
            first_answer = self.as_they_are_now(path, first_answer)
        if first_answer is None:
            assert answer.status_code == 410, answer.text
            assert answer.json["code"] == "GONE_SINCE"
        else:
            assert answer.status_code in (200, 201), answer.text
            assert answer.headers["Idempotent-Replayed"] == "true"
            assert same_members(answer.json, first_answer)
        return True

    def as_they_are_now(self, path: str, answer: Any) -> Any:
        """The messages of an earlier answer, or None if one is gone."""
        session = path.split("/")[2]
        now = {message["message_id"]: message for message in self.model.messages[session]}
        if "messages" not in answer:
            return now.get(answer["message_id"])
        found = [now.get(message["message_id"]) for message in answer["messages"]]
        return None if None in found else {"messages": found}


def same_members(one: Any, other: Any) -> bool:
    """Exact equality, but for the order of the members at the top."""
    return same(sorted(one.items()), sorted(other.items()))


def ids_of_key(key: str) -> str:
    return ids.SESSION_PREFIX + ids.from_key(key)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396, as in its section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def as_row(session: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """Long metadata is left out. How long it is depends on how it was written."""
    size = len(json.dumps(session["metadata"]))
    if row.get("metadata_omitted"):
        assert size > 150
        return {**session, "metadata": None, "metadata_omitted": True}
    assert len(json.dumps(session["metadata"], ensure_ascii=False, separators=(",", ":"))) <= 200
    return session


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
