"""Users, threads, lists, elements."""

import asyncio
import math
import os

import pytest
from chainlit.element import CustomElement, File, Image, Text
from chainlit.types import Feedback, Pagination, ThreadFilter
from chainlit.user import User

from suites.chainlit.conftest import step


async def ids_of(layer, user, first=10, **filters):
    """Of all pages."""
    found, cursor = [], None
    while True:
        wanted = ThreadFilter(userId=user.id, **filters)
        page = await layer.list_threads(Pagination(first=first, cursor=cursor), wanted)
        assert len(page.data) <= first
        found += [thread["id"] for thread in page.data]
        cursor = page.pageInfo.endCursor
        if not page.pageInfo.hasNextPage:
            return found


async def test_a_user_keeps_the_id_and_gets_new_metadata(layer, other, alice):
    assert await other.get_user("alice") == alice
    again = await other.create_user(User(identifier="alice", metadata={"score": math.nan}))
    assert (again.id, again.createdAt) == (alice.id, alice.createdAt)
    assert math.isnan((await layer.get_user("alice")).metadata["score"])
    assert await layer.get_user("Alice") is None


async def test_two_logins_at_once_make_one_user(layer, other):
    made = await asyncio.gather(
        *(each.create_user(User(identifier="x")) for each in [layer, other] * 2)
    )
    assert len({(user.id, user.createdAt) for user in made}) == 1


async def test_metadata_of_two_writers_is_merged(layer, other, alice):
    await layer.update_thread("thread", user_id=alice.id, metadata={"s": {"a": 1}, "gone": 1})
    await asyncio.gather(
        *(
            each.update_thread("thread", metadata={f"m{n}": n})
            for n, each in enumerate([layer, other] * 5)
        )
    )
    await other.update_thread("thread", metadata={"s": {"b": math.inf}, "gone": None})
    found = (await layer.get_thread("thread"))["metadata"]
    assert found == {"s": {"b": math.inf}} | {f"m{n}": n for n in range(10)}


async def test_a_thread_comes_back_as_it_went_in(layer, other, alice):
    name = "Potholes\nnear\tMain St " + "😀" * 600
    metadata = {"state": "x" * 500_000, "deep": {"a": None}}
    await layer.update_thread("t", name, alice.id, metadata, ["a", "b"])
    thread = await other.get_thread("t")
    assert thread | {"createdAt": ""} == {
        "id": "t",
        "createdAt": "",
        "name": name,
        "userId": alice.id,
        "userIdentifier": "alice",
        "tags": ["a", "b"],
        "metadata": metadata,
        "steps": [],
        "elements": [],
    }
    [listed] = (await other.list_threads(Pagination(first=2), ThreadFilter(userId=alice.id))).data
    assert listed == thread


async def test_a_change_leaves_the_rest_alone(layer, alice):
    await layer.update_thread("t", "Old", alice.id, {"a": 1}, ["x"])
    before = await layer.get_thread("t")
    await layer.update_thread("t")
    assert await layer.get_thread("t") == before
    await layer.update_thread("t", name="New")
    await layer.update_thread("t", tags=[])
    assert await layer.get_thread("t") == before | {"name": "New", "tags": []}


@pytest.mark.parametrize("name", ["", "\n", " ", "x" * 2000, "\u0000\u0007 bell", "‏مرحبا"])
async def test_names_that_are_no_titles(layer, alice, name):
    await layer.update_thread("t", name, alice.id)
    assert (await layer.get_thread("t"))["name"] == name
    await layer.update_thread("t", "Other")
    await layer.update_thread("t", name)
    assert (await layer.get_thread("t"))["name"] == name


async def test_the_name_may_stand_in_the_metadata(layer, alice):
    await layer.update_thread("t", user_id=alice.id, metadata={"name": "Potholes"})
    assert (await layer.get_thread("t"))["name"] == "Potholes"
    await layer.update_thread("t", metadata={"name": 7})
    thread = await layer.get_thread("t")
    assert (thread["name"], thread["metadata"]) == ("Potholes", {"name": 7})


async def test_an_unknown_user_is_refused(layer):
    with pytest.raises(ValueError, match="no user nobody"):
        await layer.update_thread("t", user_id="nobody")
    assert await layer.get_thread("t") is None


async def test_threads_of_a_user_page_by_page_latest_first(layer, enter, alice, bob):
    names = [f"t{n}" for n in range(7)]
    for name in names:
        await layer.update_thread(name, f"Name {name}", alice.id)
    await layer.update_thread("bobs", "Name", bob.id)
    await layer.update_thread("nobodys", "Name")
    enter("t3", alice)
    await layer.create_step(step("s1", "t3"))
    latest_first = ["t3", "t6", "t5", "t4", "t2", "t1", "t0"]
    for first in (1, 3, 7, 50):
        assert await ids_of(layer, alice, first) == latest_first
    assert await ids_of(layer, bob) == ["bobs"]
    unknown = await layer.list_threads(Pagination(first=3), ThreadFilter(userId="?"))
    assert (unknown.data, unknown.pageInfo.hasNextPage) == ([], False)
    with pytest.raises(ValueError, match="userId"):
        await layer.list_threads(Pagination(first=3), ThreadFilter())


