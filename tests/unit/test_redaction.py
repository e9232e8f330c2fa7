"""A message without the words of one source: they are gone, and nothing else has changed."""

import base64
import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import grounding
from app.formats.reading import leaves
from app.grounding.answers import Shape, citation_text
from app.grounding.redaction import sources_held
from app.grounding.sources import content, encoded_content, key_hash, mark
from app.literals import Literal, replaced
from app.messages.grounding import grounding_of
from app.messages.model import Message, NewMessage
from app.messages.redaction import redact
from tests.unit.test_formats_properties import JSON, damage
from tests.unit.test_grounding import FILES, load

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|\s+', re.DOTALL)


def literal(value):
    """As a client may write it: with white space, escapes and names that repeat nothing."""
    return None if value is None else Literal(json.dumps(value, indent=1), value)


def message(body):
    return Message("01S", "01ARZ3NDEKTSV4RRFFQ69G5FAV", body, "assistant", "alice")


def body_of(name=None, native=None, *, request=None, content=None, metadata=None):
    return NewMessage(
        content=literal(content),
        format=name,
        native=literal(native),
        grounding=literal(None if request is None else {"request": request}),
        metadata=literal(metadata),
    ).body()


def of_fixture(given):
    return body_of(given["provider"], given["payload"], request=given.get("request"))


def strings(body):
    return {
        where: value
        for where, _, value in leaves("", json.loads(body))
        if isinstance(value, str) and value
    }


def places_of_citations(body):
    """What must stay as it was: all but the quotes."""
    found = grounding_of(message(body))
    told = []
    for member, citation in found.each():
        shown = json.loads(citation_text(member, citation, found.text, Shape()))
        told.append({name: value for name, value in shown.items() if name != "quote"})
    return told


def without(body, key):
    """The redacted text, of which everything is checked that always holds."""
    redacted = redact(body, key_hash(key))
    assert redact(redacted.body, key_hash(key)) == (type(redacted)(redacted.body, ()))
    assert places_of_citations(redacted.body) == places_of_citations(body)
    assert all_keys(redacted.body) == all_keys(body)
    text = grounding_of(message(body)).text
    assert grounding_of(message(redacted.body)).text.whole == text.whole
    was, now = TOKEN.findall(body), TOKEN.findall(redacted.body)
    assert len(was) == len(now)
    changed = [(old, new) for old, new in zip(was, now, strict=True) if old != new]
    assert len(changed) == len(redacted.places)
    return redacted.body


def keys_of(body):
    found = grounding_of(message(body))
    sources = [citation.source for _, citation in found.each()] + list(found.offered)
    return list(dict.fromkeys(source.key for source in sources if source.key))


CASES = [(file, key) for file in FILES for key in keys_of(of_fixture(load(file)))]


@pytest.mark.parametrize(("file", "key"), CASES, ids=lambda value: getattr(value, "stem", value))
def test_the_quotes_of_one_source_are_gone_and_those_of_others_are_there(file, key):
    given = load(file)
    body = of_fixture(given)
    after = strings(without(body, key))
    said = [each for each in given["expected"] if len(each.get("quote", "")) > 3]
    theirs = {each["quote"] for each in said if each["source"]["key"] != key}
    ours = {each["quote"] for each in said if each["source"]["key"] == key} - theirs
    answer = {f"/native{piece.path}" for piece in grounding_of(message(body)).text.pieces}
    outside = [value for where, value in after.items() if where not in answer]
    assert not [quote for quote in ours for value in outside if quote in value]
    for quote in theirs:
        there = any(quote in value for value in strings(body).values())
        assert any(quote in value for value in after.values()) == there
    found = grounding_of(message(without(body, key)))
    quotes = [c.quote for _, c in found.each() if c.source.key == key and c.quote]
    assert quotes == []


