"""Whether a provider would accept a history: tool calls without a result, results without a call.

Each format says where it wants the results (`Window`). Messages of several formats may follow one
another, as when an agent changes its model.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from app.formats import recognise
from app.formats.model import ToolResult, Window


@dataclass(frozen=True, slots=True)
class Entry:
    """A message, as far as this check needs it. `role` is the stored one."""

    role: str | None
    format: str | None = None
    native: Any = None
    content: Any = None


@dataclass(frozen=True, slots=True)
class Finding:
    """`index` counts the entries; `pointer` leads into that message: `/native/…` or `/content/…`.
    `id` is the call's and `name` the tool's, where the provider gives them."""

    problem: Literal["call_without_result", "result_without_call"]
    index: int
    pointer: str
    id: str | None
    name: str | None


def unanswered(entries: Iterable[Entry]) -> list[Finding]:
    """In the order of the entries. Calls of the last message count too: the provider wants their
    results before anything else is said.

    >>> call = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "find"}}]}
    >>> [finding.pointer for finding in unanswered([Entry("assistant", "bedrock.converse", call)])]
    ['/native/content/0/toolUse']
    """
    check = _Check()
    for index, entry in enumerate(entries):
        check.take(index, entry)
    return check.finish()


class _Check:
    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._at_any_time = _Calls()
        self._recent = _Calls()
        """Of the last message or turn with calls, until it is too late for their results."""
        self._window = Window.SAME
        self._answering = False

    def take(self, index: int, entry: Entry) -> None:
        known, value, start = recognise(entry.format, entry.native, entry.content)
        role = (known.role(value) if known else None) or entry.role
        window = known.RESULTS if known else Window.SAME
        calls = known.tool_calls(value) if known else []
        results = known.tool_results(value) if known else []

        if role == "assistant" and self._answering:
            self._close()
        own, new = _Calls(), _Calls()
        for call in calls:
            if window is Window.SAME:
                target = own
            elif window is Window.LATER or call.by_provider:
                target = self._at_any_time
            else:
                target = new
            place = start + call.pointer
            target.add(Finding("call_without_result", index, place, call.id, call.name))
        for result in results:
            if not any(c.answer(result) for c in (self._recent, own, self._at_any_time)):
                place, id = start + result.pointer, result.call_id
                self._findings.append(Finding("result_without_call", index, place, id, result.name))
        self._findings += own.left()
        self._move_on(role)
        if new.left():
            self._open(new, window)

    def finish(self) -> list[Finding]:
        self._close()
        self._findings += self._at_any_time.left()
        return sorted(self._findings, key=lambda finding: finding.index)

    def _move_on(self, role: str | None) -> None:
        """Whether the message just read was the last that could answer the recent calls."""
        if self._window is Window.TURN and role == "assistant":
            return
        if self._window in (Window.RUN, Window.TURN) and role == "tool":
            self._answering = True
        else:
            self._close()

    def _open(self, calls: "_Calls", window: Window) -> None:
        if window is not Window.TURN or self._window is not Window.TURN:
            self._close()
        self._window = window
        for call in calls.left():
            self._recent.add(call)

    def _close(self) -> None:
        self._findings += self._recent.left()
        self._recent, self._window, self._answering = _Calls(), Window.SAME, False


class _Calls:
    """Calls that wait for their results. Each is found without looking through the others."""

    def __init__(self) -> None:
        self._left: dict[int, Finding] = {}
        self._waiting: dict[tuple[str, str], deque[int]] = defaultdict(deque)
        self._numbers = count()

    def add(self, call: Finding) -> None:
        number = next(self._numbers)
        self._left[number] = call
        if call.id is not None:
            self._waiting["id", call.id].append(number)
        if call.name is not None:
            self._waiting["name", call.name].append(number)
            if call.id is None:
                self._waiting["name alone", call.name].append(number)

    def answer(self, result: ToolResult) -> bool:
        """By id; the first one of its name, where the result or the call has no id."""
        keys = [("name", result.name)]
        if result.call_id is not None:
            keys = [("id", result.call_id), ("name alone", result.name)]
        for how, which in keys:
            waiting = self._waiting.get((how, which or ""), deque())
            while waiting:
                if self._left.pop(waiting.popleft(), None):
                    return True
        return False

    def left(self) -> list[Finding]:
        return list(self._left.values())
