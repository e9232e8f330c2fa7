"""What is found in each provider's object: citations, their places, and sources."""

import json

import pytest

from app import grounding
from app.grounding.answers import Shape
from app.messages.grounding import ground, grounding_of
from app.messages.model import Message
from app.messages.neutral import neutral
from tests.provider_messages import FIXTURES

FILES = sorted((FIXTURES / "grounding").iterdir())


def load(file):
    return json.loads(file.read_text())


def found_in(given):
    return grounding.read(given["provider"], given["payload"], request=given.get("request"))


def as_expected(citation, text):
    """A citation in the form of the fixtures."""
    passage, source = citation.passage, citation.source
    spans = text.spans(passage) if passage else ()
    told = {
        "anchor": citation.anchor,
        "span_text": text.cut(passage) if passage else None,
        "ranges": [{"path": s.path, "start": s.start, "end": s.end} for s in spans],
        "source": {"kind": source.kind, "raw": source.raw, "key": source.key},
        "resolves": citation.reason is None,
    }
    if citation.quote is not None:
        told["quote"] = citation.quote
    if at := citation.locator:
        told["locator"] = {"unit": at.unit, "start": at.start, "end": at.end}
    if citation.score is not None:
        told["score"] = citation.score
    if source.identity == "redirect":
        told["redirect"] = True
    return told


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_everything_that_a_fixture_expects_is_found_and_nothing_else(file):
    given = load(file)
    found = found_in(given)
    told = [as_expected(citation, found.text) for citation in found.citations]
    weak = [expected.pop("weak_identity", False) for expected in given["expected"]]
    assert told == given["expected"]
    for citation, is_weak in zip(found.citations, weak, strict=True):
        assert not is_weak or citation.source.identity == "weak"


@pytest.mark.parametrize(
    "body",
    [
        '{"content":"a", oops,"metadata":{}}',
        '{"content":' + "[" * 5000 + ',"metadata":{}}',
        '{"content":"a","native":{},"metadata":{"references":7}}',
    ],
)
def test_a_damaged_message_rests_on_nothing_and_spoils_no_other(body):
    def message(body):
        return Message("01S", "01ARZ3NDEKTSV4RRFFQ69G5FAV", body, "assistant", "alice")

    sound = '{"content":"Yes.","metadata":{"references":[{"reference_id":"r"}]}}'
    answer = ground([message(body), message(sound)], Shape(), lambda _: {}).members()
    assert len(json.loads(str(answer["citations"]))) == 1
    damaged = message(body)
    shown = json.loads(neutral(damaged, grounding_of(damaged), Shape(joined=True)))
    assert (shown["citations"], shown["truncated"]) == ([], False)
