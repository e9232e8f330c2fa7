"""Whatever the text and the unit: spans equal their text. Whatever the JSON: nothing raises."""

import copy
import json
import time
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import formats, grounding
from app.formats import FORMATS
from app.grounding.answers import Shape, citation_text, source_text
from app.grounding.coverage import sentences
from app.grounding.figures import Figures
from app.grounding.redaction import MAX_HELD, held_by, sources_held
from app.grounding.sentences import boundaries
from app.grounding.texts import Passage, Text
from app.literals import read_value
from tests.provider_messages import CASES
from tests.unit.test_formats_properties import JSON, damage
from tests.unit.test_grounding import FILES, load

# Several bytes, several units, joiners, combining marks, right to left, and plain letters.
GRAPHEMES = [
    "a",
    "é",
    "e\u0301",
    "ß",
    "夜",
    "🌙",
    "🧑🏽‍🚒",
    "👩‍👩‍👧‍👦",
    "🇯🇵",
    "א",
    "ה\u05bc",
    "\u200fع",
    " ",
    ". ",
    "\r\n",
]
WORDS = st.lists(st.one_of(st.sampled_from(GRAPHEMES), st.text(max_size=3)), max_size=8)
SAID = WORDS.map("".join)


def sizes(unit, text):
    if unit == "utf8":
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2 if unit == "utf16" else len(text)


def at(value, pointer):
    for token in pointer.split("/")[1:]:
        value = value[int(token)] if isinstance(value, list) else value[token]
    return value


def cut(value, unit):
    """What a span says, with offsets counted in this unit."""
    text = at(value["in"], value["path"])
    if unit == "codepoints":
        return text[value["start"] : value["end"]]
    encoded = text.encode("utf-16-le", "surrogatepass")[2 * value["start"] : 2 * value["end"]]
    return encoded.decode("utf-16-le", "surrogatepass")


def check_spans(found, native):
    """The strings at the spans are the cited text, in both units that an answer can have."""
    for member, citation in found.each():
        for utf16, unit in ((False, "codepoints"), (True, "utf16")):
            told = read_value(citation_text(member, citation, found.text, Shape(utf16=utf16)))
            shown = "".join(cut({"in": native, **span}, unit) for span in told["at"])
            if citation.passage is None:
                assert (told["text"], told["at"]) == (None, [])
            else:
                assert shown == found.text.cut(citation.passage)
            json.dumps(told).encode()


@st.composite
def parts_with_claims(draw):
    """Strings, and pieces of the text that they make, as pairs of code points."""
    strings = draw(st.lists(SAID, min_size=1, max_size=4))
    whole = "".join(strings)
    positions = st.integers(0, len(whole))
    claims = draw(st.lists(st.tuples(positions, positions).map(sorted), max_size=5))
    return strings, whole, claims


@given(parts_with_claims())
def test_geminis_bytes_lead_to_the_text(drawn):
    strings, whole, claims = drawn
    supports = [
        {
            "segment": {
                "startIndex": sizes("utf8", whole[:start]),
                "endIndex": sizes("utf8", whole[:end]),
                "text": whole[start:end],
            },
            "groundingChunkIndices": [0],
        }
        for start, end in claims
        if end
    ]
    parts = [{"text": said} for said in strings]
    parts.insert(1, {"text": "thought 🌙", "thought": True})
    native = {
        "candidates": [
            {
                "content": {"role": "model", "parts": parts},
                "groundingMetadata": {
                    "groundingChunks": [{"web": {"uri": "https://a.example"}}],
                    "groundingSupports": supports,
                },
            }
        ]
    }
    found = grounding.read("gemini.generateContent", native)
    assert len(found.citations) == len(supports)
    for citation in found.citations:
        assert citation.reason is None
        assert found.text.cut(citation.passage) == citation.echo
    check_spans(found, native)


@given(SAID, st.data(), st.sampled_from(["codepoints", "utf8", "utf16"]))
def test_every_unit_leads_to_the_text(said, data, unit):
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(said))] * 2)))
    low, high = sizes(unit, said[:start]), sizes(unit, said[:end])
    if unit == "utf16":
        native = {
            "data": {
                "content": said,
                "citations": {
                    "sources": [{"id": "s", "path": "a.c"}],
                    "spans": [
                        {"startIndex": low, "endIndex": high, "references": [{"sourceId": "s"}]}
                    ],
                },
            }
        }
        name = "copilot.citations"
    else:
        cited = {"type": "url_citation", "start_index": low, "end_index": high, "url": "s3://a/b"}
        part = {"type": "text", "text": said, "annotations": [cited]}
        if unit == "utf8":
            native = {"steps": [{"type": "model_output", "content": [part]}]}
            name = "gemini.interactions"
        else:
            part["type"] = "output_text"
            native = {"output": [{"type": "message", "content": [part]}]}
            name = "openai.responses"
    found = grounding.read(name, native)
    [citation] = found.citations
    assert citation.reason is None
    if citation.anchor != "message":
        assert found.text.cut(citation.passage) == said[start:end]
    check_spans(found, native)


