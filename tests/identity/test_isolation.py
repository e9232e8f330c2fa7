"""Bob, Charlie and others try to reach Alice's data on every route.

The attack puts Alice's identifiers in every place of a request that takes an identifier. Routes
and places come from the OpenAPI document, so a new route is attacked automatically. A new parameter
fails the test until somebody declares below what it holds.
"""

import ast
import base64
import copy
import inspect
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import flask
import jwt
import pytest
from werkzeug.test import TestResponse

import app as package
from app.grounding.sources import key_hash
from app.http.api import Blueprint
from app.http.header_schemas import IfMatchSchema
from app.identity import auth
from app.identity.caller import Caller
from app.messages.store import MessageStore
from app.sessions.creation import NewSession
from app.sessions.store import SessionStore
from app.sources.listing import AnswerLister
from app.table import ids
from app.table.cursors import make_cursor
from app.values import places
from tests.people import API, SECRET, Client, make_token, problem


@dataclass(frozen=True, order=True)
class Place:
    """A place in a request that takes a value: path, query, header or body, and the name there."""

    where: str
    name: str

    def __str__(self) -> str:
        return f"{self.where} {self.name}"


ACT_FOR_USER = Place("header", auth.ACT_FOR_USER_HEADER)

MESSAGE = ("", "messages[].")  # a single message, and one in a batch

# What each place holds. Each place of each operation must be in exactly one of these four.

IDENTIFIERS: dict[Place, str] = {
    Place("path", "session_id"): "session_id",
    Place("path", "message_id"): "message_id",
    Place("query", "cursor"): "cursor",
    Place("query", "after"): "message_id",  # of a page, and of an append's condition
    Place("header", "Idempotency-Key"): "key",
    ACT_FOR_USER: "user",
    Place("body", "domain_id"): "domain_id",
    Place("query", "domain_id"): "domain_id",
    Place("query", "from"): "message_id",
    Place("body", "from"): "message_id",
    Place("body", "until"): "message_id",
    **{Place("body", f"{at}metadata.references[].reference_id"): "reference_id" for at in MESSAGE},
}
"""Places that identify something. Every attacker puts Alice's value there."""

SHARED = "house-rules"
"""The reference_id of a source that everybody's answers cite, and each tenant says something of."""

SOURCE = key_hash(f"doc:{SHARED}")

NAMED = {
    Place("path", "name"): "agent/state",
    Place("path", "hash"): SOURCE,
}
"""Names that callers give to things of their own. Everybody has a thing of this name."""

CONDITIONS = {Place("header", "If-Match"), Place("header", "If-None-Match")}
"""Conditions on what the path identifies. Whether they hold for Alice's data or not, the answer to
an attacker must be the same."""

ANSWERS = f"/sources/{SOURCE}/answers"

NO_VERSION = '"01ARZ3NDEKTSV4RRFFQ69G5FAV"'
"""An ETag that no session has."""

DATA = {
    Place("header", "Prefer"),
    Place("query", "limit"),
    Place("query", "page"),
    Place("query", "order"),
    Place("query", "confirm"),
    Place("query", "all"),
    *(
        Place("query", name)
        for name in (
            *("archived", "pinned", "q", "messages", "values", "prefix", "names_only"),
            *("user_values", "tenant_values", "to"),
            *("view", "include", "offsets"),
            *("created_from", "created_to", "active_from", "active_to"),
        )
    ),
    # Keys and ids in these name something of the caller's own: `after` is a condition, and a key
    # gives an id in the caller's partition (tests/api/test_keys.py).
    *(
        Place("body", name)
        for name in (
            *("after", "all", "count", "rating", "comment", "status", "role", "content"),
            *("if_settings_version", "created_by", "created_at"),
            *("state", "version", "reason"),
        )
    ),
    *(
        Place("body", at + name)
        for at in ("", "session.")
        for name in (
            *("key", "title", "expires_in_days", "metadata", "archived", "pinned", "domain_id"),
            "created_at",
        )
        if at + name != "domain_id"
    ),
    *(Place("body", f"messages[].{name}") for name in ("created_at", "created_by")),
    # Names, like those in a path; and a cursor, which has a test of its own.
    Place("body", "atomic"),
    *(
        Place("body", f"{at}[].{name}")
        for at in ("operations", "values.session", "values.user", "values.tenant")
        for name in (
            *("put", "delete", "json", "base64", "content_type", "if_match", "if_none_match"),
            *("get", "list", "order", "limit", "cursor", "names_only"),
        )
    ),
    *(
        Place("body", at + name)
        for at in MESSAGE
        for name in (
            "role",
            "name",
            "content",
            "format",
            "native",
            "grounding.request",
            "status",
            "metadata.references[].location",
            "metadata.references[].type",
            "metadata.references[].summary",
            "metadata.references[].url",
            "metadata.references[].location.type",
            "metadata.references[].location.coordinates",
        )
    ),
}
"""Places that identify nothing: content that is stored, numbers and fixed words."""


# The operations, as documented

QUERIES = {
    "delete_messages": {"all": "true"},
    **{f"delete_{of}_values": {"all": "true"} for of in ("session", "user", "tenant")},
}
"""What a request needs besides the required parameters."""

