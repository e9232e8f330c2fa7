"""What answers rest on, in both halves of the Python client."""

import re
from datetime import UTC
from pathlib import Path

import httpx
import pytest

from session_store import Forbidden, NotFound, PreconditionFailed, source_hash_of
from session_store.grounding import Locator, SourceAnswer, Span, TenantSourceAnswer
from tests.people import make_token

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "grounding.md").read_text()
REPORT = "doc:inc_abc123"
HASH = source_hash_of(REPORT)
CITES = {
    "role": "assistant",
    "content": "One, on Main St.",
    "metadata": {"references": [{"type": "report", "reference_id": "inc_abc123", "quote": "Hole"}]},
}
QUIET = "It is quiet \U0001f634"
NATIVE = {
    "role": "assistant",
    "content": [
        {
            "type": "text",
            "text": "\U0001f600",
        },
        {
            "type": "text",
            "text": QUIET,
            "citations": [
                {
                    "type": "char_location",
                    "cited_text": "Quiet",
                    "document_index": 0,
                    "document_title": "Rules",
                    "start_char_index": 0,
                    "end_char_index": 5,
                }
            ],
        },
        {"type": "tool_use", "id": "c1", "name": "look", "input": {"near": 1}},
    ],
}
RULES = {"request": {"documents": [{"index": 0, "key": "doc:rules", "text": "Quiet: 22 to 6"}]}}


def cite(store, session):
    return store.messages.append(session, **CITES).message_id


def test_the_hash_of_a_source_is_that_of_the_service(store, session):
    assert re.findall(
        r"-X PUT \S+/tenant/sources/(\w{32}).*?\"key\": \"(.+?)\"", GUIDE, re.DOTALL
    ) == [(HASH, REPORT)]
    names = ["inc_abc123", "ünï / 42 \U0001f600", "half \ud800", "x" * 1020, "\U0001f600" * 1021]
    references = [{"type": "report", "reference_id": name} for name in names]
    message = store.messages.append(
        session, role="assistant", content="x", metadata={"references": references}
    )
    sources = store.messages.grounding(session, message.message_id).sources
    assert [each.hash for each in sources] == [source_hash_of(f"doc:{name}") for name in names]


def test_a_message_tells_what_it_rests_on(store, session):
    said = store.messages.append(
        session, format="anthropic.messages", native=NATIVE, grounding=RULES
    )
    found = store.messages.grounding(session, said.message_id)
    [citation] = found.citations
    assert (citation.anchor, citation.text, citation.quote) == ("block", QUIET, "Quiet")
    assert citation.at == (Span(path="/content/1/text", start=0, end=13),)
    [in_units] = store.messages.grounding(session, said.message_id, offsets="utf16").citations
    assert in_units.at == (Span(path="/content/1/text", start=0, end=14),)
    for read in (
        lambda **asked: store.sessions.grounding(session, **asked),
        lambda **asked: next(iter(store.sessions.grounding_pages(session, **asked))),
    ):
        assert read(offsets="utf16").citations[0].at == in_units.at
        assert read(offsets="codepoints").citations[0].at == citation.at
    assert citation.locator == Locator(unit="char", start=0, end=5)
    assert (citation.from_, citation.member) == ("/content/1/citations/0", "native")
    assert (citation.source, citation.message_id) == ("doc:rules", None)
    [source] = found.sources
    assert (source.hash, source.cited) == (source_hash_of("doc:rules"), True)
    assert (found.figures.quotes_verbatim.numerator, found.truncated) == (1, False)


def test_a_session_tells_what_it_rests_on_page_by_page(store, session):
    messages = [cite(store, session) for _ in range(4)]
    whole = store.sessions.grounding(session)
    assert [each.message_id for each in whole.citations] == messages
    assert (whole.checked_messages, whole.next_cursor, whole.earlier_cursor) == (4, None, None)
    last = store.sessions.grounding(session, messages=1)
    assert [each.message_id for each in last.citations] == messages[3:]
    earlier = store.sessions.grounding(session, order="desc", cursor=last.earlier_cursor)
    assert {each.message_id for each in earlier.citations} == set(messages[:3])
    latest = store.sessions.grounding(session, order="desc").citations
    assert [each.message_id for each in latest] == messages[::-1]


