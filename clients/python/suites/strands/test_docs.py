"""The block in docs/frameworks.md runs as it stands, in two processes one after the other."""

import os
import re
import subprocess
import sys
from pathlib import Path

from suites import world

DOCS = Path(__file__).resolve().parents[4] / "docs" / "frameworks.md"
MODEL = """
from fake_model import FakeModel

model = FakeModel()
"""


def test_the_block_remembers_the_conversation():
    world.use()
    found = re.search(r"<!-- block: strands -->\n```py\n(.*?)```", DOCS.read_text(), re.S)
    assert found
    environment = {**os.environ, "SESSION_STORE_TOKEN": world.token()}
    for messages in (1, 3):
        ended = subprocess.run(
            [sys.executable, "-c", f"{MODEL}{found[1]}"],
            cwd=Path(__file__).parent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        told = f"{messages} messages, the first: Is the pothole fixed?"
        assert ended.stdout.strip() == told, ended.stderr
