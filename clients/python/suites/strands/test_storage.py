import random

import pytest
from fake_model import FakeModel
from strands import Agent
from strands.session import SnapshotSessionManager
from strands.types.exceptions import StorageError


async def test_each_operation_is_one_request(storage, network):
    await storage.write("a/b.json", b"{}")
    assert network.count() == 1
    assert (await storage.read("a/b.json"), network.count()) == (b"{}", 1)
    assert (await storage.list("a/"), network.count()) == (["a/b.json"], 1)
    await storage.delete("a/b.json")
    assert network.count() == 1
    assert (await storage.read("a/b.json"), network.count()) == (None, 1)


@pytest.mark.parametrize("key", ["a/b#c é 😀", "x" * 500, "a?b=c&d", "%2F", " ", "a/ /b"])
async def test_any_key(storage, key):
    content = bytes(range(256))
    await storage.write(key, content)
    assert await storage.read(key) == content
    assert await storage.list("") == [key]


async def test_a_large_snapshot_is_compressed_and_what_is_too_large_is_an_error(storage):
    text = b"What was said, again and again. " * 500_000
    await storage.write("text", text)
    assert await storage.read("text") == text
    with pytest.raises(StorageError, match="Failed to write 'noise'"):
        await storage.write("noise", random.Random(0).randbytes(3_500_000))


async def test_after_a_lost_answer_a_write_is_there(storage, network):
    network.lose = 2
    await storage.write("a", b"1")
    network.lose = 2
    await storage.delete("a")
    assert await storage.list("") == []


def test_an_agent_lives_on_in_its_snapshots(storage, network):
    def agent():
        manager = SnapshotSessionManager("s", storage=storage)
        return Agent(
            session_manager=manager, model=FakeModel("Hello.", "Fine."), callback_handler=None
        )

    first = agent()
    network.count()
    first("Hello")
    assert network.count() == 1
    again = agent()
    assert again.messages == first.messages
    again("How are you?")
    assert len(agent().messages) == 4
