"""How many tokens a provider says that a message took, of which model, and at which cost.

The providers' objects differ in the names and in what the input counts. Here the input includes
what was read from or written to a cache, and the output includes reasoning.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from app.formats.reading import member

UNKNOWN = "unknown"

MAX_TOKENS, MAX_COST = 10**9, 10**6
"""Of one message. More is not believed."""

_MODEL = re.compile(r"[\w.:/@+-]{1,128}", re.ASCII)

_PLACES = (
    ("usage",),
    ("usage_metadata",),  # LangChain, and Gemini's Python SDK
    ("usageMetadata",),
    ("metadata", "usage"),  # Vercel's UIMessage, Strands
    ("response_metadata", "token_usage"),
    ("raw", "usage"),  # LlamaIndex
    ("generation",),  # Chainlit
)
_MODELS = (
    ("model",),
    ("modelVersion",),
    ("model_version",),
    ("model_name",),
    ("modelId",),
    ("metadata", "model"),
    ("response_metadata", "model_name"),
    ("response_metadata", "model"),
    ("raw", "model"),
    ("generation", "model"),
)
_INPUT = (
    ("input_tokens",),
    ("inputTokens",),
    ("prompt_tokens",),
    ("promptTokens",),
    ("promptTokenCount",),
    ("prompt_token_count",),
    ("total_input_tokens",),
    ("inputTokenCount",),
    ("tokens", "input_tokens"),  # Cohere
)
_OUTPUT = (
    ("output_tokens",),
    ("outputTokens",),
    ("completion_tokens",),
    ("completionTokens",),
    ("candidatesTokenCount",),
    ("candidates_token_count",),
    ("total_output_tokens",),
    ("outputTokenCount",),
    ("tokens", "output_tokens"),
)
_BESIDE_INPUT = (
    ("cache_read_input_tokens",),  # Anthropic
    ("cache_creation_input_tokens",),
    ("cacheReadInputTokens",),  # Bedrock
    ("cacheWriteInputTokens",),
    ("toolUsePromptTokenCount",),  # Gemini
    ("tool_use_prompt_token_count",),
)
_BESIDE_OUTPUT = (("thoughtsTokenCount",), ("thoughts_token_count",))
_COSTS = (("cost",), ("cost", "total_cost"))  # OpenRouter, Perplexity


class Usage(NamedTuple):
    """`cost` is what the provider says, in its own currency (usually US dollars)."""

    model: str
    input: int
    output: int
    cost: float | None = None


def usage(native: Any, metadata: Any = None) -> Usage | None:
    """What a provider's object says, or else what the client has put into the metadata.

    >>> usage({"model": "gpt-5.2", "usage": {"prompt_tokens": 9, "completion_tokens": 4}})
    Usage(model='gpt-5.2', input=9, output=4, cost=None)
    >>> usage({"usage": {"inputTokens": 1, "cacheReadInputTokens": 2}}, {"model": "nova"})
    Usage(model='nova', input=3, output=0, cost=None)
    >>> usage({"usage": {"prompt_tokens": "nine"}}) is usage(None) is None
    True
    """
    dumped = member(native, "data")  # by LangChain
    for said in (native, dumped, metadata):
        for place in _PLACES:
            found = member(said, *place)
            given = _first(found, _INPUT), _first(found, _OUTPUT)
            if given != (None, None):
                return Usage(
                    _model(native) or _model(dumped) or _model(metadata) or UNKNOWN,
                    (given[0] or 0) + sum(_all(found, _BESIDE_INPUT)),
                    (given[1] or 0) + sum(_all(found, _BESIDE_OUTPUT)),
                    _cost(found),
                )
    return None


def _all(found: Any, places: tuple[tuple[str, ...], ...]) -> Iterator[int]:
    for place in places:
        count = member(found, *place)
        if type(count) is int and 0 <= count <= MAX_TOKENS:
            yield count


def _first(found: Any, places: tuple[tuple[str, ...], ...]) -> int | None:
    return next(_all(found, places), None)


def _model(said: Any) -> str | None:
    for place in _MODELS:
        name = member(said, *place)
        if isinstance(name, str) and _MODEL.fullmatch(name):
            return name
    return None


def _cost(found: Any) -> float | None:
    for place in _COSTS:
        cost = member(found, *place)
        if type(cost) in (int, float) and 0 <= cost <= MAX_COST:
            return float(cost)
    return None
