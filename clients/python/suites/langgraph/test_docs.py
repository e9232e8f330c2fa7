"""The block in docs/frameworks.md runs as it stands, in two processes one after the other; and the
examples in docstrings are right."""

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from suites import world

DOCS = Path(__file__).resolve().parents[4] / "docs" / "frameworks.md"
MODEL = """
from langchain_core.language_models import FakeListChatModel
model = FakeListChatModel(responses=["It is fixed."])
"""


def test_the_block_remembers_the_conversation() -> None:
    world.use()
    found = re.search(r"<!-- block: langgraph -->\n```py\n(.*?)```", DOCS.read_text(), re.S)
    assert found
    environment = {**os.environ, "SESSION_STORE_TOKEN": world.token()}
    for messages in (2, 4):
        ended = subprocess.run(
            [sys.executable, "-c", MODEL + found[1]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert ended.stdout == f"{messages} It is fixed.\n"


@pytest.mark.parametrize(
    "module", ["_langgraph.names", "_langgraph.checkpoints", "langgraph.filters"]
)
def test_examples_in_docstrings(module: str) -> None:
    world.use()
    found = doctest.testmod(importlib.import_module(f"session_store.adapters.{module}"))
    assert found.attempted
    assert not found.failed
