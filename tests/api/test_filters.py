"""The list's filters."""

import pytest

from tests.people import problem


@pytest.fixture
def made(alice, clock):
    """Sessions by name, a minute apart."""
    sessions = {
        "potholes": {"title": "Potholes on Main St", "domain_id": "civic", "pinned": True},
        "lights": {"title": "Street LIGHTS", "domain_id": "civic", "archived": True},
        "strasse": {"title": "Die Straße", "domain_id": "other", "metadata": {"n": 1.5, "t": "x"}},
        "cafe": {"title": "Cafe\u0301", "domain_id": "other", "metadata": {"t": "x", "b": None}},
        "long": {"title": "", "domain_id": "d", "metadata": {"t": "x", "long": "y" * 300}},
    }
    found = {}
    for name, body in sessions.items():
        found[name] = alice.create_session(**body)
        clock.move(seconds=60)
    return found


def names(client, made, query):
    answer = client.get(f"/sessions?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.json["pagination"]["total"] is None
    assert answer.json["pagination"]["page"] is None
    ids = {session["session_id"]: name for name, session in made.items()}
    return [ids[row["session_id"]] for row in answer.json["sessions"]]


FILTERS = {
    "domain_id=civic": ["lights", "potholes"],
    "archived=true": ["lights"],
    "archived=false": ["long", "cafe", "strasse", "potholes"],
    "pinned=true": ["potholes"],
    "pinned=false&domain_id=civic": ["lights"],
    "q=main": ["potholes"],
    "q=LIGHT": ["lights"],
    "q=STRASSE": ["strasse"],
    "q=caf%C3%A9": ["cafe"],
    "q=nothing": [],
    "metadata.t=x": ["cafe", "strasse"],
    "metadata.n=1.5": ["strasse"],
    "metadata.n=1.50": [],
    "metadata.b=null": ["cafe"],
    "metadata.t=x&metadata.n=1.5": ["strasse"],
    "metadata.long=y": [],
}


@pytest.mark.parametrize("query", FILTERS)
def test_the_list_is_filtered(alice, made, query):
    assert names(alice, made, query) == FILTERS[query]


def test_times_of_creation_and_activity(alice, made, clock):
    alice.append(made["potholes"]["session_id"])
    at = made["strasse"]["created_at"].replace("+", "%2B")
    assert names(alice, made, f"created_from={at}") == ["long", "cafe", "strasse"]
    assert names(alice, made, f"created_to={at}") == ["potholes", "lights"]
    assert names(alice, made, f"active_from={at}") == ["potholes", "long", "cafe", "strasse"]
    assert names(alice, made, f"active_to={at}") == ["lights"]
    both = f"active_from={at}&active_to={made['long']['created_at']}"
    assert names(alice, made, both) == ["cafe", "strasse"]
    assert names(alice, made, f"{both}&q=caf%C3%A9") == ["cafe"]


def test_a_range_of_times_that_is_empty(alice, made, logged):
    at = made["strasse"]["created_at"]
    later = made["long"]["created_at"]
    for query in (f"active_from={at}&active_to={at}", f"active_from={later}&active_to={at}"):
        assert names(alice, made, query) == []
        assert logged[-1]["db_calls"] == 0


def test_pages_of_a_filtered_list_show_each_session_once(alice):
    wanted = [alice.create_session(domain_id=f"d{n % 2}")["session_id"] for n in range(25)][1::2]
    found, query = [], "domain_id=d1&limit=5"
    while query:
        answer = alice.get(f"/sessions?{query}").json
        assert len(answer["sessions"]) <= 5
        found += [session["session_id"] for session in answer["sessions"]]
        cursor = answer["pagination"]["next_cursor"]
        query = cursor and f"domain_id=d1&limit=5&cursor={cursor}"
    assert found == wanted[::-1]


def test_a_cursor_belongs_to_its_filter(alice):
    for _ in range(3):
        alice.create_session(domain_id="d", pinned=True)
    answer = alice.get("/sessions?domain_id=d&limit=1").json
    cursor = answer["pagination"]["next_cursor"]
    for query in ("limit=1", "domain_id=e", "domain_id=d&pinned=true", "q=d"):
        problem(alice.get(f"/sessions?{query}&cursor={cursor}"), 422, "INVALID_CURSOR")
    assert alice.get(f"/sessions?domain_id=d&limit=2&cursor={cursor}").status_code == 200


def test_a_request_looks_at_a_bounded_part_of_a_long_list(alice, raw, table, items, logged):
    """What was found so far comes with a cursor."""
    made = alice.create_session(domain_id="rare")
    [head] = [item for item in items() if item["SK"]["S"] == f"SESSION#{made['session_id'][5:]}"]
    for start in range(0, 4500, 25):
        puts = []
        for n in range(start, start + 25):
            ulid = f"01JD{n:022}"
            entry = {
                "SK": {"S": f"SESSION#{ulid}"},
                "GSI1SK": {"S": f"2029-01-01T00:00:00.000Z#{ulid}"},
                "domain_id": {"S": "common"},
            }
            puts.append({"PutRequest": {"Item": {**head, **entry}}})
        raw.batch_write_item(RequestItems={table.name: puts})
    found, query, requests = [], "domain_id=rare", 0
    while query:
        answer = alice.get(f"/sessions?{query}").json
        assert logged[-1]["db_calls"] <= 4
        found += [session["session_id"] for session in answer["sessions"]]
        cursor = answer["pagination"]["next_cursor"]
        query = cursor and f"domain_id=rare&cursor={cursor}"
        requests += 1
    assert found == [made["session_id"]]
    assert requests == 2


@pytest.mark.parametrize(
    "query",
    [
        "archived=yes",
        "pinned=1",
        "q=",
        "q=" + "x" * 129,
        "domain_id=",
        "created_from=yesterday",
        "created_from=2026-01-01",
        "created_from=2026-01-01T00:00:00",
        "active_to=2026-13-01T00:00:00Z",
        "metadata.=x",
        "metadata." + "n" * 65 + "=x",
        "&".join(f"metadata.n{n}=x" for n in range(9)),
        "metadata=x",
        "page=1&q=x",
        "page=2&archived=true",
        "q=a&q=b",
    ],
)
def test_a_bad_filter_is_refused(alice, query):
    problem(alice.get(f"/sessions?{query}"), 422, "VALIDATION_FAILED")
