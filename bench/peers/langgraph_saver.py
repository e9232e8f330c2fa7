"""AWS's checkpoint saver for LangGraph (langgraph-checkpoint-aws), with its defaults.

It keeps checkpoints, not conversations, so it has methods of its own (`bench.checkpoints`).
"""

import base64
from typing import Any

import boto3
from langgraph.checkpoint.base import empty_checkpoint
from langgraph_checkpoint_aws.checkpoint.dynamodb import DynamoDBSaver

from bench.peers.peer import table

TABLE = "peer-langgraph"
METADATA: Any = {"source": "loop", "step": 1, "parents": {}}
LINE = "I found 5 pothole reports near Main St. " * 6


class Peer:
    keeps = "nothing else"

    def __init__(self) -> None:
        self._saver = DynamoDBSaver(TABLE)
        self.client = self._saver.client

    def create_tables(self) -> None:
        boto3.client("dynamodb").create_table(**table(TABLE, "PK", "SK"))

    def payload(self, size: int) -> str:
        """A checkpoint of so many bytes as the saver stores it, in base64."""
        return base64.b64encode(self._serialized(_checkpoint(self._filler(size)))).decode()

    def write_payload(self) -> str:
        """The same of a pending write."""
        return base64.b64encode(self._saver.serializer.serialize(LINE)[1]).decode()

    def fill(self, thread: str, size: int, checkpoints: int, writes: int, pending: int) -> str:
        """Puts checkpoints, each with `writes` pending writes, the last one with `pending` ones.
        Returns the id of the last one."""
        for number in range(checkpoints):
            checkpoint = self.put(thread, size)
            for task in range(pending if number == checkpoints - 1 else writes):
                self.put_writes(thread, checkpoint, f"task-{task}", 1)
        return checkpoint

    def put(self, thread: str, size: int) -> str:
        checkpoint = _checkpoint(self._filler(size))
        self._saver.put(_config(thread), checkpoint, METADATA, {})
        return str(checkpoint["id"])

    def serialize(self, size: int) -> int:
        """What `put` does besides its calls, and `get_tuple` the other way."""
        return len(self._serialized(_checkpoint(self._filler(size))))

    def put_writes(self, thread: str, checkpoint: str, task: str, count: int) -> None:
        writes = [(f"channel-{number}", LINE) for number in range(count)]
        self._saver.put_writes(_config(thread, checkpoint), writes, task)

    def get_tuple(self, thread: str, checkpoint: str | None = None) -> list[int]:
        """The number of pending writes, and of lines in the checkpoint."""
        found = self._saver.get_tuple(_config(thread, checkpoint))
        assert found  # noqa: S101  for the types
        return [len(found.pending_writes or ()), len(found.checkpoint["channel_values"]["lines"])]

    def _serialized(self, checkpoint: Any) -> bytes:
        value = {"checkpoint": checkpoint, "metadata": METADATA}
        return self._saver.serializer.serialize(value)[1]

    def _filler(self, size: int) -> tuple[int, int]:
        """The number of lines and of characters of one more, for a checkpoint of this size."""
        if size not in self._fillers:
            lines = size // (len(LINE) + 10)
            rest = size - len(self._serialized(_checkpoint((lines, 1000)))) + 1000
            self._fillers[size] = lines, rest
        return self._fillers[size]

    _fillers: dict[int, tuple[int, int]] = {}


def _checkpoint(filler: tuple[int, int]) -> Any:
    lines, rest = filler
    values = {"lines": [LINE] * lines, "rest": "x" * rest}
    return {**empty_checkpoint(), "channel_values": values}


def _config(thread: str, checkpoint: str | None = None) -> Any:
    configurable = {"thread_id": thread, "checkpoint_ns": ""}
    return {"configurable": configurable | ({"checkpoint_id": checkpoint} if checkpoint else {})}
