"""Tool calls without a result and results without a call, by each provider's rule."""

import pytest

from app.formats import FORMATS
from app.formats.history import Entry, unanswered
from app.formats.model import Window
from tests.provider_messages import messages


def chat(role, content="", **more):
    return {"role": role, "content": content, **more}


def function(id, name="find"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}


# What each format writes: the calls of one message, and a message with the results of some calls.
def openai_calls(*ids):
    return chat("assistant", None, tool_calls=[function(id) for id in ids])


def openai_results(*ids):
    [id] = ids
    return chat("tool", "21.5", tool_call_id=id)


def claude_calls(*ids):
    return chat("assistant", [{"type": "tool_use", "id": id, "name": "find"} for id in ids])


def claude_results(*ids):
    return chat("user", [{"type": "tool_result", "tool_use_id": id} for id in ids])


def bedrock_calls(*ids):
    uses = [{"toolUse": {"toolUseId": id, "name": "find", "input": {}}} for id in ids]
    return {"role": "assistant", "content": uses}


def bedrock_results(*ids):
    results = [{"toolResult": {"toolUseId": id, "content": []}} for id in ids]
    return {"role": "user", "content": results}


def gemini_calls(*ids):
    return {"role": "model", "parts": [{"functionCall": {"id": id, "name": "f"}} for id in ids]}


def gemini_results(*ids):
    parts = [{"functionResponse": {"id": id, "name": "f", "response": {}}} for id in ids]
    return {"role": "user", "parts": parts}


def langchain_calls(*ids):
    calls = [{"name": "find", "args": {}, "id": id, "type": "tool_call"} for id in ids]
    return {"type": "ai", "data": {"content": "", "tool_calls": calls}}


def langchain_results(*ids):
    [id] = ids
    return {"type": "tool", "data": {"content": "", "tool_call_id": id}}


def llamaindex_calls(*ids):
    blocks = [{"block_type": "tool_call", "tool_call_id": id, "tool_name": "find"} for id in ids]
    return {"role": "assistant", "blocks": blocks}


def llamaindex_results(*ids):
    [id] = ids
    return {"role": "tool", "additional_kwargs": {"tool_call_id": id}, "blocks": []}


def responses_calls(*ids):
    return {"output": [{"type": "function_call", "call_id": id, "name": "find"} for id in ids]}


def responses_results(*ids):
    return [{"type": "function_call_output", "call_id": id, "output": "1"} for id in ids]


def interactions_calls(*ids):
    return {"steps": [{"type": "function_call", "id": id, "name": "find"} for id in ids]}


def interactions_results(*ids):
    return [{"type": "function_result", "call_id": id, "result": "1"} for id in ids]


def adk_calls(*ids):
    return {"author": "agent", "content": gemini_calls(*ids)}


def adk_results(*ids):
    return {"author": "agent", "content": gemini_results(*ids)}


WRITERS = {
    "openai.chat": (openai_calls, openai_results),
    "cohere.v2.chat": (openai_calls, openai_results),
    "mistral.chat": (openai_calls, openai_results),
    "perplexity.chat": (openai_calls, openai_results),
    "openai.responses": (responses_calls, responses_results),
    "anthropic.messages": (claude_calls, claude_results),
    "bedrock.converse": (bedrock_calls, bedrock_results),
    "strands.message": (bedrock_calls, bedrock_results),
    "gemini.generateContent": (gemini_calls, gemini_results),
    "gemini.interactions": (interactions_calls, interactions_results),
    "langchain.message": (langchain_calls, langchain_results),
    "llamaindex.response": (llamaindex_calls, llamaindex_results),
    "adk.event": (adk_calls, adk_results),
}
EVERY = pytest.mark.parametrize("name", WRITERS)
IN_ONE = [name for name in WRITERS if FORMATS[name].RESULTS is Window.NEXT]
AT_ANY_TIME = [name for name in WRITERS if FORMATS[name].RESULTS is Window.LATER]
SOON = [name for name in WRITERS if name not in AT_ANY_TIME]
USER = Entry("user", content="And now?")
AGENT = Entry("assistant", content="It is 21.5.")


