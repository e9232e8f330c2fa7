"""What an answer rests on, over HTTP."""

import json

import pytest

from app.wire import MAX_WIRE_BYTES, wire_size
from tests.people import problem
from tests.unit.test_grounding import FILES, load
from tests.unit.test_grounding_properties import NUMBERS, at, changed, cut, many

FIXTURE = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def say(client, session_id, given, **more):
    """Stores a provider's object, with its request. Returns the message's path."""
    body = {"role": "assistant", "format": given["provider"], "native": given["payload"], **more}
    if "request" in given:
        body["grounding"] = {"request": given["request"]}
    answer = client.post(f"/sessions/{session_id}/messages", body)
    assert answer.status_code == 201, answer.text
    return f"/sessions/{session_id}/messages/{answer.json['message_id']}"


def grounding(client, path, query=""):
    answer = client.get(f"{path}/grounding{query}")
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text)


def as_expected(citation, sources):
    """A citation of an answer in the form of the fixtures. A source is told once, by its first
    citation, so what the others call it is not compared."""
    source = sources.get(citation["source"], {"kind": "unknown", "key": None})
    told = {
        "anchor": citation["anchor"],
        "span_text": citation["text"],
        "ranges": citation["at"],
        "source": {"kind": source["kind"], "key": source["key"]},
        "resolves": citation["resolves"],
    }
    for name in ("quote", "locator", "score"):
        if citation[name] is not None:
            told[name] = citation[name]
    if source.get("identity") in ("redirect", "weak"):
        told[source["identity"]] = True
    return told


def expected_of(given):
    found = []
    for each in given["expected"]:
        each = {**each, "source": {name: each["source"][name] for name in ("kind", "key")}}
        if each.pop("weak_identity", given["provider"] == "copilot.citations"):
            each["weak"] = True
        found.append(each)
    return found


@FIXTURE
def test_what_a_fixture_expects_is_answered_exactly(alice, session_id, file):
    given = load(file)
    path = say(alice, session_id, given)
    found = grounding(alice, path)
    sources = {source["key"]: source for source in found["sources"]}
    assert len(sources) == len(found["sources"])
    assert [as_expected(each, sources) for each in found["citations"]] == expected_of(given)
    first = {}
    for each in given["expected"]:
        if each["source"]["key"]:
            first.setdefault(each["source"]["key"], each["source"]["raw"])
    cited = {key: source["raw"] for key, source in sources.items() if source["cited"]}
    assert list(cited.items()) == list(first.items())
    for citation in found["citations"]:
        assert isinstance(at(given["payload"], citation["from"]), dict | str | int)
        assert (citation["reason"] is None) == citation["resolves"]


@FIXTURE
def test_offsets_in_utf16_say_the_same(alice, session_id, file):
    given = load(file)
    path = say(alice, session_id, given)
    for query, unit in (("", "codepoints"), ("?offsets=utf16", "utf16")):
        for citation in grounding(alice, path, query)["citations"]:
            spans = [cut({"in": given["payload"], **span}, unit) for span in citation["at"]]
            assert "".join(spans) == (citation["text"] or "")


@FIXTURE
def test_the_neutral_view_is_one_form_and_leaves_the_stored_object_as_it_is(
    alice, session_id, file
):
    given = load(file)
    path = say(alice, session_id, given, metadata={"query_id": "q1"})
    messages = f"/sessions/{session_id}/messages"
    [neutral] = json.loads(alice.get(f"{messages}?view=neutral").text)["messages"]
    for other in (f"{messages}?view=neutral&order=desc", f"/sessions/{session_id}?view=neutral"):
        assert json.loads(alice.get(other).text)["messages"] == [neutral]
    latest = alice.get(f"/sessions/{session_id}?view=neutral&messages=1").json
    assert latest["messages"] == [neutral]
    assert isinstance(neutral["content"], str)
    assert neutral["metadata"] == {"query_id": "q1"}
    assert not {"native", "grounding"} & neutral.keys()
    for offsets, unit in (("codepoints", "codepoints"), ("utf16", "utf16")):
        shown = alice.get(f"{messages}?view=neutral&offsets={offsets}").json["messages"][0]
        for citation, expected in zip(shown["citations"], given["expected"], strict=True):
            spans = [cut({"in": shown, **span}, unit) for span in citation["at"]]
            assert "".join(spans) == (expected["span_text"] or "")
    stored = json.loads(alice.get(path).text)
    assert (stored["native"], stored["format"]) == (given["payload"], given["provider"])
    assert stored.get("grounding", {}).get("request") == given.get("request")


