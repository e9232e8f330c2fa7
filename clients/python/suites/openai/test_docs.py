"""The block in docs/frameworks.md remembers the conversation in a new process."""

from suites.blocks import run_block

MODEL = """
from agents.testing import ScriptedModel
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

text = ResponseOutputText(text="It is.", type="output_text", annotations=[])
said = ResponseOutputMessage(
    id="m", type="message", role="assistant", content=[text], status="completed"
)
model = ScriptedModel(steps=[[said]])
"""


def test_the_block_remembers_the_conversation() -> None:
    for items in (1, 3):
        told = run_block("openai", MODEL, "print(len(model.calls[-1].input))")
        assert told == f"It is.\n{items}\n"