BODIES = {f"put_{of}_value": {"step": 4} for of in ("session", "user", "tenant")}
"""Bodies of requests that may have any content, and so no example."""


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    path: str
    endpoint: str
    places: frozenset[Place]
    query: Mapping[str, str] = field(compare=False, hash=False)
    body: Any = field(compare=False, hash=False)

    @property
    def path_places(self) -> list[Place]:
        """Those of identifiers."""
        return sorted(p for p in self.places if p.where == "path" and p not in NAMED)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def operations(app: flask.Flask) -> list[Operation]:
    """All operations that need a caller."""
    document = json.loads(app.extensions["openapi_document"]())
    endpoints = {
        (method, re.sub(r"<(?:[^:<>]*:)?([^<>]+)>", r"{\1}", rule.rule)): rule.endpoint
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    found = []
    for path, item in document["paths"].items():
        for method, described in item.items():
            if method not in ("get", "put", "post", "delete", "patch", "head", "options", "trace"):
                continue
            endpoint = endpoints[method.upper(), path]
            if endpoint in auth.OPEN_ENDPOINTS:
                continue
            parameters = [*item.get("parameters", []), *described.get("parameters", [])]
            content = described.get("requestBody", {}).get("content", {})
            media = content.get("application/json", {})
            found.append(
                Operation(
                    name=described["operationId"],
                    method=method.upper(),
                    path=path,
                    endpoint=endpoint,
                    places=frozenset(
                        {ACT_FOR_USER}
                        | {Place(p["in"], p["name"]) for p in parameters}
                        | {Place("body", n) for n in leaves(document, media.get("schema", {}))}
                    ),
                    query=QUERIES.get(described["operationId"], {})
                    | {
                        p["name"]: p["schema"].get("pattern", "^1$").strip("^$")
                        for p in parameters
                        if p["in"] == "query" and p.get("required")
                    },
                    body=media.get("example", BODIES.get(described["operationId"])),
                )
            )
    return found


def leaves(document: Mapping[str, Any], schema: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """The names of all fields that a body can hold, such as `metadata.references[].url`."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
    for either in schema.get("anyOf", ()):  # or null
        yield from leaves(document, either, at) if either != {"type": "null"} else ()
    if "anyOf" in schema:
        return
    if "properties" in schema:
        for name, below in schema["properties"].items():
            yield from leaves(document, below, f"{at}.{name}".lstrip("."))
    elif "items" in schema and ("$ref" in schema["items"] or "properties" in schema["items"]):
        yield from leaves(document, schema["items"], f"{at}[]")
    elif at:
        yield at


def complaints(app: flask.Flask) -> list[str]:
    """What the attack does not cover, because it is undocumented or undeclared."""
    found = []
    known = operations(app)
    documented = {operation.endpoint for operation in known} | auth.OPEN_ENDPOINTS
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in documented:
            found.append(f"{rule.rule} ({rule.endpoint}) is not in the document")
    for operation in known:
        declared = IDENTIFIERS.keys() | NAMED.keys() | CONDITIONS | DATA
        for place in sorted(operation.places - declared):
            found.append(f"{operation}: is {place} an identifier, a condition or data?")
        if not operation.path_places and operation.name not in WITHOUT_ID:
            found.append(
                f"{operation}: no identifier in its path; say in WITHOUT_ID what must hold"
            )
        if any(place.where == "body" for place in operation.places) and operation.body is None:
            found.append(f"{operation}: the document has no example of its body")
    return found


# What each person has


@dataclass(frozen=True)
class Things:
    """The identifiers of one person's data, or (`absent`) of data that does not exist."""

    session_id: str
    message_id: str
    key: str
    user: str
    domain_id: str
    reference_id: str
    etag: str
    cursors: Mapping[str, str]

    def value(self, place: Place, operation: Operation) -> str:
        kind = IDENTIFIERS[place]
        return self.cursors[operation.name] if kind == "cursor" else str(getattr(self, kind))

    def traces(self) -> list[str]:
        """Text that shows that an answer holds this person's data. Values that others may use for
        their own data are left out."""
        ulid = self.session_id.removeprefix(ids.SESSION_PREFIX)
        return [
            ulid,
            ids.as_uuid(ulid),
            self.message_id.removeprefix(ids.MESSAGE_PREFIX),
            f"{self.user}'s",
        ]


@dataclass(frozen=True)
class Person:
    name: str
    token: str | None
    headers: Mapping[str, str] = field(default_factory=dict)


ALICE = Person(
    "alice",
    make_token(
        "acme",
        "alice",
        scope="sessions:read sessions:write sessions:import tenant-values:read tenant-values:write"
        " sources:audit sources:govern tenant:usage",
    ),
)

BOB = Person("bob of Alice's tenant", make_token("acme", "bob"))

ATTACKERS = (
    BOB,
    Person("charlie of another tenant", make_token("globex", "charlie")),
    Person("alice of another tenant", make_token("globex", "alice")),
    Person(
        "an agent of another tenant, acting for its alice",
        make_token("initech", "a", scope="sessions:read sessions:write sessions:act-for-user"),
        {auth.ACT_FOR_USER_HEADER: "alice"},
    ),
    Person("one whose tenant is called like Alice's partition", make_token("acme#alice", "x")),
)

NOBODY = Person("nobody", None)


def with_the_tenants_scopes(person: Person) -> Person:
    claims = jwt.decode(str(person.token), SECRET, algorithms=["HS256"])
    scope = "sessions:read sessions:write sessions:act-for-user tenant-values:read"
    claims["scope"] = f"{scope} tenant-values:write sources:audit sources:govern tenant:usage"
    token = make_token(claims.pop("tenant_id"), claims.pop("sub"), **claims)
    return Person(person.name, token, person.headers)


def ask(app: flask.Flask, person: Person, operation: Operation, **options: Any) -> TestResponse:
    """Sends a request. `values` holds the value for each place; the rest is from the example."""
    values: Mapping[Place, str] = options.pop("values")
    path, query, headers = operation.path, dict(operation.query), dict(person.headers)
    body = copy.deepcopy(operation.body)
    for place, value in NAMED.items():
        path = path.replace(f"{{{place.name}}}", value)
    for place, value in values.items():
        if place.where == "path":
            path = path.replace(f"{{{place.name}}}", value)
        elif place.where == "query":
            query[place.name] = value
        elif place.where == "header":
            headers[place.name] = value
        elif not replace(body, place.name.split("."), value):
            insert(body, place.name.split("."), value)
    if {"from", "after"} & query.keys():
        query.pop("all", None)  # only one of them
    if person.token:
        headers["Authorization"] = f"Bearer {person.token}"
    assert "{" not in path
    method = options.get("method", operation.method)
    return app.test_client().open(
        path, method=method, query_string=query, headers=headers, json=body
    )


def replace(body: Any, names: list[str], value: str) -> int:
    """Replaces the value of each field with this name in the body. Returns how many there were."""
    name, below = names[0].removesuffix("[]"), names[1:]
    if not isinstance(body, dict) or name not in body:
        return 0
    if not below:
        body[name] = value
        return 1
    inner = body[name] if names[0].endswith("[]") else [body[name]]
    return sum(replace(each, below, value) for each in inner)


def insert(body: Any, names: list[str], value: str) -> None:
    """Adds a field that the example does not have, with the objects and lists around it."""
    name, below = names[0].removesuffix("[]"), names[1:]
    if not below:
        body[name] = value
        return
    inner = body.setdefault(name, [{}] if names[0].endswith("[]") else {})
    insert(inner[0] if isinstance(inner, list) else inner, below, value)


@dataclass
class World:
    app: flask.Flask
    items: Callable[[], list[dict[str, Any]]]
    sent: list[Any]
    attackers: tuple[Person, ...]
    own: dict[str, Things] = field(default_factory=dict)

    def furnish(self, person: Person, user: str) -> Things:
        """Creates two sessions, three messages in the first, and values. All texts name their
        owner."""
        client = Client(self.app, person.token)
        key, told = f"key-of-{user}-{len(self.own)}", dict(person.headers)
        domain_id, reference_id = f"domain-of-{user}-{len(self.own)}", f"ref-{user}-{len(self.own)}"

        def post(path: str, body: dict[str, Any], **headers: str) -> Any:
            answer = client.post(path, body, headers=told | headers)
            assert answer.status_code == 201, answer.text
            return json.loads(answer.text)

        described = {"domain_id": domain_id, "title": f"{user}'s session"}
        session_id = post("/sessions", described, **{"Idempotency-Key": key})["session_id"]
        post("/sessions", described)
        path = f"/sessions/{session_id}/messages"
        reference = {"type": "report", "reference_id": reference_id, "summary": f"{user}'s source"}
        message = {"role": "user", "content": f"{user}'s words", "metadata": {"references": []}}
        post(path, message, **{"Idempotency-Key": key})
        message["metadata"]["references"] += [reference, {**reference, "reference_id": SHARED}]
        message_id = post(path, message)["message_id"]
        post(path, message)
        places = [f"/sessions/{session_id}/values", "/values"]
        tenants = Client(self.app, with_the_tenants_scopes(person).token)
        for values in (*places, "/tenant/values"):
            for name in (NAMED[Place("path", "name")], "other"):
                answer = tenants.put(f"{values}/{name}", {"said": f"{user}'s value"}, headers=told)
                assert answer.status_code in (200, 201), answer.text
        said = {"key": f"doc:{SHARED}", "state": "withdrawn", "reason": f"{user}'s value"}
        answer = tenants.put(f"/tenant/sources/{SOURCE}", said, headers=told)
        assert answer.status_code == 200, answer.text

        def cursor(path: str) -> str:
            return tenants.get(f"{path}?limit=1", headers=told).json["next_cursor"]

        things = Things(
            session_id=session_id,
            message_id=message_id,
            key=key,
            user=user,
            domain_id=domain_id,
            reference_id=reference_id,
            etag=client.get(f"/sessions/{session_id}", headers=told).headers["ETag"],
            cursors={
                "list_sessions": client.get("/sessions?limit=1", headers=told).json["pagination"][
                    "next_cursor"
                ],
                "list_messages": client.get(f"{path}?limit=1", headers=told).json["next_cursor"],
                "get_session_grounding": client.get(f"{path}?limit=1", headers=told).json[
                    "next_cursor"
                ],
                "list_session_values": cursor(places[0]),
                "list_user_values": cursor("/values"),
                "list_tenant_values": cursor("/tenant/values"),
                "list_source_answers": cursor(ANSWERS),
                "list_tenant_source_answers": cursor(f"/tenant{ANSWERS}"),
                "export_user": make_cursor("acme#alice export", "SESSION#0"),  # only hers is used
            },
        )
        self.own[person.name] = things
        return things

    def watch(
        self, person: Person, operation: Operation, values: Mapping[Place, str], **options: Any
    ) -> tuple[TestResponse, list[str]]:
        """Sends a request and returns its DynamoDB calls. None may be for Alice's partition."""
        del self.sent[:]
        answer = ask(self.app, person, operation, values=values, **options)
        for call in self.sent:
            for partition in HERS if person != BOB else HERS_ALONE:
                assert partition not in call.text, f"{person.name} reached Alice's data: {call}"
        return answer, [call.operation for call in self.sent]


def furnished(
    app: flask.Flask, items: Any, sent: Any, attackers: tuple[Person, ...] = ATTACKERS
) -> World:
    world = World(app, items, sent, attackers)
    world.furnish(ALICE, "alice")
    for attacker in attackers:
        world.furnish(attacker, "somebody")
    return world


@pytest.fixture
def world(app: flask.Flask, items: Any, sent: Any) -> World:
    return furnished(app, items, sent)


@pytest.fixture(scope="module")
def world_of_all(app_with: Any, module_table: Any, raw: Any) -> World:
    """Shared by the tests that delete nothing."""

    def items() -> list[dict[str, Any]]:
        pages = raw.get_paginator("scan").paginate(TableName=module_table.name, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    return furnished(app_with(), items, [])


@pytest.fixture
def shared(world_of_all: World, sent: Any) -> World:
    world_of_all.sent = sent
    return world_of_all


def absent(alice: Things) -> Things:
    """Identifiers of nothing. The message id directly follows Alice's, so its time is the same."""
    cursors = {
        name: base64.urlsafe_b64encode(bytes(len(cursor) * 3 // 4)).decode().rstrip("=")
        for name, cursor in alice.cursors.items()
    }
    return Things(
        session_id=ids.SESSION_PREFIX + next_ulid(alice.session_id),
        message_id=ids.MESSAGE_PREFIX + next_ulid(alice.message_id),
        key="never-used",
        user="never-seen",
        domain_id="never-heard",
        reference_id="never-read",
        etag=NO_VERSION,
        cursors=cursors,
    )


def next_ulid(prefixed: str) -> str:
    return ids.series(prefixed.rpartition("_")[2], 2)[1]


def told(answer: TestResponse) -> dict[str, Any]:
    """Everything in an error that could distinguish one case from another."""
    body = json.loads(answer.text) if answer.text else {}
    body.pop("request_id", None)
    headers = {name: answer.headers.get(name) for name in ("Content-Type", "WWW-Authenticate")}
    return {"status": answer.status_code, "names": sorted(answer.headers.keys()), **headers, **body}


HERS_ALONE = ("acme#alice", "acme##VALUES", *(f"acme##USAGE#{shard}" for shard in range(3)))
"""Partitions that no attacker may reach. All but the first are of her tenant."""

HERS = (*HERS_ALONE, "acme##SOURCES")
"""What her tenant says of its sources is shown in Bob's answers, too. He cannot change it."""


# The attack


def attack(world: World, operation: Operation) -> None:
    """Everybody puts Alice's identifiers in every place of one operation, without effect."""
    theirs = world.own["alice"]
    never = absent(theirs)
    for attacker in world.attackers:
        own = world.own[attacker.name]
        before = world.items()
        for chosen in subsets(operation.path_places):
            for extra in [{}, *conditions(operation, theirs), *other_places(operation, attacker)]:
                around = {
                    p: own.value(p, operation) for p in operation.path_places if p not in chosen
                }
                hers = {p: theirs.value(p, operation) for p in chosen} | {
                    p: value or theirs.value(p, operation) for p, value in extra.items()
                }
                none = {p: never.value(p, operation) for p in chosen} | {
                    p: value or never.value(p, operation) for p, value in extra.items()
                }
                got, calls = world.watch(attacker, operation, around | hers)
                expected, usual = world.watch(attacker, operation, around | none)
                what = f"{attacker.name}, {operation}, {[*map(str, [*chosen, *extra])]}"
                if ACT_FOR_USER in extra:  # without the scope, nothing is read
                    assert got.status_code == 403, what
                    assert calls == [], what
                elif got.status_code != 404:  # a cursor is looked at first
                    problem(got, 422, "INVALID_CURSOR")
                    assert Place("query", "cursor") in extra, what
                assert told(got) == told(expected), what
                assert calls == usual, f"{what}: not the same calls as for data that does not exist"
                assert world.items() == before, f"{what}: something changed"
        for extra in other_places(operation, attacker):
            try_with_own_path(world, operation, attacker, list(extra))
    nobody_tries(world, operation, theirs, never)


def subsets(places: list[Place]) -> Iterator[tuple[Place, ...]]:
    """Every subset of at least one place."""
    for count in range(1, len(places) + 1):
        yield from itertools.combinations(places, count)


def conditions(operation: Operation, theirs: Things) -> Iterator[dict[Place, str]]:
    for place in sorted(operation.places & CONDITIONS):
        only_new = place.name == "If-None-Match" and operation.method != "GET"
        for value in ("*",) if only_new else (theirs.etag, NO_VERSION, "*"):
            yield {place: value}


def other_places(operation: Operation, attacker: Person) -> Iterator[dict[Place, str]]:
    """Places of identifiers outside the path. The empty value means that the attack fills it in."""
    for place in sorted(operation.places & IDENTIFIERS.keys()):
        if place.where != "path" and place.name not in attacker.headers:
            yield {place: ""}


def try_with_own_path(
    world: World, operation: Operation, attacker: Person, places: list[Place]
) -> None:
    """With the attacker's own path, Alice's identifiers elsewhere act as if they did not exist."""
    theirs, own = world.own["alice"], world.own[attacker.name]
    never = absent(theirs)
    around = {place: own.value(place, operation) for place in operation.path_places}
    before = of_alice(world.items())
    hers = {place: theirs.value(place, operation) for place in places}
    none = {place: never.value(place, operation) for place in places}
    got, calls = world.watch(attacker, operation, around | hers)
    expected, usual = world.watch(attacker, operation, around | none)
    what = f"{attacker.name}, {operation}, {[*map(str, places)]}"
    assert got.status_code == expected.status_code < 500, f"{what}: {got.text}"
    if got.status_code >= 400:
        assert told(got) == told(expected), what
    assert calls == usual, what
    assert "Idempotent-Replayed" not in got.headers, what
    for trace in theirs.traces():
        assert trace not in got.text or trace in hers.values(), f"{what}: {got.text}"
    assert of_alice(world.items()) == before, f"{what}: something of Alice's changed"


def nobody_tries(world: World, operation: Operation, theirs: Things, never: Things) -> None:
    before = world.items()
    places = [place for place in operation.places if place in IDENTIFIERS]
    answers = []
    for things in (theirs, never):
        values = {place: things.value(place, operation) for place in places}
        got, calls = world.watch(NOBODY, operation, values)
        problem(got, 401, "UNAUTHORIZED")
        assert calls == [], f"{operation} called DynamoDB without a token"
        answers.append(told(got))
    assert answers[0] == answers[1]
    assert world.items() == before


def of_alice(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if item["PK"]["S"] in HERS]


# What must hold for operations without an identifier in their path


def list_shows_none_of_alices(world: World, attacker: Person, operation: Operation) -> None:
    page = Place("query", "page")
    limit = Place("query", "limit")
    for number, size in itertools.product(("1", "2", "3"), ("1", "100")):
        answer, _ = world.watch(attacker, operation, {page: number, limit: size})
        assert answer.json["pagination"]["total"] == 2, "their own two"
        assert not [t for t in world.own["alice"].traces() if t in answer.text]


def creating_adds_nothing_to_alices(world: World, attacker: Person, operation: Operation) -> None:
    before = world.items()
    answer, _ = world.watch(attacker, operation, {})
    assert answer.status_code == 201
    new = [item for item in world.items() if item not in before]
    assert new
    assert {item["PK"]["S"] for item in new}.isdisjoint({"acme#alice"})
    assert of_alice(world.items()) == of_alice(before)


def erasing_leaves_alices(world: World, attacker: Person, operation: Operation) -> None:
    before = world.items()
    answer, _ = world.watch(attacker, operation, {})
    assert answer.json == {"deleted_sessions": 2, "deleted_messages": 3}, "their own"
    partitions, left = (
        # The records of creates stay for their day, the rest until the sweep has looked once more.
        {item["PK"]["S"] for item in items if re.search("SESSION#[^#]*$|VALUE#", item["SK"]["S"])}
        for items in (before, world.items())
    )
    assert len(partitions - left) == 1
    assert of_alice(world.items()) == of_alice(before)


def importing_needs_its_scope(world: World, attacker: Person, operation: Operation) -> None:
    before = world.items()
    answer, calls = world.watch(attacker, operation, {})
    assert (answer.status_code, calls) == (403, [])
    assert world.items() == before


def only_own_values(world: World, attacker: Person, operation: Operation) -> None:
    answer, _ = world.watch(attacker, operation, {})
    assert answer.status_code < 300, answer.text
    shows(answer, attacker, operation)
    assert not [t for t in world.own["alice"].traces() if t in answer.text]


def shows(answer: TestResponse, attacker: Person, operation: Operation) -> None:
    """Otherwise, that nothing of Alice's is shown would prove nothing."""
    if operation.method == "GET":
        assert "somebody's value" in answer.text, f"{attacker.name}, {operation}: {answer.text}"


def only_own_answers(world: World, attacker: Person, operation: Operation) -> None:
    answer, _ = world.watch(attacker, operation, {})
    sessions = [each["session_id"] for each in answer.json["answers"]]
    assert sessions == [world.own[attacker.name].session_id] * 2


def only_answers_of_their_tenant(world: World, attacker: Person, operation: Operation) -> None:
    answer, calls = world.watch(attacker, operation, {})
    problem(answer, 403, "INSUFFICIENT_SCOPE")
    assert calls == []
    if attacker != BOB:
        answer, _ = world.watch(with_the_tenants_scopes(attacker), operation, {})
        sessions = [each["session_id"] for each in answer.json["answers"]]
        assert sessions.count(world.own[attacker.name].session_id) == 2
        assert not [t for t in world.own["alice"].traces() if t in answer.text]


def only_with_the_scope_and_in_their_tenant(
    world: World, attacker: Person, operation: Operation
) -> None:
    before = world.items()
    answer, calls = world.watch(attacker, operation, {})
    problem(answer, 403, "INSUFFICIENT_SCOPE")
    assert calls == []
    assert world.items() == before
    if attacker != BOB:
        scoped = with_the_tenants_scopes(attacker)
        own = f"/tenant/values/{NAMED[Place('path', 'name')]}"  # another may have deleted it
        Client(world.app, scoped.token).put(own, {"said": "somebody's value"})
        only_own_values(world, scoped, operation)
    assert of_alice(world.items()) == of_alice(before)


def only_the_use_of_their_tenant(world: World, attacker: Person, operation: Operation) -> None:
    answer, calls = world.watch(attacker, operation, {})
    problem(answer, 403, "INSUFFICIENT_SCOPE")
    assert calls == []
    if attacker != BOB:
        answer, calls = world.watch(with_the_tenants_scopes(attacker), operation, {})
        assert answer.status_code == 200
        assert calls == ["Query"] * 3


def keeping_alices(
    check: Callable[[World, Person, Operation], None],
) -> Callable[[World, Person, Operation], None]:
    def checked(world: World, attacker: Person, operation: Operation) -> None:
        before = of_alice(world.items())
        check(world, attacker, operation)
        assert of_alice(world.items()) == before

    return checked


VALUE_VIEWS = (
    *("get_{}_value", "put_{}_value", "patch_{}_value", "delete_{}_value"),
    *("list_{}_values", "delete_{}_values", "batch_{}_values"),
)

WITHOUT_ID: dict[str, Callable[[World, Person, Operation], None]] = {
    "list_sessions": list_shows_none_of_alices,
    "create_session": creating_adds_nothing_to_alices,
    "delete_all_sessions": erasing_leaves_alices,
    "import_session": importing_needs_its_scope,
    "export_user": keeping_alices(only_own_values),
    "list_source_answers": keeping_alices(only_own_answers),
    "list_tenant_source_answers": keeping_alices(only_answers_of_their_tenant),
    "get_tenant_usage": only_the_use_of_their_tenant,
    **{view.format("user"): keeping_alices(only_own_values) for view in VALUE_VIEWS},
    **{view.format("tenant"): only_with_the_scope_and_in_their_tenant for view in VALUE_VIEWS},
    "get_source": only_with_the_scope_and_in_their_tenant,
    "put_source": only_with_the_scope_and_in_their_tenant,
    "redact_source": only_with_the_scope_and_in_their_tenant,
}


# The tests

NAMES = [
    "create_session",
    "list_sessions",
    "delete_all_sessions",
    "get_session",
    "update_session",
    "delete_session",
    "append_message",
    "append_messages",
    "list_messages",
    "get_message",
    "patch_session",
    "edit_message",
    "delete_message",
    "delete_messages",
    "pop_messages",
    "replace_messages",
    "put_feedback",
    "delete_feedback",
    "check_history",
    "get_message_grounding",
    "get_session_grounding",
    "list_source_answers",
    "list_tenant_source_answers",
    "get_source",
    "put_source",
    "redact_source",
    "fork_session",
    "import_session",
    "export_user",
    "get_tenant_usage",
    *(view.format(of) for of in ("session", "user", "tenant") for view in VALUE_VIEWS),
]
"""Listed so that each is a test of its own. A test checks that the list is complete."""


def test_every_route_and_every_parameter_is_covered(app):
    assert complaints(app) == []
    assert sorted(NAMES) == sorted(operation.name for operation in operations(app))


@pytest.mark.parametrize("name", NAMES)
def test_only_alice_can_reach_her_data(shared, name):
    [operation] = [each for each in operations(shared.app) if each.name == name]
    attack(shared, operation)


@pytest.mark.parametrize("name", WITHOUT_ID)
def test_a_route_without_an_identifier_touches_only_the_callers_data(world, name):
    [operation] = [each for each in operations(world.app) if each.name == name]
    for attacker in ATTACKERS:
        WITHOUT_ID[name](world, attacker, operation)


def test_alice_can_reach_all_of_her_data(shared):
    """Otherwise the attacks would prove nothing."""
    own = shared.own["alice"]
    for operation in operations(shared.app):
        if operation.name.startswith(("delete", "pop", "replace")):
            continue
        places = [*operation.path_places, Place("body", "until")]
        values = {
            place: own.value(place, operation) for place in places if place in operation.places
        }
        answer = ask(shared.app, ALICE, operation, values=values)
        assert answer.status_code in (200, 201), f"{operation}: {answer.text}"


def test_head_reveals_no_more_than_get(shared):
    theirs = shared.own["alice"]
    for operation in operations(shared.app):
        if operation.method != "GET" or not operation.path_places:
            continue
        for things in (theirs, absent(theirs)):
            values = {p: things.value(p, operation) for p in operation.path_places}
            answer, _ = shared.watch(BOB, operation, values, method="HEAD")
            assert answer.status_code == 404
            assert answer.data == b""


@pytest.mark.parametrize("name", ["tenant_id", "tenant", "user", "user_id", "sub", "PK", "owner"])
def test_naming_alice_in_an_unknown_field_has_no_effect(shared, name):
    before = of_alice(shared.items())
    client = Client(shared.app, BOB.token)
    session = f"/sessions/{shared.own['alice'].session_id}"
    for value in ("alice", "acme#alice"):
        query = f"{name}={quote(value)}"
        assert client.get(f"/sessions?{query}").status_code == 422
        assert client.get(f"{session}?{query}").status_code == 422
        assert client.post("/sessions", {"domain_id": "d", name: value}).status_code == 422
        for header in (f"X-{name}", f"X-Forwarded-{name}", name):
            told = {header.replace("_", "-"): value}
            assert "alice's" not in client.get("/sessions", headers=told).text
            assert client.get(session, headers=told).status_code == 404
    assert of_alice(shared.items()) == before


@pytest.mark.parametrize("of", ["session", "user", "tenant"])
def test_a_cursor_of_alices_values_is_refused_in_a_batch(shared, of):
    theirs = shared.own["alice"]
    for attacker in ATTACKERS[1:]:  # not Bob, who is of her tenant
        own = shared.own[attacker.name]
        path = {"session": f"/sessions/{own.session_id}/values", "tenant": "/tenant/values"}
        client = Client(shared.app, with_the_tenants_scopes(attacker).token)
        wanted = {"list": "", "cursor": theirs.cursors[f"list_{of}_values"]}
        body = {"operations": [wanted]}
        answer = client.post(
            f"{path.get(of, '/values')}/batch", body, headers=dict(attacker.headers)
        )
        [result] = answer.json["results"]
        assert (result["status"], result["code"]) == (422, "INVALID_CURSOR")


# A route that does not exist yet


def add_route(app: flask.Flask, rule: str, view: Callable[..., Any], method: str = "GET") -> None:
    """Adds a route in the same way as a new blueprint of the API."""
    api = next(iter(app.extensions["flask-smorest"]["apis"].values()))["ext_obj"]
    blueprint = Blueprint("extra", __name__)
    blueprint.route(rule, methods=[method])(blueprint.response(200)(view))
    api.register_blueprint(blueprint, url_prefix=API)


def sessions(app: flask.Flask) -> SessionStore:
    return app.extensions["session_store"]


def leak_all(app: flask.Flask) -> Callable[..., Any]:
    def export_session(session_id: str) -> Any:
        """Forgets the caller."""
        session = sessions(app).get(Caller("acme", "alice"), session_id)
        return flask.jsonify(title=session.title)

    return export_session


def leak_existence(app: flask.Flask) -> Callable[..., Any]:
    def export_session(session_id: str) -> Any:
        """Reads the session before it checks the owner."""
        sessions(app).get(Caller("acme", "alice"), session_id)
        flask.abort(403)

    return export_session


def leak_wording(app: flask.Flask) -> Callable[..., Any]:
    def export_session(session_id: str) -> Any:
        """Answers 404 in both cases, but with different texts."""
        try:
            sessions(app).get(Caller("acme", "alice"), session_id)
        except Exception:
            flask.abort(404)
        sessions(app).get(auth.current_caller(), session_id)

    return export_session


def leak_effort(app: flask.Flask) -> Callable[..., Any]:
    def export_session(session_id: str) -> Any:
        """Gives the same answer, but makes more calls for a session that exists."""
        if session_id in app.extensions["ids_that_exist"]:
            sessions(app).by_page(auth.current_caller(), 1, 1)
        sessions(app).get(auth.current_caller(), session_id)

    return export_session


def write_too_much(app: flask.Flask) -> Callable[..., Any]:
    def export_session(session_id: str) -> Any:
        """Gives the right answers, but writes something."""
        caller = auth.current_caller()
        sessions(app).create(caller, NewSession(domain_id="d"))
        sessions(app).get(caller, session_id)

    return export_session


def keep_to_the_caller(app: flask.Flask) -> Callable[..., Any]:
    def export_session(session_id: str) -> Any:
        """Does it correctly."""
        session = sessions(app).get(auth.current_caller(), session_id)
        return flask.jsonify(title=session.title)

    return export_session


def added(app: flask.Flask, name: str) -> Operation:
    return next(operation for operation in operations(app) if operation.name == name)


@pytest.mark.parametrize(
    "leak", [leak_all, leak_existence, leak_wording, leak_effort, write_too_much]
)
def test_a_new_route_that_leaks_is_found_automatically(app, items, sent, leak):
    add_route(app, "/sessions/<session_id>/export", leak(app))
    assert complaints(app) == []
    world = furnished(app, items, sent, (BOB,))
    app.extensions["ids_that_exist"] = {world.own["alice"].session_id}
    with pytest.raises(AssertionError):
        attack(world, added(app, "export_session"))


def test_a_correct_new_route_passes_without_being_declared(app, items, sent):
    add_route(app, "/sessions/<session_id>/export", keep_to_the_caller(app))
    assert complaints(app) == []
    attack(furnished(app, items, sent, (BOB,)), added(app, "export_session"))


def test_a_new_route_without_an_identifier_must_be_declared(app):
    add_route(app, "/statistics", lambda: flask.jsonify({}))
    assert any("say in WITHOUT_ID" in complaint for complaint in complaints(app))


def test_a_new_kind_of_identifier_must_be_declared(app):
    add_route(app, "/domains/<domain_id>", lambda domain_id: flask.jsonify(domain_id))
    assert any("is path domain_id an identifier" in complaint for complaint in complaints(app))


def test_a_new_parameter_must_be_declared(app):
    import marshmallow as ma

    class Query(ma.Schema):
        on_behalf_of = ma.fields.String()

    class Body(ma.Schema):
        parts = ma.fields.List(ma.fields.Nested({"source_session_id": ma.fields.String()}))

    class Headers(IfMatchSchema):
        tenant = ma.fields.String(data_key="X-Tenant")

    api = next(iter(app.extensions["flask-smorest"]["apis"].values()))["ext_obj"]
    blueprint = Blueprint("extra", __name__)

    @blueprint.post("/sessions/<session_id>/copies")
    @blueprint.arguments(Body, example={})
    @blueprint.arguments(Query, location="query")
    @blueprint.arguments(Headers, location="headers")
    @blueprint.response(200)
    def copy_session(body: Any, query: Any, headers: Any, session_id: str) -> Any:
        """Copy a session"""
        return flask.jsonify(body, query, headers, session_id)

    api.register_blueprint(blueprint, url_prefix=API)
    found = " ".join(complaints(app))
    assert "is query on_behalf_of an identifier" in found
    assert "is body parts[].source_session_id an identifier" in found
    assert "is header X-Tenant an identifier" in found
    assert "If-Match" not in found, "it is declared"


def test_a_new_undocumented_route_must_be_documented_or_open(app):
    app.add_url_rule("/api/v1/debug", "debug", lambda: "all of it")
    assert complaints(app) == ["/api/v1/debug (debug) is not in the document"]


# Nothing answers without a token


def unguarded(app: flask.Flask) -> list[str]:
    """Rules that need a token but do not answer 401 without one."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint in auth.OPEN_ENDPOINTS:
            continue
        for method in sorted(rule.methods or ()):
            if method == "OPTIONS" and rule.provide_automatic_options:
                continue
            path = re.sub(r"<[^<>]*session_id>", "sess_01ARZ3NDEKTSV4RRFFQ69G5FAV", rule.rule)
            path = re.sub(r"<[^<>]*message_id>", "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV", path)
            path = re.sub(r"<[^<>]*>", "x", path)
            answer = app.test_client().open(path, method=method)
            if answer.status_code != 401:
                found.append(f"{method} {path}: {answer.status_code}")
    return found


def test_every_rule_is_on_the_open_list_or_needs_a_token(app, sent):
    del sent[:]
    assert unguarded(app) == []
    assert sent == []


def test_every_entry_of_the_open_list_is_a_rule(app_with):
    app = app_with(dev_tokens=True)
    assert {rule.endpoint for rule in app.url_map.iter_rules()} >= auth.OPEN_ENDPOINTS


@pytest.mark.parametrize("path", ["/api/v1/debug", "/debug", "/health/deep", "/docs/internal"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PURGE"])
def test_a_new_rule_needs_a_token_wherever_it_is(app, path, method):
    """This includes a view that answers OPTIONS. A CORS preflight never reaches a view."""
    app.add_url_rule(path, "debug", lambda: "all of it", methods=[method])
    assert unguarded(app) == []
    assert app.test_client().open(path, method=method).status_code == 401
    headers = {"Authorization": f"Bearer {ALICE.token}"}
    assert app.test_client().open(path, method=method, headers=headers).status_code == 200


# The structure of the code


@pytest.mark.parametrize("store", [SessionStore, MessageStore, AnswerLister])
def test_the_stores_take_a_caller_and_no_other_part_of_a_partition(store):
    for name, method in inspect.getmembers(store, inspect.isfunction):
        if name.startswith("__"):
            continue
        parameters = inspect.signature(method).parameters
        names = set(parameters) - {"self"}
        assert not names & {"tenant", "user", "user_id", "tenant_id", "partition", "pk"}, name
        if not name.startswith("_"):
            first = list(parameters.values())[1]
            assert (first.name, first.annotation) == ("caller", Caller), name


def calls_in(source: Path) -> Iterator[str]:
    """The functions that a file calls, as written in the source."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


SOURCES = sorted(Path(package.__path__[0]).rglob("*.py"))


def test_only_the_verifier_makes_callers():
    """This is about HTTP. An operator's commands may make callers too: erase, export, import. A
    redaction makes one of each user whose message the tenant's index names."""
    makers = {source.name for source in SOURCES if "Caller" in set(calls_in(source))}
    commands = {"tenant_erasure.py", "restoring.py", "transfer.py", "cli.py"}
    assert makers == {"auth.py", "tokens.py", "redactor.py"} | commands


def test_only_a_caller_makes_a_partition():
    makers = {
        source.name
        for source in SOURCES
        if {"keys.partition", "partition"} & set(calls_in(source)) and source.name != "keys.py"
    }
    assert makers == {"caller.py"}


def test_only_a_caller_makes_a_place_of_values():
    for make in (places.of_session, places.of_user, places.of_tenant):
        first, *others = inspect.signature(make).parameters.values()
        assert (first.name, first.annotation) == ("caller", Caller)
        assert {other.name for other in others} <= {"session_id"}
    makers = {
        source.name for source in SOURCES if {"places.Place", "Place"} & set(calls_in(source))
    }
    # The others get the partition that a caller or an operator has named.
    assert makers <= {"places.py", "exporting.py", "refilling.py", "copying.py"}


def test_every_header_that_is_read_by_hand_is_known_here():
    """Headers that are read by hand are not in the document."""
    read = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("headers.get"):
                read.add((source.name, ast.unparse(node.args[0])))
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "request.headers":
                read.add((source.name, ast.unparse(node.slice)))
    by_hand = {entry for entry in read if not entry[0].endswith("routes.py")}
    assert by_hand == {
        ("auth.py", "'Authorization'"),
        ("audit.py", "auth.ACT_FOR_USER_HEADER"),
        ("audit.py", "'Location'"),
        ("auth.py", "ACT_FOR_USER_HEADER"),
        ("bodies.py", "'Content-Encoding'"),
        ("bodies.py", "'Content-Type'"),
        ("bodies.py", "VALUE_TYPE"),
        ("octets.py", "'Accept'"),
        ("request_log.py", "'X-Request-Id'"),
    }


def test_no_request_scans_the_table():
    """`flask check` may. It is an operator's command."""
    scanning = {
        source.name for source in SOURCES for call in calls_in(source) if call.endswith(".scan")
    }
    assert scanning <= {"check.py"}
