"""A model for Strands that gives prepared answers."""

import json
from collections.abc import AsyncIterator
from typing import Any

from strands.models import Model

REDACTED = "redacted"


class FakeModel(Model):
    """`answers` are texts, names of tools to call as `{"tool": name, "input": …}`, or `REDACTED`
    for a guardrail that takes back what the user has said. Without answers, it tells how many
    messages it was sent, and the first text among them."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.seen: list[Any] = []

    async def stream(self, messages: Any, *_: Any, **__: Any) -> AsyncIterator[Any]:
        self.seen.append([dict(message) for message in messages])
        if self.answers:
            answer = self.answers.pop(0)
        else:
            answer = f"{len(messages)} messages, the first: {messages[0]['content'][0]['text']}"
        yield {"messageStart": {"role": "assistant"}}
        if answer == REDACTED:
            yield {"redactContent": {"redactUserContentMessage": "[removed]"}}
            answer = "I cannot talk about that."
        if isinstance(answer, dict):
            use = {"name": answer["tool"], "toolUseId": f"use-{len(self.seen)}"}
            yield {"contentBlockStart": {"start": {"toolUse": use}}}
            delta = {"toolUse": {"input": json.dumps(answer.get("input", {}))}}
            yield {"contentBlockDelta": {"delta": delta}}
        else:
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": answer}}}
        yield {"contentBlockStop": {}}
        yield {
            "messageStop": {"stopReason": "tool_use" if isinstance(answer, dict) else "end_turn"}
        }

    async def structured_output(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise NotImplementedError
        yield

    def update_config(self, **_: Any) -> None:
        pass

    def get_config(self) -> Any:
        return {}
