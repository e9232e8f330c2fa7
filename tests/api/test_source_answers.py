"""From a source to the answers that cite it: the caller's own, and all of a tenant."""

import pytest

from app.grounding.sources import key_hash
from app.identity.caller import Caller
from app.messages.edges import MAX_SOURCES
from app.table import ids, keys, writes
from app.table.cursors import make_cursor
from tests.people import Client, make_token, moved, problem

HASH = key_hash("doc:r1")
PATH = f"/sources/{HASH}/answers"
REFERENCE = {"type": "report", "reference_id": "r1"}


@pytest.fixture
def auditor(app):
    """Of Alice's tenant. May do nothing but this."""
    return Client(app, make_token("acme", "auditor", scope="sources:audit"))


@pytest.fixture
def person(app):
    return lambda tenant, user, **claims: Client(app, make_token(tenant, user, **claims))


def cite(client, session_id):
    """Appends an answer that cites the source. Returns its entry in the list."""
    message = client.append(session_id, metadata={"references": [REFERENCE]})
    return {name: message[name] for name in ("session_id", "message_id", "timestamp")}


def put_edge(table, message):
    """Alice's edge of this message, which an index may show before the message or after it."""
    session, ulid = message["session_id"][5:], message["message_id"][4:]
    key = keys.edge("acme#alice", session, HASH, ulid)
    table.execute(writes.put(key, keys.by_source("acme#alice", HASH, ulid)))


def pages(client, path, limit=None, **headers):
    """All pages of a list, and the number of entries of each."""
    found, sizes, query = [], [], f"?limit={limit}" if limit else "?"
    cursor = ""
    while cursor is not None:
        answer = client.get(f"{path}{query}{cursor}", headers=headers)
        assert answer.status_code == 200, answer.text
        assert set(answer.json) == {"answers", "next_cursor"}
        found += answer.json["answers"]
        sizes.append(len(answer.json["answers"]))
        cursor = answer.json["next_cursor"] and f"&cursor={answer.json['next_cursor']}"
        assert len(sizes) < 100, "endless"
    return found, sizes


def listed(client, path=PATH, limit=None, **headers):
    return pages(client, path, limit, **headers)[0]


# One's own answers


def test_nothing_cites_it(alice, auditor):
    nothing = {"answers": [], "next_cursor": None}
    assert alice.get(PATH).json == nothing
    assert auditor.get(f"/tenant{PATH}").json == nothing


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 100, None])
def test_my_answers_are_listed_latest_first_over_all_sessions(alice, limit):
    sessions = [alice.create_session()["session_id"] for _ in range(3)]
    made = [cite(alice, sessions[number % 3]) for number in range(7)]
    alice.append(sessions[0], "cites nothing")
    found, sizes = pages(alice, PATH, limit)
    assert found == made[::-1]
    whole = limit or 50
    assert sizes == [whole] * ((7 - 1) // whole) + [(7 - 1) % whole + 1]


def test_copies_with_the_same_id_are_all_listed_whatever_the_page(alice):
    """A fork keeps the ids of its messages."""
    made = [cite(alice, alice.create_session()["session_id"]) for _ in range(2)]
    copies = []
    for _ in range(3):
        session_id = made[0]["session_id"]
        copy = alice.post(f"/sessions/{session_id}/fork", {}).json["session_id"]
        copies.append({**made[0], "session_id": copy})
    for limit in (1, 2, 3, 4, 5):
        found = listed(alice, limit=limit)
        assert found[0] == made[1]
        for each in (made[0], *copies):
            assert found.count(each) == 1
        assert len(found) == 5


def test_acting_for_alice_her_answers_are_listed(alice, person):
    made = cite(alice, alice.create_session()["session_id"])
    agent = person("acme", "agent", scope="sessions:read sessions:act-for-user")
    assert listed(agent, **{"Act-For-User": "alice"}) == [made]
    assert listed(agent) == []


@pytest.mark.parametrize(
    "source", ["x", "0" * 31, "0" * 33, HASH.upper(), f"{HASH[:-1]}g", "%C3%A9" * 32]
)
def test_what_is_no_hash_is_not_found(alice, auditor, source):
    for client, path in ((alice, "/sources"), (auditor, "/tenant/sources")):
        problem(client.get(f"{path}/{source}/answers"), 404, "SOURCE_NOT_FOUND")


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "page=2", "cursor="])
def test_a_bad_query_is_refused(alice, auditor, query):
    problem(alice.get(f"{PATH}?{query}"), 422, "VALIDATION_FAILED")
    problem(auditor.get(f"/tenant{PATH}?{query}"), 422, "VALIDATION_FAILED")


# What is not shown


