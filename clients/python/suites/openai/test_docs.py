"""The block in docs/frameworks.md runs as it stands, in two processes one after the other."""

import os
import re
import subprocess
import sys
from pathlib import Path

from suites import world

DOCS = Path(__file__).resolve().parents[4] / "docs" / "frameworks.md"
MODEL = """
from agents.testing import ScriptedModel
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

text = ResponseOutputText(text="It is.", type="output_text", annotations=[])
said = ResponseOutputMessage(
    id="m", type="message", role="assistant", content=[text], status="completed"
)
model = ScriptedModel(steps=[[said]])
"""


def test_the_block_remembers_the_conversation():
    world.use()
    found = re.search(r"<!-- block: openai -->\n```py\n(.*?)```", DOCS.read_text(), re.S)
    assert found
    environment = {**os.environ, "SESSION_STORE_TOKEN": world.token()}
    for items in (1, 3):
        ended = subprocess.run(
            [sys.executable, "-c", f"{MODEL}{found[1]}print(len(model.calls[-1].input))"],
            cwd=Path(__file__).parent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ended.stdout == f"It is.\n{items}\n", ended.stderr
