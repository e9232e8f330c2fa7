"""The block in docs/frameworks.md remembers the conversation in a new process."""

from pathlib import Path

from suites.blocks import run_block

MODEL = """
from fake_model import FakeModel

model = FakeModel()
"""


def test_the_block_remembers_the_conversation() -> None:
    for messages in (1, 3):
        told = run_block("strands", MODEL, folder=Path(__file__).parent)
        assert told.strip() == f"{messages} messages, the first: Is the pothole fixed?"
