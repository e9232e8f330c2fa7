"""The stores as a library refuse values that could not be read again."""

import enum
import json
from typing import Any

import pytest

from app.errors import TooLarge, ValidationFailed
from app.identity.caller import Caller
from app.messages.editor import MessageEditor
from app.messages.items import is_sound
from app.messages.model import NewMessage
from app.messages.remover import MessageRemover
from app.messages.store import MessageStore
from app.sessions.creation import NewSession
from app.sessions.store import SessionStore
from tests.edges import found_in, hashes, references

ALICE = Caller("acme", "alice")


@pytest.fixture
def sessions(table, clock):
    return SessionStore(table)


@pytest.fixture
def store(table):
    return MessageStore(table)


@pytest.fixture
def session_id(sessions):
    session = sessions.create(ALICE, NewSession(domain_id="d", title="t")).session
    return session.session_id


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


ROUND: list[Any] = []
ROUND += [ROUND, ROUND]


class Colour(enum.Enum):
    RED = 1


NAN = float("nan")

BAD: dict[str, tuple[Any, str]] = {
    "NaN": ({"metadata": {"score": NAN}}, "metadata.score"),
    "infinity": ({"metadata": {"a": [{"b": -float("inf")}]}}, "metadata.a[0].b"),
    "NaN in content": ({"content": [{"type": "t", "x": NAN}]}, "content[0].x"),
    "1 and '1'": ({"metadata": {1: "a", "1": "b"}}, "metadata"),
    "None as a name": ({"metadata": {"a": {None: 1}}}, "metadata.a"),
    "True as a name": ({"content": [{"type": "t", True: 1}]}, "content[0]"),
    "a set": ({"metadata": {"a": {1, 2}}}, "metadata.a"),
    "bytes": ({"metadata": {"a": b"x"}}, "metadata.a"),
    "a tuple": ({"metadata": {"a": (1, 2)}}, "metadata.a"),
    "an object": ({"metadata": {"a": Colour.RED}}, "metadata.a"),
    "5,000 digits": ({"metadata": {"a": 10**5000}}, "metadata.a"),
    "too deep": ({"metadata": {"a": deep(63)}}, "metadata.a" + "[0]" * 62),
    "round": ({"metadata": {"a": ROUND}}, "metadata.a" + "[0]" * 62),
    "no role": ({"role": None}, "role"),
    "half a pair as a role": ({"role": "\ud800"}, "role"),
    "native without format": ({"native": {}}, "format"),
    "format without native": ({"format": "our.own"}, "native"),
    "NaN in native": ({"format": "our.own", "native": [NAN]}, "native[0]"),
    "another status": ({"status": "done"}, "status"),
    "a script": (
        {"metadata": {"references": [{"reference_id": 1, "url": "javascript:x"}]}},
        "metadata.references[0].url",
    ),
    "role 7": ({"role": 7}, "role"),
    "a list as role": ({"role": ["user"]}, "role"),
    "number as name": ({"name": 5}, "name"),
    "empty name": ({"name": ""}, "name"),
    "long name": ({"name": "x" * 129}, "name"),
    "control character": ({"name": "a\nb"}, "name"),
    "metadata is a list": ({"metadata": []}, "metadata"),
}


def cut(path: str) -> str:
    return path if len(path) <= 200 else f"{path[:200]}…"


@pytest.mark.parametrize(("members", "path"), BAD.values(), ids=BAD)
def test_a_message_that_could_not_be_read_again_is_refused(store, session_id, items, members, path):
    before = items()
    good = NewMessage("user", "x")
    with pytest.raises(ValidationFailed) as refused:
        store.append(
            ALICE, session_id, [good, NewMessage(**{"role": "user", "content": "x"} | members)]
        )
    assert refused.value.errors[0]["field"] == cut(f"messages[1].{path}")
    assert len(refused.value.errors) <= 20
    assert items() == before


@pytest.mark.parametrize(
    "messages", [[], [NewMessage("user", "x")] * 105, [{"role": "user"}], ["x"]]
)
def test_an_invalid_batch_is_refused(store, session_id, items, messages):
    before = items()
    with pytest.raises(ValidationFailed):
        store.append(ALICE, session_id, messages)
    assert items() == before


def test_valid_messages_are_stored_unchanged(store, alice, session_id):
    metadata = {"a": [1, 2.5, None, True, "é😀", {"": deep(50)}], "big": 10**4000, "x": -0.0}
    new = NewMessage("tool", [{"type": "t"}, "a\ud83d"], "n" * 128, metadata)
    [message] = store.append(ALICE, session_id, [new]).messages
    shown = json.loads(alice.get(f"/sessions/{session_id}").text)["messages"]
    assert json.dumps(shown[0]["metadata"]) == json.dumps(metadata)
    assert [m["message_id"] for m in shown] == [message.message_id]


