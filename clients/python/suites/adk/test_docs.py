"""The block in docs/frameworks.md runs as it stands, in two processes one after the other."""

import os
import re
import subprocess
import sys
from pathlib import Path

from suites import world

DOCS = Path(__file__).resolve().parents[4] / "docs" / "frameworks.md"
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
    world.use()
    found = re.search(r"<!-- block: adk -->\n```py\n(.*?)```", DOCS.read_text(), re.S)
    assert found
    environment = {**os.environ, "SESSION_STORE_TOKEN": world.token()}
    for heard in (1, 3):
        ended = subprocess.run(
            [sys.executable, "-c", MODEL + found[1]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ended.stdout == f"I have heard {heard}.\n", ended.stderr
