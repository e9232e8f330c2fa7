"""Every method of the Python store, in both of its halves."""

import io
from datetime import UTC, datetime

import pytest

from session_store import (
    Conflict,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    Unauthorized,
    session_id_of,
)
from tests.people import make_token


def test_a_session_is_created_found_by_its_key_and_opened(store):
    made = store.sessions.create(domain_id="d", key="thread/1 #é", title="Potholes", pinned=True)
    assert made.session_id == session_id_of("thread/1 #é")
    assert made.created_at.tzinfo is UTC
    assert store.sessions.create(domain_id="d", key="thread/1 #é") == made
    with pytest.raises(Conflict) as refused:
        store.sessions.create(domain_id="d", key="thread/1 #é", only_new=True)
    assert refused.value.code == "SESSION_EXISTS"
    assert refused.value.problem["session_id"] == made.session_id

    store.messages.append_many(
        made.session_id, [{"role": "user", "content": str(number)} for number in range(3)]
    )
    store.session_values(made.session_id).put("agent/state", {"step": 1})
    opened = store.sessions.get(made.session_id, messages=2, values="agent/")
    assert [message.content for message in opened.messages] == ["1", "2"]
    assert [(value.name, value.content) for value in opened.values] == [
        ("agent/state", {"step": 1})
    ]
    assert opened.earlier_cursor
    assert opened.last_message.text == "2"
    assert store.sessions.get(made.session_id).next_cursor is None


def test_settings_are_merged_replaced_and_guarded(store, session):
    store.sessions.update(session, metadata={"a": 1, "b": 2})
    changed = store.sessions.update(session, metadata={"a": None}, title="New")
    assert (changed.metadata, changed.title) == ({"b": 2}, "New")
    assert store.sessions.replace(session, metadata={"c": 3}).metadata == {"c": 3}
    with pytest.raises(PreconditionFailed) as refused:
        store.sessions.update(session, title="x", if_settings_version=0)
    assert refused.value.code == "SETTINGS_CHANGED"
    with pytest.raises(PreconditionFailed):
        store.sessions.update(session, title="x", if_match='"other"')
    current = store.sessions.get(session).etag
    assert store.sessions.update(session, archived=True, if_match=current).archived


def test_lists_follow_their_cursors_and_filter(store):
    made = [
        store.sessions.create(domain_id="d", metadata={"n": n, "even": n % 2 == 0})
        for n in range(5)
    ]
    ids = [session.session_id for session in store.sessions.list(limit=2)]
    assert ids == [session.session_id for session in reversed(made)]
    found = store.sessions.list(metadata={"even": True}, archived=False)
    assert sorted(session.metadata["n"] for session in found) == [0, 2, 4]
    page = store.sessions.page(limit=2)
    assert (len(page.sessions), page.total) == (2, 5)


def test_messages_keep_what_was_said(store, session):
    said = ["héllo \U0001f600", "half \ud800", {"a": [1, None, 2.5]}, None, ["x"] * 3]
    receipt = store.messages.append(session, role="user", content="first", name="ann")
    done = store.messages.append_many(
        session,
        [{"role": "tool", "content": content} for content in said],
        after=receipt.message_id,
    )
    assert done.previous == receipt.message_id
    assert [m.content for m in store.messages.list(session, limit=2)] == ["first", *said]
    newest = store.messages.page(session, order="desc", limit=1).messages[0]
    assert newest.content == said[-1]
    later = store.messages.list(session, after=done.messages[-2].message_id)
    assert [m.message_id for m in later] == [done.messages[-1].message_id]
    got = store.messages.get(session, receipt.message_id)
    assert (got.content, got.name, got.role, got.native) == ("first", "ann", "user", None)
    assert got.timestamp == receipt.timestamp
    with pytest.raises(PreconditionFailed) as refused:
        store.messages.append(session, role="user", content="x", after=receipt.message_id)
    assert refused.value.problem["last_message_id"] == done.messages[-1].message_id