def test_calls_of_tools_have_one_form(alice, session_id):
    arguments = {"city": "Köln", "limit": 3}
    as_text = '{"city": "Köln", "limit": 1.50}'
    for format, native in {
        "anthropic.messages": {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c", "name": "find", "input": arguments}],
        },
        "openai.chat": {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "c",
                    "type": "function",
                    "function": {"name": "find", "arguments": json.dumps(arguments)},
                }
            ],
        },
        "bedrock.converse": {
            "role": "assistant",
            "content": [{"toolUse": {"toolUseId": "c", "name": "find", "input": arguments}}],
        },
        "gemini.generateContent": {
            "role": "model",
            "parts": [{"functionCall": {"id": "c", "name": "find", "args": arguments}}],
        },
        "openai.responses": {
            "type": "function_call",
            "call_id": "c",
            "name": "find",
            "arguments": as_text,
        },
    }.items():
        say(alice, session_id, {"provider": format, "payload": native})
        answer = alice.get(f"/sessions/{session_id}?view=neutral&messages=1")
        [message] = answer.json["messages"]
        [call] = message["tool_calls"]
        assert (call["id"], call["name"], call["by_provider"]) == ("c", "find", False)
        if format == "openai.responses":
            assert f'"arguments":{as_text},' in answer.text
        else:
            assert call["arguments"] == arguments
        inside = at(native, call["from"])
        assert "find" in json.dumps(inside)


@pytest.mark.parametrize(
    "arguments",
    ["not JSON", "[1]", "[" * 100, '{"a":NaN}', '{"a":1,"a":2}', '{"a":' * 70 + "1" + "}" * 70]
    + ['{"a":"\ud83d"}', "{" * 5000],
)
def test_arguments_that_are_no_object_stay_text(alice, session_id, arguments):
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments}
    say(alice, session_id, {"provider": "openai.responses", "payload": call})
    [message] = alice.get(f"/sessions/{session_id}/messages?view=neutral").json["messages"]
    assert message["tool_calls"][0]["arguments"] == arguments


def test_names_in_a_tools_message_that_are_half_a_pair_are_readable(alice, session_id):
    request = {"messages": [{"role": "tool", "content": '{"\\ud83d": {"title": "t"}}'}]}
    native = {"role": "assistant", "content": "Yes."}
    given = {"provider": "mistral.chat", "payload": native, "request": request}
    [source] = grounding(alice, say(alice, session_id, given))["sources"]
    assert source["key"] == "doc:mistral:\ufffd"


def test_results_of_tools_have_one_form(alice, session_id):
    body = (
        '{"format":"bedrock.converse","native":{"role":"user","content":[{"toolResult":'
        '{"toolUseId":"c","content":[{"json":{"n": 1E5}}, {"text": "warm"}]}}]}}'
    )
    alice.post(f"/sessions/{session_id}/messages", data=body)
    answer = alice.get(f"/sessions/{session_id}/messages?view=neutral")
    [message] = answer.json["messages"]
    assert (message["role"], message["content"]) == ("tool", "")
    [result] = message["tool_results"]
    assert (result["call_id"], result["from"]) == ("c", "/content/0/toolResult")
    assert '[{"json":{"n":1E5}},{"text":"warm"}]' in answer.text


# The request


REQUEST = '{ "documents" : [{"index":0,"key":"doc:etat","title":"Etat","text":"1E5 \\u0045uro"}]}'