def test_the_document_of_a_request_is_gone_and_keeps_its_key():
    """Its key is the hash of its text, so that a mark takes the place of the text."""
    given = load(next(file for file in FILES if file.stem == "anthropic-1"))
    key = given["expected"][1]["source"]["key"]
    after = json.loads(without(of_fixture(given), key))
    blocks = after["grounding"]["request"]["messages"][0]["content"]
    assert [part["text"] for part in blocks[1]["source"]["content"]] == [mark(key), "", ""]
    assert blocks[0]["source"]["data"].startswith("§ 1 Die Satzung")
    assert blocks[0]["title"] == "Satzung"


def cited(index, text):
    said = {"type": "char_location", "cited_text": text, "document_index": index}
    return {**said, "start_char_index": 0, "end_char_index": len(text)}


def answer(*citations):
    block = {"type": "text", "text": "It is so.", "citations": list(citations)}
    return {"role": "assistant", "content": [block]}


def asked(*blocks):
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def document(text, **about):
    given = {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "document", "source": given, **about}


def test_a_document_in_base64_is_gone_and_keeps_its_key():
    data = base64.b64encode(b"%PDF secret").decode()
    given = {"type": "base64", "media_type": "application/pdf", "data": data}
    # What is said about the document comes first here, so that the mark stands there.
    block = {"context": "A secret letter", "type": "document", "source": given, "title": "Letter"}
    body = body_of("anthropic.messages", answer(cited(0, "secret")), request=asked(block))
    key = encoded_content(data).key
    after = json.loads(without(body, key))
    [block] = after["grounding"]["request"]["messages"][0]["content"]
    assert block["source"] == {**given, "data": ""}
    assert (block["context"], block["title"]) == (mark(key), "Letter")
    in_bedrock = {"name": "Letter", "format": "pdf", "source": {"bytes": data}}
    native = {"role": "user", "content": [{"document": in_bedrock}]}
    after = json.loads(without(body_of("bedrock.converse", native), key))
    assert after["native"]["content"][0]["document"]["source"] == {"bytes": mark(key)}


@pytest.mark.parametrize("name", ["doc:rules", None], ids=["with a key", "by its text"])
def test_the_text_of_the_short_form_is_gone(name):
    ours = {"index": 0, "title": "Rules", "text": "Quiet from ten to six."}
    ours |= {"key": name} if name else {}
    others = {"index": 1, "key": "doc:other", "text": "Pets are allowed."}
    native = answer(cited(0, "from ten"), cited(1, "allowed"))
    body = body_of("anthropic.messages", native, request={"documents": [ours, others]})
    key = name or content(ours["text"]).key
    after = json.loads(without(body, key))
    kept = "" if name else mark(key)
    assert after["grounding"]["request"]["documents"] == [{**ours, "text": kept}, others]
    quotes = [each["cited_text"] for each in after["native"]["content"][0]["citations"]]
    assert quotes == ["", "allowed"]


def test_the_same_text_of_two_sources_stays_where_the_other_one_says_it():
    native = answer(cited(0, "The same words."), cited(1, "The same words."))
    documents = [
        {"index": index, "key": f"doc:{index}", "text": "The same words."} for index in (0, 1)
    ]
    after = json.loads(
        without(
            body_of("anthropic.messages", native, request={"documents": documents}),
            "doc:1",
        )
    )
    quotes = [each["cited_text"] for each in after["native"]["content"][0]["citations"]]
    assert quotes == ["The same words.", ""]
    texts = [each["text"] for each in after["grounding"]["request"]["documents"]]
    assert texts == ["The same words.", ""]


def test_two_citations_of_one_source_are_both_redacted():
    native = answer(cited(0, "First words."), cited(0, "Other words."))
    text = "First words. Other words."
    body = body_of("anthropic.messages", native, request=asked(document(text)))
    after = without(body, content(text).key)
    assert "words" not in after
    assert len(redact(body, key_hash(content(text).key)).places) == 3