def test_the_pages_of_a_session_follow_their_cursors(store, session):
    """A page has up to 4.5 MB of messages."""
    large = {**CITES, "metadata": {**CITES["metadata"], "more": "x" * 2_500_000}}
    messages = [store.messages.append(session, **large).message_id for _ in range(3)]
    pages = list(store.sessions.grounding_pages(session, offsets="utf16"))
    assert len(pages) > 1
    assert [each.message_id for page in pages for each in page.citations] == messages
    backwards = store.sessions.grounding_pages(session, order="desc")
    assert [c.message_id for page in backwards for c in page.citations] == messages[::-1]


def test_messages_of_any_provider_have_one_form(store, session):
    store.messages.append(session, format="anthropic.messages", native=NATIVE, grounding=RULES)
    result = {"role": "tool", "tool_call_id": "c1", "content": "Found"}
    store.messages.append(session, format="openai.chat", native=result)

    def at(message):
        [citation] = message.citations
        [span] = citation.at
        return span

    asked = {"view": "neutral", "include": "grounding"}
    for read in (
        lambda **more: list(store.messages.list(session, limit=1, **asked, **more)),
        lambda **more: store.messages.page(session, **asked, **more).messages,
        lambda **more: store.sessions.get(session, **asked, **more).messages,
    ):
        first, second = read()
        assert first.content.endswith(QUIET)
        assert first.grounding["verdict"] == "ungoverned"
        [call] = first.tool_calls
        assert (call.id, call.name, call.arguments) == ("c1", "look", {"near": 1})
        assert (first.sources[0].key, first.truncated) == ("doc:rules", False)
        [answer] = second.tool_results
        assert (answer.call_id, answer.content) == ("c1", "Found")
        assert at(read(offsets="utf16")[0]).start == at(first).start + 1
        assert at(read(offsets="codepoints")[0]) == at(first)
    plain = store.messages.page(session).messages[0]
    assert (plain.tool_calls, plain.citations, plain.grounding) == (None, None, RULES)


def test_a_message_tells_in_short_what_it_cites(store, session):
    message = cite(store, session)
    assert store.messages.get(session, message).grounding is None
    short = store.messages.get(session, message, include="grounding").grounding
    assert short == {"citations": 1, "sources": 1, "dangling": 0, "verdict": "ungoverned"}


def test_what_is_not_indexed_is_told(store, session):
    references = [{"type": "report", "reference_id": f"r{n}"} for n in range(33)]
    said = {"role": "assistant", "content": "x", "metadata": {"references": references}}
    receipt = store.messages.append(session, **said)
    assert receipt.unindexed == 3
    assert store.messages.append_many(session, [said]).unindexed == 3
    assert store.messages.edit(session, receipt.message_id, **said).unindexed == 3
    assert store.messages.replace(session, [said]).unindexed == 3
    assert store.messages.append(session, **CITES).unindexed == 0
    assert store.messages.append_many(session, [CITES]).unindexed == 0


