"""What is read in each provider's own object: role, text, calls of tools and their results."""

import json
import re

import pytest

from app import formats
from app.formats import reading
from tests.provider_messages import CASES, FIXTURES, GIVEN, GROUNDED, messages, payload

NAMES = pytest.mark.parametrize("name", formats.FORMATS)
EVERY_CASE = pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{case.format}: {case.name}") for case in CASES]
)


@EVERY_CASE
def test_the_role_is_read(case):
    assert formats.role(case.format, case.native) == case.role


@EVERY_CASE
def test_the_text_is_read(case):
    assert formats.text(case.format, case.native) == case.text


@EVERY_CASE
def test_calls_of_tools_are_read(case):
    found = formats.tool_calls(case.format, case.native)
    assert [(call.id, call.name, call.pointer) for call in found] == case.calls


@EVERY_CASE
def test_results_of_tools_are_read(case):
    found = formats.tool_results(case.format, case.native)
    assert [(result.call_id, result.name, result.pointer) for result in found] == case.results


@EVERY_CASE
def test_pointers_lead_to_the_call_and_the_result(case):
    for call in formats.tool_calls(case.format, case.native):
        assert {call.id, call.name} - {None} <= words(at(case.native, call.pointer))
    for result in formats.tool_results(case.format, case.native):
        assert {result.call_id, result.name} - {None} <= words(at(case.native, result.pointer))


def words(value):
    """The strings in it; a Vercel part's type holds the tool's name."""
    return {word.removeprefix("tool-") for word in re.findall(r'"([^"]*)"', json.dumps(value))}


def at(value, pointer):
    for token in pointer.split("/")[1:]:
        value = value[int(token)] if isinstance(value, list) else value[token]
    return value


def test_every_file_of_the_fixtures_has_its_cases():
    for file in (FIXTURES / "messages").iterdir():
        cases = [case for case in GIVEN if re.fullmatch(rf"{file.stem}/\d+", case.name)]
        assert [case.native for case in cases] == messages(file.stem)
    files = {file.stem for file in (FIXTURES / "grounding").iterdir()}
    assert {case.name.split(",")[0] for case in GROUNDED} == files
    for case in GROUNDED:
        assert case.native == payload(case.name.split(",")[0])


def test_the_cases_are_of_every_format():
    assert {case.format for case in CASES} >= set(formats.FORMATS)


def test_who_runs_a_tool_is_told():
    for name, expected in {
        "a search that Anthropic makes": True,
        "a tool that Bedrock runs": True,
        "thinking, text and a call": False,
        "a call after text": False,
    }.items():
        [case] = [case for case in CASES if case.name == name]
        [call] = formats.tool_calls(case.format, case.native)
        assert call.by_provider is expected


@pytest.mark.parametrize("name", [None, "", "our.own", "OpenAI.Chat", "openai.chat "])
def test_of_a_format_of_the_clients_own_nothing_is_known(name):
    native = {"role": "assistant", "content": "Yes.", "tool_calls": [{"function": {"name": "f"}}]}
    assert formats.role(name, native) is None
    assert formats.text(name, native) == ""
    assert formats.tool_calls(name, native) == formats.tool_results(name, native) == []


def test_a_lone_surrogate_becomes_a_replacement_character():
    native = json.loads(r'{"role": "user", "content": [{"text": "cut \ud83d"}, {"text": "!"}]}')
    assert formats.text("bedrock.converse", native) == "cut \ufffd!"


def test_a_character_that_a_stream_cut_in_two_is_one_again():
    native = json.loads(r'{"content": [{"text": "at \ud83c"}, {"text": "\udf19."}]}')
    assert formats.text("bedrock.converse", native) == "at 🌙."


def test_a_lone_surrogate_in_an_id_leaves_it_sayable():
    native = json.loads(r'{"toolUse": {"toolUseId": "t\ud83d", "name": "\udc00"}}')
    [call] = formats.tool_calls("bedrock.converse", native)
    assert (call.id, call.name) == ("t\ufffd", "\ufffd")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("model", "assistant"),
        ("ai", "assistant"),
        ("CHATBOT", "assistant"),
        ("human", "user"),
        ("function", "tool"),
        ("developer", "developer"),
        ("query-agent.2", "query-agent.2"),
    ],
)
def test_a_providers_word_for_a_role_is_put_in_ours(word, expected):
    assert reading.role(word) == expected


@pytest.mark.parametrize("word", ["", "two words", "a" * 65, "<b>", "1", "é", 7, None, [], {}])
def test_what_is_no_word_is_no_role(word):
    assert reading.role(word) is None
    assert formats.role("openai.chat", {"role": word, "content": "x"}) is None


@NAMES
@pytest.mark.parametrize("value", [None, True, 0, -1.5, "", "text", [], {}, [[]], [{}], {"": {}}])
def test_a_value_that_is_no_message_says_nothing(name, value):
    assert formats.role(name, value) is None
    assert formats.text(name, value) == ""
    assert formats.tool_calls(name, value) == formats.tool_results(name, value) == []