def test_a_reference_keeps_what_it_is_and_loses_what_it_says():
    reference = {
        "reference_id": "inc_1",
        "type": "report",
        "title": "Report 1",
        "url": "https://a.example/1",
        "version": "7",
        "summary": "Pothole on Main St",
        "quote": "A deep hole.",
        "snippet": "deep",
        "chunks": [{"text": "A deep hole.", "page": 3}],
        "location": {"type": "Point", "coordinates": [1, 2]},
    }
    other = {"reference_id": "inc_2", "summary": "Pothole on Main St"}
    metadata = {"note": "A deep hole.", "references": [reference, other]}
    body = body_of(content="Pothole on Main St", metadata=metadata)
    after = json.loads(without(body, "doc:inc_1"))
    gone = {"summary": "", "quote": "", "snippet": "", "chunks": [{"text": "", "page": 3}]}
    assert after["metadata"]["references"] == [{**reference, **gone}, other]
    assert after["metadata"]["note"] == "A deep hole."
    assert after["content"] == "Pothole on Main St"


def test_a_reference_names_what_a_provider_cites_by_its_address():
    """The client's own key wins, so that the address alone is the key of nothing here."""
    results = [{"url": "https://a.example/1", "title": "A", "snippet": "A deep hole."}]
    native = {"search_results": results, "message": {"role": "assistant", "content": "Yes[1]."}}
    metadata = {"references": [{"reference_id": "inc_1", "url": "https://a.example/1"}]}
    body = body_of("perplexity.chat", native, metadata=metadata)
    assert redact(body, key_hash("url:https://a.example/1")).places == ()
    assert "A deep hole." not in without(body, "doc:inc_1")


def test_a_list_that_several_sources_share_is_touched_in_one_place():
    chunks = [
        {"retrievedContext": {"uri": f"s3://a/{n}", "title": f"T{n}", "text": f"Words of {n}."}}
        for n in range(3)
    ]
    support = {
        "segment": {"startIndex": 0, "endIndex": 3, "text": "Yes"},
        "groundingChunkIndices": [0, 1, 2],
    }
    native = {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": "Yes."}]},
                "groundingMetadata": {"groundingChunks": chunks, "groundingSupports": [support]},
            },
            {"groundingMetadata": {"groundingChunks": chunks[1:2]}},
        ]
    }
    body = body_of("gemini.generateContent", native)
    assert set(redact(body, key_hash("url:s3://a/1")).places) == {
        "/native/candidates/0/groundingMetadata/groundingChunks/1/retrievedContext/text",
        "/native/candidates/1/groundingMetadata/groundingChunks/0/retrievedContext/text",
    }
    after = without(body, "url:s3://a/1")
    assert "Words of 1." not in after
    assert "Words of 0." in after
    assert "Words of 2." in after
    event = {"author": "agent", **native["candidates"][0]}
    assert "Words of 1." not in without(body_of("adk.event", event), "url:s3://a/1")


SECRET = "What the source says."

FILE_SEARCH = {
    "type": "file_search_call",
    "results": [
        {"file_id": "f1", "filename": "a.txt", "text": SECRET, "attributes": {"a": SECRET}}
    ],
}
WEB_RESULTS = {
    "type": "web_search_tool_result",
    "tool_use_id": "t1",
    "content": [
        {
            "type": "web_search_result",
            "url": "https://a.example",
            "title": "A",
            "encrypted_content": SECRET,
        }
    ],
}
FETCHED = {
    "type": "web_fetch_tool_result",
    "tool_use_id": "t1",
    "content": {
        "type": "web_fetch_result",
        "url": "https://a.example",
        "content": document(SECRET, title="A"),
    },
}
SEARCH_RESULT = {
    "type": "search_result",
    "source": "https://a.example",
    "title": "A",
    "content": [{"type": "text", "text": SECRET}],
}
BEDROCK_RESULT = {"source": "https://a.example", "title": "A", "content": [{"text": SECRET}]}
NODE = {
    "id_": "n/1",
    "text": SECRET,
    "metadata": {"window": SECRET, "page_label": "7"},
    "relationships": {"1": {"node_id": "d1", "hash": "h"}},
}
STRANDS = {
    "message": {
        "role": "assistant",
        "content": [
            {
                "citationsContent": {
                    "content": [{"text": "Yes."}],
                    "citations": [
                        {
                            "location": {"web": {"url": "https://a.example"}},
                            "sourceContent": [{"text": SECRET}],
                        }
                    ],
                }
            }
        ],
    }
}
COHERE_RESULT = {
    "role": "tool",
    "tool_call_id": "c1",
    "content": [{"type": "document", "document": {"data": SECRET}}],
}
TOLD = answer(cited(0, SECRET))["content"]

