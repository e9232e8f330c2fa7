"""What every format says of a message. A module of this package is a `Format`; it imports nothing
else of the app and does no I/O."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants run. `pointer` is a JSON Pointer into the provider's object.
    Where the provider runs the tool itself, `by_provider` is true."""

    id: str | None
    name: str | None
    pointer: str
    by_provider: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back. A result without a `call_id` belongs to a call by its name."""

    call_id: str | None
    name: str | None
    pointer: str


class Window(Enum):
    """Where the results of a message's tool calls must be, or the provider refuses the history."""

    SAME = "in the message itself"
    NEXT = "in the next message"
    RUN = "in the tool messages directly after it"
    TURN = "at the beginning of the next turn; messages of one side in a row are one turn"
    LATER = "in the message itself or anywhere after it"


class Format(Protocol):
    """What is asked of a provider's object: the whole response, one message or one item.

    No function raises, whatever the JSON value: members that are missing or of the wrong type, and
    parts that are not known, count as absent. None of them recurses.
    """

    RESULTS: Window

    def role(self, native: Any, /) -> str | None:
        """user, assistant, system, developer, tool or the provider's own word; None if unknown."""

    def text(self, native: Any, /) -> str:
        """What a person would read, without reasoning and without arguments of tools. For a message
        that holds tool results only, their text."""

    def tool_calls(self, native: Any, /) -> list[ToolCall]:
        """In their order."""

    def tool_results(self, native: Any, /) -> list[ToolResult]:
        """In their order."""
