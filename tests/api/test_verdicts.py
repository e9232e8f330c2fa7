"""What a tenant says of its sources, and how it is shown wherever they are cited."""
# ruff: noqa: F811  A fixture of another folder is imported, and arguments have its name.

import hashlib
import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.conversations.restoring import BadLine
from app.grounding.model import Citation, Source
from app.grounding.verdicts import Said, of_citation, of_source, worst
from app.identity.caller import Caller
from app.operations import check, tenant_erasure, transfer
from app.table import db
from app.verdicts.model import NewVerdict
from app.verdicts.reader import AT_ONCE, MOST_SOURCES, SETTLED, VerdictReader
from app.verdicts.store import VerdictStore
from app.wire import MAX_ANSWER, wire_size
from tests.api.test_grounding import grounding, load, say
from tests.identity.conftest import sent  # noqa: F401
from tests.people import Client, make_token, problem
from tests.unit.test_grounding import FILES

HANDBOOK, REPORT = "doc:handbook", "doc:report"
NOBODY_KNOWS = "0" * 32
OTHER = '"01ARZ3NDEKTSV4RRFFQ69G5FAV"'


def hash_of(key):
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def at(key):
    return f"/tenant/sources/{hash_of(key)}"


@pytest.fixture
def person(app):
    def make(scope=None, tenant="acme", user="alice", app=app, **claims):
        claims |= {"scope": scope} if scope else {}
        return Client(app, make_token(tenant, user, **claims))

    return make


@pytest.fixture
def govern(person):
    """Says what became of a source, as an editor of Alice's tenant, who may do nothing else."""
    editor = person("sources:govern", user="erin")

    def govern(state, key=HANDBOOK, headers=None, **also):
        answer = editor.put(at(key), {"key": key, "state": state, **also}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer

    return govern


def cite(client, session_id, *ids, **reference):
    """Appends an answer with references. Returns its path."""
    references = [{"reference_id": id.removeprefix("doc:"), **reference} for id in ids]
    said = client.append(
        session_id, "It is so.", role="assistant", metadata={"references": references}
    )
    return f"/sessions/{session_id}/messages/{said['message_id']}"


def verdicts(client, path):
    return [citation["verdict"] for citation in grounding(client, path)["citations"]]


# Saying it


def test_what_became_of_a_source_is_said_and_shown(govern, person):
    said = govern("changed", version="2", reason="New rules")
    body = said.json
    assert list(body) == [
        *("hash", "key", "state", "version", "reason", "governed_at", "governed_by")
    ]
    assert body["hash"] == hash_of(HANDBOOK)
    assert (body["key"], body["state"], body["version"]) == (HANDBOOK, "changed", "2")
    assert (body["reason"], body["governed_by"]) == ("New rules", "erin")
    shown = person("sources:govern").get(at(HANDBOOK))
    assert (shown.json, shown.headers["ETag"]) == (body, said.headers["ETag"])
    assert govern("current").json["version"] is None, "a put replaces all that was said"


def test_the_same_said_again_has_the_same_outcome(govern, items):
    bodies = [govern("withdrawn", reason="Wrong").json for _ in range(2)]
    assert [body.pop("governed_at") and body for body in bodies][0] == bodies[1]
    assert [item["SK"]["S"].split("#")[0] for item in items()] == ["REVISION", "SOURCE"]


def test_a_source_of_which_nobody_has_said_anything_is_not_found(person, govern):
    govern("withdrawn")
    for path in (NOBODY_KNOWS, "x", hash_of(HANDBOOK).upper(), "%00", "a" * 3000):
        answer = person("sources:govern").get(f"/tenant/sources/{path}")
        problem(answer, 404, "VERDICT_NOT_FOUND")


def test_the_hash_must_be_that_of_the_key(person, items):
    for path in (NOBODY_KNOWS, hash_of(HANDBOOK).upper(), "x", "a" * 3000):
        body = {"key": HANDBOOK, "state": "withdrawn"}
        answer = person("sources:govern").put(f"/tenant/sources/{path}", body)
        [fault] = problem(answer, 422, "VALIDATION_FAILED")["errors"]
        assert fault["field"] == "key"
        assert hash_of(HANDBOOK) in fault["message"]
    assert items() == []


LONG = "x" * 1025


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"key": None}, "key"),
        ({"key": ""}, "key"),
        ({"key": 7}, "key"),
        ({"key": LONG}, "key"),
        ({"key": "\ud800"}, "key"),
        ({"state": None}, "state"),
        ({"state": "gone"}, "state"),
        ({"state": "dangling"}, "state"),
        ({"version": ""}, "version"),
        ({"version": 2}, "version"),
        ({"version": LONG}, "version"),
        ({"version": "\udfff"}, "version"),
        ({"reason": "x" * 1001}, "reason"),
        ({"reason": "\ud800"}, "reason"),
        ({"hash": "x"}, "hash"),
    ],
    ids=str,
)
def test_what_is_out_of_bounds_is_refused(person, items, changes, field):
    body = {"key": HANDBOOK, "state": "changed", **changes}
    key = body["key"] if isinstance(body["key"], str) else ""
    named = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    answer = person("sources:govern").put(f"/tenant/sources/{named}", data=json.dumps(body))
    faults = problem(answer, 422, "VALIDATION_FAILED")["errors"]
    assert {fault["field"] for fault in faults} == {field}
    assert items() == []