@given(SAID, st.integers(0, 60), st.integers(0, 60), st.sampled_from(["utf8", "utf16"]))
def test_an_offset_inside_a_character_or_after_the_text_leads_nowhere(said, start, end, unit):
    text = Text()
    piece = text.add("/text", said)
    passage, fault = text.passage(start, end, unit, piece)
    edges = [0, *accumulate(sizes(unit, character) for character in said)]
    if start in edges and end in edges and start <= end:
        assert (passage.start, passage.end) == (edges.index(start), edges.index(end))
        assert fault is None
    else:
        assert passage is None
        assert fault


@given(SAID)
def test_sentences_put_together_are_the_text(said):
    ends = [0, *boundaries(said)]
    assert all(low < high for low, high in pairwise(ends))
    assert "".join(said[low:high] for low, high in pairwise(ends)) == said


@given(SAID, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted), max_size=5))
def test_no_more_sentences_are_cited_than_there_are(said, pairs):
    passages = [Passage(min(low, len(said)), min(high, len(said))) for low, high in pairs]
    cited, of = sentences(said, passages[::2], passages[1::2], passages[1::2])
    assert 0 <= cited <= of
    everything = Passage(0, len(said))
    assert sentences(said, [everything], [], []) == (sentences(said, [], [], [])[1],) * 2


def check(name, native, request, content=None, metadata=None):
    """Nothing raises, nothing is changed, and an answer can be made of it."""
    before = copy.deepcopy((native, request, content, metadata))
    found = grounding.read(name, native, content, metadata, request)
    assert (native, request, content, metadata) == before
    value = {"native": native, "content": content}[found.member]
    check_spans(grounding.read(name, native, content, None, request), value)
    for _, citation in found.each():
        assert (citation.source.key is None) == (citation.source.fault is not None)
        read_value(source_text(citation.source, Shape(), cited=True))
    for citation in found.citations:
        at(value, citation.pointer)
    figures = Figures()
    figures.add(found, is_answer=True)
    for figure in figures.members().values():
        assert figure["numerator"] is None or 0 <= figure["numerator"] <= figure["denominator"]


NAMES = st.sampled_from(sorted(grounding.READERS))


@given(NAMES, JSON, JSON, JSON, JSON)
def test_any_json_is_borne(name, native, request, content, metadata):
    check(name, native, request, content, {"references": metadata})


@settings(max_examples=300)
@given(st.sampled_from(FILES), st.data())
def test_real_objects_with_something_wrong_are_borne(file, data):
    fixture = load(file)
    both = {"native": fixture["payload"], "request": fixture.get("request", {})}
    for _ in range(data.draw(st.integers(1, 4))):
        damage(both, data)
    check(fixture["provider"], both.get("native"), both.get("request"))
    check(data.draw(NAMES), both.get("native"), both.get("request"))


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.format in FORMATS],
    ids=lambda case: f"{case.format}: {case.name}",
)
def test_the_text_is_that_of_the_format(case):
    """But for results of tools, which cite nothing."""
    found = grounding.read(case.format, case.native)
    if formats.role(case.format, case.native) != "tool":
        assert formats.reading.readable(found.text.whole) == case.text


NUMBERS = [-1, 10**6, 2**53, 10**400, 1.5, 1e999, True, None, "1", [], {}]


def changed(value, number):
    """With every number replaced."""
    if isinstance(value, list):
        return [changed(each, number) for each in value]
    if isinstance(value, dict):
        return {name: changed(each, number) for name, each in value.items()}
    return number if type(value) in (int, float) else value


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: str(n)[:10])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_any_number_is_borne(file, number):
    fixture = load(file)
    check(fixture["provider"], changed(fixture["payload"], number), fixture.get("request"))


def many():
    """Objects with a great many citations, each as large as it can be made cheaply."""
    word = "é🌙" * 20_000
    chunks = [{"web": {"uri": "https://a.example"}}]
    support = {"segment": {"startIndex": 2, "endIndex": 60_000}, "groundingChunkIndices": [0] * 9}
    url = {"type": "url_citation", "start_index": 1, "end_index": 30_000, "url": "https://a.b"}
    cited = {"type": "char_location", "document_index": 0, "cited_text": "x"}
    span = {"startIndex": 3, "endIndex": 9000, "references": [{"sourceId": "s"}]}
    return {
        "gemini.generateContent": {
            "content": {"parts": [{"text": "é"}] * 30_000},
            "groundingMetadata": {"groundingChunks": chunks, "groundingSupports": [support] * 3000},
        },
        "openai.responses": {
            "output": [
                {"content": [{"type": "output_text", "text": word, "annotations": [url] * 20_000}]}
            ]
        },
        "gemini.interactions": {
            "steps": [
                {
                    "type": "model_output",
                    "content": [{"type": "text", "text": word, "annotations": [url] * 20_000}],
                }
            ]
        },
        "anthropic.messages": {
            "content": [{"type": "text", "text": word, "citations": [cited] * 20_000}]
        },
        "mistral.chat": {
            "content": [
                {"type": "text", "text": word},
                {"type": "reference", "reference_ids": [0] * 500_000},
            ]
        },
        "perplexity.chat": {"citations": ["https://a.b/" + "x" * 5000], "content": "[1]" * 300_000},
        "llamaindex.response": {"source_nodes": [{"text": word}], "response": "`[1]" * 200_000},
        "copilot.citations": {
            "data": {
                "content": word,
                "citations": {"sources": [{"id": "s", "path": "p"}], "spans": [span] * 20_000},
            }
        },
    }