HOLDERS = [
    ("openai.responses", {"output": [FILE_SEARCH]}, None, "file:openai:f1"),
    ("anthropic.messages", {"content": [WEB_RESULTS]}, None, "url:https://a.example"),
    ("anthropic.messages", {"content": [FETCHED]}, None, "url:https://a.example"),
    (
        "anthropic.messages",
        {"role": "user", "content": [{"type": "tool_result", "content": [SEARCH_RESULT]}]},
        None,
        "url:https://a.example",
    ),
    ("anthropic.messages", {"content": [document(SECRET)]}, None, content(SECRET).key),
    (
        "anthropic.messages",
        {"content": []},
        {
            "messages": [
                {"content": [document(SECRET)]},
                {"role": "assistant", "content": TOLD},
            ]
        },
        content(SECRET).key,
    ),
    # The mark stands in the first string, which is not the text here.
    (
        "anthropic.messages",
        {"content": [{"context": SECRET, **document("Words.")}]},
        None,
        content("Words.").key,
    ),
    # The second address in the list is the one that `[2]` cites.
    (
        "perplexity.chat",
        {
            "citations": ["https://b.example", "https://a.example"],
            "search_results": [{}, {"url": "https://c.example", "snippet": SECRET}],
        },
        None,
        "url:https://a.example",
    ),
    ("langchain.message", {"content": [document(SECRET)]}, None, content(SECRET).key),
    (
        "bedrock.converse",
        {"content": [{"toolResult": {"content": [{"searchResult": BEDROCK_RESULT}]}}]},
        None,
        "url:https://a.example",
    ),
    (
        "bedrock.converse",
        {"content": []},
        {"messages": [STRANDS["message"], {"content": [{"searchResult": BEDROCK_RESULT}]}]},
        "url:https://a.example",
    ),
    (
        "strands.message",
        {**STRANDS, "redact_message": {"role": "assistant", "content": [{"text": "No."}]}},
        None,
        "url:https://a.example",
    ),
    (
        "llamaindex.response",
        {
            "response": "Yes.",
            "source_nodes": [{"node": NODE, "score": 1}],
            "metadata": {"n/1": {"window": SECRET}},
        },
        None,
        "doc:d1",
    ),
    ("cohere.v2.chat", COHERE_RESULT, None, "doc:cohere:c1:0"),
    ("cohere.v2.chat", {"message": {}}, {"messages": [COHERE_RESULT]}, "doc:cohere:c1:0"),
    ("cohere.v2.chat", {"message": {}}, {"documents": ["a", SECRET]}, "doc:cohere:doc:1"),
    (
        "cohere.v2.chat",
        {"message": {}},
        {"documents": [{"id": "d", "data": {"text": SECRET, "title": "D"}}]},
        "doc:d",
    ),
    (
        "mistral.chat",
        {
            "content": [
                {"type": "tool_reference", "url": "https://a.example", "description": SECRET}
            ]
        },
        None,
        "url:https://a.example",
    ),
    (
        "mistral.chat",
        {"content": "Yes."},
        {
            "messages": [
                {
                    "role": "tool",
                    "content": [{"type": "text", "text": json.dumps([0, {"a": SECRET}])}],
                }
            ]
        },
        "doc:mistral:1",
    ),
    (
        "copilot.citations",
        {"data": {"citations": {"sources": [{"id": "s", "path": "a.c", "excerpt": SECRET}]}}},
        None,
        "doc:copilot:a.c",
    ),
    (
        "vercel.uimessage",
        {"parts": [{"type": "source-document", "filename": "a.pdf", "excerpt": SECRET}]},
        None,
        "doc:vercel:a.pdf",
    ),
]


@pytest.mark.parametrize(("name", "native", "request_", "key"), HOLDERS)
def test_what_a_source_says_is_gone_wherever_the_provider_names_it(name, native, request_, key):
    body = body_of(name, native, request=request_)
    assert SECRET in body
    assert key in all_keys(body)
    assert SECRET not in without(body, key)