def both(alice, auditor):
    """The ids of the messages that Alice and the auditor see."""
    own = [each["message_id"] for each in listed(alice)]
    assert [each["message_id"] for each in listed(auditor, f"/tenant{PATH}")] == own
    return own


def test_answers_of_deleted_and_expired_sessions_are_not_shown(alice, auditor, table, clock):
    kept = cite(alice, alice.create_session()["session_id"])
    deleted = cite(alice, alice.create_session()["session_id"])
    expiring = cite(alice, alice.create_session(expires_in_days=1)["session_id"])
    alice.delete(f"/sessions/{deleted['session_id']}")
    put_edge(table, deleted)  # as the index may still show it
    assert both(alice, auditor) == [expiring["message_id"], kept["message_id"]]
    clock.move(days=2)
    assert both(alice, auditor) == [kept["message_id"]]


def test_answers_of_a_session_that_is_being_deleted_are_not_shown(alice, auditor, raw, table):
    made = cite(alice, alice.create_session()["session_id"])
    key = keys.session("acme#alice", made["session_id"][5:])
    raw.update_item(
        TableName=table.name,
        Key={name: {"S": value} for name, value in key.items()},
        UpdateExpression="SET deleted_at = :now",
        ExpressionAttributeValues={":now": {"S": "2026-01-01T00:00:00.000Z"}},
    )
    assert both(alice, auditor) == []


def test_answers_in_a_cut_are_not_shown(alice, auditor, raw, table):
    session_id = alice.create_session()["session_id"]
    made = [cite(alice, session_id)["message_id"] for _ in range(4)]
    first, last = made[1][4:], made[2][4:]
    raw.update_item(
        TableName=table.name,
        Key={"PK": {"S": "acme#alice"}, "SK": {"S": f"SESSION#{session_id[5:]}"}},
        UpdateExpression="SET cut_lo = :first, cut_hi = :last",
        ExpressionAttributeValues={":first": {"S": first}, ":last": {"S": last}},
    )
    assert both(alice, auditor) == [made[3], made[0]]


def test_answers_that_the_session_does_not_tell_of_yet_are_not_shown(alice, auditor, table):
    """An index may show a part of a transaction before the table shows all."""
    made = cite(alice, alice.create_session()["session_id"])
    ulid = made["message_id"][4:]
    later = {**made, "message_id": f"msg_{ids.series(ulid, 2)[1]}"}
    put_edge(table, later)
    assert both(alice, auditor) == [made["message_id"]]


def test_answers_of_an_earlier_session_with_the_same_key_are_not_shown(alice, auditor, table):
    earlier = cite(alice, alice.create_session(key="k")["session_id"])
    alice.delete(f"/sessions/{earlier['session_id']}")
    again = alice.create_session(key="k")["session_id"]
    assert again == earlier["session_id"]
    made = cite(alice, again)
    put_edge(table, earlier)
    assert both(alice, auditor) == [made["message_id"]]


def test_a_page_may_be_short_or_empty_while_more_follow(alice, auditor, table):
    sessions = [alice.create_session()["session_id"] for _ in range(2)]
    made = [cite(alice, sessions[n in (2, 3, 4, 6)]) for n in range(8)]
    alice.delete(f"/sessions/{sessions[1]}")
    for each in made:
        put_edge(table, each)
    for client, path in ((alice, PATH), (auditor, f"/tenant{PATH}")):
        found, sizes = pages(client, path, 2)
        assert [each["message_id"] for each in found] == [
            made[number]["message_id"] for number in (7, 5, 1, 0)
        ]
        assert sizes == [1, 1, 0, 2]


@pytest.fixture(params=["", "/tenant"])
def reader(request, app):
    """Reads Alice's own list, or that of her tenant. Returns a page's message ids and cursor."""
    client = Client(app, make_token("acme", "alice", scope="sessions:read sources:audit"))

    def read(query):
        page = client.get(f"{request.param}{PATH}?{query}").json
        return [each["message_id"] for each in page["answers"]], page["next_cursor"]

    return read


def test_what_is_deleted_while_reading_ends_no_list(alice, reader):
    """The entry that the cursor names is gone. The list goes on behind it."""
    session_id = alice.create_session()["session_id"]
    made = [cite(alice, session_id)["message_id"] for _ in range(5)]
    read, cursor = reader("limit=2")
    assert read == [made[4], made[3]]
    assert alice.delete(f"/sessions/{session_id}/messages/{made[3]}").status_code == 200
    assert reader(f"limit=9&cursor={cursor}") == (made[2::-1], None)


def test_behind_the_last_answer_there_is_nothing(alice, reader):
    session_id = alice.create_session()["session_id"]
    made = [cite(alice, session_id)["message_id"] for _ in range(3)]
    _, cursor = reader("limit=2")
    assert alice.delete(f"/sessions/{session_id}/messages/{made[0]}").status_code == 200
    assert reader(f"cursor={cursor}") == ([], None)


