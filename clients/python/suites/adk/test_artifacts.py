import asyncio

import pytest
from google.adk.errors.input_validation_error import InputValidationError
from google.adk.events.event import Event
from google.genai import types

from session_store import TooLarge

WHERE = {"app_name": "app", "user_id": "alice", "session_id": "s"}
MAX = 3 * 1024 * 1024


def part(data, mime_type="application/pdf"):
    return types.Part.from_bytes(data=data, mime_type=mime_type)


async def test_three_megabytes_come_back_and_more_is_refused(artifacts, network):
    largest = part(bytes(range(256)) * (MAX // 256))
    assert await artifacts.save_artifact(**WHERE, filename="f", artifact=largest) == 0
    network.count()
    assert await artifacts.load_artifact(**WHERE, filename="f") == largest
    assert network.count() == 1
    with pytest.raises(TooLarge):
        await artifacts.save_artifact(**WHERE, filename="f", artifact=part(b"x" * (MAX + 1)))
    assert await artifacts.list_versions(**WHERE, filename="f") == [0]


@pytest.mark.parametrize(
    "filename", ["a/b#c é 😀.pdf", "x" * 600, "..", ".", "", "a//b", "%2F", "user:é/😀", "user:"]
)
async def test_file_names_are_any_text(artifacts, filename):
    for n in range(2):
        saved = part(f"{n}".encode())
        assert await artifacts.save_artifact(**WHERE, filename=filename, artifact=saved) == n
    assert await artifacts.load_artifact(**WHERE, filename=filename) == part(b"1")
    assert await artifacts.load_artifact(**WHERE, filename=filename, version=0) == part(b"0")
    assert await artifacts.list_artifact_keys(**WHERE) == [filename]
    await artifacts.delete_artifact(**WHERE, filename=filename)
    assert await artifacts.list_artifact_keys(**WHERE) == []
    assert await artifacts.list_versions(**WHERE, filename=filename) == []


@pytest.mark.parametrize(
    "artifact",
    [
        part(b""),
        part(b"\x00\xff", "image/png"),
        types.Part(text=""),
        types.Part(text="é 😀 \u0000", thought=True),
        types.Part(
            file_data=types.FileData(file_uri="gs://b/f", mime_type="a/b", display_name="F")
        ),
        types.Part(inline_data=types.Blob(data=b"1", mime_type="a/b", display_name="é")),
    ],
)
async def test_parts_come_back_as_they_were(artifacts, artifact):
    metadata = {"a": None, "z": [1.5, {"é": "😀"}]}
    await artifacts.save_artifact(
        **WHERE, filename="f", artifact=artifact, custom_metadata=metadata
    )
    loaded = await artifacts.load_artifact(**WHERE, filename="f")
    assert loaded == artifact
    found = await artifacts.get_artifact_version(**WHERE, filename="f")
    assert found.custom_metadata == metadata
    assert [found] == await artifacts.list_artifact_versions(**WHERE, filename="f")


async def test_what_adk_saves_to_remove_a_file_is_not_loaded(artifacts):
    await artifacts.save_artifact(**WHERE, filename="f", artifact=part(b"1"))
    removed = part(b"", "application/octet-stream")
    assert await artifacts.save_artifact(**WHERE, filename="f", artifact=removed) == 1
    assert await artifacts.load_artifact(**WHERE, filename="f") is None
    assert await artifacts.load_artifact(**WHERE, filename="f", version=0) == part(b"1")


async def test_versions_of_writers_at_once_follow_each_other(artifacts):
    saved = await asyncio.gather(
        *(
            artifacts.save_artifact(**WHERE, filename="user:f", artifact=part(b"%d" % n))
            for n in range(5)
        )
    )
    assert sorted(saved) == [0, 1, 2, 3, 4]
    for n, version in enumerate(saved):
        loaded = await artifacts.load_artifact(**WHERE, filename="user:f", version=version)
        assert loaded == part(b"%d" % n)


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_lost_answer_saves_one_version(artifacts, network, lost):
    await artifacts.save_artifact(**WHERE, filename="f", artifact=part(b"0"))
    network.lose = lost
    assert await artifacts.save_artifact(**WHERE, filename="f", artifact=part(b"1")) == 1
    assert await artifacts.list_versions(**WHERE, filename="f") == [0, 1]


async def test_files_of_the_user_are_in_all_sessions_of_one_app(artifacts):
    await artifacts.save_artifact(**WHERE, filename="user:f", artifact=part(b"1"))
    await artifacts.save_artifact(**WHERE, filename="g", artifact=part(b"2"))
    other = {**WHERE, "session_id": "other"}
    assert await artifacts.list_artifact_keys(**WHERE) == ["g", "user:f"]
    assert await artifacts.list_artifact_keys(**other) == ["user:f"]
    assert await artifacts.load_artifact(**other, filename="user:f") == part(b"1")
    for elsewhere in ({**WHERE, "user_id": "bob"}, {**WHERE, "app_name": "other"}):
        assert await artifacts.list_artifact_keys(**elsewhere) == []
        assert await artifacts.load_artifact(**elsewhere, filename="user:f") is None


async def test_artifacts_are_deleted_with_their_session(artifacts, service):
    made = await service.create_session(**WHERE)
    await artifacts.save_artifact(**WHERE, filename="f", artifact=part(b"1"))
    assert made.state == (await service.get_session(**WHERE)).state == {}
    await service.append_event(made, Event(author="user"))
    await service.delete_session(**WHERE)
    assert await artifacts.load_artifact(**WHERE, filename="f") is None


def reference(to, session_id="s"):
    uri = f"artifact://apps/app/users/alice/sessions/{session_id}/artifacts/{to}/versions/0"
    return types.Part(file_data=types.FileData(file_uri=uri))


async def test_a_chain_of_references_ends(artifacts):
    await artifacts.save_artifact(**WHERE, filename="f0", artifact=types.Part(text="end"))
    for n in range(1, 7):
        await artifacts.save_artifact(**WHERE, filename=f"f{n}", artifact=reference(f"f{n - 1}"))
    assert await artifacts.load_artifact(**WHERE, filename="f5") == types.Part(text="end")
    with pytest.raises(InputValidationError, match="recursion"):
        await artifacts.load_artifact(**WHERE, filename="f6")
    with pytest.raises(InputValidationError, match="scope"):
        await artifacts.save_artifact(**WHERE, filename="g", artifact=reference("f0", "other"))