def long_lists():
    """Messages of 2.9 MB with as many sources as there can be, most of which are none."""

    def full(entry):
        return [entry] * (2_900_000 // (len(json.dumps(entry, separators=(",", ":"))) + 1))

    nothing, text = full({}), json.dumps(full(0), separators=(",", ":"))
    block = {"type": "text", "text": "x", "citations": nothing}
    tool = {"messages": [{"role": "tool", "content": text}]}
    return {
        "anthropic": ("anthropic.messages", {"content": [block]}, None),
        "short form": ("anthropic.messages", {}, {"documents": full({"index": 0, "text": ""})}),
        "chunks": (
            "gemini.generateContent",
            {"candidates": [{"groundingMetadata": {"groundingChunks": full(0)}}]},
            None,
        ),
        "addresses": ("perplexity.chat", {"citations": full(0)}, None),
        "results": ("perplexity.chat", {"search_results": nothing}, None),
        "nodes": ("llamaindex.response", {"response": "x", "source_nodes": nothing}, None),
        "copilot": ("copilot.citations", {"data": {"citations": {"sources": nothing}}}, None),
        "tool": ("mistral.chat", {"role": "assistant", "content": "x"}, tool),
        "documents": ("cohere.v2.chat", {}, {"documents": full(0)}),
        "cohere": ("cohere.v2.chat", {"content": "x", "citations": [{"sources": nothing}]}, None),
    }


@pytest.mark.parametrize("name", long_lists())
def test_no_more_sources_are_looked_at_than_the_limits_say(name):
    """The least time of three, because other processes share the processor."""
    form, native, request = long_lists()[name]
    taken = []
    for _ in range(3):
        start = time.process_time()
        found = grounding.read(form, native, request=request)
        held = sources_held(form, native, request=request)
        held_by("0" * 32, form, native, request=request)
        taken.append(time.process_time() - start)
    assert len(found.offered) <= grounding.MAX_OFFERED
    assert len(held) <= 3 * MAX_HELD
    assert min(taken) < 2


def shared_texts():
    """Each citation is a few bytes, and names a long text."""
    text = "a" * 2_000_000
    segment = {"startIndex": 1, "endIndex": 1_000_001, "text": "a" * 1_000_000}
    support = {"segment": segment, "groundingChunkIndices": [0] * 10_000}
    short = {"segment": {**segment, "text": "b"}, "groundingChunkIndices": [0]}
    at = {"start_char_index": 1, "end_char_index": 1_900_000}
    cited = {"type": "char_location", "document_index": 0, "cited_text": "b", **at}
    block = {"type": "text", "text": "x", "citations": [cited] * 10_000}
    return {
        "echoes": (
            "gemini.generateContent",
            {
                "content": {"parts": [{"text": text}]},
                "groundingMetadata": {"groundingChunks": [{}], "groundingSupports": [support]},
            },
            None,
        ),
        "short echoes": (
            "gemini.generateContent",
            {
                "content": {"parts": [{"text": text}]},
                "groundingMetadata": {
                    "groundingChunks": [{}],
                    "groundingSupports": [short] * 10_000,
                },
            },
            None,
        ),
        "quotes": (
            "anthropic.messages",
            {"content": [block]},
            {"documents": [{"index": 0, "text": text}]},
        ),
    }


@pytest.mark.parametrize("name", shared_texts())
def test_a_long_text_is_not_copied_for_each_citation(name):
    form, native, request = shared_texts()[name]
    found = grounding.read(form, native, request=request)
    assert len(found.citations) == 10_000
    taken = []
    for _ in range(3):
        start = time.process_time()
        figures = Figures()
        figures.add(found, is_answer=False)
        taken.append(time.process_time() - start)
    assert min(taken) < 0.3


@pytest.mark.parametrize("count", [10_000, 10_001])
def test_it_is_told_if_more_sources_were_given_than_are_looked_at(count):
    nodes = [{"node_id": f"{number}"} for number in range(count)]
    found = grounding.read("llamaindex.response", {"response": "So[1].", "source_nodes": nodes})
    assert len(found.offered) == 10_000
    assert found.more is (count > 10_000)


@pytest.mark.parametrize("name", many())
def test_the_work_is_bounded(name):
    """A generous bound, which quadratic work would exceed many times over."""
    native = many()[name]
    text = "A. " * 200_000
    request = {"documents": [{"index": 0, "title": "t", "text": text}]}
    start = time.process_time()
    found = grounding.read(name, native, request=request)
    figures = Figures()
    figures.add(found, is_answer=True)
    figures.members()
    assert len(found.citations) <= grounding.MAX_CITATIONS
    assert time.process_time() - start < 5
