"""Random sequences of requests on values, compared with a dictionary that has the same rules."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.values import BYTES, JSON, MOST, PART, PLACES, Values, values_of


def mostly(*usual: Any, rarely: Any) -> Any:
    """`one_of` leaves out a strategy that it has already."""
    return st.sampled_from([*usual * 4, rarely]).flatmap(lambda strategy: strategy)


segments = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1)
any_names = st.lists(segments, min_size=1, max_size=4).map("/".join)
few_names = st.sampled_from(["a", "a/a", "a/b", "a0", "ab", "b/\U0010ffff", "\U0010ffff"])
names = mostly(few_names, rarely=any_names).filter(
    lambda name: len(name.encode()) <= 700 and not {".", ".."} & set(name.split("/"))
)
few_prefixes = st.sampled_from(["", "a", "a/", "a/a", "b/", "b/\U0010ffff", "\U0010ffff"])
any_prefixes = st.text(st.characters(exclude_categories=["Cs"]), max_size=2)
prefixes = mostly(few_prefixes, rarely=any_prefixes)


@dataclass(frozen=True)
class Body:
    """A text or bytes, so many times. Hypothesis would print all of a large one."""

    content_type: str
    unit: bytes
    times: int = 1

    @property
    def raw(self) -> bytes:
        return self.unit * self.times

    @property
    def etag(self) -> str:
        digest = hashlib.sha256(self.content_type.encode() + b"\0" + self.raw).digest()[:16]
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
json_values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3),
    max_leaves=6,
)
or_null = st.none() | json_values
objects = st.dictionaries(st.sampled_from("ab"), or_null, min_size=1, max_size=2)
small = st.builds(lambda value: Body(JSON, json.dumps(value).encode()), objects | json_values)
same_bodies = st.sampled_from([Body(JSON, b"1"), Body(JSON, b'{"a":1,"b":{}}'), Body(BYTES, b"")])
small_bytes = st.builds(Body, st.sampled_from([BYTES, "text/plain"]), st.binary(max_size=20))
sizes = st.sampled_from([0, PART - 1, PART, PART + 1, 2 * PART, MOST])
large = st.builds(lambda size: Body(BYTES, b"x", size), sizes)
large_json = st.builds(
    lambda size: Body(JSON, b" " * size + b"1"), st.sampled_from([PART, PART - 1])
)
bodies = mostly(small, small_bytes, same_bodies, rarely=large | large_json)

conditions = st.sampled_from(["none", "none", "none", "any", "right", "wrong", "new"])
orders = st.sampled_from(["asc", "desc"])

puts = st.tuples(st.just("put"), names, bodies, conditions)
deletes = st.tuples(st.just("delete"), names, conditions.filter("new".__ne__))
patches = st.tuples(st.just("patch"), few_names, objects, conditions.filter("new".__ne__))
gets = st.tuples(st.just("get"), names)
pages = st.tuples(st.just("page"), prefixes, orders, st.integers(1, 5), st.booleans())
deletes_many = st.tuples(
    st.just("delete many"), mostly(st.sampled_from(["a/", "a/a", "b/"]), rarely=prefixes)
)
few = few_names.filter(lambda name: name < "b")  # so that a batch has a name twice
in_batch = mostly(
    st.tuples(st.just("put"), few, mostly(small, same_bodies, rarely=small_bytes), conditions),
    rarely=st.tuples(st.just("delete"), few, conditions.filter("new".__ne__)),
)
batch_gets = st.tuples(st.just("get"), few)
batches = st.tuples(
    st.just("batch"), st.lists(mostly(in_batch, batch_gets, rarely=gets), min_size=2, max_size=8)
)
atomic_batches = st.tuples(
    st.just("atomic"),
    st.lists(in_batch, min_size=1, max_size=6, unique_by=lambda step: step[1]),
)
common = st.one_of(deletes, patches, gets, pages, batches, atomic_batches)
steps = st.lists(mostly(puts, common, rarely=deletes_many), min_size=15, max_size=25)


class Model:
    """The values, and what each write does."""

    def __init__(self) -> None:
        self.bodies: dict[str, Body] = {}

    def etag(self, name: str) -> str | None:
        return self.bodies[name].etag if name in self.bodies else None

    def holds(self, name: str, condition: str) -> bool:
        there = name in self.bodies
        return {"new": not there, "wrong": False, "none": True}.get(condition, there)

    def put(self, name: str, body: Body, condition: str) -> int:
        if not self.holds(name, condition):
            return 412
        status = 200 if name in self.bodies else 201
        self.bodies[name] = body
        return status

    def delete(self, name: str, condition: str, *, must_exist: bool = True) -> int:
        if not self.holds(name, condition):
            return 412
        if name not in self.bodies and must_exist:
            return 404
        self.bodies.pop(name, None)
        return 204

    def found(self, prefix: str, order: str = "asc") -> list[str]:
        found = [name for name in self.bodies if name.startswith(prefix)]
        return sorted(found, key=str.encode, reverse=order == "desc")


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396 section 2."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merged(target.get(name), value)
    return target


class Run:
    """Carries out steps, and compares each answer with the model's."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.model = Model()

    def headers(self, name: str, condition: str) -> dict[str, str]:
        if condition == "none":
            return {}
        if condition == "new":
            return {"if_none_match": "*"}
        tags = {"any": "*", "wrong": '"x"', "right": f'"{self.model.etag(name)}"'}
        return {"if_match": tags[condition]}

    def put(self, name: str, body: Body, condition: str) -> None:
        sent = self.headers(name, condition)
        answer = self.values.put(name, body.raw, body.content_type, **sent)
        assert answer.status_code == self.model.put(name, body, condition)
        if answer.status_code < 300:
            assert answer.json["etag"] == body.etag

    def delete(self, name: str, condition: str) -> None:
        answer = self.values.delete(name, **self.headers(name, condition))
        assert answer.status_code == self.model.delete(name, condition)

    def patch(self, name: str, patch: Any, condition: str) -> None:
        answer = self.values.patch(name, json.dumps(patch), **self.headers(name, condition))
        body = self.model.bodies.get(name)
        if body is None:
            assert answer.status_code == 404
        elif not self.model.holds(name, condition):
            assert answer.status_code == 412
        elif body.content_type != JSON:
            assert answer.status_code == 409
        else:
            assert answer.status_code == 200
            new = self.values.get(name)
            assert same(json.loads(new.text), merged(json.loads(body.raw), patch))
            self.model.bodies[name] = Body(JSON, new.data)

    def get(self, name: str) -> None:
        answer = self.values.get(name)
        body = self.model.bodies.get(name)
        if body is None:
            assert answer.status_code == 404
        else:
            assert (answer.status_code, answer.content_type) == (200, body.content_type)
            assert answer.data == body.raw
            assert answer.headers["ETag"] == f'"{body.etag}"'

    def page(self, prefix: str, order: str, limit: int, names_only: bool) -> None:
        query = {"prefix": prefix, "order": order, "limit": limit}
        pages = list(self.values.pages(**query, names_only=str(names_only).lower()))
        assert all(len(page) <= limit for page in pages)
        shown = [value for page in pages for value in page]
        assert [value["name"] for value in shown] == self.model.found(prefix, order)
        for value in shown:
            self.compare(value, with_content=not names_only)

    def compare(self, shown: dict[str, Any], *, with_content: bool) -> None:
        body = self.model.bodies[shown["name"]]
        assert (shown["content_type"], shown["size"]) == (body.content_type, len(body.raw))
        assert shown["etag"] == body.etag
        if not with_content:
            assert not {"json", "base64"} & shown.keys()
        elif body.content_type == JSON:
            assert same(shown["json"], json.loads(body.raw))
        else:
            assert base64.b64decode(shown["base64"]) == body.raw

    def delete_many(self, prefix: str) -> None:
        query = {"prefix": prefix} if prefix else {"all": "true"}
        found = self.model.found(prefix)
        assert self.values.delete_many(**query).json == {"deleted_values": len(found)}
        for name in found:
            self.model.delete(name, "none")

    def operation(self, kind: str, name: str, *more: Any) -> dict[str, Any]:
        if kind == "get":
            return {"get": name}
        *body, condition = more
        headers = self.headers(name, condition)
        operation = {kind: name, **{key: tag.strip('"') for key, tag in headers.items()}}
        for each in body:
            operation["base64"] = base64.b64encode(each.raw).decode()
            operation["content_type"] = each.content_type
        return operation

    def batch(self, parts: list[Any]) -> None:
        operations = [self.operation(*part) for part in parts]
        results = self.values.batch(*operations).json["results"]
        assert len(results) == len(parts)
        for (kind, name, *more), operation, result in zip(parts, operations, results, strict=True):
            if kind == "get":
                assert result["status"] == (200 if name in self.model.bodies else 404)
                if result["status"] == 200:
                    self.compare(result, with_content=True)
                continue
            self.note(kind, name, more, operation, result)

    def note(self, kind: str, name: str, more: Any, operation: Any, result: Any) -> None:
        """The ETag in an operation is from before the batch, so it may have become wrong."""
        *body, condition = more
        if condition == "right" and operation["if_match"] != self.model.etag(name):
            condition = "wrong"
        if kind == "put":
            assert result["status"] == self.model.put(name, body[0], condition)
        else:
            assert result["status"] == self.model.delete(name, condition, must_exist=False)

    def atomic(self, parts: list[Any]) -> None:
        operations = [self.operation(*part) for part in parts]
        answer = self.values.batch(*operations, atomic=True)
        held = [self.model.holds(name, more[-1]) for _, name, *more in parts]
        assert answer.status_code == (200 if all(held) else 412)
        told = [result["status"] for result in answer.json["results"]]
        if not all(held):
            assert told == [424 if each else 412 for each in held]
            return
        for (kind, name, *more), status in zip(parts, told, strict=True):
            if kind == "put":
                self.model.put(name, *more)
                assert status in (200, 201)  # a transaction does not tell what was there
            else:
                assert status == self.model.delete(name, *more, must_exist=False)


def same(one: Any, other: Any) -> bool:
    """Exact equality: 1 is not 1.0, and order counts."""
    return json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize("place", PLACES)
def test_values_are_a_dictionary(place, app, alice, request):
    full = request.config.getoption("--full")

    @settings(
        max_examples=300 if full else 25,
        deadline=None,
        derandomize=not full,
        suppress_health_check=list(HealthCheck),
    )
    @given(steps)
    def run(sequence: list[Any]) -> None:
        name = uuid4().hex
        values = values_of(alice, place, tenant=f"t-{name}", user=f"u-{name}")
        run = Run(values)
        for kind, *arguments in sequence:
            getattr(run, kind.replace(" ", "_"))(*arguments)
        run.page("", "asc", 1000, False)
        for each in list(run.model.bodies):
            run.get(each)

    run()
