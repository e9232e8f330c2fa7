"""ADK's sessions: what its own tests miss. Over 250 lines, because they share their events."""

import asyncio
import math

import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import Session
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from session_store import ConnectionFailed, InvalidRequest, TooLarge, session_id_of

ODD_TEXTS = ["a/b#c é 😀", "x" * 400, "..", ".", "a?b=c&d", "%2F", "a//b", "50%"]


def said(text="Hello", author="user", **state):
    return Event(
        author=author,
        invocation_id="i",
        content=types.Content(role="user", parts=[types.Part(text=text)]),
        actions=EventActions(state_delta=state),
    )


async def reread(service, session, **config):
    return await service.get_session(
        app_name=session.app_name,
        user_id=session.user_id,
        session_id=session.id,
        config=GetSessionConfig(**config),
    )


@pytest.fixture
async def session(service):
    return await service.create_session(app_name="app", user_id="alice", session_id="thread")


async def test_an_event_takes_one_request_and_so_does_a_session(service, session, network):
    network.count()
    await service.append_event(session, said(**{"a": 1, "user:b": 2, "app:c": 3, "temp:d": 4}))
    assert network.count() == 1
    assert await reread(service, session) == session.model_copy(
        update={"state": {"a": 1, "user:b": 2, "app:c": 3}}
    )
    assert network.count() == 1


async def test_app_state_is_seen_by_another_user_and_user_state_is_not(service, session):
    await service.append_event(session, said(**{"a": 1, "user:b": 2, "app:c": [3]}))
    bobs = await service.create_session(app_name="app", user_id="bob", state={"app:d": 4})
    assert bobs.state == {"app:c": [3], "app:d": 4}
    await service.append_event(bobs, said(**{"app:c": None}))
    assert (await reread(service, session)).state == {
        "a": 1,
        "user:b": 2,
        "app:c": None,
        "app:d": 4,
    }
    other = await service.create_session(app_name="other", user_id="alice")
    assert other.state == {}


async def test_of_eight_writers_of_one_revision_one_is_stored(service, session):
    copies = [session.model_copy(deep=True) for _ in range(8)]
    outcomes = await asyncio.gather(
        *(
            service.append_event(copy, said(f"{n}", **{f"k{n}": n, "app:last": n}))
            for n, copy in enumerate(copies)
        ),
        return_exceptions=True,
    )
    [stored] = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Event)]
    assert sum(isinstance(outcome, StaleSessionError) for outcome in outcomes) == 7
    seen = await reread(service, session)
    assert seen == copies[stored]
    assert seen.state == {f"k{stored}": stored, "app:last": stored}


async def test_a_session_from_json_is_stale_if_there_are_other_events(service, session):
    await service.append_event(session, said("1"))
    old = Session.model_validate_json(session.model_dump_json())
    await service.append_event(Session.model_validate_json(session.model_dump_json()), said("2"))
    with pytest.raises(StaleSessionError):
        await service.append_event(old, said("3"))
    with pytest.raises(StaleSessionError):
        await service.append_event(await reread_without_marker(service, session), said("3"))
    assert [e.content.parts[0].text for e in (await reread(service, session)).events] == ["1", "2"]


async def reread_without_marker(service, session):
    seen = await reread(service, session, num_recent_events=0)
    seen._storage_update_marker = None
    return seen


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_lost_answer_stores_an_event_once(service, session, network, lost):
    network.lose = lost
    await service.append_event(session, said("once", a=1))
    assert await reread(service, session) == session
    assert len(session.events) == 1


async def test_an_event_without_any_answer_can_be_appended_again(service, session, network):
    event = said("once", **{"a": 1, "temp:b": 2})
    network.lose = 3
    with pytest.raises(ConnectionFailed):
        await service.append_event(session, event)
    assert session.events == []
    await service.append_event(session, event)
    await service.append_event(session, said("next"))
    seen = await reread(service, session)
    assert [each.content.parts[0].text for each in seen.events] == ["once", "next"]
    again = await service.append_event(seen, seen.events[0].model_copy(deep=True))
    assert again == seen.events[0]
    assert len(seen.events) == 2


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_lost_answer_creates_a_session_once(service, network, lost):
    network.lose = lost
    made = await service.create_session(app_name="app", user_id="alice", state={"a": 1})
    assert made.state == {"a": 1}
    with pytest.raises(AlreadyExistsError):
        await service.create_session(app_name="app", user_id="alice", session_id=made.id)


