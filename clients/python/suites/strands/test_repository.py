import json
import math
import threading

import pytest
from strands.session import RepositorySessionManager
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from session_store import Client, TooLarge, session_id_of
from session_store.adapters.strands import SessionStoreRepository
from suites import world

ODD_IDS = ["a/b#c é 😀", "x" * 500, "..", ".", "a?b=c&d", "%2F", " "]


def session(session_id="s"):
    return Session(session_id=session_id, session_type=SessionType.AGENT)


def agent(agent_id="a", **state):
    return SessionAgent(agent_id=agent_id, state=state, conversation_manager_state={})


def said(text, number=0, **content):
    return SessionMessage({"role": "user", "content": [{"text": text, **content}]}, number)


@pytest.fixture
def begun(repository, network):
    repository.create_session(session())
    repository.create_agent("s", agent())
    network.count()
    return repository


def texts(repository, agent_id="a", **options):
    found = repository.list_messages("s", agent_id, **options)
    return [each.to_message()["content"][0]["text"] for each in found]


@pytest.mark.parametrize("odd", ODD_IDS)
def test_any_id(repository, odd):
    repository.create_session(session(odd))
    repository.create_agent(odd, agent(odd, a=1))
    repository.create_message(odd, odd, said("Hello"))
    assert repository.read_session(odd) == session_like(repository, odd)
    assert repository.read_agent(odd, odd).state == {"a": 1}
    assert [each.message_id for each in repository.list_messages(odd, odd)] == [0]
    assert repository.read_agent(odd, odd + "x") is None


def session_like(repository, session_id):
    found = repository.read_session(session_id)
    return Session(session_id, SessionType.AGENT, found.created_at, found.updated_at)


def test_each_operation_is_one_request(begun, network):
    message = said("Hello")
    for operation in (
        lambda: begun.read_session("s"),
        lambda: begun.read_agent("s", "a"),
        lambda: begun.update_agent("s", agent(b=2)),
        lambda: begun.create_message("s", "a", message),
        lambda: begun.update_message("s", "a", message),
        lambda: begun.list_messages("s", "a"),
        lambda: begun.list_messages("s", "a", limit=1, offset=0),
        lambda: begun.read_message("s", "a", 0),
        lambda: begun.delete_session("s"),
    ):
        operation()
        assert network.count() == 1


def test_what_is_kept_comes_back_as_it_was(begun):
    message = SessionMessage(
        {
            "role": "assistant",
            "content": [
                {"text": "é 😀 \ud800 \u0000"},
                {"image": {"format": "png", "source": {"bytes": b"\x89PNG\xff"}}},
                {
                    "toolUse": {
                        "toolUseId": "1",
                        "name": "f",
                        "input": {"a": 1.0, "b": -0.0, "c": 2**70},
                    }
                },
                {"toolResult": {"toolUseId": "1", "content": [{"json": {"a": None, "": [[]]}}]}},
            ],
        },
        7,
    )
    begun.create_message("s", "a", message)
    [found] = begun.list_messages("s", "a")
    assert found == message
    assert repr(found) == repr(message)  # the order of members and 1.0, too
    told = SessionAgent("a", {"z": 1.0, "a": [b"\xff"]}, {"removed_message_count": 3}, {"x": {}})
    begun.update_agent("s", told)
    assert begun.read_agent("s", "a") == told


def test_numbers_that_json_does_not_have_come_back(begun):
    content = {"json": {"a": [math.nan, math.inf, -math.inf]}}
    begun.create_message("s", "a", said("a", 0, toolResult={"content": [content]}))
    begun.update_agent("s", agent(value=math.nan))
    [message] = begun.list_messages("s", "a")
    assert json.dumps(message.message["content"][0]["toolResult"]["content"]) == json.dumps(
        [content]
    )
    assert math.isnan(begun.read_agent("s", "a").state["value"])


def test_the_service_knows_the_messages(begun, client):
    begun.create_message("s", "a", said("Hello"))
    found = client.sessions.get(session_id_of("s"))
    assert (found.key, found.domain_id, found.last_message.text) == ("s", "strands", "Hello")
    assert [(each.role, each.format) for each in found.messages] == [("user", "strands.message")]