def test_what_is_edited_popped_or_cut_away_is_not_listed(alice, reader):
    session_id = alice.create_session()["session_id"]
    path = f"/sessions/{session_id}/messages"
    made = [cite(alice, session_id)["message_id"] for _ in range(4)]
    assert alice.put(f"{path}/{made[0]}", {"content": "cites nothing now"}).status_code == 200
    assert alice.post(f"{path}/pop", {}).status_code == 200
    assert reader("") == ([made[2], made[1]], None)
    alice.fill(session_id, 100, metadata={"references": [REFERENCE]})
    assert len(reader("limit=100")[0]) == 2 + 2 * MAX_SOURCES
    assert alice.delete(f"{path}?from={made[2]}").status_code == 200
    assert reader("") == ([made[1]], None)
    again = {"content": "cites it again", "metadata": {"references": [REFERENCE]}}
    assert alice.put(f"{path}/{made[0]}", again).status_code == 200
    assert reader("") == ([made[1], made[0]], None)


def test_a_source_that_the_model_was_given_and_does_not_cite_has_no_answer(alice, reader):
    documents = [{"index": 0, "key": "doc:r1", "title": "R", "text": "Quiet from 22 to 6."}]
    request = {"request": {"documents": documents}}
    alice.append(alice.create_session()["session_id"], grounding=request)
    assert reader("") == ([], None)


def test_a_damaged_entry_spoils_only_itself(alice, auditor, table):
    made = [cite(alice, alice.create_session()["session_id"]) for _ in range(3)]
    index = keys.by_source("acme#alice", HASH, made[1]["message_id"][4:])
    for sk in ("SESSION#x#SRC#y", f"SESSION#{'0' * 26}#SRC#{HASH}#{'7' + 'Z' * 25}", "SESSION#x"):
        table.execute(writes.put({"PK": "acme#alice", "SK": sk}, index))
    for limit in (1, 2, 3, None):
        assert listed(alice, limit=limit) == made[::-1]
        assert len(listed(auditor, f"/tenant{PATH}", limit)) == 3


def test_what_waits_for_the_sweep_in_the_same_index_is_not_shown(alice, auditor, person):
    made = cite(alice, alice.create_session(expires_in_days=1)["session_id"])
    sweep = person("SWEEP", "alice", scope="sessions:read sessions:write sources:audit")
    sweep.create_session(expires_in_days=1)
    assert both(alice, auditor) == [made["message_id"]]
    assert listed(sweep) == listed(sweep, f"/tenant{PATH}") == []


# All of a tenant


@pytest.mark.parametrize("limit", [1, 2, 5, 30, 100, None])
def test_an_auditor_sees_the_answers_of_all_users(auditor, person, limit):
    made = {}
    for user in [f"user {number}" for number in range(14)]:
        own = person("acme", user)
        session_id = own.create_session()["session_id"]
        made[user] = [cite(own, session_id) for _ in range(3)]
    found, sizes = pages(auditor, f"/tenant{PATH}", limit)
    assert len(found) == 42
    assert sizes[:-1] == [limit or 50] * (len(sizes) - 1)
    users = list(dict.fromkeys(each["user_id"] for each in found))
    assert found == [{"user_id": user, **each} for user in users for each in made[user][::-1]]
    shards = [keys.source_shard(Caller("acme", user).partition) for user in users]
    assert shards == sorted(shards)
    assert len(set(shards)) > 3


def test_a_page_of_a_tenant_reads_each_shard_at_most_once(auditor, alice, table, person):
    asked = []

    def note(model, **_):
        asked.append(model.name)

    table.client.meta.events.register("provide-client-params.dynamodb.*", note)

    def calls(path):
        del asked[:]
        assert auditor.get(path).status_code == 200
        return [asked.count("Query"), asked.count("BatchGetItem"), len(asked)]

    assert calls(f"/tenant{PATH}") == [10, 0, 10], "no session to look at"
    session_id = alice.create_session()["session_id"]
    for _ in range(3):
        cite(alice, session_id)
    shard = keys.source_shard("acme#alice")
    assert calls(f"/tenant{PATH}") == [10, 1, 11]
    assert calls(f"/tenant{PATH}?limit=2") == [shard + 1, 1, shard + 2]
    table.client.meta.events.unregister("provide-client-params.dynamodb.*", note)


def test_a_page_of_100_answers_in_100_sessions(alice, auditor, table):
    made = [cite(alice, alice.create_session()["session_id"]) for _ in range(101)]
    answer = auditor.get(f"/tenant{PATH}?limit=100").json
    assert [each["message_id"] for each in answer["answers"]] == [
        each["message_id"] for each in made[:0:-1]
    ]
    assert answer["next_cursor"]


