"""Steps, feedback, favorites.

This module is over 250 lines because its tests share their steps.
"""

import asyncio
import math

import pytest
from chainlit.types import Feedback, Pagination, ThreadFilter

from suites import world
from suites.chainlit.conftest import step

ODD = ["a/b#c é 😀?%2F", "..", "x" * 500, "😀" * 120]


async def steps_of(layer, thread_id="thread"):
    return (await layer.get_thread(thread_id))["steps"]


async def test_a_step_comes_back_as_it_went_in(layer, other, enter, alice):
    enter(user=alice)
    said = step("s1", metadata={"b": 1.0, "a": None, "z": [True, "é"]}, tags=["x"], generation=None)
    await layer.create_step(said)
    [found] = await steps_of(other)
    assert found == said
    assert list(found) == list(said)
    assert type(found["metadata"]["b"]) is float


async def test_nan_survives(layer, enter):
    enter()
    await layer.create_step(step("s1", metadata={"score": math.nan, "most": math.inf}))
    await layer.update_step(step("s1", output="now"))
    [found] = await steps_of(layer)
    assert found["output"] == "now"
    await layer.update_step(step("s1", metadata={"score": math.nan}))
    [found] = await steps_of(layer)
    assert math.isnan(found["metadata"]["score"])


async def test_a_step_may_come_before_its_thread(layer, enter, alice):
    enter(user=alice)
    await layer.create_step(step("s1"))
    await layer.update_thread("thread", name="Potholes", user_id=alice.id)
    thread = await layer.get_thread("thread")
    assert (thread["name"], thread["userId"], thread["userIdentifier"]) == (
        "Potholes",
        alice.id,
        "alice",
    )
    assert [each["id"] for each in thread["steps"]] == ["s1"]


async def test_a_step_that_came_without_a_user_moves_to_the_user_of_its_thread(
    layer, other, enter, alice
):
    enter()
    await layer.create_step(step("s1"))
    await layer.create_step(step("s22", metadata={"favorite": True}))
    await layer.upsert_feedback(Feedback(forId="s1", value=0))
    await layer.update_thread("thread", metadata={"a": 1})
    assert await layer.get_thread_author("thread") == ""

    await layer.update_thread("thread", user_id=alice.id, name="Hers")
    thread = await other.get_thread("thread")
    assert await other.get_thread_author("thread") == "alice"
    assert (thread["name"], thread["metadata"]) == ("Hers", {"a": 1})
    assert [each["id"] for each in thread["steps"]] == ["s1", "s22"]
    assert [each["id"] for each in await other.get_favorite_steps(alice.id)] == ["s22"]
    await other.update_step(step("s1", output="edited"))
    edited, _ = await steps_of(layer)
    assert (edited["output"], edited["feedback"]["value"]) == ("edited", 0)
    rated = ThreadFilter(userId=alice.id, feedback=0)
    assert [t["id"] for t in (await layer.list_threads(Pagination(first=5), rated)).data] == [
        "thread"
    ]


async def test_an_update_merges_and_none_replaces_nothing(layer, other, enter):
    enter()
    await layer.create_step(step("s1", input="question", language="python"))
    await other.update_step({"id": "s1", "threadId": "thread", "output": "", "language": None})
    [found] = await steps_of(layer)
    assert found == step("s1", input="question", language="python", output="")


async def test_tasks_of_one_step_are_carried_out_in_the_order_they_were_made(layer, enter):
    """As Chainlit makes them: `send` and `update` do not wait for the data layer."""
    enter()
    texts = ["", *map(str, range(10))]
    tasks = [asyncio.create_task(layer.create_step(step("s1", output=texts[0])))]
    tasks += [asyncio.create_task(layer.update_step(step("s1", output=t))) for t in texts[1:]]
    tasks += [asyncio.create_task(layer.create_step(step("s22")))]
    tasks += [asyncio.create_task(layer.delete_step("s22"))]
    await asyncio.gather(*tasks)
    [found] = await steps_of(layer)
    assert found["output"] == "9"


