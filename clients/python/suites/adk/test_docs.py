"""The block in docs/frameworks.md remembers the conversation in a new process."""

from suites.blocks import run_block

MODEL = """
from google.adk.models import BaseLlm, LLMRegistry, LlmResponse
from google.genai import types as genai


class Model(BaseLlm):
    @classmethod
    def supported_models(cls):
        return ["gemini-.*"]

    async def generate_content_async(self, request, stream=False):
        text = f"I have heard {len(request.contents)}."
        yield LlmResponse(content=genai.ModelContent(text))


LLMRegistry.register(Model)
"""


def test_the_block_remembers_the_conversation() -> None:
    for heard in (1, 3):
        assert run_block("adk", MODEL) == f"I have heard {heard}.\n"