# Whose they are

ODD = [("acme", "bob"), ("acm", "alice"), ("acmee", "alice"), ("acme#", "alice"),
       ("acme#alice", "x"), ("acme%23", "alice"), ("acme%", "alice"), ("globex", "alice"),
       ("ACME", "alice"), (f"acme#{HASH}", "0"), ("SRC#acme", "alice")]  # fmt: skip


def test_nobody_sees_answers_of_another_tenant_or_user(person):
    made = {}
    for tenant, user in [("acme", "alice"), *ODD]:
        own = person(tenant, user)
        made[tenant, user] = cite(own, own.create_session()["session_id"])
    for tenant, user in made:
        assert listed(person(tenant, user)) == [made[tenant, user]]
        auditor = person(tenant, user, scope="sources:audit")
        for limit in (1, None):
            found = listed(auditor, f"/tenant{PATH}", limit)
            assert {each["message_id"] for each in found} == {
                each["message_id"] for (other, _), each in made.items() if other == tenant
            }
            assert {each["user_id"] for each in found} == {
                each for other, each in made if other == tenant
            }


def test_a_copied_cursor_leads_nowhere_else(alice, bob, auditor, person):
    session_id = alice.create_session()["session_id"]
    for _ in range(3):
        cite(alice, session_id)
    own = alice.get(f"{PATH}?limit=1").json["next_cursor"]
    tenants = auditor.get(f"/tenant{PATH}?limit=1").json["next_cursor"]
    other = f"/sources/{key_hash('doc:r2')}/answers"
    stranger = person("globex", "alice", scope="sessions:read sources:audit")
    for client, path, cursor in (
        (bob, PATH, own),
        (alice, other, own),
        (alice, PATH, tenants),
        (auditor, f"/tenant{PATH}", own),
        (auditor, f"/tenant{other}", tenants),
        (stranger, PATH, own),
        (stranger, f"/tenant{PATH}", tenants),
    ):
        problem(client.get(f"{path}?limit=1&cursor={cursor}"), 422, "INVALID_CURSOR")
    own_page = auditor.get(f"/tenant{PATH}?cursor={tenants}")
    assert own_page.status_code == 200


def test_an_altered_cursor_is_refused_or_a_place_in_the_same_list(alice, auditor, person):
    made = [cite(alice, alice.create_session()["session_id"]) for _ in range(2)]
    session, ulid = made[1]["session_id"][5:], made[1]["message_id"][4:]
    stranger = person("globex", "alice")
    cite(stranger, stranger.create_session()["session_id"])
    position = f"acme#alice#{session}#{ulid}"
    bad = [
        "", "#", "x", position[1:], f"{position}#", position.lower(), f"acme#{position}",
        f"acme##VALUES#{session}#{ulid}", f"globex#alice#{session}#{ulid}", f"é{position}",
        f"acmee#alice#{session}#{ulid}", f"#alice#{session}#{ulid}",
        f"acme#{'x' * 2050}#{session}#{ulid}",
    ]  # fmt: skip
    for client, path in ((alice, PATH), (auditor, f"/tenant{PATH}")):
        cursor = client.get(f"{path}?limit=1").json["next_cursor"]
        for other in bad:
            answer = client.get(f"{path}?cursor={moved(cursor, position, other)}")
            assert answer.status_code == 422, other
            assert answer.json["code"] in ("INVALID_CURSOR", "VALIDATION_FAILED")
        start = f"acme#alice#{session}#{'7' + 'Z' * 25}"
        again = client.get(f"{path}?cursor={moved(cursor, position, start)}").json
        assert [each["message_id"] for each in again["answers"]] == [
            each["message_id"] for each in made[::-1]
        ]
    bobs = moved(
        alice.get(f"{PATH}?limit=1").json["next_cursor"], position, f"acme#bob#{session}#{ulid}"
    )
    problem(alice.get(f"{PATH}?cursor={bobs}"), 422, "INVALID_CURSOR")


def test_the_longest_ids_still_have_a_cursor(person):
    """A partition of 2,048 bytes. Each character of the user takes twelve."""
    user = "😀" * ((2048 - len("acme#")) // 12)
    own = person("acme", user, scope="sessions:read sessions:write sources:audit")
    session_id = own.create_session()["session_id"]
    made = [cite(own, session_id) for _ in range(3)]
    assert listed(own, limit=1) == made[::-1]
    found = listed(own, f"/tenant{PATH}", 1)
    assert found == [{"user_id": user, **each} for each in made[::-1]]
    position = f"{'a' * 1000}#{'b' * 1047}#{'0' * 26}#{'0' * 26}"
    assert len(make_cursor("any list", position)) <= 2816
