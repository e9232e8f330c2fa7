"""Messages as the providers' APIs and SDKs write them, and what is to be read in each.

Made up after the SDKs' types; the ones in tests/fixtures were given with the contract.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parent / "fixtures"


@dataclass(frozen=True)
class Case:
    """`calls` are (id, name, pointer), `results` (call_id, name, pointer)."""

    name: str
    format: str
    native: Any
    role: str | None
    text: str
    calls: list[tuple[str | None, str | None, str]] = field(default_factory=list)
    results: list[tuple[str | None, str | None, str]] = field(default_factory=list)


def messages(name: str) -> list[Any]:
    return json.loads((FIXTURES / "messages" / f"{name}.json").read_text())


def payload(name: str) -> Any:
    return json.loads((FIXTURES / "grounding" / f"{name}.json").read_text())["payload"]


def _given() -> list[Case]:
    """The fixtures in tests/fixtures/messages, each message of them."""
    vercel, claude = messages("ai-sdk-ui-1"), messages("anthropic-1")
    bedrock, gemini, langchain = (
        messages(name) for name in ("bedrock-converse-1", "gemini-1", "langchain-1")
    )
    openai, searched = messages("openai-1"), messages("openai-2")
    [candidate] = messages("gemini-2")
    weather = ("c", "getWeather", "/parts/2")
    return [
        Case("ai-sdk-ui-1/0", "vercel.uimessage", vercel[0], "user", "hi"),
        Case("ai-sdk-ui-1/1", "vercel.uimessage", vercel[1], "assistant", "", [weather], [weather]),
        Case("anthropic-1/0", "anthropic.messages", claude[0], "user", "When?"),
        Case("anthropic-1/1", "anthropic.messages", claude[1], "assistant", "At 9."),
        Case("bedrock-converse-1/0", "bedrock.converse", bedrock[0], "user", "Find it"),
        Case(
            "bedrock-converse-1/1",
            "bedrock.converse",
            bedrock[1],
            "assistant",
            "",
            calls=[("tooluse_1", "kb", "/content/1/toolUse")],
        ),
        Case(
            "bedrock-converse-1/2",
            "bedrock.converse",
            bedrock[2],
            "tool",
            "",
            results=[("tooluse_1", None, "/content/0/toolResult")],
        ),
        Case("gemini-1/0", "gemini.generateContent", gemini[0], "user", "Potholes?"),
        Case(
            "gemini-1/1",
            "gemini.generateContent",
            gemini[1],
            "assistant",
            "",
            calls=[(None, "find", "/parts/0/functionCall")],
        ),
        Case(
            "gemini-1/2",
            "gemini.generateContent",
            gemini[2],
            "tool",
            "",
            results=[(None, "find", "/parts/0/functionResponse")],
        ),
        Case("gemini-2/0", "gemini.generateContent", candidate, "assistant", "Yes."),
        Case("langchain-1/0", "langchain.message", langchain[0], "user", "hi"),
        Case(
            "langchain-1/1",
            "langchain.message",
            langchain[1],
            "assistant",
            "",
            calls=[("c", "f", "/data/tool_calls/0")],
        ),
        Case("openai-1/0", "openai.responses", openai[0], "user", "Weather in Ankara?"),
        Case("openai-1/1", "openai.responses", openai[1], "assistant", ""),
        Case(
            "openai-1/2",
            "openai.responses",
            openai[2],
            "assistant",
            "",
            calls=[("call_A1", "get_weather", "")],
        ),
        Case(
            "openai-1/3",
            "openai.responses",
            openai[3],
            "tool",
            '{"t": 21.5, "id": 9007199254740993}',
            results=[("call_A1", None, "")],
        ),
        Case("openai-1/4", "openai.responses", openai[4], "assistant", "21.5 °C"),
        Case("openai-2/0", "openai.responses", searched[0], "assistant", ""),
        Case("openai-2/1", "openai.responses", searched[1], "assistant", "See the city."),
        Case(
            "openai-1, the items as one array",
            "openai.responses",
            openai[1:3],
            "assistant",
            "",
            calls=[("call_A1", "get_weather", "/1")],
        ),
    ]


def _grounded() -> list[Case]:
    """The payloads in tests/fixtures/grounding."""
    chosen = "choices"
    return [
        Case(
            "anthropic-1",
            "anthropic.messages",
            payload("anthropic-1"),
            "assistant",
            "Laut Satzung gilt: die Gebühr beträgt 12,50 € je m² 🧑🏽‍🚒; nachts ist es hell 🌃.",
        ),
        Case(
            "bedrock-converse-1",
            "bedrock.converse",
            payload("bedrock-converse-1"),
            "assistant",
            "Laut Hausordnung gilt Ruhe von 22 bis 6 Uhr 🌙. 静かにしてください",
        ),
        Case(
            "bedrock-kb-1",
            "bedrock.retrieveAndGenerate",
            payload("bedrock-kb-1"),
            "assistant",
            "Das Fundbüro öffnet um acht. Abholung kostet 5 Euro.",
        ),
        Case(
            "cohere-1",
            "cohere.v2.chat",
            payload("cohere-1"),
            "assistant",
            payload("cohere-1")["message"]["content"][0]["text"],
        ),
        Case("copilot-1, not known", "copilot.citations", payload("copilot-1"), None, ""),
        Case(
            "gemini-1",
            "gemini.generateContent",
            payload("gemini-1"),
            "assistant",
            payload("gemini-1")["candidates"][0]["content"]["parts"][0]["text"],
        ),
        Case(
            "gemini-interactions-1",
            "gemini.interactions",
            payload("gemini-interactions-1"),
            "assistant",
            "Straße 5 🇯🇵: Öffnung um 8. 朝食は七時からです。",
        ),
        Case(
            "langchain-1",
            "langchain.message",
            payload("langchain-1"),
            "assistant",
            payload("langchain-1")["content"][0]["text"],
        ),
        Case(
            "llamaindex-1",
            "llamaindex.response",
            payload("llamaindex-1"),
            "assistant",
            "Der Etat steigt 📈 um 3 % [1], in Köln [2] mehr.",
        ),
        Case(
            "mistral-1",
            "mistral.chat",
            payload("mistral-1"),
            "assistant",
            "".join(
                chunk.get("text", "")
                for chunk in payload("mistral-1")[chosen][0]["message"]["content"]
            ),
        ),
        Case(
            "openai-chat-1",
            "openai.chat",
            payload("openai-chat-1"),
            "assistant",
            payload("openai-chat-1")[chosen][0]["message"]["content"],
        ),
        Case(
            "openai-responses-1",
            "openai.responses",
            payload("openai-responses-1"),
            "assistant",
            payload("openai-responses-1")["output"][1]["content"][0]["text"],
        ),
        Case(
            "perplexity-1",
            "perplexity.chat",
            payload("perplexity-1"),
            "assistant",
            payload("perplexity-1")[chosen][0]["message"]["content"],
        ),
        Case(
            "vercel-ai-1",
            "vercel.uimessage",
            payload("vercel-ai-1"),
            "assistant",
            "Öffnet um 9 🇯🇵.",
        ),
    ]


def _choice(message: Any, **more: Any) -> Any:
    return {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "gpt-5.2",
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
        **more,
    }


_FUNCTION = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
_CUSTOM = {"id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}

OPENAI_CHAT = [
    Case(
        "parallel calls, one of a custom tool",
        "openai.chat",
        _choice({"role": "assistant", "content": None, "tool_calls": [_FUNCTION, _CUSTOM]}),
        "assistant",
        "",
        calls=[
            ("call_1", "find", "/choices/0/message/tool_calls/0"),
            ("call_2", "sql", "/choices/0/message/tool_calls/1"),
        ],
    ),
    Case(
        "one choice",
        "openai.chat",
        _choice({"role": "assistant", "content": "Yes."})["choices"][0],
        "assistant",
        "Yes.",
    ),
    Case(
        "several choices: the first",
        "openai.chat",
        {
            "object": "chat.completion",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "A"}},
                {"index": 1, "message": {"role": "assistant", "content": "B"}},
            ],
        },
        "assistant",
        "A",
    ),
    Case(
        "the last chunk of a stream",
        "openai.chat",
        {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}}]},
        "assistant",
        "",
    ),
    Case(
        "a chunk with text",
        "openai.chat",
        {"choices": [{"index": 0, "delta": {"content": "Ye"}}]},
        "assistant",
        "Ye",
    ),
    Case("no choices", "openai.chat", {"object": "chat.completion", "choices": []}, None, ""),
    Case(
        "a refusal",
        "openai.chat",
        _choice({"role": "assistant", "content": None, "refusal": "I can't help with that."}),
        "assistant",
        "I can't help with that.",
    ),
    Case(
        "speech",
        "openai.chat",
        _choice(
            {
                "role": "assistant",
                "content": None,
                "audio": {"id": "a1", "data": "UklG", "expires_at": 1, "transcript": "Good day."},
            }
        ),
        "assistant",
        "Good day.",
    ),
    Case(
        "an image between texts",
        "openai.chat",
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this? "},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC"}},
                {"type": "text", "text": "Be brief."},
            ],
        },
        "user",
        "What is this? Be brief.",
    ),
    Case(
        "a developer's message",
        "openai.chat",
        {"role": "developer", "content": "Answer in Turkish."},
        "developer",
        "Answer in Turkish.",
    ),
    Case(
        "a tool's message",
        "openai.chat",
        {"role": "tool", "tool_call_id": "call_1", "content": "21.5"},
        "tool",
        "21.5",
        results=[("call_1", None, "")],
    ),
    Case(
        "functions as before tools",
        "openai.chat",
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "find", "arguments": "{}"},
            "tool_calls": None,
        },
        "assistant",
        "",
        calls=[(None, "find", "/function_call")],
    ),
    Case(
        "a function's result as before tools",
        "openai.chat",
        {"role": "function", "name": "find", "content": "[]"},
        "tool",
        "[]",
        results=[(None, "find", "")],
    ),
    Case(
        "reasoning beside the content, as DeepSeek and others send it",
        "openai.chat",
        {"role": "assistant", "content": "4", "reasoning_content": "2 + 2"},
        "assistant",
        "4",
    ),
]

_RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-5.2",
    "output": [
        {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "I look. ", "annotations": []}],
        },
        {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "find"},
        {"id": "ct_1", "type": "custom_tool_call", "call_id": "call_2", "name": "sql"},
        {"id": "ci_1", "type": "code_interpreter_call", "code": "1", "outputs": None},
        {
            "id": "msg_2",
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "Here."},
                {"type": "refusal", "refusal": " No more."},
            ],
        },
    ],
}
_RESPONSE_CALLS = [("call_1", "find", "/output/2"), ("call_2", "sql", "/output/3")]

OPENAI_RESPONSES = [
    Case(
        "a whole response",
        "openai.responses",
        _RESPONSE,
        "assistant",
        "I look. Here. No more.",
        calls=_RESPONSE_CALLS,
    ),
    Case(
        "the event that completes a stream",
        "openai.responses",
        {"type": "response.completed", "sequence_number": 9, "response": _RESPONSE},
        "assistant",
        "I look. Here. No more.",
        calls=[(id, name, f"/response{pointer}") for id, name, pointer in _RESPONSE_CALLS],
    ),
    Case(
        "a failed response",
        "openai.responses",
        {"object": "response", "status": "failed", "error": {"code": "x"}, "output": []},
        "assistant",
        "",
    ),
    Case(
        "an input message without a type",
        "openai.responses",
        {"role": "system", "content": "Be brief."},
        "system",
        "Be brief.",
    ),
    Case(
        "an output of several parts",
        "openai.responses",
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [
                {"type": "input_text", "text": "A map: "},
                {"type": "input_image", "file_id": "file-1"},
            ],
        },
        "tool",
        "A map: ",
        results=[("call_1", None, "")],
    ),
    Case(
        "a shell's output, an array",
        "openai.responses",
        {"type": "shell_call_output", "call_id": "call_1", "output": [{"stdout": "ok"}]},
        "tool",
        "",
        results=[("call_1", None, "")],
    ),
    Case(
        "a search for tools that OpenAI makes itself",
        "openai.responses",
        [
            {"type": "tool_search_call", "call_id": None, "execution": "server", "arguments": {}},
            {"type": "tool_search_output", "call_id": None, "execution": "server", "tools": []},
        ],
        None,
        "",
    ),
    Case(
        "a search for tools that the client makes",
        "openai.responses",
        [
            {"type": "tool_search_call", "call_id": "c1", "execution": "client"},
            {"type": "tool_search_output", "call_id": "c1", "execution": "client", "tools": []},
        ],
        None,
        "",
        calls=[("c1", None, "/0")],
        results=[("c1", None, "/1")],
    ),
    Case(
        "a computer's screenshot",
        "openai.responses",
        [
            {"type": "computer_call", "call_id": "c1", "actions": [], "status": "completed"},
            {"type": "computer_call_output", "call_id": "c1", "output": {"file_id": "f"}},
        ],
        None,
        "",
        calls=[("c1", None, "/0")],
        results=[("c1", None, "/1")],
    ),
    Case(
        "a text of the Conversations API",
        "openai.responses",
        {"type": "message", "role": "user", "content": [{"type": "text", "text": "When?"}]},
        "user",
        "When?",
    ),
    Case(
        "an event of a stream that is no response",
        "openai.responses",
        {"type": "response.output_text.delta", "delta": "Ye"},
        None,
        "",
    ),
    Case(
        "a reference to an item",
        "openai.responses",
        {"type": "item_reference", "id": "msg_1"},
        None,
        "",
    ),
    Case(
        "an approval",
        "openai.responses",
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
        "user",
        "",
    ),
]

ANTHROPIC = [
    Case(
        "thinking, text and a call",
        "anthropic.messages",
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
                {"type": "redacted_thinking", "data": "EmwK"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"q": "x"}},
            ],
            "stop_reason": "tool_use",
        },
        "assistant",
        "I look.",
        calls=[("toolu_1", "find", "/content/3")],
    ),
    Case(
        "results only",
        "anthropic.messages",
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "21.5"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "is_error": True,
                    "content": [{"type": "text", "text": " no"}, {"type": "image", "source": {}}],
                },
                {"type": "tool_result", "tool_use_id": "toolu_3"},
            ],
        },
        "tool",
        "21.5 no",
        results=[
            ("toolu_1", None, "/content/0"),
            ("toolu_2", None, "/content/1"),
            ("toolu_3", None, "/content/2"),
        ],
    ),
    Case(
        "a result and what the user adds",
        "anthropic.messages",
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "21.5"},
                {"type": "text", "text": "And tomorrow?"},
            ],
        },
        "user",
        "And tomorrow?",
        results=[("toolu_1", None, "/content/0")],
    ),
    Case(
        "a search that Anthropic makes",
        "anthropic.messages",
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "text", "text": "Found."},
            ],
        },
        "assistant",
        "Found.",
        calls=[("srvtoolu_1", "web_search", "/content/0")],
        results=[("srvtoolu_1", None, "/content/1")],
    ),
    Case(
        "a string",
        "anthropic.messages",
        {"role": "assistant", "content": "Yes."},
        "assistant",
        "Yes.",
    ),
    Case(
        "nothing said",
        "anthropic.messages",
        {"type": "message", "role": "assistant", "content": [], "stop_reason": "refusal"},
        "assistant",
        "",
    ),
    Case(
        "one block",
        "anthropic.messages",
        {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {}},
        "assistant",
        "",
        calls=[("toolu_1", "find", "")],
    ),
    Case(
        "one result",
        "anthropic.messages",
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "21.5"},
        "tool",
        "21.5",
        results=[("toolu_1", None, "")],
    ),
    Case(
        "the content alone",
        "anthropic.messages",
        [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {}},
        ],
        "assistant",
        "I look.",
        calls=[("toolu_1", "find", "/1")],
    ),
]

GEMINI = [
    Case(
        "thoughts, text, code and two calls of one name",
        "gemini.generateContent",
        {
            "candidates": [
                {
                    "content": {
                        "role": "model",
                        "parts": [
                            {"text": "Hm.", "thought": True},
                            {"text": "Both "},
                            {"text": "cities.", "thoughtSignature": "CokC"},
                            {"executableCode": {"language": "PYTHON", "code": "1"}},
                            {"functionCall": {"name": "find", "args": {"city": "Ankara"}}},
                            {"functionCall": {"id": "fc-2", "name": "find", "args": {}}},
                        ],
                    },
                    "finishReason": "STOP",
                },
                {"content": {"role": "model", "parts": [{"text": "Another."}]}, "index": 1},
            ],
        },
        "assistant",
        "Both cities.",
        calls=[
            (None, "find", "/candidates/0/content/parts/4/functionCall"),
            ("fc-2", "find", "/candidates/0/content/parts/5/functionCall"),
        ],
    ),
    Case(
        "as model_dump writes it",
        "gemini.generateContent",
        {
            "sdk_http_response": None,
            "candidates": [
                {
                    "content": {
                        "parts": [
                            {"text": "Yes.", "thought": None, "function_call": None},
                            {
                                "text": None,
                                "thought": None,
                                "function_call": {"id": None, "args": {}, "name": "find"},
                                "function_response": None,
                            },
                        ],
                        "role": "model",
                    },
                    "finish_reason": "STOP",
                }
            ],
            "prompt_feedback": None,
        },
        "assistant",
        "Yes.",
        calls=[(None, "find", "/candidates/0/content/parts/1/function_call")],
    ),
    Case(
        "responses, of which one is text",
        "gemini.generateContent",
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "fc-1", "name": "find", "response": {"output": "A"}}},
                {"function_response": {"name": "find", "response": {"rows": []}}, "text": None},
            ],
        },
        "tool",
        "A",
        results=[
            ("fc-1", "find", "/parts/0/functionResponse"),
            (None, "find", "/parts/1/function_response"),
        ],
    ),
    Case(
        "a function that failed",
        "gemini.generateContent",
        {"parts": [{"functionResponse": {"name": "find", "response": {"error": "no map"}}}]},
        "tool",
        "no map",
        results=[(None, "find", "/parts/0/functionResponse")],
    ),
    Case(
        "a blocked prompt",
        "gemini.generateContent",
        {"promptFeedback": {"blockReason": "SAFETY"}},
        None,
        "",
    ),
    Case(
        "a candidate without content",
        "gemini.generateContent",
        {"candidates": [{"finishReason": "SAFETY", "index": 0}]},
        "assistant",
        "",
    ),
    Case("one part", "gemini.generateContent", {"text": "Yes."}, None, "Yes."),
    Case(
        "an image of the user's",
        "gemini.generateContent",
        {
            "role": "user",
            "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}, {"text": "What?"}],
        },
        "user",
        "What?",
    ),
]

INTERACTIONS = [
    Case(
        "waiting for a function",
        "gemini.interactions",
        {
            "id": "v1_1",
            "status": "requires_action",
            "steps": [
                {"type": "user_input", "content": [{"type": "text", "text": "Weather?"}]},
                {"type": "thought", "signature": "CokC"},
                {"type": "model_output", "content": [{"type": "text", "text": "I look."}]},
                {"type": "google_search_call", "id": "s1", "arguments": {"queries": ["x"]}},
                {"type": "function_call", "id": "f1", "name": "weather", "arguments": {}},
            ],
        },
        "assistant",
        "I look.",
        calls=[("f1", "weather", "/steps/4")],
    ),
    Case(
        "outputs, as at first",
        "gemini.interactions",
        {
            "id": "v1_1",
            "role": "model",
            "outputs": [
                {"type": "thought", "signature": "CokC"},
                {"type": "text", "text": "Yes."},
                {"type": "function_call", "id": "f1", "name": "weather", "arguments": {}},
            ],
        },
        "assistant",
        "Yes.",
        calls=[("f1", "weather", "/outputs/2")],
    ),
    Case(
        "a result",
        "gemini.interactions",
        {"type": "function_result", "call_id": "f1", "name": "weather", "result": "21.5"},
        "tool",
        "21.5",
        results=[("f1", "weather", "")],
    ),
    Case(
        "a turn with a result",
        "gemini.interactions",
        {
            "role": "user",
            "content": [
                {
                    "type": "function_result",
                    "call_id": "f1",
                    "result": [{"type": "text", "text": "21.5"}],
                }
            ],
        },
        "tool",
        "21.5",
        results=[("f1", None, "/content/0")],
    ),
    Case(
        "a turn", "gemini.interactions", {"role": "model", "content": "Yes."}, "assistant", "Yes."
    ),
    Case(
        "an output step",
        "gemini.interactions",
        {"type": "model_output", "content": [{"type": "text", "text": "Yes."}]},
        "assistant",
        "Yes.",
    ),
    Case(
        "a search that Gemini makes",
        "gemini.interactions",
        [{"type": "google_search_call", "id": "s"}, {"type": "google_search_result"}],
        "assistant",
        "",
    ),
    Case(
        "a thought", "gemini.interactions", {"type": "thought", "signature": "C"}, "assistant", ""
    ),
    Case("one text", "gemini.interactions", {"type": "text", "text": "Yes."}, None, "Yes."),
    Case(
        "an input step",
        "gemini.interactions",
        {"type": "user_input", "content": [{"type": "text", "text": "When?"}]},
        "user",
        "When?",
    ),
]

BEDROCK = [
    Case(
        "a call after text",
        "bedrock.converse",
        {
            "output": {
                "message": {
                    "role": "assistant",
                    "content": [
                        {"text": "I look."},
                        {"toolUse": {"toolUseId": "tooluse_1", "name": "kb", "input": {}}},
                    ],
                }
            },
            "stopReason": "tool_use",
        },
        "assistant",
        "I look.",
        calls=[("tooluse_1", "kb", "/output/message/content/1/toolUse")],
    ),
    Case(
        "results only",
        "bedrock.converse",
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"text": "21.5"}, {"json": 1}]}},
                {"toolResult": {"toolUseId": "t2", "content": [], "status": "error"}},
            ],
        },
        "tool",
        "21.5",
        results=[("t1", None, "/content/0/toolResult"), ("t2", None, "/content/1/toolResult")],
    ),
    Case(
        "guarded text, a cache point and an image",
        "bedrock.converse",
        {
            "role": "user",
            "content": [
                {"guardContent": {"text": {"text": "Is it ", "qualifiers": ["query"]}}},
                {"cachePoint": {"type": "default"}},
                {"image": {"format": "png", "source": {"bytes": "AAEC"}}},
                {"text": "open?"},
            ],
        },
        "user",
        "Is it open?",
    ),
    Case("one block", "bedrock.converse", {"text": "Yes."}, None, "Yes."),
    Case(
        "nothing said",
        "bedrock.converse",
        {"output": {"message": {"role": "assistant", "content": []}}, "stopReason": "end_turn"},
        "assistant",
        "",
    ),
    Case(
        "a tool that Bedrock runs",
        "bedrock.converse",
        {
            "role": "assistant",
            "content": [
                {"toolUse": {"toolUseId": "t1", "name": "nova", "type": "server_tool_use"}},
                {"toolResult": {"toolUseId": "t1", "content": [], "type": "nova_result"}},
                {"text": "Found."},
            ],
        },
        "assistant",
        "Found.",
        calls=[("t1", "nova", "/content/0/toolUse")],
        results=[("t1", None, "/content/1/toolResult")],
    ),
    Case(
        "a question to a knowledge base",
        "bedrock.retrieveAndGenerate",
        {"input": {"text": "When?"}, "retrieveAndGenerateConfiguration": {}},
        "user",
        "When?",
    ),
    Case(
        "a guardrail's answer",
        "bedrock.retrieveAndGenerate",
        {"sessionId": "s", "output": {"text": ""}, "guardrailAction": "INTERVENED"},
        "assistant",
        "",
    ),
]

COHERE = [
    Case(
        "a plan and calls",
        "cohere.v2.chat",
        {
            "id": "c1",
            "finish_reason": "TOOL_CALL",
            "message": {
                "role": "assistant",
                "tool_plan": "I will search.",
                "tool_calls": [_FUNCTION],
            },
        },
        "assistant",
        "",
        calls=[("call_1", "find", "/message/tool_calls/0")],
    ),
    Case(
        "thinking",
        "cohere.v2.chat",
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}],
        },
        "assistant",
        "Yes.",
    ),
    Case(
        "a tool's documents",
        "cohere.v2.chat",
        {
            "role": "tool",
            "tool_call_id": "call_1",
            "content": [{"type": "document", "document": {"data": "{}", "id": "0"}}],
        },
        "tool",
        "",
        results=[("call_1", None, "")],
    ),
]

MISTRAL = [
    Case(
        "thinking and a call without an id",
        "mistral.chat",
        _choice(
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                    {"type": "text", "text": "Je cherche."},
                ],
                "tool_calls": [
                    {"id": "null", "function": {"name": "find", "arguments": {}}, "index": 0}
                ],
            }
        ),
        "assistant",
        "Je cherche.",
        calls=[(None, "find", "/choices/0/message/tool_calls/0")],
    ),
    Case(
        "a tool's message by name",
        "mistral.chat",
        {"role": "tool", "name": "find", "tool_call_id": None, "content": "[]"},
        "tool",
        "[]",
        results=[(None, "find", "")],
    ),
]

PERPLEXITY = [
    Case(
        "a reasoning model",
        "perplexity.chat",
        _choice({"role": "assistant", "content": "<think>\nHm.\n</think>\n\n22 Uhr [1]."}),
        "assistant",
        "22 Uhr [1].",
    ),
    Case(
        "interrupted while it thought",
        "perplexity.chat",
        _choice({"role": "assistant", "content": "<think>\nHm."}),
        "assistant",
        "",
    ),
    Case(
        "a user who writes the tag",
        "perplexity.chat",
        {"role": "user", "content": "<think> is what?"},
        "user",
        "<think> is what?",
    ),
]

VERCEL = [
    Case(
        "tools in each state",
        "vercel.uimessage",
        {
            "id": "m1",
            "role": "assistant",
            "parts": [
                {"type": "step-start"},
                {"type": "reasoning", "text": "Hm."},
                {"type": "text", "text": "I look.", "state": "done"},
                {"type": "tool-find", "toolCallId": "c1", "state": "input-available", "input": {}},
                {"type": "tool-find", "toolCallId": "c2", "state": "output-error"},
                {"type": "tool-find", "toolCallId": "c3", "state": "approval-requested"},
                {"type": "tool-find", "toolCallId": "c4", "state": "output-denied"},
                {
                    "type": "dynamic-tool",
                    "toolName": "mcp",
                    "toolCallId": "c5",
                    "state": "output-available",
                    "preliminary": True,
                    "output": 1,
                },
                {"type": "data-weather", "data": {"text": "x"}},
                {"type": "source-document", "sourceId": "s", "title": "T", "mediaType": "a/b"},
            ],
        },
        "assistant",
        "I look.",
        calls=[
            ("c1", "find", "/parts/3"),
            ("c2", "find", "/parts/4"),
            ("c3", "find", "/parts/5"),
            ("c4", "find", "/parts/6"),
            ("c5", "mcp", "/parts/7"),
        ],
        results=[("c2", "find", "/parts/4"), ("c4", "find", "/parts/6")],
    ),
    Case(
        "the parts alone",
        "vercel.uimessage",
        [{"type": "text", "text": "Yes."}],
        None,
        "Yes.",
    ),
    Case("one part", "vercel.uimessage", {"type": "text", "text": "Yes."}, None, "Yes."),
    Case(
        "version 4",
        "vercel.uimessage",
        {
            "id": "m1",
            "role": "assistant",
            "content": "Found.",
            "parts": [
                {
                    "type": "tool-invocation",
                    "toolInvocation": {
                        "state": "result",
                        "toolCallId": "c1",
                        "toolName": "find",
                        "result": 1,
                    },
                },
            ],
        },
        "assistant",
        "Found.",
        calls=[("c1", "find", "/parts/0/toolInvocation")],
        results=[("c1", "find", "/parts/0/toolInvocation")],
    ),
]

_CLASS = ["langchain", "schema", "messages"]

LANGCHAIN = [
    Case(
        "dumpd",
        "langchain.message",
        {
            "lc": 1,
            "type": "constructor",
            "id": [*_CLASS, "AIMessage"],
            "kwargs": {
                "content": [
                    {"type": "reasoning", "reasoning": "Hm."},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_call", "id": "c1", "name": "find", "args": {}},
                ],
                "type": "ai",
                "tool_calls": [{"name": "find", "args": {}, "id": "c1", "type": "tool_call"}],
                "invalid_tool_calls": [
                    {"name": "sql", "args": "{", "id": "c2", "error": None},
                ],
            },
        },
        "assistant",
        "I look.",
        calls=[
            ("c1", "find", "/kwargs/tool_calls/0"),
            ("c2", "sql", "/kwargs/invalid_tool_calls/0"),
        ],
    ),
    Case(
        "as JavaScript writes it, without a type",
        "langchain.message",
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain_core", "messages", "HumanMessage"],
            "kwargs": {"content": "hi"},
        },
        "user",
        "hi",
    ),
    Case(
        "a chunk by model_dump",
        "langchain.message",
        {"type": "AIMessageChunk", "content": ["Ye", "s."], "tool_calls": [], "id": "run-1"},
        "assistant",
        "Yes.",
    ),
    Case(
        "OpenAI's calls only",
        "langchain.message",
        {"type": "ai", "content": "", "additional_kwargs": {"tool_calls": [_FUNCTION]}},
        "assistant",
        "",
        calls=[("call_1", "find", "/additional_kwargs/tool_calls/0")],
    ),
    Case(
        "a tool's message",
        "langchain.message",
        {"type": "tool", "data": {"content": "21.5", "tool_call_id": "c1", "name": "find"}},
        "tool",
        "21.5",
        results=[("c1", "find", "/data")],
    ),
    Case(
        "a function's message",
        "langchain.message",
        {"type": "function", "content": "21.5", "name": "find"},
        "tool",
        "21.5",
        results=[(None, "find", "")],
    ),
    Case(
        "a system message",
        "langchain.message",
        {"type": "system", "data": {"content": "Be brief."}},
        "system",
        "Be brief.",
    ),
    Case(
        "a role of its own",
        "langchain.message",
        {"type": "chat", "data": {"content": "Order!", "role": "moderator"}},
        "moderator",
        "Order!",
    ),
    Case(
        "a developer's message",
        "langchain.message",
        {
            "type": "system",
            "content": "Be brief.",
            "additional_kwargs": {"__openai_role__": "developer"},
        },
        "developer",
        "Be brief.",
    ),
    Case(
        "a refusal",
        "langchain.message",
        {"type": "ai", "content": "", "additional_kwargs": {"refusal": "No."}},
        "assistant",
        "No.",
    ),
    Case("removal", "langchain.message", {"type": "remove", "id": "1", "content": ""}, None, ""),
]

LLAMAINDEX = [
    Case(
        "a chat response",
        "llamaindex.response",
        {
            "message": {
                "role": "assistant",
                "additional_kwargs": {},
                "blocks": [
                    {"block_type": "thinking", "content": "Hm."},
                    {"block_type": "text", "text": "I look."},
                    {"block_type": "text", "text": "Now."},
                    {
                        "block_type": "tool_call",
                        "tool_call_id": "c1",
                        "tool_name": "find",
                        "tool_kwargs": {},
                    },
                ],
            },
            "raw": {},
        },
        "assistant",
        "I look.\nNow.",
        calls=[("c1", "find", "/message/blocks/3")],
    ),
    Case(
        "OpenAI's calls, in an older version",
        "llamaindex.response",
        {"role": "assistant", "content": "", "additional_kwargs": {"tool_calls": [_FUNCTION]}},
        "assistant",
        "",
        calls=[("call_1", "find", "/additional_kwargs/tool_calls/0")],
    ),
    Case(
        "a tool's message",
        "llamaindex.response",
        {
            "role": "tool",
            "additional_kwargs": {"tool_call_id": "c1", "name": "find"},
            "blocks": [{"block_type": "text", "text": "21.5"}],
        },
        "tool",
        "21.5",
        results=[("c1", "find", "")],
    ),
    Case(
        "a streamed answer",
        "llamaindex.response",
        {"response_gen": None, "source_nodes": [], "metadata": {}, "response_txt": "Yes."},
        "assistant",
        "Yes.",
    ),
    Case("no answer", "llamaindex.response", {"response": None, "source_nodes": []}, None, ""),
    Case("a completion", "llamaindex.response", {"text": "Yes.", "raw": {}}, "assistant", "Yes."),
    Case(
        "a model's own word for its role",
        "llamaindex.response",
        {"role": "chatbot", "blocks": [{"block_type": "text", "text": "Yes."}]},
        "assistant",
        "Yes.",
    ),
]

ADK = [
    Case(
        "an agent's call",
        "adk.event",
        {
            "id": "e1",
            "invocationId": "i1",
            "author": "weather_agent",
            "content": {
                "role": "model",
                "parts": [
                    {"text": "I look."},
                    {"functionCall": {"id": "adk-1", "name": "find", "args": {}}},
                ],
            },
            "longRunningToolIds": [],
            "actions": {"stateDelta": {}},
            "timestamp": 1790000000.1,
        },
        "assistant",
        "I look.",
        calls=[("adk-1", "find", "/content/parts/1/functionCall")],
    ),
    Case(
        "its result, in snake_case",
        "adk.event",
        {
            "author": "weather_agent",
            "invocation_id": "i1",
            "content": {
                "role": "user",
                "parts": [
                    {
                        "text": None,
                        "function_response": {
                            "id": "adk-1",
                            "name": "find",
                            "response": {"result": "21.5"},
                        },
                    }
                ],
            },
        },
        "tool",
        "21.5",
        results=[("adk-1", "find", "/content/parts/0/function_response")],
    ),
    Case(
        "a user's event",
        "adk.event",
        {"author": "user", "content": {"role": "user", "parts": [{"text": "hi"}]}},
        "user",
        "hi",
    ),
    Case(
        "a change of state",
        "adk.event",
        {"author": "weather_agent", "content": None, "actions": {"stateDelta": {"a": 1}}},
        "assistant",
        "",
    ),
    Case(
        "what was heard",
        "adk.event",
        {"author": "user", "content": None, "inputTranscription": {"text": "hi", "finished": True}},
        "user",
        "hi",
    ),
    Case(
        "what was spoken, in snake_case",
        "adk.event",
        {"author": "agent", "content": None, "output_transcription": {"text": "Yes."}},
        "assistant",
        "Yes.",
    ),
    Case("heard, in snake_case", "adk.event", {"input_transcription": {"text": "hi"}}, None, "hi"),
    Case("spoken", "adk.event", {"outputTranscription": {"text": "Yes."}}, None, "Yes."),
    Case(
        "without an author",
        "adk.event",
        {"content": {"role": "model", "parts": [{"text": "Yes."}]}},
        "assistant",
        "Yes.",
    ),
]

STRANDS = [
    Case(
        "a session's message",
        "strands.message",
        {
            "message": {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": None}}},
                    {"text": "I look."},
                    {"toolUse": {"toolUseId": "t1", "name": "find", "input": {}}},
                ],
            },
            "message_id": 1,
            "redact_message": None,
            "created_at": "2026-11-25T10:00:00+00:00",
        },
        "assistant",
        "I look.",
        calls=[("t1", "find", "/message/content/2/toolUse")],
    ),
    Case(
        "a redacted message",
        "strands.message",
        {
            "message": {"role": "user", "content": [{"text": "my number is 5"}]},
            "redact_message": {"role": "user", "content": [{"text": "[redacted]"}]},
            "message_id": 0,
        },
        "user",
        "[redacted]",
    ),
    Case(
        "a message",
        "strands.message",
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "t1", "status": "success", "content": []}},
            ],
            "metadata": {},
        },
        "tool",
        "",
        results=[("t1", None, "/content/0/toolResult")],
    ),
]

CHAINLIT = [
    Case(
        "a user's message",
        "chainlit.step",
        {"id": "s1", "type": "user_message", "name": "alice", "output": "Potholes?"},
        "user",
        "Potholes?",
    ),
    Case(
        "a tool's step",
        "chainlit.step",
        {"id": "s2", "type": "tool", "input": "{}", "output": "21.5"},
        "tool",
        "21.5",
    ),
    Case("a step without output", "chainlit.step", {"type": "run", "output": None}, "run", ""),
    Case("no step", "chainlit.step", "{}", None, ""),
]

GIVEN = _given()
GROUNDED = _grounded()
CASES = [
    *GIVEN,
    *GROUNDED,
    *OPENAI_CHAT,
    *OPENAI_RESPONSES,
    *ANTHROPIC,
    *GEMINI,
    *INTERACTIONS,
    *BEDROCK,
    *COHERE,
    *MISTRAL,
    *PERPLEXITY,
    *VERCEL,
    *LANGCHAIN,
    *LLAMAINDEX,
    *ADK,
    *STRANDS,
    *CHAINLIT,
]
