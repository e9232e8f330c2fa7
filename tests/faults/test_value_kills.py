"""The process is killed at every call of each write of values, before and after DynamoDB acted."""
# ruff: noqa: F811  Fixtures of other modules are imported, and arguments have their names.

import json
import time
from typing import Any
from uuid import uuid4

import pytest

from tests.faults.test_kills import Request, kill_at  # noqa: F401
from tests.faults.test_values import (
    LARGE,
    LARGER,
    SMALL,
    assert_no_part_is_left,  # noqa: F401
    settle,  # noqa: F401
    shown,
)
from tests.people import problem
from tests.values import PLACES, Values, values_of

OLD = {"small": SMALL, "large": LARGER}

PUT_NEW = {"put": "new", "json": 1}

WRITES: dict[str, tuple[dict[str, str], tuple[str, str, Any], dict[str, str]]] = {
    # what is there, the request, and what is there then
    "the first": ({}, ("PUT", "/new", 1), {"new": "1"}),
    "a large first": ({}, ("PUT", "/new", json.loads(LARGE)), {"new": LARGE}),
    "large for small": (OLD, ("PUT", "/small", json.loads(LARGE)), {**OLD, "small": LARGE}),
    "small for large": (OLD, ("PUT", "/large", 1), {**OLD, "large": "1"}),
    "large for larger": (OLD, ("PUT", "/large", json.loads(LARGE)), {**OLD, "large": LARGE}),
    "patch": ({"new": '{"a":1}'}, ("PATCH", "/new", {"b": 2}), {"new": '{"a":1,"b":2}'}),
    "delete": (OLD, ("DELETE", "/small", None), {"large": LARGER}),
    "delete large": (OLD, ("DELETE", "/large", None), {"small": SMALL}),
    "delete by prefix": (OLD, ("DELETE", "?prefix=l", None), {"small": SMALL}),
    "delete all": (OLD, ("DELETE", "?all=true", None), {}),
    "batch": (
        OLD,
        ("POST", "/batch", {"operations": [PUT_NEW, {"delete": "large"}, {**PUT_NEW, "json": 2}]}),
        {"small": SMALL, "new": "2"},
    ),
    "atomic batch": (
        OLD,
        ("POST", "/batch", {"operations": [PUT_NEW, {"delete": "large"}], "atomic": True}),
        {"small": SMALL, "new": "1"},
    ),
}
STEPWISE = {"delete all", "batch"}


def shown_at_rest(values: Values) -> dict[str, str]:
    """A call of another thread of the killed process may still be on its way to the database."""
    names, before = values.names(names_only="true"), None
    while names != before:
        time.sleep(0.05)
        names, before = values.names(names_only="true"), names
    return shown(values)


def cases() -> list[Any]:
    """All writes in a session, and a few elsewhere."""
    return [
        (place, name)
        for place in PLACES
        for name in WRITES
        if place == "session" or name in ("the first", "large for small")
    ]


@pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("place", "name"), cases())
def test_a_kill_during_a_write_leaves_values_whole(
    place, name, acts, alice, kill_at, assert_no_part_is_left
):
    before, (method, path, body), after = WRITES[name]
    number, killed = 0, True
    while killed:
        number += 1
        user = f"alice-{uuid4()}"
        values = values_of(alice, place, user=user)
        values.delete_many(all="true")
        for old, text in before.items():
            values.put(old, text)
        headers = {"Idempotency-Key": str(uuid4())}
        request = Request(method, values.path + path, body, headers)
        killed = kill_at(number, acts, request, user, 0)
        now = shown_at_rest(values)
        assert now in (before, after) or name in STEPWISE
        assert set(now.items()) <= {*before.items(), *after.items(), ("new", "1")}
        assert_no_part_is_left()
        again = values.client.request(method, request.path, json=body, headers=headers)
        assert again.status_code in (200, 201, 204, 404), again.text
        assert shown(values) == after
        assert_no_part_is_left()
    assert number > 2


@pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("end", ["session", "session with key", "user"])
def test_a_kill_during_a_removal_leaves_nothing(end, acts, alice, kill_at, settle, items):
    number, killed = 0, True
    while killed:
        number += 1
        user = f"alice-{uuid4()}"
        values = values_of(alice, "user" if end == "user" else "session", user=user)
        if end == "session with key":
            made = values.client.create_session(key="k")["session_id"]
            values = Values(values.client, f"/sessions/{made}/values")
        for name, text in OLD.items():
            values.put(name, text)
        path = "/sessions?confirm=all" if end == "user" else values.path.removesuffix("/values")
        killed = kill_at(number, acts, Request("DELETE", path), user, 0)
        page = values.page(names_only="true")
        if page.status_code == 200:
            assert [value["name"] for value in page.json["values"]] in ([], ["large", "small"])
        else:
            problem(page, 404, "SESSION_NOT_FOUND")
        assert values.client.delete(path).status_code in (200, 404)
        settle()
        values.client.delete("/sessions?confirm=all")
        assert items() == []
    assert number > 3