ANTHROPIC = {
    "role": "assistant",
    "content": [
        {
            "type": "text",
            "text": "It rises.",
            "citations": [{"type": "char_location", "document_index": 0, "cited_text": "1E5 Euro"}],
        }
    ],
}


def body_of(request=REQUEST, **more):
    native = json.dumps(ANTHROPIC)
    also = "".join(f',"{name}":{json.dumps(value)}' for name, value in more.items())
    return (
        f'{{"format":"anthropic.messages","native":{native},'
        f'"grounding" : {{"request":{request}}}{also}}}'
    )


def keeps_the_request(client, path):
    shown = f'"grounding":{{"request":{REQUEST}}}'
    session = path.partition("/messages")[0]
    for address in (path, session, f"{session}/messages", f"{session}?messages=1"):
        assert shown in client.get(address).text, address
    [citation] = grounding(client, path)["citations"]
    assert (citation["source"], citation["resolves"]) == ("doc:etat", True)


@pytest.fixture
def importer(app):
    from tests.people import Client, make_token

    return Client(
        app, make_token("acme", "alice", scope="sessions:read sessions:write sessions:import")
    )


def test_the_request_is_kept_as_it_was_sent_by_every_write(alice, importer, session_id):
    messages = f"/sessions/{session_id}/messages"

    def sent(method, path, body):
        answer = importer.request(method, path, data=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json

    one = sent("POST", messages, body_of())["message_id"]
    keeps_the_request(alice, f"{messages}/{one}")
    [two] = sent("POST", f"{messages}/batch", f'{{"messages":[{body_of()}]}}')["messages"]
    keeps_the_request(alice, f"{messages}/{two['message_id']}")
    plain = alice.append(session_id)["message_id"]
    sent("PUT", f"{messages}/{plain}", body_of(role="assistant"))
    keeps_the_request(alice, f"{messages}/{plain}")
    replacement = f'{{"from":"{plain}","messages":[{body_of()}]}}'
    [four] = sent("POST", f"{messages}/replace", replacement)["messages"]
    keeps_the_request(alice, f"{messages}/{four['message_id']}")
    forked = sent("POST", f"/sessions/{session_id}/fork", "{}")["session_id"]
    keeps_the_request(alice, f"/sessions/{forked}/messages/{one}")
    dated = body_of(created_at="2024-01-01T00:00:00Z")
    imported = sent("POST", "/import", f'{{"session":{{"domain_id":"d"}},"messages":[{dated}]}}')
    [shown] = alice.get(f"/sessions/{imported['session_id']}").json["messages"]
    keeps_the_request(alice, f"/sessions/{imported['session_id']}/messages/{shown['message_id']}")
    sent("PUT", f"{messages}/{one}", json.dumps({"content": "gone"}))
    assert "grounding" not in alice.get(f"{messages}/{one}").json
    assert f'"grounding":{{"request":{REQUEST}}}' in alice.get("/export").text


def test_an_export_that_is_imported_has_the_request(app, table, alice, tmp_path, session_id):
    from app.operations import transfer

    answer = alice.post(f"/sessions/{session_id}/messages", data=body_of())
    path = tmp_path / "acme.ndjson"
    transfer.export(table, "acme", None, path, resume=False)
    *_, restored = transfer.restore(table, "copy", path)
    assert (restored.sessions, restored.messages) == (1, 1)
    from tests.people import Client, make_token

    copied = Client(app, make_token("copy", "alice"))
    keeps_the_request(copied, f"/sessions/{session_id}/messages/{answer.json['message_id']}")


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ("[]", "grounding"),
        ('"x"', "grounding"),
        ("{}", "grounding.request"),
        ('{"request": null}', "grounding.request"),
        ('{"request": []}', "grounding.request"),
        ('{"request": {}, "sources": []}', "grounding"),
    ],
)
def test_a_grounding_of_another_shape_is_refused(alice, session_id, items, sent, field):
    before = items()
    path = f"/sessions/{session_id}/messages"
    body = f'{{"role":"user","content":"x","grounding":{sent}}}'
    told = problem(alice.post(path, data=body), 422, "VALIDATION_FAILED")
    assert [fault["field"] for fault in told["errors"]] == [field]
    told = problem(
        alice.post(f"{path}/batch", data=f'{{"messages":[{body}]}}'), 422, "VALIDATION_FAILED"
    )
    assert [fault["field"] for fault in told["errors"]] == [f"messages[0].{field}"]
    assert items() == before