async def test_threads_by_name_and_by_feedback(layer, enter, alice):
    for n, name in enumerate(["Potholes", "Lights", "More POTHOLES", "Trees"]):
        enter(f"t{n}", alice)
        await layer.create_step(step(f"s{n}", f"t{n}"))
        await layer.update_thread(f"t{n}", name, alice.id)
    for n, value in ((0, 0), (1, 1), (2, 1)):
        await layer.upsert_feedback(Feedback(forId=f"s{n}", value=value))
    for first in (1, 10):
        assert await ids_of(layer, alice, first, search="pothole") == ["t2", "t0"]
        assert await ids_of(layer, alice, first, feedback=1) == ["t2", "t1"]
        assert await ids_of(layer, alice, first, feedback=0) == ["t0"]
        assert await ids_of(layer, alice, first, feedback=1, search="pothole") == ["t2"]
        assert await ids_of(layer, alice, first, search="nothing") == []


async def test_a_deleted_thread_leaves_nothing(layer, client, enter, alice):
    enter(user=alice)
    for n in range(3):
        await layer.create_step(step(f"s{n}", metadata={"favorite": n == 1}))
    await layer.upsert_feedback(Feedback(forId="s1", value=1))
    await layer.create_element(Text(thread_id="thread", id="e", name="e", content="x", for_id="s1"))
    await layer.update_thread("other", "Stays", alice.id)
    await layer.delete_thread("thread")
    await layer.delete_thread("thread")
    assert await layer.get_thread("thread") is None
    assert await layer.get_thread_author("thread") == ""
    assert await layer.get_element("thread", "e") is None
    assert await layer.get_favorite_steps(alice.id) == []
    assert await ids_of(layer, alice) == ["other"]
    left = [value.name async for value in client.tenant_values.list(names_only=True)]
    assert len(left) == 2  # alice, and the other thread
    hers = [value.name async for value in client.acting_for("alice").values.list()]
    assert len(hers) == 1
    await layer.create_step(step("s1"))
    assert [each["id"] for each in (await layer.get_thread("thread"))["steps"]] == ["s1"]


async def test_a_delete_that_was_interrupted_can_be_repeated(layer, client, enter, alice):
    enter(user=alice)
    await layer.create_step(step("s1"))
    [session] = [each async for each in client.acting_for("alice").sessions.list()]
    await client.acting_for("alice").sessions.delete(session.session_id)
    assert await layer.get_thread("thread") is None
    await layer.delete_thread("thread")
    assert await layer.get_thread_author("thread") == ""


async def test_a_long_thread_is_read_whole(layer, enter):
    enter()
    for n in range(4):
        await layer.create_step(step("s" * (n + 1), output=str(n) * 1_500_000))
    found = (await layer.get_thread("thread"))["steps"]
    assert [each["output"][:1] + str(len(each["output"])) for each in found] == [
        f"{n}1500000" for n in range(4)
    ]


@pytest.mark.parametrize("size", [0, 1, 2_500_000, 2_500_001, 6_000_000])
async def test_the_bytes_of_an_element(layer, client, enter, alice, size, tmp_path):
    enter(user=alice)
    content = os.urandom(size)
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    image = Image(thread_id="thread", id="e 1/é", name="photo.png", path=str(path), for_id="s1")
    image.mime = "image/png"
    await layer.create_element(image)
    found = await layer.get_element("thread", "e 1/é")
    assert found == {**image.to_dict(), "objectKey": found["objectKey"]}
    assert (await layer.get_thread("thread"))["elements"] == [found]
    [session] = [each async for each in client.acting_for("alice").sessions.list()]
    values = client.acting_for("alice").session_values(session.session_id)
    parts = [value.content async for value in values.list(found["objectKey"])]
    assert b"".join(parts) == content
    await layer.delete_element("e 1/é", "thread")
    assert [value async for value in values.list()] == []


async def test_an_element_is_replaced_and_goes_with_its_step(layer, enter):
    enter()
    await layer.create_step(step("s1"))
    await layer.create_step(step("s22"))
    card = CustomElement(thread_id="thread", id="c", name="Card", props={"n": 1}, for_id="s1")
    await layer.create_element(card)
    card.props = {"n": math.nan}
    await layer.create_element(card)
    await layer.create_element(
        File(thread_id="thread", id="f", name="f", url="https://example.com/f", for_id="s22")
    )
    await layer.create_element(Text(thread_id="thread", id="no", name="no", content="no step"))
    assert math.isnan((await layer.get_element("thread", "c"))["props"]["n"])
    await layer.delete_step("s1")
    [left] = (await layer.get_thread("thread"))["elements"]
    assert (left["id"], left["url"]) == ("f", "https://example.com/f")