@pytest.mark.parametrize(
    "blocks", [[document(SECRET)], [{"document": {"source": {"text": SECRET}}}]]
)
def test_documents_in_content_without_a_format_are_found(blocks):
    assert SECRET not in without(body_of(content=blocks), content(SECRET).key)


def test_content_beside_a_native_object_is_redacted_too():
    blocks = answer(cited(0, SECRET))["content"]
    body = body_of(
        "anthropic.messages",
        {"role": "assistant", "content": blocks},
        content=blocks,
        request=asked(document(SECRET)),
    )
    assert SECRET not in without(body, content(SECRET).key)


def test_the_answers_own_text_stays_even_in_the_object_of_a_source():
    native = {"type": "source-url", "url": "https://a.example", "content": "Yes.", "more": SECRET}
    after = json.loads(without(body_of("vercel.uimessage", native), "url:https://a.example"))
    assert after["native"] == {**native, "more": ""}


def test_an_embedding_is_gone():
    node = {**NODE, "embedding": [0.1, 0.2]}
    body = body_of("llamaindex.response", {"response": "Yes.", "source_nodes": [{"node": node}]})
    after = redact(body, key_hash("doc:d1"))
    assert json.loads(after.body)["native"]["source_nodes"][0]["node"]["embedding"] is None
    assert redact(after.body, key_hash("doc:d1")).places == ()


def test_the_text_of_other_results_in_one_string_keeps_its_literals():
    inner = '{"0": {"url": "https://a.example", "n": 1.50, "snippets": [["\\u00e9!"]]}, '
    inner += '"2":{"url":"https://b.example","snippets":[["\\u00e9!"]], "n":-0}}'
    request = {"messages": [{"role": "tool", "content": inner}]}
    body = body_of("mistral.chat", {"content": "Yes."}, request=request)
    after = json.loads(without(body, "url:https://a.example"))
    expected = inner.replace('[["\\u00e9!"]]', '[[""]]', 1)
    assert after["grounding"]["request"]["messages"][0]["content"] == expected


def test_no_literal_but_those_of_the_source_changes():
    body = (
        '{"content":null,"format":"perplexity.chat","native": { "search_results" :\n'
        '[{"u\\u0072l":"https:\\/\\/a.example","snip\\u0070et":"a\\ud83dz" , "n":1E5}, '
        '{"url":"https://b.example","snippet":"\\ud83d \\u0041", "n":-0}],'
        f'"x":{"9" * 5000}}},"metadata":{{}}}}'
    )
    after = redact(body, key_hash("url:https://a.example")).body
    assert after == body.replace('"a\\ud83dz"', '""')


def test_of_doubled_names_both_are_redacted():
    native = '{"search_results":[{"url":"https://a.example","snippet":"one","snippet":"two"}]}'
    body = f'{{"content":null,"format":"perplexity.chat","native":{native},"metadata":{{}}}}'
    after = redact(body, key_hash("url:https://a.example")).body
    assert '"snippet":"","snippet":""' in after


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[1]",
        '{"content":"a", oops,"metadata":{}}',
        '{"content":"a","metadata":7}',
        '{"content":"a","format":[1],"native":{},"metadata":{}}',
        '{"content":' + "[" * 5000 + "]" * 5000 + ',"metadata":{}}',
        '{"content":null,"format":"anthropic.messages","native":{"content":'
        + "[" * 500
        + "]" * 500
        + '},"metadata":{"references":[{"reference_id":1,"a":'
        + "[" * 300
        + "]" * 300
        + "}]}}",
    ],
    ids=range(7),
)
def test_a_damaged_or_odd_text_is_borne(body):
    assert redact(body, key_hash("doc:1")).body == body


def test_quotes_beyond_the_citations_that_are_looked_at_are_redacted():
    count = grounding.MAX_CITATIONS + 5
    native = answer(*[cited(0, "Secret words.")] * count)
    request = {"documents": [{"index": 0, "key": "doc:a"}]}
    body = body_of("anthropic.messages", native, request=request)
    after = redact(body, key_hash("doc:a"))
    assert len(after.places) == count
    assert "Secret" not in after.body