async def test_two_processes_create_one_step_once(layer, other, enter):
    enter()
    await layer.update_thread("thread")
    await asyncio.gather(
        *(each.update_step(step("s1", **{f"m{n}": n})) for n, each in enumerate([layer, other] * 2))
    )
    [found] = await steps_of(layer)
    assert {f"m{n}" for n in range(4)} <= found.keys()


async def test_a_step_whose_message_was_not_noted_is_found(layer, client, enter):
    """The process was killed between the append and the note of the message."""
    enter()
    for name in ("s1", "s22", "s333"):
        await layer.create_step(step(name))
    async for value in client.tenant_values.list("chainlit/steps/"):
        await client.tenant_values.put(value.name, {"thread": "thread"})
    await layer.update_step(step("s22", output="found"))
    assert [each["output"] for each in await steps_of(layer)] == [
        "This is s1",
        "found",
        "This is s333",
    ]


async def test_a_step_is_found_though_the_one_before_is_gone(layer, other, enter):
    enter()
    for n in range(12):
        await layer.create_step(step("s" * (n + 1)))
    await layer.delete_step("s")
    await layer.delete_step("ss")
    for name in ("sss", "s" * 12):
        await other.update_step(step(name, output="found"))
    found = await steps_of(layer)
    assert [each["output"] for each in (found[0], found[-1])] == ["found"] * 2
    assert len(found) == 10


async def test_what_another_process_has_changed_is_seen(layer, other, enter, alice, bob):
    """The layer remembers what it has written, and must not trust that."""
    enter(user=alice)
    await layer.create_step(step("s1"))
    await layer.create_step(step("s22"))
    await other.update_step(step("s1", tags=["theirs"]))
    await layer.update_step(step("s1", output="mine"))
    assert (await steps_of(other))[0] == step("s1", tags=["theirs"], output="mine")

    await other.delete_step("s22")
    await layer.create_step(step("s22", output="again"))
    assert [each["output"] for each in await steps_of(other)] == ["mine", "again"]

    await other.update_thread("thread", user_id=bob.id)
    await layer.create_step(step("s333"))
    await layer.update_step(step("s333", output="his"))
    thread = await other.get_thread("thread")
    assert thread["userIdentifier"] == "bob@example.com"
    assert [each["output"] for each in thread["steps"]] == ["mine", "again", "his"]

    await other.delete_thread("thread")
    await layer.update_step(step("s333", output="new"))
    thread = await other.get_thread("thread")
    assert (thread["userIdentifier"], [each["output"] for each in thread["steps"]]) == (
        "alice",
        ["new"],
    )


async def test_a_thread_that_has_expired_begins_again(layer, client, enter, alice):
    enter(user=alice)
    await layer.create_step(step("s1"))
    [session] = [each async for each in client.acting_for("alice").sessions.list()]
    await client.acting_for("alice").sessions.delete(session.session_id)
    await layer.update_step(step("s1", output="again"))
    await layer.create_step(step("s22"))
    assert [each["output"] for each in await steps_of(layer)] == ["again", "This is s22"]


async def test_a_longer_conversation_than_is_remembered(layer, enter):
    enter()
    for n in range(130):
        await layer.create_step(step(f"s{n}", createdAt=f"{n:03}"))
    await asyncio.gather(
        *(layer.update_step({"id": f"s{n}", "threadId": "thread", "end": "x"}) for n in range(130))
    )
    found = await steps_of(layer)
    assert [(each["id"], each["end"]) for each in found] == [(f"s{n}", "x") for n in range(130)]


@pytest.mark.parametrize("odd", ODD)
async def test_ids_are_any_text(layer, other, enter, odd):
    user = await layer.create_user(_user(odd[:100]))
    enter(odd, user)
    await layer.create_step(step(odd, odd))
    await layer.update_step(step(odd, odd, output="edited"))
    await layer.upsert_feedback(Feedback(id=odd, forId=odd, value=1))
    thread = await other.get_thread(odd)
    assert (thread["id"], thread["userIdentifier"]) == (odd, odd[:100])
    [found] = thread["steps"]
    assert (found["id"], found["output"], found["feedback"]["id"]) == (odd, "edited", odd)
    listed = await other.list_threads(Pagination(first=5), ThreadFilter(userId=user.id))
    assert [each["id"] for each in listed.data] == [odd]
    await layer.delete_thread(odd)
    assert await other.get_thread(odd) is None


