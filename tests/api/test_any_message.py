"""Any message comes in, and comes out as it was sent: literal for literal."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.people import Client, problem
from tests.provider_messages import FIXTURES

FORMATS = {
    "ai-sdk-ui": "vercel.uimessage",
    "anthropic": "anthropic.messages",
    "bedrock-converse": "bedrock.converse",
    "gemini": "gemini.generateContent",
    "langchain": "langchain.message",
    "openai": "openai.responses",
}


def _provider_messages() -> Iterator[Any]:
    for file in sorted((FIXTURES / "messages").glob("*.json")):
        for number, message in enumerate(json.loads(file.read_text())):
            format = FORMATS[file.stem.rsplit("-", 1)[0]]
            if "choices" in message or "tool_calls" in message:
                format = "openai.chat"
            yield pytest.param(format, message, id=f"{file.stem}/{number}")


PROVIDERS = list(_provider_messages())


def written(value: Any) -> str:
    """With white space, so that text which is parsed and written again is noticed."""
    return json.dumps(value, ensure_ascii=False, indent=1)


def shown_everywhere(client: Client, session: str, message: str) -> list[str]:
    """The texts of every route that shows the message."""
    path = f"/sessions/{session}"
    return [
        client.get(address).text
        for address in (
            path,
            f"{path}?messages=3",
            f"{path}/messages",
            f"{path}/messages?order=desc",
            f"{path}/messages/{message}",
        )
    ]


def say(client: Client, session: str, body: str, *, batch: bool = False) -> tuple[str, str]:
    """Posts the text of a message. Returns its id and the text of the answer."""
    path, sent = f"/sessions/{session}/messages", body
    if batch:
        path, sent = f"{path}/batch", f'{{"messages":[{body}]}}'
    answer = client.post(path, data=sent.encode("utf-8"))
    assert answer.status_code == 201, answer.text
    said = json.loads(answer.text, parse_int=float)
    return (said["messages"][0] if batch else said)["message_id"], answer.text


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(("format", "native"), PROVIDERS)
def test_a_providers_own_object_goes_in_and_comes_out(alice, session_id, format, native, batch):
    text = written(native)
    body = f'{{"format":{json.dumps(format)},"native":{text}}}'
    message_id, answer = say(alice, session_id, body, batch=batch)
    for shown in (answer, *shown_everywhere(alice, session_id, message_id)):
        assert f'"format":"{format}","native":{text}' in shown
    stored = alice.get(f"/sessions/{session_id}/messages/{message_id}").json
    assert stored["native"] == native
    assert stored["content"] is None
    assert stored["role"]


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(
    ("format", "native"), [case for case in PROVIDERS if "role" in case.values[1]]
)
def test_a_providers_message_goes_in_as_a_plain_one(alice, session_id, format, native, batch):  # noqa: ARG001
    content = native.get("content", native.get("parts"))
    text = written(content)
    message_id, answer = say(
        alice, session_id, f'{{"role":"{native["role"]}","content":{text}}}', batch=batch
    )
    for shown in (answer, *shown_everywhere(alice, session_id, message_id)):
        assert f'"content":{text}' in shown
    stored = alice.get(f"/sessions/{session_id}/messages/{message_id}").json
    assert (stored["role"], stored["content"]) == (native["role"], content)


LITERALS = [
    "123456789012345678901234567890.123456",
    "-0",
    "1.0",
    "1E5",
    "1e-400",
    "1E999",
    "9" * 5000,
    "-" + "1" * 400,
    '"\\u0000"',
    '"\\ud83d"',
    '"cut \\uDE00 here"',
    '"\\ud83d\\ude00"',
    '"\\/\\b\\f"',
    '"Straße, 北京, 😀"',
    '{"b":1,"a":2,"":3}',
    '{"\\udc00":1}',
    "[ 1 ,\t2\n]",
    "null",
    "true",
    '""',
    "[]",
    "{}",
    '"' + "é" * 300_000 + '"',
]


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("literal", LITERALS, ids=lambda text: text[:20])
def test_every_literal_comes_back(alice, session_id, literal, batch):
    body = (
        f'{{ "role" : "user", "content": {literal},'
        f' "metadata": {{"x" :{literal}}} , "format":"our.own", "native": [{literal}]}}'
    )
    message_id, answer = say(alice, session_id, body, batch=batch)
    for shown in (answer, *shown_everywhere(alice, session_id, message_id)):
        assert f'"content":{literal},' in shown
        assert f'"metadata":{{"x" :{literal}}}' in shown
        assert f'"native":[{literal}]' in shown


SPACE = st.text(" \t\n\r", max_size=2)
ESCAPES = st.sampled_from(["\\u0041", "\\n", "\\\\", '\\"', "\\ud800", "\\uDFFF", "\\u0000", "\\/"])
CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\')
STRINGS = st.lists(ESCAPES | CHARACTERS, max_size=8).map(lambda parts: f'"{"".join(parts)}"')
DIGITS = st.text("0123456789", min_size=1, max_size=40)
NUMBERS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.just("0") | st.builds("{}{}".format, st.sampled_from("123456789"), DIGITS),
    st.just("") | DIGITS.map(lambda digits: f".{digits}"),
    st.sampled_from(["", "e5", "E+7", "e-400", "E999"]),
)


def _arrays(texts: Any) -> Any:
    return st.builds(
        lambda space, items: f"[{space}{f',{space}'.join(items)}{space}]",
        SPACE,
        st.lists(texts, max_size=3),
    )


def _objects(texts: Any) -> Any:
    names = st.lists(STRINGS, max_size=3, unique_by=lambda name: json.loads(name))
    return st.builds(
        lambda space, names, items: (
            "{"
            + space
            + ",".join(
                f"{name}{space}:{space}{item}" for name, item in zip(names, items, strict=False)
            )
            + space
            + "}"
        ),
        SPACE,
        names,
        st.lists(texts, min_size=3, max_size=3),
    )


TEXTS = st.recursive(
    STRINGS | NUMBERS | st.sampled_from(["null", "true", "false"]),
    lambda texts: _arrays(texts) | _objects(texts),
    max_leaves=12,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(content=TEXTS, native=TEXTS, metadata=_objects(TEXTS), batch=st.booleans(), space=SPACE)
def test_every_json_text_comes_back(alice, session_id, content, native, metadata, batch, space):
    # `references` are checked, and a native that is null counts as left out.
    members = {"role": '"user"', "content": content, "metadata": metadata}
    if native != "null":
        members |= {"format": '"our.own"', "native": native}
    body = ",".join(f'"{name}"{space}:{space}{text}' for name, text in members.items())
    message_id, answer = say(alice, session_id, f"{{{space}{body}{space}}}", batch=batch)
    one = alice.get(f"/sessions/{session_id}/messages/{message_id}").text
    for shown in (answer, one):
        assert f'"content":{content},' in shown
        assert f'"metadata":{metadata}}}' in shown
        assert native == "null" or f'"native":{native},' in shown


TWICE = {
    "at the top": '{"role":"user","content":"a","content":"b"}',
    "spelled differently": '{"role":"user","content":"a","c\\u006fntent":"b"}',
    "in content": '{"role":"user","content":{"a":1,"a":1}}',
    "in a list": '{"role":"user","content":[[{"a":1,"b":2,"a":3}]]}',
    "in metadata": '{"role":"user","metadata":{"references":[],"references":[]}}',
    "in native": '{"role":"user","format":"x","native":{"n":{"a":1,"a":2}}}',
    "with long numbers": f'{{"role":"user","content":{{"a":{"9" * 5000},"a":1}}}}',
}


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("body", TWICE.values(), ids=TWICE)
def test_a_name_twice_in_an_object_is_refused(alice, session_id, items, body, batch):
    before = items()
    path = f"/sessions/{session_id}/messages" + ("/batch" if batch else "")
    answer = alice.post(path, data=f'{{"messages":[{body}]}}' if batch else body)
    [error] = problem(answer, 422, "VALIDATION_FAILED")["errors"]
    assert "twice" in error["message"]
    assert items() == before


REFUSED = {
    "no role": ({"content": "x"}, "role"),
    "a role that the format does not tell": ({"format": "our.own", "native": {}}, "role"),
    "an empty role": ({"role": "", "content": "x"}, "role"),
    "a long role": ({"role": "x" * 65}, "role"),
    "a role with a line break": ({"role": "a\nb"}, "role"),
    "half a pair in a role": ({"role": "\ud83d"}, "role"),
    "half a pair in a name": ({"role": "user", "name": "\ud83d"}, "name"),
    "native without format": ({"role": "user", "native": {}}, "format"),
    "format without native": ({"role": "user", "format": "openai.chat"}, "native"),
    "a format that is no word": ({"role": "user", "format": 5, "native": 1}, "format"),
    "another status": ({"role": "user", "status": "done"}, "status"),
    "a list as metadata": ({"role": "user", "metadata": []}, "metadata"),
    "a member of a provider": ({"role": "assistant", "tool_calls": []}, "tool_calls"),
}


@pytest.mark.parametrize(("body", "field"), REFUSED.values(), ids=REFUSED)
def test_what_is_still_refused_is_told_with_its_path(alice, session_id, items, body, field):
    before = items()
    path = f"/sessions/{session_id}/messages"
    [error] = problem(alice.post(path, body), 422, "VALIDATION_FAILED")["errors"]
    assert error["field"] == field
    good = {"role": "user", "content": "fine"}
    answer = alice.post(f"{path}/batch", {"messages": [good, body]})
    [error] = problem(answer, 422, "VALIDATION_FAILED")["errors"]
    assert error["field"] == f"messages[1].{field}"
    assert items() == before


def test_an_unknown_member_leads_to_native(alice, session_id):
    answer = alice.post(f"/sessions/{session_id}/messages", {"role": "user", "parts": []})
    [error] = problem(answer, 422, "VALIDATION_FAILED")["errors"]
    assert "native" in error["message"]


def test_null_counts_as_left_out(alice, session_id):
    names = ("content", "name", "metadata", "format", "native", "status")
    body = {"role": "critic", **dict.fromkeys(names)}
    said = alice.append(session_id, **{"content": None, **body})
    assert said["role"] == "critic"
    assert (said["content"], said["metadata"], said["status"]) == (None, {}, "complete")
    assert not {"format", "native", "feedback", "imported"} & said.keys()


def test_a_batch_with_too_many_messages_is_refused_without_reading_them(alice, session_id):
    answer = alice.post(
        f"/sessions/{session_id}/messages/batch", data='{"messages":[' + "{}," * 60 + "]}"
    )
    [error] = problem(answer, 422, "VALIDATION_FAILED")["errors"]
    assert (error["field"], "50" in error["message"]) == ("messages", True)


EXCERPTS = {
    "text": ({"role": "user", "content": " two\n\tlines "}, "two lines"),
    "blocks": ({"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]}, "a b"),
    "native": (
        {"format": "anthropic.messages", "native": {"role": "user", "content": "When?"}},
        "When?",
    ),
    "160 characters": ({"role": "user", "content": "x" * 200}, "x" * 160),
    "240 bytes": ({"role": "user", "content": "北" * 200}, "北" * 80),
    "not within a character": ({"role": "user", "content": "😀" * 200}, "😀" * 60),
    "half a pair": ({"role": "user", "content": "a\ud83d"}, "a\ufffd"),
    "a number": ({"role": "user", "content": 5}, ""),
    "nothing": ({"role": "user"}, ""),
    "an object": ({"role": "user", "content": {"text": "inside"}}, "inside"),
}


@pytest.mark.parametrize(("body", "text"), EXCERPTS.values(), ids=EXCERPTS)
def test_the_list_shows_the_beginning_of_the_last_message(alice, session_id, body, text):
    said = alice.post(f"/sessions/{session_id}/messages", data=json.dumps(body))
    assert said.status_code == 201
    [row] = alice.get("/sessions").json["sessions"]
    last = {"message_id": said.json["message_id"], "role": said.json["role"], "text": text}
    assert row["last_message"] == last
    assert alice.get(f"/sessions/{session_id}").json["last_message"] == last


SCRIPTS = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:x",
    "java\nscript:x",
    "java\tscript:x",
    "\u0000\u001fjavascript:x",
    "javascript&colon;x",
    "&#106;avascript:x",
    "%6Aavascript:x",
    "vbscript:x",
    "VBScript:x",
    "data:text/html,<script>",
    "DATA:text/html;base64,AAAA",
    "data:text/html",
    "data:image/svg+xml,<svg/>",
    "data:application/xhtml+xml,x",
    "data:text/xml,x",
    "view-source:javascript:x",
    " " * 5000 + "javascript:x",
]

FINE = [
    "https://example.com/a?b=c#d",
    "HTTPS://EXAMPLE.COM",
    "s3://bucket/key",
    "gs://bucket/key",
    "file:///a/b.pdf",
    "a/b.pdf",
    "/a/b",
    "#part",
    "",
    "mailto:a@example.com",
    "data:image/png;base64,AAAA",
    "data:,hello",
    "urn:isbn:123",
    "doi:10.1000/182",
    "https://example.com/?q=javascript:alert(1)",
]


@pytest.mark.parametrize("url", SCRIPTS, ids=lambda url: url.strip()[:30])
def test_an_address_that_runs_a_script_is_refused(alice, session_id, url):
    message = {"role": "user", "metadata": {"references": [{"reference_id": 1, "url": url}]}}
    path = f"/sessions/{session_id}/messages"
    [error] = problem(alice.post(path, message), 422, "VALIDATION_FAILED")["errors"]
    assert error["field"] == "metadata.references[0].url"


@pytest.mark.parametrize("url", FINE)
def test_any_other_address_is_kept(alice, session_id, url):
    reference = {"reference_id": 7.5, "url": url, "summary": None, "location": None, "type": None}
    said = alice.append(session_id, metadata={"references": [reference]})
    assert said["metadata"]["references"] == [reference]