def test_null_is_no_grounding(alice, session_id):
    message = alice.append(session_id, grounding=None)
    assert "grounding" not in message


def test_the_request_counts_in_the_limits(alice, session_id):
    path = f"/sessions/{session_id}/messages"
    large = {"role": "user", "grounding": {"request": {"text": "x" * 3_200_000}}}
    problem(alice.post(path, large), 413, "TOO_LARGE")
    wide = {"role": "user", "grounding": {"request": {"text": "é" * 1_030_000}}}
    told = problem(alice.post(path, data=json.dumps(wide, ensure_ascii=False)), 413, "TOO_LARGE")
    assert "in a response" in told["detail"]


def test_numbers_are_resolved_in_the_messages_own_request_only(alice, session_id):
    with_one = alice.post(f"/sessions/{session_id}/messages", data=body_of()).json["message_id"]
    without = say(alice, session_id, {"provider": "anthropic.messages", "payload": ANTHROPIC})
    found = grounding(alice, f"/sessions/{session_id}")
    first, second = found["citations"]
    assert (first["message_id"], first["resolves"]) == (with_one, True)
    assert without.endswith(second["message_id"])
    assert (second["source"], second["reason"]) == (None, "no_request")


# References


def test_references_are_sources_of_the_whole_message(alice, session_id):
    references = [
        {"reference_id": "inc_1", "type": "report", "summary": "Pothole", "version": 3},
        {"reference_id": 7, "url": "https://Stadt.example/baustellen/42#top"},
    ]
    given = load(next(file for file in FILES if file.stem == "openai-responses-1"))
    path = say(alice, session_id, given, metadata={"references": references})
    found = grounding(alice, path)
    told = [
        (each["anchor"], each["source"], each["member"], each["from"])
        for each in found["citations"]
    ]
    assert told == [
        ("marker", "doc:7", "native", "/output/1/content/0/annotations/0"),
        ("marker", "url:https://xn--fiq.example/道路/報告?id=7", "native")
        + ("/output/1/content/0/annotations/1",),
        ("marker", "doc:7", "native", "/output/1/content/0/annotations/2"),
        ("message", "doc:inc_1", "metadata", "/references/0"),
        ("message", "doc:7", "metadata", "/references/1"),
    ]
    assert [source["key"] for source in found["sources"]] == [
        "doc:7",
        "url:https://xn--fiq.example/道路/報告?id=7",
        "doc:inc_1",
    ]
    pothole = found["sources"][-1]
    assert (pothole["kind"], pothole["title"], pothole["version"]) == ("reference", "Pothole", "3")


def test_plain_messages_with_references_or_providers_blocks_are_read(alice, session_id):
    alice.append(
        session_id,
        "Closed. Call first.",
        role="assistant",
        metadata={"references": [{"reference_id": "a"}]},
    )
    alice.append(session_id, ANTHROPIC["content"], role="assistant")
    found = grounding(alice, f"/sessions/{session_id}")
    assert [each["anchor"] for each in found["citations"]] == ["message", "block"]
    [span] = found["citations"][1]["at"]
    assert (found["citations"][1]["member"], span["path"]) == ("content", "/0/text")
    assert found["figures"]["sentences_cited"]["denominator"] == 3


# Of a session


def perplexity(text, *addresses):
    said = {"role": "assistant", "content": text, "citations": list(addresses)}
    return {"provider": "perplexity.chat", "payload": said}


A, B, C = (f"https://{name}.example/" for name in "abc")


def keys(found):
    return [source["key"].removeprefix("url:") for source in found["sources"]]