def _user(identifier):
    from chainlit.user import User

    return User(identifier=identifier)


async def test_feedback_is_kept_changed_and_deleted_by_its_id(layer, other, enter, alice):
    enter(user=alice)
    await layer.create_step(step("s1"))
    comment = "é" * 5000
    feedback_id = await layer.upsert_feedback(Feedback(forId="s1", value=1, comment=comment))
    [found] = await steps_of(other)
    given = {"forId": "s1", "id": feedback_id, "value": 1, "comment": comment}
    assert found["feedback"] == given
    changed = Feedback(id=feedback_id, forId="s1", threadId="thread", value=0)
    assert await other.upsert_feedback(changed) == feedback_id
    await layer.update_step(step("s1", output="edited"))
    [found] = await steps_of(layer)
    assert (found["output"], found["feedback"]["value"]) == ("edited", 0)
    assert found["feedback"]["comment"] is None
    assert await layer.delete_feedback(feedback_id)
    assert [each.get("feedback") for each in await steps_of(other)] == [None]
    assert await layer.delete_feedback(feedback_id)


async def test_the_id_of_feedback_may_be_given(layer, enter):
    enter()
    await layer.create_step(step("s1"))
    assert await layer.upsert_feedback(Feedback(id="f1", forId="s1", value=0)) == "f1"
    await layer.delete_feedback("f1")
    assert "feedback" not in (await steps_of(layer))[0]


async def test_feedback_on_no_step_is_refused(layer):
    with pytest.raises(ValueError, match="no step nowhere"):
        await layer.upsert_feedback(Feedback(forId="nowhere", value=1))


async def test_favorites_of_all_threads_latest_first(layer, other, enter, alice, bob):
    enter(user=alice)
    await layer.create_step(step("s1"))
    await layer.create_step(step("s22", "second"))
    await layer.create_step(step("s333"))
    for name, thread_id in (("s1", "thread"), ("s22", "second")):
        await layer.set_step_favorite(step(name, thread_id), True)
    favorites = await other.get_favorite_steps(alice.id)
    assert [each["id"] for each in favorites] == ["s22", "s1"]
    assert favorites[1] == step("s1", metadata={"favorite": True})
    assert await other.get_favorite_steps(bob.id) == await other.get_favorite_steps("?") == []
    await layer.update_step(step("s1", output="edited", metadata={"favorite": True}))
    assert (await other.get_favorite_steps(alice.id))[1]["output"] == "edited"
    await other.set_step_favorite(favorites[0], False)
    await layer.delete_step("s1")
    assert await layer.get_favorite_steps(alice.id) == []


async def test_a_deleted_step_is_gone_with_what_belongs_to_it(layer, client, enter, alice):
    enter(user=alice)
    await layer.create_step(step("s1"))
    await layer.create_step(step("s22"))
    await layer.upsert_feedback(Feedback(forId="s1", value=1))
    await layer.delete_step("s1")
    await layer.delete_step("s1")
    assert [each["id"] for each in await steps_of(layer)] == ["s22"]
    names = [value.name async for value in client.tenant_values.list()]
    assert len([name for name in names if "/steps/" in name]) == 1
    assert not [name for name in names if "/feedback/" in name]


async def test_the_store_shows_who_said_what(layer, client, enter, alice):
    enter(user=alice)
    await layer.create_step(step("s1"))
    await layer.create_step(step("s2", type="tool", name="search", output="3 found"))
    await layer.create_step(step("s3", type="assistant_message", name="Helper", output="Three."))
    hers = client.acting_for("alice")
    [session] = [each async for each in hers.sessions.list()]
    messages = [each async for each in hers.messages.list(session.session_id)]
    assert [(m.role, m.name) for m in messages] == [
        ("user", "alice"),
        ("tool", "search"),
        ("assistant", "Helper"),
    ]
    assert (session.key, session.last_message.text) == ("thread", "Three.")
    assert world.used()
