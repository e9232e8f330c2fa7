"""Whether a provider would accept a session's messages as they are (`app.formats.history`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from app.formats.history import Entry, unanswered
from app.messages.model import Message

MAX_FINDINGS = 100

MAX_TEXT = 200
"""Characters of a tool call's id, of its name and of its place, which clients choose."""


@dataclass(frozen=True, slots=True)
class ToolFinding:
    """`pointer` is a JSON Pointer into the message, such as `/native/content/0`."""

    problem: str
    message_id: str
    pointer: str
    tool_call_id: str | None
    tool_name: str | None


def tool_findings(messages: Sequence[Message]) -> tuple[list[ToolFinding], bool]:
    """Tool calls without a result and results without a call, in the order of the messages. The
    second value is true if there are more than are listed."""
    entries = (
        Entry(message.role, message.format, message.native, message.content) for message in messages
    )
    found = unanswered(entries)
    listed = [
        ToolFinding(
            finding.problem,
            messages[finding.index].message_id,
            finding.pointer[:MAX_TEXT],
            finding.id and finding.id[:MAX_TEXT],
            finding.name and finding.name[:MAX_TEXT],
        )
        for finding in islice(found, MAX_FINDINGS)
    ]
    return listed, len(found) > MAX_FINDINGS