def test_a_session_tells_each_source_once_in_order_of_first_use(alice, session_id):
    alice.append(session_id, "Well? And [1]?")
    say(alice, session_id, perplexity("First[2]. Then nothing.", A, B))
    say(alice, session_id, perplexity("Second[1][2][9].", B, A, C))
    found = grounding(alice, f"/sessions/{session_id}")
    assert [each["source"] and each["source"][4:] for each in found["citations"]] == [
        B,
        B,
        A,
        None,
    ]
    assert keys(found) == [B, A, C]
    assert [source["cited"] for source in found["sources"]] == [True, True, False]
    assert found["citations"][-1]["reason"] == "not_in_the_answer"
    figures = {name: (f["numerator"], f["denominator"]) for name, f in found["figures"].items()}
    assert figures == {
        "sentences_cited": (2, 3),
        "characters_claimed": (None, 0),
        "citations_resolved": (3, 4),
        "spans_as_echoed": (0, 0),
        "quotes_verbatim": (0, 0),
        "quotes_normalised": (0, 0),
        "quotes_absent": (0, 0),
        "quotes_unknowable": (0, 0),
        "sources_never_cited": (1, 3),
        "citations_changed": (0, 4),
        "citations_withdrawn": (0, 4),
    }
    assert found["figures"]["sentences_cited"]["anchors"] == ["marker"]
    assert (found["checked_messages"], found["next_cursor"], found["truncated"]) == (3, None, False)


def test_characters_are_counted_under_claims_only(alice, session_id):
    for name in ("gemini-1", "openai-chat-1"):
        say(alice, session_id, load(next(file for file in FILES if file.stem == name)))
    figures = grounding(alice, f"/sessions/{session_id}")["figures"]
    assert figures["characters_claimed"] == {
        "numerator": 25 + 31 + 10,
        "denominator": 68,
        "anchors": ["claim"],
    }
    assert figures["sentences_cited"] == {
        "numerator": 4,
        "denominator": 5,
        "anchors": ["claim", "marker"],
    }
    assert figures["spans_as_echoed"]["numerator"] == figures["spans_as_echoed"]["denominator"] == 4


def test_quotes_are_looked_up_where_the_request_holds_the_source(alice, session_id):
    said = [
        {"type": "char_location", "document_index": index, "cited_text": quote}
        for index, quote in ((0, "Nine to five."), (0, "NINE  to\nfive."), (0, "Never."), (1, "x"))
    ]
    native = {
        "role": "assistant",
        "content": [{"type": "text", "text": "Nine.", "citations": said}],
    }
    request = {
        "documents": [
            {"index": 0, "key": "k", "text": "Open: Nine to five."},
            {"index": 1, "title": "Only a title"},
        ]
    }
    given = {"provider": "anthropic.messages", "payload": native, "request": request}
    figures = grounding(alice, say(alice, session_id, given))["figures"]
    for name in ("verbatim", "normalised", "absent", "unknowable"):
        assert figures[f"quotes_{name}"] == {"numerator": 1, "denominator": 4, "anchors": ["block"]}


def test_questions_have_no_sentences_to_cite(alice, session_id):
    for role in ("user", "system", "developer", "tool"):
        alice.append(session_id, "One. Two.", role=role)
    alice.append(session_id, "One. Two.", role="query-agent")
    figures = grounding(alice, f"/sessions/{session_id}")["figures"]
    assert figures["sentences_cited"]["denominator"] == 2