def test_the_answers_that_cite_a_source_are_listed(store, session):
    mine = [cite(store, session) for _ in range(5)]
    bob = store.acting_for("bob")
    other = cite(bob, bob.sessions.create(domain_id="d").session_id)

    answers = list(store.sources.answers(HASH, limit=2))
    assert [each.message_id for each in answers] == mine[::-1]
    timestamp = store.messages.get(session, mine[4]).timestamp
    assert answers[0] == SourceAnswer(session_id=session, message_id=mine[4], timestamp=timestamp)
    assert timestamp.tzinfo is UTC
    page = store.sources.answers_page(HASH, limit=2)
    rest = store.sources.answers_page(HASH, cursor=page.next_cursor)
    assert [*page.answers, *rest.answers] == answers

    everybody = list(store.tenant_sources.answers(HASH, limit=2))
    assert {(each.user_id, each.message_id) for each in everybody} == {
        *(("alice", message) for message in mine),
        ("bob", other),
    }
    assert len(everybody) == 6
    assert all(type(each) is TenantSourceAnswer for each in everybody)
    page = store.tenant_sources.answers_page(HASH, limit=2)
    rest = store.tenant_sources.answers_page(HASH, cursor=page.next_cursor)
    assert [*page.answers, *rest.answers] == everybody
    assert list(store.sources.answers(source_hash_of("doc:none"))) == []


def test_a_verdict_is_said_shown_and_guarded(connect, store, session):
    message = cite(store, session)
    with pytest.raises(NotFound) as nothing:
        store.tenant_sources.get(HASH)
    assert nothing.value.code == "VERDICT_NOT_FOUND"
    said = store.tenant_sources.put(
        key=REPORT, state="changed", version="2", reason="New", only_new=True
    )
    assert (said.hash, said.key, said.state, said.version) == (HASH, REPORT, "changed", "2")
    assert (said.reason, said.governed_by, said.governed_at.tzinfo) == ("New", "alice", UTC)
    assert store.tenant_sources.get(HASH) == said
    auditor = connect(make_token("acme", "carol", scope="sources:audit"))
    assert auditor.tenant_sources.get(HASH).reason is None
    with pytest.raises(PreconditionFailed) as refused:
        store.tenant_sources.put(key=REPORT, state="current", only_new=True)
    assert refused.value.code == "VERDICT_CHANGED"
    withdrawn = store.tenant_sources.put(key=REPORT, state="withdrawn", if_match=said.etag)
    with pytest.raises(PreconditionFailed):
        store.tenant_sources.put(key=REPORT, state="current", if_match=said.etag)
    assert (withdrawn.version, withdrawn.reason) == (None, None)
    [citation] = store.messages.grounding(session, message).citations
    assert (citation.verdict, citation.quote) == ("withdrawn", None)
    with pytest.raises(Forbidden):
        auditor.tenant_sources.put(key=REPORT, state="current")


def test_a_verdict_whose_answer_was_lost_is_said_once(store, lossy):
    lossy.faults = ["lost"]
    said = store.tenant_sources.put(key=REPORT, state="withdrawn", only_new=True)
    lossy.faults = ["lost"]
    again = store.tenant_sources.put(key=REPORT, state="current", if_match=said.etag)
    assert len(lossy.sent) == 4
    assert store.tenant_sources.get(HASH) == again


def test_a_redaction_goes_on_until_it_is_finished(store, session, lossy):
    message = cite(store, session)
    lossy.sent = []
    lossy.faults = [httpx.Response(202, json={}, headers={"Retry-After": "0"}), None]
    receipt = store.tenant_sources.redact(HASH)
    keys = {request.headers["Idempotency-Key"] for request in lossy.sent}
    assert (len(lossy.sent), len(keys)) == (2, 1)
    assert (receipt.hash, receipt.checked_messages, receipt.redacted_messages) == (HASH, 1, 1)
    assert receipt.finished_at >= receipt.started_at
    assert receipt.never_indexed
    assert receipt.not_removed
    assert "Hole" not in str(store.messages.get(session, message))
    one, other = (store.tenant_sources.redact(HASH, idempotency_key="mine") for _ in range(2))
    assert one == other
    assert one.started_at > receipt.started_at


def test_a_hash_that_is_none_is_not_found(store):
    for odd in (".", "..", "a/b", "é#"):
        for call in (store.sources.answers_page, store.tenant_sources.get):
            with pytest.raises(NotFound):
                call(odd)
    with pytest.raises(ValueError, match="empty"):
        store.tenant_sources.redact("")