def test_a_message_too_large_for_any_answer_is_refused(store, session_id, items):
    before = items()
    with pytest.raises(TooLarge):
        store.append(ALICE, session_id, [NewMessage("user", "ж" * 1_100_000)])
    assert items() == before


GOOD_SESSION = {"domain_id": "d", "title": "t", "metadata": {}, "expires_in_days": None}

BAD_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "no title": ({"title": None}, "title"),
    "number as title": ({"title": 5}, "title"),
    "long title": ({"title": "x" * 513}, "title"),
    "control character": ({"title": "a\x00"}, "title"),
    "half a pair": ({"title": "\ud800"}, "title"),
    "metadata is a list": ({"metadata": []}, "metadata"),
    "no metadata": ({"metadata": None}, "metadata"),
    "1 and '1'": ({"metadata": {1: "a", "1": "b"}}, "metadata"),
    "long metadata": ({"metadata": {"a": "x" * 16_384}}, "metadata"),
    "NaN in metadata": ({"metadata": {"a": float("nan")}}, "metadata.a"),
    "1 as a flag": ({"pinned": 1}, "pinned"),
    "no days": ({"expires_in_days": 0}, "expires_in_days"),
    "too many days": ({"expires_in_days": 3651}, "expires_in_days"),
    "True as days": ({"expires_in_days": True}, "expires_in_days"),
    "half a day": ({"expires_in_days": 0.5}, "expires_in_days"),
}


@pytest.mark.parametrize(("members", "path"), BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_a_session_that_could_not_be_read_again_is_refused(
    sessions, session_id, items, members, path
):
    before = items()
    for write in (
        lambda: sessions.create(ALICE, NewSession(**{**GOOD_SESSION, **members})),
        lambda: sessions.update(ALICE, session_id, members),
    ):
        with pytest.raises(ValidationFailed) as refused:
            write()
        assert refused.value.errors[0]["field"] == path
    assert items() == before


@pytest.mark.parametrize("domain_id", [None, "", 5, "x" * 129, "a\n"])
def test_a_session_has_a_domain(sessions, items, domain_id):
    with pytest.raises(ValidationFailed):
        sessions.create(ALICE, NewSession(**{**GOOD_SESSION, "domain_id": domain_id}))
    assert items() == []


@pytest.mark.parametrize("changes", [{"titel": "x"}, {"title": "x", "version": 9}, {}])
def test_an_empty_change_and_unknown_fields_are_refused(sessions, session_id, items, changes):
    before = items()
    with pytest.raises(ValidationFailed):
        sessions.update(ALICE, session_id, changes)
    assert items() == before


@pytest.mark.parametrize("role", ["user", "assistant", "system", "tool"])
def test_reading_does_not_parse_our_own_text(role, monkeypatch):
    """Otherwise an answer of 1,000 messages would cost twice as much."""
    monkeypatch.setattr(json.JSONDecoder, "raw_decode", lambda *_: pytest.fail("parsed"))
    for name, content in ((None, "x"), ("n", [{"type": "t", "y": "é"}])):
        assert is_sound(NewMessage(role, content, name, {"a": {"b": 1}}).body())
        assert is_sound(NewMessage(role, content, name, format="x", native={"n": 1}).body())
        assert is_sound(NewMessage(role, content, name).body())


def test_messages_of_a_library_have_edges_too(table, store, session_id, items, assert_sound):
    """Their members may be plain Python values, and their formats unknown."""
    said = [
        NewMessage("user", "x", None, references("a", "b")),
        NewMessage("assistant", format="our.own", native=[7], metadata=references("c")),
        NewMessage("user", {"a": "object"}),
    ]
    first, second, *_ = store.append(ALICE, session_id, said).messages
    assert found_in(items()) == {
        (session_id, first.message_id): dict.fromkeys(hashes("a", "b"), True),
        (session_id, second.message_id): dict.fromkeys(hashes("c"), True),
    }
    editor = MessageEditor(table)
    edit = editor.replace(ALICE, session_id, first.message_id, NewMessage(None, "y"))
    assert (edit.unindexed, len(found_in(items()))) == (0, 1)
    many = references(*(f"r{n}" for n in range(31)))
    edit = editor.replace(ALICE, session_id, second.message_id, NewMessage(None, "z", None, many))
    assert edit.unindexed == 1
    assert_sound()
    MessageRemover(table).pop(ALICE, session_id, 3)
    assert found_in(items()) == {}
    assert_sound()


def test_a_library_chooses_which_kinds_of_sources_are_indexed(table, session_id, items):
    native = {"role": "assistant", "content": "So[1].", "citations": ["https://a.example/x"]}
    said = NewMessage(None, format="perplexity.chat", native=native)
    for web, edges in ((False, 0), (True, 1)):
        MessageStore(table, web_sources=web).append(ALICE, session_id, [said])
        assert len(found_in(items())) == edges