def test_the_agents_of_a_session_have_messages_of_their_own(begun):
    begun.create_agent("s", agent("ab"))
    for number in range(3):
        begun.create_message("s", "a", said(f"a{number}", number))
        begun.create_message("s", "ab", said(f"ab{number}", number))
    assert texts(begun) == ["a0", "a1", "a2"]
    assert texts(begun, "ab", limit=1, offset=1) == ["ab1"]
    assert begun.read_message("s", "ab", 2).message["content"][0]["text"] == "ab2"


def test_two_writers_who_number_alike_lose_nothing(begun):
    world.use()
    tokens = [world.token("alice") for _ in range(2)]

    def write(name, token):
        with Client(world.URL, token) as client:
            repository = SessionStoreRepository(client=client)
            for number in range(10):
                message = said(f"{name}{number}", number)
                repository.create_message("s", "a", message)
                message.redact_message = {"role": "user", "content": [{"text": f"{name}{number}!"}]}
                repository.update_message("s", "a", message)

    writers = [threading.Thread(target=write, args=each) for each in zip("xy", tokens, strict=True)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = begun.list_messages("s", "a")
    numbers = [each.message_id for each in found]
    assert numbers == sorted(set(numbers))
    assert sorted(texts(begun)) == sorted(f"{name}{n}!" for name in "xy" for n in range(10))
    for each in found:
        assert begun.read_message("s", "a", each.message_id) == each


def test_a_message_is_redacted_by_another_process(begun, client):
    begun.create_message("s", "a", said("Secret", 0))
    begun.create_message("s", "a", said("Hello", 1))
    redacted = said("Secret", 0)
    redacted.redact_message = {"role": "user", "content": [{"text": "[removed]"}]}
    before = begun.read_message("s", "a", 0).created_at
    SessionStoreRepository(client=client).update_message("s", "a", redacted)
    assert texts(begun) == ["[removed]", "Hello"]
    assert begun.read_message("s", "a", 0).created_at == before
    with pytest.raises(SessionException, match="Message 7 does not exist"):
        begun.update_message("s", "a", said("Hello", 7))


def test_an_update_keeps_the_time_of_creation(begun, client):
    created = begun.read_agent("s", "a").created_at
    other = SessionStoreRepository(client=client)
    other.update_agent("s", agent(a=1))
    begun.update_agent("s", agent(b=2))
    found = other.read_agent("s", "a")
    assert (found.created_at, found.state) == (created, {"b": 2})


@pytest.mark.parametrize("lost", [1, 2])
def test_after_lost_answers_nothing_is_there_twice(repository, network, lost):
    network.lose = lost
    repository.create_session(session())
    network.lose = lost
    repository.create_agent("s", agent())
    for number in range(3):
        network.lose = lost
        repository.create_message("s", "a", said(str(number), number))
    network.lose = lost
    repository.update_agent("s", agent(a=1))
    network.lose = lost
    assert texts(repository) == ["0", "1", "2"]
    assert repository.read_agent("s", "a").state == {"a": 1}


def test_a_session_that_exists_or_not(repository):
    repository.create_session(session())
    with pytest.raises(SessionException, match="already exists"):
        repository.create_session(session())
    for missing in (
        lambda: repository.create_agent("other", agent()),
        lambda: repository.update_agent("other", agent()),
        lambda: repository.list_messages("other", "a"),
        lambda: repository.list_messages("s", "a"),
        lambda: repository.delete_session("other"),
    ):
        with pytest.raises(SessionException, match="does not exist"):
            missing()


def test_what_is_too_large_is_refused(begun):
    for size in (3_300_000, 7_000_000):
        with pytest.raises(TooLarge):
            begun.create_message("s", "a", said("x" * size))
    assert texts(begun) == []


def test_a_long_conversation_is_read_whole(begun):
    messages = [said(str(number), number) for number in range(1200)]
    begun._append("s", messages, "a")
    assert texts(begun) == [str(number) for number in range(1200)]
    assert texts(begun, offset=1195) == [str(number) for number in range(1195, 1200)]


def test_messages_of_other_programs_are_not_the_agents(begun, client):
    client.messages.append(session_id_of("s"), role="user", content="By hand")
    begun.create_message("s", "a", said("Hello"))
    assert texts(begun) == ["Hello"]


def test_strands_own_manager_over_the_repository(repository):
    RepositorySessionManager("s", repository)
    assert repository.read_session("s").session_type == SessionType.AGENT
    RepositorySessionManager("s", repository)
