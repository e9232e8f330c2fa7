"""What Pydantic AI says of a ConversationStore. Its own one in memory passes these, too."""

import asyncio
import dataclasses

import pytest
from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    BinaryImage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.test import TestModel

ODD_IDS = ["a/b#c é 😀", "x" * 500, "..", ".", "a?b=c&d", "%2F", "a//b", " "]


def asked(text):
    return ModelRequest(parts=[UserPromptPart(text)])


def said(text):
    return ModelResponse(parts=[TextPart(text)])


def texts(conversation):
    return [message.parts[0].content for message in conversation.messages]


async def saved(store, conversation_id="c", count=4, **options):
    messages = [(asked, said)[n % 2](f"{n}") for n in range(count)]
    conversation = Conversation(conversation_id=conversation_id, messages=messages)
    entries = await store.save(conversation, **options)
    assert len(entries) == count
    return conversation


async def test_runs_continue_a_conversation(store):
    agent = Agent(TestModel(custom_output_text="ok"))
    assert await store.load("c") is None
    conversation = Conversation(conversation_id="c")
    for turn in range(1, 4):
        result = await agent.run(f"turn {turn}", conversation=conversation)
        assert len(await store.save(result)) == 2
        conversation = await store.load("c")
        assert len(conversation.messages) == 2 * turn
        assert conversation.messages == result.all_messages()
        assert conversation.usage == result.conversation.usage
    assert texts(await store.load("c", limit=3)) == ["ok", "turn 3", "ok"]
    assert texts(await store.load("c", limit=0)) == []


async def test_messages_come_back_as_they_were(store):
    image = BinaryImage(bytes(range(256)), media_type="image/png")
    conversation = Conversation(
        conversation_id="c",
        messages=[
            asked(["\u0000 é 😀", image]),
            ModelResponse(
                parts=[
                    ThinkingPart("hm", signature="s"),
                    ToolCallPart("f", {"z": None, "a": [1.0, 1, 1e300], "big": 10**30}, "id"),
                    ToolCallPart("g", '{"a": 1E5}', "id2"),
                ],
                metadata={"k": None},
                provider_details={"d": [1.5]},
            ),
            ModelRequest(parts=[ToolReturnPart("f", {"x": [None]}, "id")]),
        ],
    )
    await store.save(conversation)
    loaded = await store.load("c")
    assert loaded.messages == conversation.messages
    assert list(loaded.messages[1].parts[1].args) == ["z", "a", "big"]


@pytest.mark.parametrize("conversation_id", ODD_IDS)
async def test_ids_are_any_text(store, conversation_id):
    await saved(store, conversation_id, scope=conversation_id)
    assert texts(await store.load(conversation_id)) == ["0", "1", "2", "3"]
    [record] = await store.list_conversations(scope=conversation_id)
    assert record.conversation_id == conversation_id
    await store.delete(conversation_id)
    assert await store.load(conversation_id) is None


async def test_one_of_eight_writers_of_a_revision_is_stored(store):
    await saved(store)
    loaded = [await store.load("c") for _ in range(8)]
    for n, each in enumerate(loaded):
        each.messages.append(asked(f"writer {n}"))
    outcomes = await asyncio.gather(*map(store.save, loaded), return_exceptions=True)
    [won] = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, list)]
    assert sum(isinstance(outcome, ConversationConflict) for outcome in outcomes) == 7
    assert texts(await store.load("c")) == ["0", "1", "2", "3", f"writer {won}"]


async def test_a_conversation_is_created_once(store):
    await saved(store)
    with pytest.raises(ConversationConflict):
        await saved(store)


async def test_a_rewritten_history_branches_and_the_old_one_stays(store):
    await saved(store)
    old = await store.load_entries("c")
    loaded = await store.load("c")
    rewritten = Conversation(
        conversation_id="c",
        messages=[*loaded.messages[:2], asked("new")],
        revision=loaded.revision,
    )
    [entry] = await store.save(rewritten)
    assert entry.parent_id == old[1].id
    assert texts(await store.load("c")) == ["0", "1", "new"]
    [record] = await store.list_conversations()
    assert record.branches == [old[-1].id]
    back = await store.branch("c", from_entry=old[-1].id, expected_revision=record.revision)
    assert texts(back) == texts(await store.load("c")) == ["0", "1", "2", "3"]
    with pytest.raises(ConversationConflict):
        await store.branch("c", at=1, expected_revision=record.revision)
    assert await store.read_entry(old[2].id) == old[2]
    with pytest.raises(LookupError):
        await store.read_entry("none")


async def test_forks_share_a_history_and_outlive_what_they_came_from(store):
    await saved(store)
    fork = await store.fork("c", at=2, new_conversation_id="f")
    fork.messages.append(asked("f"))
    await store.save(fork)
    second = await store.fork("f", new_conversation_id="g")
    second.messages.append(asked("g"))
    await store.save(second)
    expected = ["0", "1", "f", "g"]
    assert texts(await store.load("g")) == expected
    assert texts(await store.load("g", limit=3)) == expected[1:]
    await store.delete("f")
    await store.delete("c")
    assert texts(await store.load("g")) == expected
    assert {record.conversation_id for record in await store.list_conversations()} == {"g"}
    with pytest.raises(ConversationConflict):
        await store.fork("g", new_conversation_id="g")
    await saved(store, "c", 1)
    assert texts(await store.load("g")) == expected


async def test_a_record_with_a_head_that_is_nowhere_is_refused(store):
    record = ConversationRecord(conversation_id="c", head_id="none")
    with pytest.raises(ConversationConflict):
        await store.write_record(record, expected_revision=None)
    assert await store.read_record("c") is None


async def test_a_deleted_conversation_cannot_be_saved_over(store):
    conversation = await saved(store)
    await store.delete("c")
    conversation.messages.append(asked("late"))
    with pytest.raises(ConversationConflict):
        await store.save(conversation)
    record = ConversationRecord(conversation_id="c", head_id=None)
    with pytest.raises(ConversationConflict):
        await store.delete_record("c", expected_revision=record.revision)


async def test_scopes_and_the_order_of_the_list(store):
    for n in range(4):
        await saved(store, f"{n}", 1, scope="even" if n % 2 == 0 else "odd")
    first = await store.load("0", scope="even")
    await store.save(first)
    assert [r.conversation_id for r in await store.list_conversations()] == ["0", "3", "2", "1"]
    listed = await store.list_conversations(scope="even", limit=1)
    assert [r.conversation_id for r in listed] == ["0"]
    assert await store.load("0", scope="odd") is None
    await store.delete("0", scope="odd")
    assert await store.load("0") is not None
    with pytest.raises(UserError):
        await store.list_conversations(limit=-1)


async def test_what_is_returned_is_a_copy(store):
    conversation = await saved(store)
    conversation.messages[0].parts[0].content = "changed"
    assert texts(await store.load("c"))[0] == "0"
    record = await store.read_record("c")
    record.branches.append("x")
    assert (await store.read_record("c")).branches == []
    entry = (await store.load_entries("c"))[0]
    assert isinstance(entry, ConversationEntry)
    assert dataclasses.replace(entry) == entry


async def test_many_messages_are_saved_at_once(store):
    await saved(store, count=130)
    conversation = await store.load("c")
    assert texts(conversation) == [f"{n}" for n in range(130)]
    assert texts(await store.load("c", limit=60)) == [f"{n}" for n in range(70, 130)]
