"""What the index from sources to messages costs, and reading what answers rest on."""

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

from bench.meter import metered
from bench.world import World

USER = "sources"
COUNTS = (0, 1, 10, 30)
"""Indexed sources of an answer."""

MESSAGES = 1_000
BLOCK, BLOCKS = 3, 8
TEXT = "I found 5 pothole reports near Main St. "

Request = Callable[[], bytes]


def measure(world: World) -> dict[str, Any]:
    reading = [_reading(world, name, asked) for asked in (True, False) for name in ANSWERS]
    return {"units": _units(world), "reading": reading}


# Units


def answer(sources: int, text: str = TEXT) -> dict[str, Any]:
    listed = [{"type": "report", "reference_id": f"inc_{number}"} for number in range(sources)]
    return {"role": "assistant", "content": text, "metadata": {"references": listed}}


def _units(world: World) -> list[dict[str, Any]]:
    """For each request, the calls and units by the number of sources."""
    rows = []
    for name, prepare in _writes(world).items():
        row: dict[str, Any] = {"request": name, "points": []}
        for count in COUNTS:
            request = prepare(count)
            with metered(world.table.client) as found:
                request()
            row["points"].append(
                {"sources": count, "calls": found.count, "write_units": found.write_units}
            )
        one, ten = row["points"][1:3]
        row["each"] = (ten["write_units"] - one["write_units"]) / (COUNTS[2] - COUNTS[1])
        rows.append(row)
    return rows


def _writes(world: World) -> dict[str, Callable[[int], Request]]:
    def session(sources: int) -> tuple[str, str]:
        """With one answer. Its message's path is the second value."""
        path = f"/sessions/{world.new_session(USER)}"
        made = world.send(USER, "POST", f"{path}/messages", answer(sources))
        return path, f"{path}/messages/{made['message_id']}"

    def append(sources: int) -> Request:
        path = f"/sessions/{world.new_session(USER)}/messages"
        return world.request(USER, "POST", path, answer(sources))

    def edit_in(sources: int) -> Request:
        return world.request(USER, "PUT", session(0)[1], answer(sources))

    def edit_out(sources: int) -> Request:
        return world.request(USER, "PUT", session(sources)[1], answer(0))

    def edit_same(sources: int) -> Request:
        return world.request(USER, "PUT", session(sources)[1], answer(sources, "Another text."))

    def delete_message(sources: int) -> Request:
        return world.request(USER, "DELETE", session(sources)[1])

    def delete_session(sources: int) -> Request:
        return world.request(USER, "DELETE", session(sources)[0])

    def fork(sources: int) -> Request:
        return world.request(USER, "POST", f"{session(sources)[0]}/fork", {})

    return {
        "append": append,
        "edit, sources added": edit_in,
        "edit, sources removed": edit_out,
        "edit, the same sources": edit_same,
        "delete the message": delete_message,
        "delete its session": delete_session,
        "fork": fork,
    }


# Reading


def _plain(_: int) -> dict[str, Any]:
    return answer(0, TEXT * 6)


def _references(_: int) -> dict[str, Any]:
    return answer(2, TEXT * 6)


def _cited(number: int) -> dict[str, Any]:
    """An answer by Anthropic of three claims, the second and third of which are cited."""
    cite = {"type": "char_location", "document_index": 0, "cited_text": TEXT.strip()}
    place = {"start_char_index": 0, "end_char_index": len(TEXT) - 1, "document_title": "Reports"}
    blocks: list[dict[str, Any]] = [{"type": "text", "text": TEXT * 2} for _ in range(3)]
    for block in blocks[1:]:
        block["citations"] = [{**cite, **place}]
    documents = [{"index": 0, "key": f"doc:{number}", "title": "Reports", "text": TEXT * 3}]
    return {
        "format": "anthropic.messages",
        "native": {"role": "assistant", "content": blocks},
        "grounding": {"request": {"documents": documents}},
    }


ANSWERS: dict[str, Callable[[int], dict[str, Any]]] = {
    "without sources": _plain,
    "two references each": _references,
    "two citations each": _cited,
}


QUESTION = {"role": "user", "content": "Which potholes are near me?"}


def _reading(world: World, name: str, asked: bool) -> dict[str, Any]:
    """`GET /sessions/{id}/grounding` beside `GET /sessions/{id}`, which take turns. If `asked`,
    every second message is a question, and otherwise none."""

    def said(number: int) -> dict[str, Any]:
        return QUESTION if asked and number % 2 == 0 else ANSWERS[name](number)

    path = f"/sessions/{world.new_session(USER)}"
    for start in range(0, MESSAGES, 10):
        body = {"messages": [said(number) for number in range(start, start + 10)]}
        world.send(USER, "POST", f"{path}/messages/batch", body, prefer="return=minimal")
    paths = {"get": path, "grounding": f"{path}/grounding"}
    messages = "questions and answers" if asked else "answers"
    row: dict[str, Any] = {"messages": f"{MESSAGES:,} {messages}, {name}"}
    cpu: dict[str, list[float]] = {which: [] for which in paths}
    for which, at in paths.items():
        with metered(world.table.client) as found:
            world.request(USER, "GET", at)()
        row[f"{which}_calls"], row[f"{which}_units"] = found.count, found.read_units
    gc.collect()
    for block in range(BLOCKS + 1):
        for which, at in paths.items():
            for request in [world.request(USER, "GET", at) for _ in range(BLOCK)]:
                started = time.process_time()
                request()
                if block:  # the first block warms up
                    cpu[which].append(time.process_time() - started)
    for which, taken in cpu.items():
        row[f"{which}_cpu_ms"] = statistics.median(taken) * 1000
    row["ratio"] = row["grounding_cpu_ms"] / row["get_cpu_ms"]
    return row
