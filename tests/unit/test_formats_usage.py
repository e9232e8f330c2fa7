"""Tokens and costs in the objects of the providers, as their documentation shows them."""

import pytest

from app.formats.usage import MAX_TOKENS, Usage, usage

OBJECTS = {
    "openai.chat": (
        {
            "model": "gpt-5.2",
            "choices": [],
            "usage": {
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "prompt_tokens_details": {"cached_tokens": 8},
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
        },
        Usage("gpt-5.2", 19, 10),
    ),
    "openai.chat by OpenRouter": (
        {"model": "x-ai/grok", "usage": {"prompt_tokens": 2, "completion_tokens": 3, "cost": 0.95}},
        Usage("x-ai/grok", 2, 3, 0.95),
    ),
    "openai.responses": (
        {
            "model": "gpt-5.2",
            "output": [],
            "usage": {
                "input_tokens": 36,
                "input_tokens_details": {"cached_tokens": 30},
                "output_tokens": 87,
                "output_tokens_details": {"reasoning_tokens": 60},
                "total_tokens": 123,
            },
        },
        Usage("gpt-5.2", 36, 87),
    ),
    "anthropic.messages": (
        {
            "model": "claude-sonnet-4-5",
            "usage": {
                "input_tokens": 21,
                "cache_creation_input_tokens": 100,
                "cache_read_input_tokens": 300,
                "output_tokens": 305,
            },
        },
        Usage("claude-sonnet-4-5", 421, 305),
    ),
    "bedrock.converse": (
        {
            "output": {},
            "usage": {
                "inputTokens": 30,
                "outputTokens": 628,
                "totalTokens": 658,
                "cacheReadInputTokens": 5,
                "cacheWriteInputTokens": 7,
            },
        },
        Usage("unknown", 42, 628),
    ),
    "gemini.generateContent": (
        {
            "modelVersion": "gemini-3-pro",
            "usageMetadata": {
                "promptTokenCount": 10,
                "candidatesTokenCount": 20,
                "thoughtsTokenCount": 300,
                "toolUsePromptTokenCount": 7,
                "totalTokenCount": 337,
            },
        },
        Usage("gemini-3-pro", 17, 320),
    ),
    "gemini.interactions": (
        {"model": "gemini-3", "usage": {"total_input_tokens": 7, "total_output_tokens": 20}},
        Usage("gemini-3", 7, 20),
    ),
    "adk.event": (
        {
            "author": "agent",
            "model_version": "gemini-3",
            "usage_metadata": {"prompt_token_count": 4, "candidates_token_count": 5},
        },
        Usage("gemini-3", 4, 5),
    ),
    "cohere.v2.chat": (
        {
            "usage": {
                "billed_units": {"input_tokens": 5, "output_tokens": 418},
                "tokens": {"input_tokens": 71, "output_tokens": 419},
            }
        },
        Usage("unknown", 71, 419),
    ),
    "mistral.chat": (
        {"model": "mistral-large", "usage": {"prompt_tokens": 8, "completion_tokens": 9}},
        Usage("mistral-large", 8, 9),
    ),
    "perplexity.chat": (
        {
            "model": "sonar-pro",
            "usage": {
                "prompt_tokens": 8,
                "completion_tokens": 439,
                "cost": {"input_tokens_cost": 2.4e-05, "total_cost": 0.013},
            },
        },
        Usage("sonar-pro", 8, 439, 0.013),
    ),
    "vercel.uimessage": (
        {
            "role": "assistant",
            "parts": [],
            "metadata": {"model": "gpt-5.2", "usage": {"inputTokens": 1, "outputTokens": 2}},
        },
        Usage("gpt-5.2", 1, 2),
    ),
    "langchain.message": (
        {
            "type": "ai",
            "usage_metadata": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
            "response_metadata": {"model_name": "gpt-5.2"},
        },
        Usage("gpt-5.2", 9, 3),
    ),
    "langchain.message, as dumped": (
        {
            "type": "ai",
            "data": {
                "usage_metadata": {"input_tokens": 9, "output_tokens": 3},
                "response_metadata": {"model_name": "gpt-5.2"},
            },
        },
        Usage("gpt-5.2", 9, 3),
    ),
    "llamaindex.response": (
        {"raw": {"model": "gpt-5.2", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}},
        Usage("gpt-5.2", 3, 4),
    ),
    "strands.message": (
        {"role": "assistant", "metadata": {"usage": {"inputTokens": 5, "outputTokens": 6}}},
        Usage("unknown", 5, 6),
    ),
    "chainlit.step": (
        {"generation": {"model": "gpt-5.2", "inputTokenCount": 5, "outputTokenCount": 6}},
        Usage("gpt-5.2", 5, 6),
    ),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_tokens_of_each_provider(name):
    native, expected = OBJECTS[name]
    assert usage(native) == expected


def test_what_the_client_says_in_the_metadata():
    metadata = {"model": "nova", "usage": {"input_tokens": 1, "output_tokens": 2, "cost": 0.5}}
    assert usage(None, metadata) == Usage("nova", 1, 2, 0.5)
    assert usage(OBJECTS["bedrock.converse"][0], metadata) == Usage("nova", 42, 628)
    assert usage(OBJECTS["openai.chat"][0], metadata) == Usage("gpt-5.2", 19, 10)


@pytest.mark.parametrize(
    "native",
    [
        *(None, 7, "usage", [], {}, {"usage": None}, {"usage": []}, {"usage": {}}),
        {"usage": {"total_tokens": 9}},
        *(
            {"usage": {"input_tokens": n}}
            for n in (-1, 1.5, "9", True, None, MAX_TOKENS + 1, 1e400)
        ),
    ],
    ids=repr,
)
def test_what_is_no_number_of_tokens_counts_as_absent(native):
    assert usage(native) is None


@pytest.mark.parametrize("cost", [-1, float("inf"), float("nan"), "1", True, [], {"total": 1}, 1e9])
def test_what_is_no_cost_counts_as_absent(cost):
    assert usage({"usage": {"input_tokens": 1, "cost": cost}}) == Usage("unknown", 1, 0)
