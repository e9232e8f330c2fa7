"""Shared caches may not store answers. A client's own cache may, and revalidates them."""

import re

import pytest

from app.grounding.sources import key_hash
from tests.people import Client, make_token

OWN = "private, no-cache"


@pytest.fixture(params=["", "https://a.example", "https://a.example https://b.example"])
def app(request, make_app):
    """Without and with CORS, which also adds to Vary."""
    return make_app(cors_origins=tuple(request.param.split()))


def varies(answer):
    [line] = answer.headers.getlist("Vary")  # one header, because not every proxy joins two
    return {name.lower() for name in line.split(", ")}


def operations(app):
    return {
        (method, re.sub(r"<.*?(\w+)>", r"{\1}", rule.rule.removeprefix("/api/v1")))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in rule.methods
    }


BODIES = {
    ("POST", "/sessions"): {"domain_id": "d"},
    ("PUT", "/sessions/{session_id}"): {"title": "t"},
    ("POST", "/sessions/{session_id}/messages"): {"role": "user", "content": "c"},
    ("POST", "/sessions/{session_id}/messages/batch"): {
        "messages": [{"role": "user", "content": "c"}]
    },
    ("PATCH", "/sessions/{session_id}"): {"metadata": {"a": 1}},
    ("POST", "/sessions/{session_id}/fork"): {},
    ("POST", "/import"): {"session": {"domain_id": "d"}},
    ("POST", "/sessions/{session_id}/messages/pop"): {},
    ("POST", "/sessions/{session_id}/messages/replace"): {
        "all": True,
        "messages": [{"role": "user", "content": "c"}],
    },
    ("PUT", "/sessions/{session_id}/messages/{message_id}"): {"content": "d"},
    ("PUT", "/sessions/{session_id}/messages/{message_id}/feedback"): {"rating": "up"},
}

BODIES["PUT", "/tenant/sources/{hash}"] = {"key": "doc:a", "state": "current"}

PLACES = ("/sessions/{session_id}/values", "/values", "/tenant/values")

for place in PLACES:
    BODIES |= {
        ("PUT", f"{place}/{{name}}"): {"step": 1},
        ("PATCH", f"{place}/{{name}}"): {"step": 2},
        ("POST", f"{place}/batch"): {"operations": [{"list": ""}]},
    }

QUERIES = {
    ("DELETE", "/sessions"): "?confirm=all",
    ("DELETE", "/sessions/{session_id}/messages"): "?all=true",
    **{("DELETE", place): "?all=true" for place in PLACES},
}


def test_every_answer_of_every_route_has_the_cache_headers(app, nobody):
    scope = (
        "sessions:read sessions:write sessions:import tenant-values:read tenant-values:write"
        " sources:audit sources:govern tenant:usage"
    )
    alice = Client(app, make_token("acme", "alice", scope=scope))
    for method, path in sorted(operations(app), reverse=True):
        session = alice.create_session()["session_id"]
        message = alice.append(session)["message_id"]
        filled = path.format(
            session_id=session, message_id=message, name="state", hash=key_hash("doc:a")
        )
        filled += QUERIES.get((method, path), "")
        if (method, path.rsplit("/", 1)[1]) == ("DELETE", "feedback"):
            alice.put(filled, {"rating": "up"})
        if path.endswith("/{name}"):
            alice.put(filled, {"step": 0})
        headers = {"Origin": "https://a.example"}
        body = BODIES.get((method, path))
        done = alice.request(method, filled, json=body, headers=headers)
        assert done.status_code < 400, (method, path, done.text)
        refused = nobody.request(method, filled, json=body, headers=headers)
        assert (refused.status_code == 401) == (method != "OPTIONS")
        for answer in (done, refused):
            kept = OWN if answer.status_code < 400 else "no-store"
            assert answer.headers.getlist("Cache-Control") == [kept], (method, path)
            assert {"authorization", "act-for-user"} <= varies(answer), (method, path)


@pytest.mark.parametrize("path", ["/sessions/sess_x", "/nowhere", "/sessions?limit=0"])
def test_errors_are_not_cached(alice, path):
    answer = alice.get(path)
    assert answer.status_code >= 400
    assert answer.headers["Cache-Control"] == "no-store"
    assert {"authorization", "act-for-user"} <= varies(answer)


def test_vary_keeps_origin(make_app, alice):
    alice.app = make_app(cors_origins=("https://a.example", "https://b.example"))
    answer = alice.get("/sessions", headers={"Origin": "https://b.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://b.example"
    assert varies(answer) == {"origin", "authorization", "act-for-user"}


def test_a_copy_is_revalidated_and_304_has_the_same_headers(alice):
    path = f"/sessions/{alice.create_session()['session_id']}"
    first = alice.get(path)
    second = alice.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert second.status_code == 304
    for name in ("ETag", "Cache-Control"):
        assert second.headers[name] == first.headers[name]
    assert varies(second) == varies(first)