def test_a_part_of_a_session_can_be_asked_for(alice, session_id):
    for number in range(5):
        say(alice, session_id, perplexity("So[1].", f"https://{number}.example/"))
    path = f"/sessions/{session_id}"
    everything = grounding(alice, path)
    assert keys(everything) == [f"https://{number}.example/" for number in range(5)]
    latest = grounding(alice, path, "?messages=2")
    assert keys(latest) == ["https://3.example/", "https://4.example/"]
    assert latest["next_cursor"] is None
    earlier = grounding(alice, path, f"?order=desc&cursor={latest['earlier_cursor']}")
    assert keys(earlier) == [f"https://{number}.example/" for number in (2, 1, 0)]
    assert keys(grounding(alice, path, "?order=desc")) == keys(everything)[::-1]
    cursor = alice.get(f"{path}/messages?limit=2").json["next_cursor"]
    assert keys(grounding(alice, path, f"?cursor={cursor}")) == keys(everything)[2:]
    problem(alice.get(f"{path}/grounding?messages=2&cursor={cursor}"), 422, "VALIDATION_FAILED")
    problem(alice.get(f"{path}/grounding?cursor=x"), 422, "INVALID_CURSOR")
    for query in ("messages=0", "offsets=bytes", "order=x", "limit=1"):
        problem(alice.get(f"{path}/grounding?{query}"), 422, "VALIDATION_FAILED")


def test_a_large_answer_has_a_cursor(alice, session_id):
    """Each message has citations of 1.5 MB; an answer has room for 4.5."""
    for number in range(5):
        quote = f"{number}" * 500_000
        cited = [{"type": "x", "url": f"https://{number}.example/", "cited_text": quote}] * 3
        block = {"type": "text", "text": "x", "citations": cited}
        native = {"role": "assistant", "content": [block]}
        say(alice, session_id, {"provider": "anthropic.messages", "payload": native})
    path, seen, cursor = f"/sessions/{session_id}", [], ""
    while cursor is not None:
        text = alice.get(f"{path}/grounding?{cursor and 'cursor=' + cursor}").text
        assert wire_size(text) < 4_600_000
        found = json.loads(text)
        assert found["citations"]
        seen += keys(found)
        cursor = found["next_cursor"]
    assert seen == [f"https://{number}.example/" for number in range(5)]
    latest = grounding(alice, path, "?messages=5")
    assert keys(latest) == [f"https://{number}.example/" for number in (3, 4)]
    rest = grounding(alice, path, f"?order=desc&cursor={latest['earlier_cursor']}")
    assert keys(rest) == ["https://2.example/", "https://1.example/"]


@pytest.mark.parametrize("of", ["session", "message"])
def test_a_copy_is_revalidated(alice, session_id, of):
    path = say(alice, session_id, perplexity("So[1].", A))
    address = f"{path if of == 'message' else path.partition('/messages')[0]}/grounding"
    first = alice.get(address)
    known = {"If-None-Match": first.headers["ETag"]}
    again = alice.get(address, headers=known)
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert alice.get(f"{address}?offsets=utf16", headers=known).status_code == 304, "the same"
    alice.put(path, {"format": "perplexity.chat", "native": perplexity("No.")["payload"]})
    assert alice.get(address, headers=known).status_code == 200


def test_a_neutral_view_of_a_session_is_revalidated_by_what_it_shows(alice, session_id):
    path = f"/sessions/{session_id}"
    shown = alice.get(f"{path}?view=neutral")
    known = {"If-None-Match": shown.headers["ETag"]}
    assert alice.get(f"{path}?view=neutral", headers=known).status_code == 304
    stored = {"If-None-Match": alice.get(path).headers["ETag"]}
    assert alice.get(f"{path}?view=neutral", headers=stored).status_code == 200


def test_only_sessions_and_messages_that_exist_have_a_grounding(alice, bob, session_id):
    message = alice.append(session_id)["message_id"]
    missing = "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    path = f"/sessions/{session_id}"
    problem(alice.get(f"{path}/messages/{missing}/grounding"), 404, "MESSAGE_NOT_FOUND")
    problem(bob.get(f"{path}/messages/{message}/grounding"), 404, "SESSION_NOT_FOUND")
    problem(bob.get(f"{path}/grounding"), 404, "SESSION_NOT_FOUND")
    assert grounding(alice, path)["citations"] == []