def entries(name, *natives):
    return [Entry("assistant", name, native) for native in natives]


def found(history):
    """Which message, and the id: `-` for a call without a result, `+` for a result too many."""
    sign = {"call_without_result": "-", "result_without_call": "+"}
    return [f"{f.index}{sign[f.problem]}{f.id or f.name}" for f in unanswered(history)]


def test_every_format_with_tools_is_tried():
    without = {"bedrock.retrieveAndGenerate", "vercel.uimessage", "chainlit.step"}
    assert set(WRITERS) == set(FORMATS) - without


@EVERY
def test_a_call_with_its_result_is_in_order(name):
    calls, results = WRITERS[name]
    assert found([USER, *entries(name, calls("a"), results("a")), AGENT, USER]) == []


@EVERY
def test_an_interrupted_call_is_found(name):
    calls, _ = WRITERS[name]
    assert found([USER, *entries(name, calls("a"))]) == ["1-a"]
    assert found([USER, *entries(name, calls("a")), USER, AGENT]) == ["1-a"]


@EVERY
def test_a_result_whose_call_is_gone_is_found(name):
    _, results = WRITERS[name]
    assert found([USER, *entries(name, results("a")), AGENT]) == ["1+a"]


@EVERY
def test_a_result_before_its_call_is_none(name):
    calls, results = WRITERS[name]
    assert found(entries(name, results("a"), calls("a"))) == ["0+a", "1-a"]


@EVERY
def test_a_second_result_of_a_call_is_one_too_many(name):
    calls, results = WRITERS[name]
    assert found([*entries(name, calls("a"), results("a"), results("a")), AGENT]) == ["2+a"]


@EVERY
def test_of_parallel_calls_the_one_without_a_result_is_found(name):
    calls, results = WRITERS[name]
    history = [*entries(name, calls("a", "b"), results("b")), AGENT]
    assert found(history) == ["0-a"]


@EVERY
def test_rounds_do_not_mix(name):
    calls, results = WRITERS[name]
    history = entries(name, calls("a"), results("a"), calls("b"), results("b"), calls("c"))
    assert found(history) == ["4-c"]


@pytest.mark.parametrize("name", SOON)
def test_a_result_after_another_answer_comes_too_late(name):
    calls, results = WRITERS[name]
    assert found([*entries(name, calls("a")), AGENT, USER, *entries(name, results("a"))]) == [
        "0-a",
        "3+a",
    ]


@pytest.mark.parametrize("name", SOON)
def test_a_result_after_what_a_user_says_comes_too_late(name):
    calls, results = WRITERS[name]
    assert found([*entries(name, calls("a")), USER, *entries(name, results("a"))]) == ["0-a", "2+a"]


@pytest.mark.parametrize("name", AT_ANY_TIME)
def test_a_result_may_come_after_something_else(name):
    calls, results = WRITERS[name]
    history = [*entries(name, calls("a")), USER, AGENT, *entries(name, results("a"))]
    assert found(history) == []


@pytest.mark.parametrize("name", IN_ONE)
def test_parallel_results_must_be_in_one_message(name):
    calls, results = WRITERS[name]
    assert found(entries(name, calls("a", "b"), results("b", "a"))) == []
    assert found(entries(name, calls("a", "b"), results("a"), results("b"))) == ["0-b", "2+b"]


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in IN_ONE])
def test_parallel_results_may_be_in_messages_of_their_own(name):
    calls, results = WRITERS[name]
    assert found([*entries(name, calls("a", "b"), results("b"), results("a")), AGENT]) == []


def test_a_message_says_where_the_call_and_the_result_are():
    answer = {"output": {"message": bedrock_calls("a")}}
    late = Entry("tool", content=bedrock_results("b")["content"])
    [call, result] = unanswered([Entry(None, "bedrock.converse", answer), late])
    assert (call.problem, call.index, call.id, call.name) == ("call_without_result", 0, "a", "find")
    assert call.pointer == "/native/output/message/content/0/toolUse"
    assert (result.problem, result.index, result.id) == ("result_without_call", 1, "b")
    assert result.pointer == "/content/0/toolResult"