@pytest.mark.parametrize("text", ODD_TEXTS)
async def test_ids_and_keys_are_any_text(service, text):
    made = await service.create_session(
        app_name=text[:60],
        user_id=text,
        session_id=text,
        state={text: text, f"user:{text}": 1, f"app:{text}": 2},
    )
    state = {text: text, f"user:{text}": 1, f"app:{text}": 2}
    assert (made.id, made.app_name, made.user_id, made.state) == (text, text[:60], text, state)
    await service.append_event(made, said(**{text: "new"}))
    [listed] = (await service.list_sessions(app_name=text[:60], user_id=text)).sessions
    assert (listed.id, listed.state) == (text, {**state, text: "new"})
    await service.delete_session(app_name=text[:60], user_id=text, session_id=text)
    assert (await service.list_sessions(app_name=text[:60], user_id=text)).sessions == []


async def test_an_app_with_a_slash_is_not_another_app(service):
    for app, session in (("a/b", "c"), ("a", "b/c")):
        await service.create_session(
            app_name=app, user_id="u", session_id=session, state={"of": app}
        )
    for app, session in (("a/b", "c"), ("a", "b/c")):
        [listed] = (await service.list_sessions(app_name=app, user_id="u")).sessions
        assert (listed.id, listed.state) == (session, {"of": app})


async def test_events_and_state_come_back_as_they_were(service, session):
    event = Event(
        author="agent",
        invocation_id="i",
        content=types.Content(
            role="model",
            parts=[
                types.Part(text="\u0000 é 😀", thought=True, thought_signature=b"\xff\x00"),
                types.Part.from_function_call(
                    name="f", args={"z": None, "a": [1.0, 1, 1e300, -0.0]}
                ),
                types.Part.from_bytes(data=bytes(range(256)), mime_type="image/png"),
            ],
        ),
        actions=EventActions(
            state_delta={"d": {"z": None, "a": 1.0}, "n": None, "e": [], "big": 10**30},
            artifact_delta={"file": 3},
        ),
        long_running_tool_ids={"b", "a"},
        custom_metadata={"k": None},
        branch="a.b",
    )
    await service.append_event(session, event)
    seen = await reread(service, session)
    assert seen == session
    assert seen.events == [event]
    assert list(seen.events[0].content.parts[1].function_call.args) == ["z", "a"]
    assert list(seen.state["d"]) == ["z", "a"]
    assert isinstance(seen.state["d"]["a"], float)


async def test_nan_survives_in_events_and_state(service, session):
    event = said(a=math.nan, b={"c": [math.inf]}, d=1)
    event.content.parts = [types.Part.from_function_response(name="f", response={"x": -math.inf})]
    await service.append_event(session, event)
    await service.append_event(session, said("after"))
    seen = await reread(service, session)
    assert math.isnan(seen.state["a"])
    assert (seen.state["b"], seen.state["d"]) == ({"c": [math.inf]}, 1)
    assert seen.events[0].content.parts[0].function_response.response == {"x": -math.inf}
    assert math.isnan(seen.events[0].actions.state_delta["a"])


async def test_what_is_no_json_is_stored_as_adk_does_it(service):
    state = {"type": type(None), "tuple": (1, 2)}
    made = await service.create_session(app_name="app", user_id="u", state=state)
    assert made.state["tuple"] == [1, 2]
    assert "NoneType" in made.state["type"]


async def test_an_event_that_is_too_large_is_refused_whole(service, session):
    with pytest.raises(TooLarge):
        await service.append_event(session, said("x" * 3_500_000, a=1))
    with pytest.raises(InvalidRequest, match="100"):
        await service.append_event(session, said(**{f"k{n}": n for n in range(120)}))
    seen = await reread(service, session)
    assert (seen.events, seen.state) == ([], {})
    await service.append_event(session, said("x" * 2_900_000, a=1))
    assert await reread(service, session) == session