def test_a_batch_creates_the_session_and_writes_values(store):
    session = session_id_of("batch")
    done = store.messages.append_many(
        session,
        [{"format": "openai.chat", "native": {"role": "user", "content": "Hi"}}],
        session={"key": "batch", "domain_id": "d"},
        values={"session": [{"put": "a", "json": 1}], "user": [{"put": "b", "json": 2}]},
    )
    assert done.values["session"][0].ok
    assert store.session_values(session).get("a").content == 1
    assert store.values.get("b").etag == done.values["user"][0].etag
    assert next(iter(store.messages.list(session))).native == {"role": "user", "content": "Hi"}


def test_messages_are_changed_and_removed(store, session):
    ids = [store.messages.append(session, role="user", content=n).message_id for n in range(8)]

    def left():
        return [message.content for message in store.messages.list(session)]

    edited = store.messages.edit(session, ids[0], content="edited")
    with pytest.raises(PreconditionFailed):
        store.messages.edit(session, ids[0], content="x", if_match=f'"{ids[0]}"')
    store.messages.edit(session, ids[0], status="interrupted", if_match=edited.etag)
    assert store.messages.get(session, ids[0]).status == "interrupted"
    store.messages.delete(session, ids[1])
    assert left() == ["edited", 2, 3, 4, 5, 6, 7]
    assert [m.content for m in store.messages.pop(session, 2).messages] == [6, 7]
    assert store.messages.delete_after(session, ids[4]) == 1
    assert store.messages.delete_from(session, ids[4]) == 1
    assert left() == ["edited", 2, 3]
    store.messages.replace(session, [{"role": "user", "content": "new"}], from_=ids[3])
    assert left() == ["edited", 2, "new"]
    store.messages.replace(session, [{"role": "user", "content": "all"}])
    assert left() == ["all"]
    assert store.messages.delete_all(session) == 1
    assert left() == []
    assert store.messages.pop(session).messages == ()


def test_feedback_is_given_and_taken_back(store, session):
    message = store.messages.append(session, role="assistant", content="Hi").message_id
    given = store.messages.put_feedback(session, message, True, comment="good")
    assert store.messages.get(session, message).feedback == (given,)
    store.messages.delete_feedback(session, message)
    with pytest.raises(NotFound):
        store.messages.delete_feedback(session, message)


def test_forks_checks_exports_and_deletions(store, session):
    call = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    }
    said = store.messages.append(session, format="openai.chat", native=call)
    assert store.sessions.check(session)["findings"][0]["tool_call_id"] == "c1"
    fork = store.sessions.fork(session, until=said.message_id, key="copy", title="A copy")
    assert fork.forked_from.session_id == session
    assert fork.session_id == session_id_of("copy")
    store.values.put("mine", [1])
    kinds = [line["type"] for line in store.export()]
    assert kinds == ["user", "session", "message", "session", "message", "value"]
    assert store.sessions.delete(session) == 1
    with pytest.raises(NotFound) as gone:
        store.sessions.get(session)
    assert gone.value.code == "SESSION_NOT_FOUND"
    erased = store.sessions.delete_all()
    assert (erased.deleted_sessions, erased.deleted_messages) == (1, 1)
    assert store.values.find("mine") is None


def test_a_conversation_is_imported_with_its_dates(store):
    made = store.sessions.import_(
        [{"role": "user", "content": "Hi", "created_at": "2024-05-01T09:30:00Z"}],
        domain_id="d",
        key="old",
        created_at="2024-05-01T09:00:00Z",
    )
    [message] = store.messages.list(made.session_id)
    assert message.timestamp == datetime(2024, 5, 1, 9, 30, tzinfo=UTC)
    assert message.imported


NAMES = ["a", "agent/state", "é/\U0001f600 b", "50%/a?b#c", "a+b&c=d", ".../..x"]