def test_the_given_histories_are_in_order():
    for name, file in {
        "bedrock.converse": "bedrock-converse-1",
        "gemini.generateContent": "gemini-1",
        "openai.responses": "openai-1",
        "vercel.uimessage": "ai-sdk-ui-1",
        "anthropic.messages": "anthropic-1",
    }.items():
        assert found(entries(name, *messages(file))) == []
    assert found(entries("langchain.message", *messages("langchain-1"))) == ["1-c"]


# Gemini goes by name and order where there are no ids.
def gemini_by_name(*names):
    return {"role": "model", "parts": [{"functionCall": {"name": name}} for name in names]}


def gemini_named_results(*names):
    return {"role": "user", "parts": [{"functionResponse": {"name": name}} for name in names]}


def test_gemini_without_ids_goes_by_name_and_order():
    calls = gemini_by_name("f", "g", "f")
    for given, expected in {
        ("f", "g", "f"): [],
        ("f", "f", "g"): [],
        ("f", "g"): ["0-f"],
        ("g",): ["0-f", "0-f"],
        ("f", "g", "f", "f"): ["1+f"],
        ("f", "h", "f"): ["0-g", "1+h"],
    }.items():
        history = entries("gemini.generateContent", calls, gemini_named_results(*given))
        assert found(history) == expected
    [left] = unanswered(entries("gemini.generateContent", calls, gemini_named_results("f", "g")))
    assert left.pointer == "/native/parts/2/functionCall"


def test_gemini_may_leave_the_id_out_of_the_result():
    history = entries("gemini.generateContent", gemini_calls("1", "2"), gemini_named_results("f"))
    assert found(history) == ["0-2"]


def test_a_result_may_have_an_id_where_the_call_has_none():
    history = entries("gemini.generateContent", gemini_by_name("f"), gemini_results("1"))
    assert found(history) == []


def test_an_id_that_is_not_the_calls_is_no_answer_by_name():
    history = entries("gemini.generateContent", gemini_calls("1"), gemini_results("2"))
    assert found(history) == ["0-1", "1+2"]


def test_openai_wants_the_id_in_a_tools_message():
    history = entries("openai.chat", openai_calls("a"), chat("tool", "21.5", name="find"))
    assert found(history) == ["0-a", "1+None"]


def test_functions_as_before_tools_go_by_name():
    call = chat("assistant", None, function_call={"name": "f", "arguments": "{}"})
    history = entries("openai.chat", call, chat("function", "1", name="f"))
    assert found(history) == []


def test_mistral_may_go_by_name():
    calls = chat("assistant", "", tool_calls=[function("null"), function("null", "sql")])
    results = [chat("tool", "1", name=name) for name in ("find", "sql")]
    assert found(entries("mistral.chat", calls, *results)) == []
    assert found(entries("mistral.chat", calls, results[1])) == ["0-find"]


# Anthropic joins messages of one side.
def test_claudes_turn_may_be_several_messages():
    history = entries(
        "anthropic.messages",
        claude_calls("a"),
        claude_calls("b"),
        claude_results("a"),
        claude_results("b"),
        claude_calls("c"),
    )
    assert found(history) == ["4-c"]


def test_claudes_results_come_before_what_the_user_adds():
    both = claude_results("a")
    both["content"].append({"type": "text", "text": "And tomorrow?"})
    history = entries("anthropic.messages", claude_calls("a", "b"), both, claude_results("b"))
    assert found(history) == ["0-b", "2+b"]


def test_what_claude_runs_itself_may_be_answered_in_the_same_message_or_a_later_one():
    use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    result = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    apart = entries("anthropic.messages", chat("assistant", [use]), chat("assistant", [result]))
    assert found(entries("anthropic.messages", chat("assistant", [use, result]))) == []
    assert found(apart) == []
    assert found([apart[0], USER, AGENT]) == ["0-s"]
    assert found([apart[1]]) == ["0+s"]