async def test_a_session_begins_with_many_values(service):
    state = {f"{kind}k{n}": n for n in range(250) for kind in ("", "user:", "app:")}
    made = await service.create_session(app_name="app", user_id="u", state=state)
    assert made.state == state
    assert (await reread(service, made)).state == state


async def test_a_session_whose_state_is_refused_is_not_created(service):
    with pytest.raises(TooLarge):
        await service.create_session(
            app_name="app", user_id="u", session_id="s", state={"a": "x" * 3_500_000}
        )
    assert await service.get_session(app_name="app", user_id="u", session_id="s") is None
    assert (await service.create_session(app_name="app", user_id="u", session_id="s")).state == {}


async def test_more_than_a_thousand_events_and_values_come_in_several_requests(
    service, session, client, network
):
    stored_id = session_id_of("app/thread")
    batch = [
        {"format": "adk.event", "native": said(f"{n}").model_dump(mode="json")} for n in range(50)
    ]
    for n in range(21):
        values = [{"put": f"state:{n}-{m}", "json": m} for m in range(48)]
        alice = client.acting_for("alice")
        await alice.messages.append_many(stored_id, batch, values={"session": values})
    network.count()
    seen = await reread(service, session)
    assert (len(seen.events), len(seen.state)) == (1050, 1008)
    assert network.count() == 3
    assert len((await reread(service, session, num_recent_events=1040)).events) == 1040


async def test_recent_events_and_those_since_a_time(service, session):
    for n in range(6):
        event = said(f"{n}")
        event.timestamp = 1000.0 + n
        await service.append_event(session, event)

    async def texts(**config):
        seen = await reread(service, session, **config)
        assert seen.last_update_time == 1005.0
        await service.append_event(seen.model_copy(deep=True), said("x")) if config == {} else None
        return [each.content.parts[0].text for each in seen.events]

    assert await texts(num_recent_events=2) == ["4", "5"]
    assert await texts(after_timestamp=1003.0) == ["3", "4", "5"]
    assert await texts(after_timestamp=1003.0, num_recent_events=2) == ["4", "5"]
    assert await texts(after_timestamp=2000.0) == []
    assert await texts(num_recent_events=0) == []


async def test_messages_of_others_are_no_events(service, session, client):
    await service.append_event(session, said("1"))
    alice = client.acting_for("alice")
    await alice.messages.append(session_id_of("app/thread"), role="user", content="by hand")
    with pytest.raises(StaleSessionError):
        await service.append_event(session, said("2"))
    seen = await reread(service, session)
    assert [each.content.parts[0].text for each in seen.events] == ["1"]
    await service.append_event(seen, said("2"))


async def test_a_deleted_session_takes_no_events(service, session):
    await service.append_event(session, said("1", a=1))
    for _ in range(2):
        await service.delete_session(app_name="app", user_id="alice", session_id="thread")
    assert await reread(service, session) is None
    with pytest.raises(SessionNotFoundError):
        await service.append_event(session, said("2"))
    again = await service.create_session(app_name="app", user_id="alice", session_id="thread")
    assert (again.state, again.events) == ({}, [])


async def test_the_sessions_of_all_users_are_not_shown(service):
    with pytest.raises(NotImplementedError, match="one user_id"):
        await service.list_sessions(app_name="app")


async def test_sessions_are_listed_by_their_last_event(service):
    made = [
        await service.create_session(app_name="app", user_id="u", session_id=f"{n}")
        for n in range(12)
    ]
    await service.append_event(made[3], said(a=1))
    async with asyncio.timeout(10):  # the list is read from an index, which may lag
        while True:
            listed = (await service.list_sessions(app_name="app", user_id="u")).sessions
            if len(listed) == 12 and listed[-1].id == "3":
                break
    assert listed[-1].state == {"a": 1}
    assert listed[-1].events == []