@pytest.mark.parametrize("place", ["session", "user", "tenant"])
def test_values_of_each_place(store, session, place):
    values = {
        "session": lambda: store.session_values(session),
        "user": lambda: store.values,
        "tenant": lambda: store.tenant_values,
    }[place]()
    for name in NAMES:
        values.put(name, {"name": name})
        assert values.get(name).content == {"name": name}
    assert [value.name for value in values.list(limit=2)] == sorted(NAMES, key=str.encode)
    assert [v.content for v in values.list("agent/", names_only=True)] == [None]
    written = values.put("a", None)
    assert values.get("a").content is None
    with pytest.raises(PreconditionFailed) as refused:
        values.put("a", 1, only_new=True)
    assert refused.value.code == "VALUE_CHANGED"
    assert refused.value.problem["etag"] == written.etag
    values.put("a", {"x": 1, "y": 2}, if_match=written.etag)
    values.patch("a", {"x": None})
    assert values.get("a").content == {"y": 2}
    values.patch("a", None)
    assert values.get("a").content is None
    results = values.batch([{"put": "b", "json": 3}, {"get": "b"}, {"list": "é"}, {"get": "none"}])
    assert [result.status for result in results] == [201, 200, 200, 404]
    assert results[1].value.content == 3
    assert results[2].values[0].name == NAMES[2]
    assert results[3].problem["code"] == "VALUE_NOT_FOUND"
    with pytest.raises(PreconditionFailed):
        values.batch([{"put": "b", "json": 4, "if_match": "other"}], atomic=True)
    values.delete("b")
    assert values.find("b") is None
    assert values.delete_all("agent/") == 1
    assert values.delete_all() == len(NAMES) - 1


def test_bytes_are_uploaded_in_chunks(store, session):
    values = store.session_values(session)
    data = bytes(range(256)) * 4000
    for source in (data, io.BytesIO(data), iter([data[:500_000], data[500_000:]])):
        written = values.upload("picture", source, content_type="image/png")
        got = values.get("picture")
        assert (got.content, got.content_type, got.etag) == (data, "image/png", written.etag)
    half_read = io.BytesIO(data)
    half_read.seek(1000)
    values.upload("rest", half_read)
    assert values.get("rest").content == data[1000:]
    values.upload("place", b'{"type": "Point"}', content_type="application/geo+json")
    assert values.get("place").content == {"type": "Point"}
    assert next(iter(values.list("picture"))).content == data


def test_another_user_of_the_tenant(store, session):
    bob = store.acting_for("bob #é")
    assert list(bob.sessions.list()) == []
    made = bob.sessions.create(domain_id="d")
    assert [s.session_id for s in store.acting_for("bob #é").sessions.list()] == [made.session_id]
    assert [s.session_id for s in store.sessions.list()] == [session]


def test_errors_tell_what_is_wrong_and_never_the_token(connect, store, session):
    with pytest.raises(InvalidRequest) as refused:
        store.messages.append(session, role="", content="secret words")
    assert refused.value.code == "VALIDATION_FAILED"
    assert refused.value.errors[0]["field"] == "role"
    assert "role" in str(refused.value)
    token = make_token("acme", "alice", secret="another-secret-of-32-bytes-or-more")
    with pytest.raises(Unauthorized) as refused:
        connect(token).sessions.get(session)
    assert token not in f"{refused.value!r} {refused.value} {refused.value.problem}"


@pytest.mark.parametrize("odd", [".", "..", "a/b", "sess_x#y", "é\U0001f600", "x" * 2000])
def test_ids_that_are_none_are_not_found(store, session, odd):
    """And never another route's answer."""
    with pytest.raises((NotFound, InvalidRequest)):
        store.sessions.get(odd)
    with pytest.raises((NotFound, InvalidRequest)):
        store.messages.get(session, odd)
    assert store.sessions.get(session)


def test_what_json_does_not_have_is_refused_before_it_is_sent(store, session, lossy):
    sent = len(lossy.sent)
    with pytest.raises(ValueError, match="JSON"):
        store.messages.append(session, role="user", content=float("nan"))
    assert len(lossy.sent) == sent


def test_an_empty_id_is_refused_before_it_is_sent(store, lossy):
    for call in (store.sessions.get, store.sessions.delete, store.messages.delete_all):
        with pytest.raises(ValueError, match="empty"):
            call("")
    assert lossy.sent == []