@pytest.mark.parametrize("key", ["url:https://a.example/?q=ü#", "doc:a\n\x00b", "x" * 1024, "😀"])
def test_a_key_may_have_any_characters(govern, key):
    assert govern("withdrawn", key=key, version="\t", reason="a\nb").json["key"] == key


# Preconditions


def test_a_verdict_can_be_replaced_only_if_it_is_known(govern, person, items):
    editor, body = person("sources:govern"), {"key": HANDBOOK, "state": "changed"}

    def refused(etag, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        before = items()
        answer = editor.put(at(HANDBOOK), body, headers=headers)
        problem(answer, 412, "VERDICT_CHANGED", etag=etag)
        assert items() == before

    for condition in (OTHER, "*", "malformed"):
        refused(None, If_Match=condition)
    first = govern("current", headers={"If-None-Match": "*"}).headers["ETag"]
    present = first.strip('"')
    refused(present, If_None_Match="*")
    for condition in (OTHER, f"W/{first}", "malformed"):
        refused(present, If_Match=condition)
    second = govern("withdrawn", headers={"If-Match": f"{OTHER}, {first}"}).headers["ETag"]
    assert second > first
    govern("current", headers={"If-Match": "*"})
    refused(editor.get(at(HANDBOOK)).headers["ETag"].strip('"'), If_Match=second)


def test_a_request_that_is_repeated_is_not_refused_for_what_it_has_written(govern):
    """A proxy may repeat a PUT whose answer was lost."""
    first = govern("withdrawn", reason="Wrong", headers={"If-None-Match": "*"})
    again = govern("withdrawn", reason="Wrong", headers={"If-None-Match": "*"})
    assert (again.json, again.headers["ETag"]) == (first.json, first.headers["ETag"])
    changed = {"If-Match": first.headers["ETag"]}
    bodies = [govern("changed", version="2", headers=changed).json for _ in range(2)]
    assert bodies[0] == bodies[1]


def test_an_unchanged_verdict_is_not_sent_again(govern, person):
    etag = govern("withdrawn").headers["ETag"]
    editor = person("sources:govern")
    assert editor.get(at(HANDBOOK), headers={"If-None-Match": etag}).status_code == 304
    govern("current")
    assert editor.get(at(HANDBOOK), headers={"If-None-Match": etag}).status_code == 200


# Scopes and tenants


def test_no_token_may_govern_or_audit_without_saying_so(person, sent, items):
    body = {"key": HANDBOOK, "state": "withdrawn"}
    for scope in (None, "sessions:read sessions:write tenant-values:read tenant-values:write"):
        client, before = person(scope), items()
        del sent[:]
        told = problem(client.put(at(HANDBOOK), body), 403, "INSUFFICIENT_SCOPE")
        assert told["detail"] == "The token lacks the scope sources:govern."
        told = problem(client.get(at(HANDBOOK)), 403, "INSUFFICIENT_SCOPE")
        assert told["detail"] == "The token lacks the scope sources:audit."
        assert (sent, items()) == ([], before)
    problem(person("sources:audit").put(at(HANDBOOK), body), 403, "INSUFFICIENT_SCOPE")
    assert person(roles=["sources:govern"]).put(at(HANDBOOK), body).status_code == 200


def test_the_reason_is_shown_to_those_who_govern_only(govern, person):
    govern("withdrawn", reason="Secret")
    seen = person("sources:audit").get(at(HANDBOOK)).json
    assert (seen["state"], seen["governed_by"]) == ("withdrawn", "erin")
    assert "reason" not in seen
    assert person("sources:govern sources:audit").get(at(HANDBOOK)).json["reason"] == "Secret"


def test_an_agent_that_says_it_is_named(person):
    agent = person("sources:govern sessions:act-for-user", user="agent-7")
    headers = {"Act-For-User": "alice"}
    said = agent.put(at(HANDBOOK), {"key": HANDBOOK, "state": "current"}, headers=headers)
    assert said.json["governed_by"] == "agent-7"


def test_what_another_tenant_says_is_invisible(govern, person, alice, bob, charlie):
    govern("withdrawn")
    problem(person("sources:govern", tenant="globex").get(at(HANDBOOK)), 404, "VERDICT_NOT_FOUND")
    for client, verdict in ((alice, "withdrawn"), (bob, "withdrawn"), (charlie, "ungoverned")):
        session = client.create_session()["session_id"]
        cite(client, session, HANDBOOK)
        found = grounding(client, f"/sessions/{session}")
        assert [each["verdict"] for each in found["citations"]] == [verdict]
        assert [each["verdict"] for each in found["sources"]] == [verdict]
        withdrawn = found["figures"]["citations_withdrawn"]
        assert withdrawn["numerator"] == (verdict == "withdrawn")


@pytest.mark.parametrize("tenant", ["acme##SOURCES", "acme#", "acme%23%23SOURCES", "acme*"])
def test_a_tenant_named_like_the_partition_sees_nothing(govern, person, tenant):
    govern("withdrawn")
    problem(person("sources:govern", tenant=tenant).get(at(HANDBOOK)), 404, "VERDICT_NOT_FOUND")


# The verdict on a citation

VERSIONS = st.sampled_from([None, "1", "2"])


@given(
    said=st.none()
    | st.builds(Said, st.sampled_from(["current", "changed", "withdrawn"]), VERSIONS),
    cited=VERSIONS,
    fault=st.none() | st.just("outside_the_text"),
)
def test_withdrawn_comes_before_changed_before_dangling_before_current(said, cited, fault):
    source = Source(HANDBOOK, "document", version=cited)
    citation = Citation("claim", source, "/0", fault=fault)
    told = {HANDBOOK: said} if said else {}
    is_changed = said and said.state == "changed"
    if said and said.state == "withdrawn":
        expected = "withdrawn"
    elif is_changed and (said.version is None or cited != said.version):
        expected = "changed"
    elif fault:
        expected = "dangling"
    else:
        expected = "current" if said else "ungoverned"
    assert of_citation(citation, told) == expected
    assert of_source(source, told) == expected or fault
    assert worst([expected, "current"]) == expected
    assert worst(["withdrawn", expected]) == "withdrawn"
    other = Source(REPORT, "document", version=cited)
    assert of_source(other, told) == "ungoverned"


@pytest.mark.parametrize(
    ("state", "now", "verdict"),
    [
        ("current", None, "current"),
        ("current", "3", "current"),
        ("changed", None, "changed"),
        ("changed", "3", "changed"),
        ("changed", "2", "current"),
        ("withdrawn", "2", "withdrawn"),
    ],
)
def test_changed_compares_the_version_that_is_cited(alice, session_id, govern, state, now, verdict):
    path = cite(alice, session_id, HANDBOOK, version="2")
    without = cite(alice, session_id, HANDBOOK)
    assert verdicts(alice, path) == ["ungoverned"]
    govern(state, **({"version": now} if now else {}))
    assert verdicts(alice, path) == [verdict]
    assert verdicts(alice, without) == [state]
    assert [s["verdict"] for s in grounding(alice, path)["sources"]] == [verdict]


def test_a_citation_that_leads_nowhere_dangles_unless_its_source_is_gone(alice, session_id, govern):
    native = {"role": "assistant", "content": "Yes[1][2].", "citations": ["https://a.example/"]}
    path = say(alice, session_id, {"provider": "perplexity.chat", "payload": native})
    assert verdicts(alice, path) == ["ungoverned", "dangling"]
    key = "url:https://a.example/"
    govern("current", key=key)
    assert verdicts(alice, path) == ["current", "dangling"]
    govern("withdrawn", key=key)
    assert verdicts(alice, path) == ["withdrawn", "dangling"]


# What is shown

QUOTING = [file for file in FILES if any("quote" in each for each in load(file)["expected"])]


@pytest.mark.parametrize("file", QUOTING, ids=lambda file: file.stem)
def test_quotes_of_a_withdrawn_source_are_hidden_and_the_stored_object_stays(
    alice, session_id, govern, file
):
    given = load(file)
    path = say(alice, session_id, given)
    before, stored = grounding(alice, path), alice.get(path).data
    key = next(each["source"] for each in before["citations"] if each["quote"])
    govern("withdrawn", key=key)
    for found in (
        grounding(alice, path),
        grounding(alice, f"/sessions/{session_id}"),
        alice.get(f"/sessions/{session_id}/messages?view=neutral").json["messages"][0],
        alice.get(f"/sessions/{session_id}?view=neutral").json["messages"][0],
    ):
        assert len(found["citations"]) == len(before["citations"])
        for now, then in zip(found["citations"], before["citations"], strict=True):
            is_of_it = then["source"] == key
            assert now["quote"] == (None if is_of_it else then["quote"])
            assert (now["verdict"] == "withdrawn") is is_of_it
            assert (now["text"], now["locator"]) == (then["text"], then["locator"])
        assert {s["key"] for s in found["sources"] if s["verdict"] == "withdrawn"} == {key}
    assert alice.get(path).data == stored
    govern("changed", key=key)
    quotes = [citation["quote"] for citation in before["citations"]]
    assert [citation["quote"] for citation in grounding(alice, path)["citations"]] == quotes


def test_figures_count_citations_of_changed_and_withdrawn_sources(alice, session_id, govern):
    cite(alice, session_id, HANDBOOK, REPORT)
    cite(alice, session_id, HANDBOOK, "doc:other")
    govern("withdrawn")
    govern("changed", key=REPORT)
    figures = grounding(alice, f"/sessions/{session_id}")["figures"]
    for name, count in (("citations_withdrawn", 2), ("citations_changed", 1)):
        figure = {"numerator": count, "denominator": 4, "anchors": ["message"]}
        assert figures[name] == figure


# In short


def test_each_message_tells_in_short_what_it_rests_on(alice, session_id, govern):
    plain = alice.append(session_id)
    path = cite(alice, session_id, HANDBOOK, HANDBOOK, REPORT)
    stored = alice.get(path).json
    expected = {"citations": 3, "sources": 2, "dangling": 0, "verdict": "ungoverned"}
    for verdict in ("ungoverned", "changed", "withdrawn"):
        if verdict != "ungoverned":
            govern(verdict)
        shown = {**stored, "grounding": {**expected, "verdict": verdict}}
        assert alice.get(f"{path}?include=grounding").json == shown
        for where in (
            f"/sessions/{session_id}?include=grounding",
            f"/sessions/{session_id}?include=grounding&messages=2",
            f"/sessions/{session_id}/messages?include=grounding",
        ):
            assert alice.get(where).json["messages"] == [plain, shown]
    neutral = alice.get(f"/sessions/{session_id}/messages?include=grounding&view=neutral").json
    assert [message.get("grounding") for message in neutral["messages"]] == [
        None,
        {**expected, "verdict": "withdrawn"},
    ]
    assert alice.get(path).json == stored


ODD = '{ "request" : {"messages": [ {"n": 1E5, "t": "\\u00e9\\ud800"} ]} }'
CONTENT = '[{"type": "text", "text": "a\\/b", "n": -0}]'


@pytest.mark.parametrize("grounding", [None, ODD])
def test_the_rest_of_the_message_stays_as_it_was_sent(alice, session_id, grounding):
    member = f'"grounding": {grounding},' if grounding else ""
    metadata = '{"x": 1.50, "references": [ {"reference_id": "a"}]}'
    body = f'{{"role":"assistant","content":{CONTENT},{member}"metadata":{metadata}}}'
    said = alice.post(f"/sessions/{session_id}/messages", data=body)
    path = f"/sessions/{session_id}/messages/{said.json['message_id']}"
    text = alice.get(f"{path}?include=grounding").text
    short = '"citations":1,"sources":1,"dangling":0,"verdict":"ungoverned"}'
    inside = f'"request":{ODD.partition(":")[2].rpartition("}")[0].strip()},' if grounding else ""
    assert f'"grounding":{{{inside}{short}' in text
    assert f'"content":{CONTENT}' in text
    assert f'"metadata":{metadata}' in text
    again = json.loads(text)
    del again["grounding"]
    stored = alice.get(path).json
    assert again == {name: stored[name] for name in stored if name != "grounding"}


def test_a_page_ends_early_if_only_the_summaries_make_it_too_large(alice, session_id):
    """What is counted is what is sent."""
    path = f"/sessions/{session_id}/messages"
    metadata = {"references": [{"reference_id": "a"}]}
    first = alice.append(session_id, "x" * 2_200_000, role="assistant", metadata=metadata)
    empty = alice.append(session_id, "", role="assistant", metadata=metadata)
    left = MAX_ANSWER - sum(wire_size(json.dumps(m, separators=(",", ":"))) for m in (first, empty))
    assert alice.delete(f"{path}/{empty['message_id']}").status_code == 200
    second = alice.append(session_id, "x" * (left - 50), role="assistant", metadata=metadata)
    assert len(alice.get(path).json["messages"]) == 2
    page = alice.get(f"{path}?include=grounding").json
    assert [message["message_id"] for message in page["messages"]] == [first["message_id"]]
    rest = alice.get(f"{path}?include=grounding&cursor={page['next_cursor']}").json
    assert [message["message_id"] for message in rest["messages"]] == [second["message_id"]]
    assert rest["next_cursor"] is None
    last = alice.get(f"/sessions/{session_id}?include=grounding&messages=2").json
    assert [message["message_id"] for message in last["messages"]] == [second["message_id"]]
    earlier = alice.get(f"{path}?order=desc&cursor={last['earlier_cursor']}").json["messages"]
    assert [message["message_id"] for message in earlier] == [first["message_id"]]


@pytest.mark.parametrize("value", ["", "Grounding", "grounding,feedback", "true"])
def test_nothing_else_can_be_included(alice, session_id, value):
    message = alice.append(session_id)["message_id"]
    for path in ("", "/messages", f"/messages/{message}"):
        answer = alice.get(f"/sessions/{session_id}{path}?include={value}")
        problem(answer, 422, "VALIDATION_FAILED")


def test_a_client_cannot_give_what_is_worked_out(alice, session_id):
    for name in ("citations", "sources", "dangling", "verdict"):
        body = {"role": "user", "grounding": {"request": {}, name: 1}}
        problem(alice.post(f"/sessions/{session_id}/messages", body), 422, "VALIDATION_FAILED")


# ETags

SHOWING = (
    "/sessions/{s}/grounding",
    "/sessions/{s}/messages/{m}/grounding",
    "/sessions/{s}?view=neutral",
    "/sessions/{s}?include=grounding",
    "/sessions/{s}?include=grounding&messages=1",
    "/sessions/{s}/messages?view=neutral",
    "/sessions/{s}/messages?include=grounding",
    "/sessions/{s}/messages/{m}?include=grounding",
)


@pytest.mark.parametrize("path", SHOWING)
def test_a_verdict_changes_the_etag_of_every_answer_that_shows_it(alice, session_id, govern, path):
    cited = cite(alice, session_id, HANDBOOK).rpartition("/")[2]
    path = path.format(s=session_id, m=cited)
    govern("current")
    first = alice.get(path)
    known = {"If-None-Match": first.headers["ETag"]}
    unchanged = alice.get(path, headers=known)
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert unchanged.headers["ETag"] == first.headers["ETag"]
    govern("withdrawn")
    now = alice.get(path, headers=known)
    assert now.status_code == 200
    assert now.headers["ETag"] != first.headers["ETag"]
    assert "withdrawn" in now.text
    govern("current")
    assert alice.get(path, headers=known).status_code == 304, "the same answer again"


def test_other_reads_keep_their_etags_and_their_calls(alice, session_id, govern, sent):
    path = cite(alice, session_id, HANDBOOK)
    whole = f"/sessions/{session_id}"

    def calls(*args, **options):
        del sent[:]
        answer = alice.get(*args, **options)
        return answer.headers.get("ETag"), [call.operation for call in sent]

    reads = (whole, f"{whole}/messages", path)
    before = [calls(read) for read in reads]
    govern("withdrawn")
    assert [calls(read) for read in reads] == before
    assert [operations for _, operations in before] == [
        ["Query"],
        ["GetItem", "Query"],
        ["BatchGetItem"],
    ]
    etag = alice.get(whole).headers["ETag"]
    assert calls(whole, headers={"If-None-Match": etag}) == (etag, ["GetItem"])


# Calls


def test_saying_it_is_one_transaction_of_two_items(govern, person, sent):
    govern("current")
    etag = person("sources:govern").get(at(HANDBOOK)).headers["ETag"]
    for headers in (None, {"If-Match": etag}):
        del sent[:]
        govern("withdrawn", headers=headers)
        assert [call.operation for call in sent] == ["TransactWriteItems"]
        assert len(sent[0].body["TransactItems"]) == 2
    del sent[:]
    person("sources:govern").get(at(HANDBOOK))
    assert [call.operation for call in sent] == ["GetItem"]


@pytest.fixture
def asked(sent):
    """The reads of verdicts since the last time, each with its number of items."""

    def asked():
        found = []
        for call in sent:
            if "##SOURCES" in call.text and call.operation == "BatchGetItem":
                [request] = call.body["RequestItems"].values()
                assert request["ConsistentRead"] is True
                found.append(len(request["Keys"]))
            elif "##SOURCES" in call.text and call.operation == "GetItem":
                assert call.body["ConsistentRead"] is True
                found.append(1)
        del sent[:]
        return found

    return asked


def test_sources_of_a_tenant_that_governs_nothing_cost_one_get(alice, session_id, asked):
    path = cite(alice, session_id, *map(str, range(250)))
    asked()
    grounding(alice, path)
    assert asked() == [100], "this process does not know the tenant yet"
    for _ in range(2):
        grounding(alice, path)
        assert asked() == [1]


def test_what_cites_nothing_costs_no_call(alice, session_id, asked):
    alice.append(session_id)
    asked()
    grounding(alice, f"/sessions/{session_id}")
    alice.get(f"/sessions/{session_id}/messages?view=neutral&include=grounding")
    assert asked() == []


def test_many_sources_cost_a_batch_for_each_99_and_then_one_get(
    alice, session_id, govern, asked, clock
):
    path = cite(alice, session_id, *map(str, range(250)))
    govern("withdrawn", key="doc:7")
    asked()
    counted = []
    for _ in range(2):
        counted.append(grounding(alice, path)["figures"]["citations_withdrawn"]["numerator"])
        assert sorted(asked()) == [51, 100, 100]
        clock.move(seconds=SETTLED / 1000)
    for _ in range(2):
        counted.append(grounding(alice, path)["figures"]["citations_withdrawn"]["numerator"])
        assert asked() == [1]
    govern("withdrawn", key="doc:8")
    asked()
    counted.append(grounding(alice, path)["figures"]["citations_withdrawn"]["numerator"])
    assert sorted(asked()) == [1, 50, 100, 100], "the revision is a new one"
    assert counted == [1, 1, 1, 1, 2]


def test_sources_that_are_not_known_yet_are_read_with_the_revision(
    alice, session_id, govern, asked, clock
):
    first, both = cite(alice, session_id, HANDBOOK), cite(alice, session_id, HANDBOOK, REPORT)
    govern("withdrawn")
    verdicts(alice, first)
    clock.move(seconds=SETTLED / 1000)
    verdicts(alice, first)
    asked()
    assert verdicts(alice, both) == ["withdrawn", "ungoverned"]
    assert asked() == [2]
    assert verdicts(alice, both) == ["withdrawn", "ungoverned"]
    assert asked() == [1], "that nothing was said is remembered, too"


def test_a_process_remembers_no_more_than_its_limits(table, clock, alice):
    store = VerdictStore(table)
    for tenant in ("acme", "globex"):
        said = NewVerdict(HANDBOOK, "withdrawn")
        store.put(Caller(tenant, "erin"), hash_of(HANDBOOK), said)
    reader = VerdictReader(table, clock)
    many = [f"doc:{number}" for number in range(MOST_SOURCES + AT_ONCE)]
    for _ in range(2):
        assert reader.read("acme", [*many, HANDBOOK]) == {HANDBOOK: Said("withdrawn")}
        clock.move(seconds=SETTLED / 1000)
    assert [len(known.found) for known in reader._known.values()] == [MOST_SOURCES]
    assert reader.read("acme", [*many, HANDBOOK]) == {HANDBOOK: Said("withdrawn")}
    for number in range(150):
        reader.read(f"tenant-{number}", [HANDBOOK])
    assert len(reader._known) == 100
    assert reader.read("globex", [HANDBOOK]) == {HANDBOOK: Said("withdrawn")}


# Several processes


def test_once_it_is_said_no_process_shows_the_old_verdict(
    make_app, person, alice, session_id, clock
):
    """Each app is a process with its own memory, and all of them are warm."""
    cite(alice, session_id, HANDBOOK, REPORT)
    apps = [make_app() for _ in range(3)]
    readers = [person(app=app) for app in apps]
    editors = [person("sources:govern", app=app) for app in apps]
    path = f"/sessions/{session_id}"
    states = ("current", "withdrawn", "changed", "withdrawn")
    for number, (key, state) in enumerate(product((HANDBOOK, REPORT), states)):
        editors[number % 3].put(at(key), {"key": key, "state": state})
        for _ in range(3):
            for reader in readers:
                shown = verdicts(reader, path)
                assert shown[(HANDBOOK, REPORT).index(key)] == state
            clock.move(seconds=SETTLED / 1000)
    assert shown == ["withdrawn", "withdrawn"]


def test_after_an_erasure_no_process_remembers_what_was_said(
    make_app, person, alice, session_id, govern, clock, table, items
):
    govern("withdrawn")
    cite(alice, session_id, HANDBOOK)
    warm = person(app=make_app())
    for _ in range(3):
        assert verdicts(warm, f"/sessions/{session_id}") == ["withdrawn"]
        clock.move(seconds=SETTLED / 1000)
    at_once = db.Table(table.name, table.client, sleep=lambda _: None, database_time=clock)
    assert tenant_erasure.erase_tenant(at_once, "acme", clock).verdicts == 1
    assert [item for item in items() if "SOURCES" in item["PK"]["S"]] == []
    other = warm.create_session()["session_id"]
    cite(warm, other, HANDBOOK)
    assert verdicts(warm, f"/sessions/{other}") == ["ungoverned"]
    govern("current", key=REPORT)
    assert verdicts(warm, f"/sessions/{other}") == ["ungoverned"]


# Copies


def test_an_export_carries_verdicts_to_another_table(
    govern, person, table, tmp_path, alice, session_id, clock
):
    said = [
        govern("withdrawn", reason="a\nb ü"),
        govern("changed", key=REPORT, version="2"),
    ]
    cite(alice, session_id, HANDBOOK, REPORT)
    path = tmp_path / "acme.ndjson"
    assert transfer.export(table, "acme", None, path, resume=False) == 0
    *_, restored = transfer.restore(table, "copy", path)
    assert (restored.verdicts, restored.existing) == (2, 0)
    editor = person("sources:govern", tenant="copy")
    for answer in said:
        copied = editor.get(f"/tenant/sources/{answer.json['hash']}")
        assert copied.json == answer.json
        assert copied.headers["ETag"] == answer.headers["ETag"]
    found = verdicts(person(tenant="copy"), f"/sessions/{session_id}")
    assert found == ["withdrawn", "changed"]
    *_, again = transfer.restore(table, "copy", path)
    assert (again.verdicts, again.existing) == (0, 3)
    assert list(check.check(table, clock)) == []
    lines = path.read_text().splitlines(keepends=True)
    for count in range(len(lines)):
        part = tmp_path / f"{count}.ndjson"
        part.write_text("".join(lines[:count]) + '{"type":"ver')
        transfer.export(table, "acme", None, part, resume=True)
        assert part.read_text() == path.read_text(), count


@pytest.mark.parametrize(
    "changes",
    [
        {"hash": NOBODY_KNOWS},
        {"key": 7},
        {"state": "gone"},
        {"etag": "x"},
        {"version": 2},
        {"reason": "\ud800"},
    ],
    ids=str,
)
def test_a_line_that_is_no_verdict_is_not_imported(table, tmp_path, items, changes):
    line = {
        "type": "verdict",
        "hash": hash_of(HANDBOOK),
        "key": HANDBOOK,
        "state": "withdrawn",
        "governed_by": "erin",
        "etag": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        **changes,
    }
    path = tmp_path / "file"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(BadLine, match="line 1"):
        list(transfer.restore(table, "acme", path))
    assert items() == []