def test_vercels_calls_are_answered_in_their_part():
    def part(id, state):
        return {"type": "tool-find", "toolCallId": id, "state": state, "input": {}}

    message = {
        "role": "assistant",
        "parts": [part("a", "output-available"), part("b", "input-available"), part("c", "x")],
    }
    again = {"role": "assistant", "parts": [part("b", "output-available")]}
    assert found(entries("vercel.uimessage", message, again)) == ["0-b", "0-c"]


# Plain messages, recognised by blocks that one provider alone writes.
@pytest.mark.parametrize(
    ("calls", "results"),
    [
        (claude_calls("a", "b")["content"], claude_results("a")["content"]),
        (bedrock_calls("a", "b")["content"], bedrock_results("a")["content"]),
        (responses_calls("a", "b")["output"], responses_results("a")),
        (gemini_calls("a", "b")["parts"], gemini_results("a")["parts"]),
    ],
    ids=["anthropic", "bedrock", "openai", "gemini"],
)
def test_plain_blocks_are_recognised(calls, results):
    text = {"type": "text", "text": "I look."}
    history = [Entry("assistant", content=[text, *calls]), Entry("user", content=results), AGENT]
    assert found(history) == ["0-b"]
    assert unanswered(history)[0].pointer.startswith("/content/2")


def test_plain_and_native_messages_answer_each_other():
    history = [
        *entries("anthropic.messages", {"type": "message", **claude_calls("a")}),
        Entry("user", content=claude_results("a")["content"]),
        Entry("assistant", "our.own", {"x": 1}, claude_calls("b")["content"]),
        Entry("user", content="And?"),
    ]
    assert found(history) == ["2-b"]


def test_a_message_in_both_forms_counts_once():
    history = [
        Entry("assistant", "anthropic.messages", claude_calls("a"), claude_calls("a")["content"]),
        Entry("user", "anthropic.messages", claude_results("a"), claude_results("a")["content"]),
    ]
    assert found(history) == []
    assert found(history[:1]) == ["0-a"]


@pytest.mark.parametrize(
    "content",
    [
        None,
        "text",
        7,
        {"toolUse": {"toolUseId": "a"}},
        [{"type": "tool_call", "tool": "query", "arguments": {}}],
        [{"type": "tool_use"}, {"type": "tool_result"}],
        [{"toolUse": {}}, {"toolResult": "a"}],
        [{"type": "function_call", "name": "f"}],
        [[{"type": "tool_use", "id": "a"}]],
    ],
)
def test_what_is_not_surely_a_providers_call_is_not_taken_for_one(content):
    history = [
        Entry("assistant", content=content),
        Entry("tool", content="21.5"),
        Entry("assistant", "our.own", {"content": content}),
    ]
    assert found(history) == []


def test_a_history_of_several_providers():
    history = [
        *entries("openai.chat", openai_calls("a"), openai_results("a")),
        *entries("anthropic.messages", claude_calls("b")),
        *entries("gemini.generateContent", gemini_calls("c"), gemini_results("c")),
        *entries("openai.responses", responses_calls("d")),
        *entries("openai.chat", openai_calls("e"), openai_results("x")),
    ]
    assert found(history) == ["2-b", "5-d", "6-e", "7+x"]


def test_no_history_has_no_findings():
    assert unanswered([]) == []
    assert unanswered(iter([USER, AGENT])) == []


def test_many_calls_are_matched_without_looking_through_them_all():
    many = [f"c{number}" for number in range(30_000)]
    history = entries("bedrock.converse", bedrock_calls(*many), bedrock_results(*reversed(many)))
    assert unanswered(history) == []
    named = entries(
        "gemini.generateContent", gemini_by_name(*many), gemini_named_results(*reversed(many))
    )
    assert unanswered(named) == []