# What is malformed


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: str(n)[:10])
def test_malformed_objects_are_written_and_read(alice, session_id, number):
    for file in FILES:
        given = load(file)
        native = json.dumps(changed(given["payload"], number)).replace("Infinity", "1E999")
        body = (
            f'{{"role":"assistant","format":"{given["provider"]}","native":{native},'
            f'"grounding":{{"request":{json.dumps(given.get("request", {}))}}}}}'
        )
        answer = alice.post(f"/sessions/{session_id}/messages", data=body)
        assert answer.status_code == 201, answer.text
        path = f"/sessions/{session_id}/messages/{answer.json['message_id']}"
        for citation in grounding(alice, path)["citations"]:
            assert citation["resolves"] or citation["reason"]
    found = grounding(alice, f"/sessions/{session_id}")
    assert found["checked_messages"] == len(FILES)
    view = alice.get(f"/sessions/{session_id}?view=neutral")
    assert len(json.loads(view.text)["messages"]) == len(FILES)


@pytest.mark.parametrize("name", many())
def test_an_answer_about_a_great_many_citations_is_bounded(alice, session_id, name):
    text = json.dumps(many()[name], ensure_ascii=False, separators=(",", ":"))
    body = f'{{"role":"assistant","format":"{name}","native":{text}}}'
    answer = alice.post(f"/sessions/{session_id}/messages", data=body.encode())
    assert answer.status_code == 201, answer.text
    path = f"/sessions/{session_id}/messages/{answer.json['message_id']}"
    for address in (
        f"{path}/grounding",
        f"/sessions/{session_id}/grounding",
        f"/sessions/{session_id}/messages?view=neutral",
    ):
        shown = alice.get(address)
        assert shown.status_code == 200
        assert wire_size(shown.text) <= MAX_WIRE_BYTES
        found = shown.json["messages"][0] if "messages" in shown.json else shown.json
        assert found["truncated"] is True
        assert len(found["citations"]) <= 10_000


def test_a_name_that_is_too_long_is_cut_and_its_key_is_a_hash(alice, session_id):
    address = "https://a.example/" + "x" * 5000
    found = grounding(alice, say(alice, session_id, perplexity("So[1].", address)))
    [source] = found["sources"]
    assert source["key"].startswith("sha256:")
    assert source["raw"] == address[:1024]


def test_half_a_surrogate_pair_moves_no_offset(alice, session_id):
    native = (
        '{"choices":[{"message":{"role":"assistant","content":"a\\ud83d b c","annotations":[{'
        '"type":"url_citation","url_citation":{"start_index":1,"end_index":4,"url":"s3://b/c"}}]}}]}'
    )
    body = f'{{"format":"openai.chat","native":{native}}}'
    message = alice.post(f"/sessions/{session_id}/messages", data=body).json["message_id"]
    [citation] = grounding(alice, f"/sessions/{session_id}/messages/{message}")["citations"]
    assert citation["text"] == "\ufffd b"
    [span] = citation["at"]
    assert (span["start"], span["end"]) == (1, 4)


@pytest.mark.parametrize("of", ["message", "session"])
def test_a_claim_over_a_great_many_strings_is_left_out(alice, session_id, of):
    """Its places would take 15 MB, and no response has room for them."""
    parts = ",".join(['{"text":"a"}'] * 200_000)
    native = (
        f'{{"candidates":[{{"content":{{"role":"model","parts":[{parts}]}},"groundingMetadata":'
        '{"groundingChunks":[{"web":{"uri":"https://a.example"}}],"groundingSupports":[{"segment":'
        '{"startIndex":0,"endIndex":200000},"groundingChunkIndices":[0]}]}}]}'
    )
    body = f'{{"format":"gemini.generateContent","native":{native}}}'
    answer = alice.post(f"/sessions/{session_id}/messages", data=body.encode())
    assert answer.status_code == 201, answer.text
    path = f"/sessions/{session_id}"
    if of == "message":
        path += f"/messages/{answer.json['message_id']}"
    shown = alice.get(f"{path}/grounding")
    assert wire_size(shown.text) <= MAX_WIRE_BYTES
    assert (shown.json["citations"], shown.json["truncated"]) == ([], True)