def test_a_message_hardly_grows():
    """The marks of very short texts take more room than the texts."""
    documents = [{"index": index, "text": "a"} for index in range(500)]
    body = body_of("anthropic.messages", answer(), request={"documents": documents})
    key = content("a").key
    after = redact(body, key_hash(key)).body
    assert len(after) < len(body) + 1_000
    assert after.count(mark(key)) == 20
    assert redact(after, key_hash(key)).places == ()


@pytest.mark.parametrize("name", ["citations", "markers", "results", "deep"])
def test_the_work_is_linear(name):
    """A generous bound, which quadratic work would exceed many times over."""
    given = {"role": "assistant", "content": "[1]" * 300_000}
    results = {str(n): {"url": "https://a.example", "snippet": "words"} for n in range(20_000)}
    deep = "words"
    for _ in range(60):
        deep = [deep]
    name, native, request = {
        "citations": ("anthropic.messages", answer(*[cited(0, "words")] * 20_000), None),
        "markers": (
            "perplexity.chat",
            {
                "message": given,
                "search_results": [{"url": "https://a.example", "snippet": "words"}],
            },
            None,
        ),
        "results": (
            "mistral.chat",
            {"content": [{"type": "reference", "reference_ids": [0] * 200_000}]},
            {"messages": [{"role": "tool", "content": json.dumps(results)}]},
        ),
        "deep": (
            "cohere.v2.chat",
            {},
            {"documents": [{"data": {"url": "https://a.example", "text": [deep] * 1_000}}]},
        ),
    }[name]
    request = request or {"documents": [{"index": 0, "key": "url:https://a.example"}]}
    body = body_of(name, native, request=request)
    start = time.process_time()
    assert "words" not in redact(body, key_hash("url:https://a.example")).body
    assert time.process_time() - start < 5


def all_keys(body):
    """Of everything that can be redacted."""
    said = message(body)
    held = sources_held(said.format, said.native, said.content, said.metadata, said.request)
    return [source.key for source in held]


def check(body):
    for key in all_keys(body)[:3]:
        redacted = redact(body, key_hash(key))
        assert redact(redacted.body, key_hash(key)).places == ()
        assert places_of_citations(redacted.body) == places_of_citations(body)
    assert redact(body, key_hash("doc:nothing")).body == body


NAMES = st.sampled_from(sorted(grounding.READERS))


@given(NAMES, JSON, JSON, JSON, JSON)
def test_any_json_is_borne(name, native, request, content, metadata):
    check(
        body_of(name, native, request=request, content=content, metadata={"references": metadata})
    )


@settings(max_examples=300)
@given(st.sampled_from(FILES), st.data())
def test_real_objects_with_something_wrong_are_borne(file, data):
    fixture = load(file)
    both = {"native": fixture["payload"], "request": fixture.get("request", {})}
    for _ in range(data.draw(st.integers(1, 4))):
        damage(both, data)
    name = data.draw(st.one_of(st.just(fixture["provider"]), NAMES))
    check(body_of(name, both.get("native"), request=both.get("request")))


@given(JSON, st.booleans(), st.sampled_from([None, 1]), st.data())
def test_only_what_a_pointer_leads_to_is_replaced(value, ascii_only, indent, data):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    value = json.loads(text)  # halves of a pair that meet are one character now
    places = [where for where, _, each in leaves("", value) if where and isinstance(each, str)]
    chosen = data.draw(st.lists(st.sampled_from(places), unique=True)) if places else []
    after = replaced(text, dict.fromkeys(chosen, "7"))
    told = {where: each for where, _, each in leaves("", json.loads(after))}
    for where, _, each in leaves("", value):
        assert isinstance(each, list) or told[where] == (7 if where in chosen else each)
    was, now = TOKEN.findall(text), TOKEN.findall(after)
    changed = [new for old, new in zip(was, now, strict=True) if old != new]
    assert changed == ["7"] * len(chosen)
