"""What the conformance suite misses: requests, any text, sizes, faults and several writers.

This module is over 250 lines because its tests share their checkpoints.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME
from wire import Wire

from session_store import AsyncClient, Client, session_id_of
from session_store.adapters.langgraph import SessionStoreSaver
from session_store.errors import ConnectionFailed
from suites import world

TEXTS = [
    *("", "-", "%2D", ".", "..", "%", "%-", "a/b", "a%2Fb", "a/b#c é 😀", "é", "a\n", " a "),
    *("\ud800", "\0", "%-" + "0" * 64, "x" * 512, "x" * 513, "é" * 500, "child:1|grand:2"),
]
MB = 1024 * 1024


def config_of(thread: Any = "thread", namespace: str = "") -> Any:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace}}


def checkpoint(**state: Any) -> Any:
    versions = dict.fromkeys(state, 1)
    return {**empty_checkpoint(), "channel_values": state, "channel_versions": versions}


def put(saver: Any, config: Any = None, metadata: Any = None, **state: Any) -> Any:
    return saver.put(config or config_of(), checkpoint(**state), metadata or {}, {})


def test_each_operation_is_one_request(wire: Wire) -> None:
    saver = wire.saver()
    assert saver.get_tuple(config_of()) is None
    assert wire.count() == 1
    first = put(saver, text="one")
    assert wire.count() == 2  # with the session
    saver.put_writes(first, [("text", "two"), ("other", 3)], "task")
    assert wire.count() == 1
    second = put(saver, first, text="two")
    assert wire.count() == 1
    assert saver.get_tuple(config_of()).config == second
    assert wire.count() == 1
    saver.put_writes(second, [(INTERRUPT, "?")], "task")
    wire.count()
    assert saver.get_tuple(config_of()).pending_writes == [("task", INTERRUPT, "?")]
    assert wire.count() == 1
    assert saver.get_tuple(first).parent_config is None
    assert wire.count() == 1
    history = saver.get_delta_channel_history(config=second, channels=["text", "other"])
    assert history["other"]["writes"] == [("task", "other", 3)]
    assert wire.count() == 1
    saver.put_writes(second, [(INTERRUPT, "?"), (RESUME, "!"), ("text", 1)], "task")
    assert wire.count() == 1
    saver.put_writes(second, [("text", 1)], "task 2")
    wire.count()
    assert len(saver.get_tuple(config_of()).pending_writes) == 4
    assert wire.count() == 2  # more pending writes than are usual
    assert len(list(saver.list(config_of()))) == 2
    assert wire.count() == 1


def test_writes_to_channels_are_kept_and_to_special_ones_replaced(wire: Wire) -> None:
    saver = wire.saver()
    config = put(saver)
    saver.put_writes(config, [("a", 1)], "task")
    saver.put_writes(config, [("a", 2), ("b", 3)], "task")  # LangGraph sends all, again
    saver.put_writes(config, [("a", 4)], "task")
    for number in (1, 2):
        saver.put_writes(config, [(ERROR, f"error {number}"), (INTERRUPT, number)], "task")
    saver.put_writes(config, [(RESUME, "yes"), ("c", 5), ("d", 6)], "task")
    assert saver.get_tuple(config).pending_writes == [
        *(("task", RESUME, "yes"), ("task", INTERRUPT, 2), ("task", ERROR, "error 2")),
        *(("task", "a", 1), ("task", "b", 3), ("task", "d", 6)),
    ]


def test_pending_writes_are_in_the_order_of_their_paths(wire: Wire) -> None:
    saver = wire.saver()
    config = put(saver)
    for task, path in (("a", "~3"), ("b", "~1"), ("c", ""), ("d", "~1")):
        saver.put_writes(config, [("x", 1), ("y", 2)], task, path)
    found = saver.get_tuple(config).pending_writes
    assert [(task, channel) for task, channel, _ in found] == [
        (task, channel) for task in "cbda" for channel in "xy"
    ]


def test_thread_ids_may_be_any_text(wire: Wire) -> None:
    saver = wire.saver()
    for text in [*TEXTS, 7]:
        put(saver, config_of(text), thread=repr(text))
    for text in [*TEXTS, 7]:
        found = saver.get_tuple(config_of(text))
        assert found.checkpoint["channel_values"] == {"thread": repr(text)}
        assert found.config["configurable"]["thread_id"] == text
    listed = [each.config["configurable"]["thread_id"] for each in saver.list(None)]
    assert sorted(listed) == sorted([*TEXTS, "7"])


def test_other_names_may_be_any_text(wire: Wire) -> None:
    saver = wire.saver()
    for text in TEXTS:
        config = put(saver, config_of("thread", text), namespace=repr(text))
        for task in TEXTS if text == "" else [text]:
            saver.put_writes(config, [(text, repr(task)), (INTERRUPT, repr(task))], task)
    for text in TEXTS:
        found = saver.get_tuple(config_of("thread", text))
        assert found.checkpoint["channel_values"] == {"namespace": repr(text)}
        assert sorted(found.pending_writes) == sorted(
            (task, channel, repr(task))
            for task in (TEXTS if text == "" else [text])
            for channel in (text, INTERRUPT)
        )
        [listed] = saver.list(config_of("thread", text))
        assert listed == found
    everything = list(saver.list({"configurable": {"thread_id": "thread"}}))
    names = [each.config["configurable"]["checkpoint_ns"] for each in everything]
    assert sorted(names) == sorted(TEXTS)


def test_the_session_has_the_threads_id_as_its_key(wire: Wire) -> None:
    put(wire.saver(), config_of("é/1"))
    session = wire.client.sessions.get(session_id_of("é/1"))
    assert (session.key, session.domain_id) == ("é/1", "langgraph")


def test_what_is_no_json_comes_back(wire: Wire) -> None:
    state = {"nan": math.nan, "bytes": b"\0\xff", "set": {1}, "none": None, "text": "\0 é 😀"}
    found = wire.saver().get_tuple(put(wire.saver(), **state)).checkpoint["channel_values"]
    assert math.isnan(found.pop("nan"))
    del state["nan"]
    assert found == state


def test_a_cipher_hides_state_metadata_and_writes(wire: Wire) -> None:
    class Cipher:
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            return "flip", bytes(each ^ 255 for each in plaintext)

        def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
            assert ciphername == "flip"
            return bytes(each ^ 255 for each in ciphertext)

    saver = wire.saver(serde=EncryptedSerializer(Cipher()))
    config = put(saver, None, {"source": "secret metadata"}, text="secret state")
    saver.put_writes(config, [("text", "secret write")], "task")
    stored = wire.client.session_values(session_id_of("thread")).list()
    assert not any(b"secret" in value.content for value in stored)
    found = saver.get_tuple(config)
    assert found.checkpoint["channel_values"] == {"text": "secret state"}
    assert found.metadata == {"source": "secret metadata"}
    assert found.pending_writes == [("task", "text", "secret write")]
    assert len(list(saver.list(config_of(), filter={"source": "secret metadata"}))) == 1


def test_checkpoints_and_writes_over_3_mb_are_divided(wire: Wire) -> None:
    saver = wire.saver()
    first = put(saver, text="x" * 7 * MB)
    saver.put_writes(first, [("text", "y" * 4 * MB), ("other", 1)], "task")
    saver.put_writes(first, [("text", "z"), ("other", 2), ("more", 3)], "task")
    saver.put_writes(first, [(INTERRUPT, "w" * 4 * MB), (RESUME, 1)], "task")
    second = put(saver, first, text="v" * 4 * MB)
    found = saver.get_tuple(first)
    assert found.checkpoint["channel_values"] == {"text": "x" * 7 * MB}
    assert [(each[1], len(str(each[2]))) for each in found.pending_writes] == [
        *((RESUME, 1), (INTERRUPT, 4 * MB), ("text", 4 * MB), ("other", 1), ("more", 1))
    ]
    assert [each.config for each in saver.list(config_of())] == [second, first]
    assert saver.get_tuple(config_of()).config == second
    saver.copy_thread("thread", "copy")
    saver.prune(["copy"])
    [kept] = saver.list(config_of("copy"))
    assert kept.checkpoint["channel_values"] == {"text": "v" * 4 * MB}


def test_a_divided_checkpoint_is_not_seen_before_its_last_part(wire: Wire) -> None:
    saver = wire.saver()
    first = put(saver, text="one")
    wire.cut_after = 2
    with pytest.raises(ConnectionFailed):
        put(saver, first, text="x" * 7 * MB)
    wire.cut_after = None
    assert saver.get_tuple(config_of()).config == first
    assert [each.config for each in saver.list(config_of())] == [first]


def test_writes_without_their_checkpoint_do_not_count(wire: Wire) -> None:
    """With `durability="async"`, a process may end between the two."""
    saver = wire.saver()
    first = put(saver, text="one")
    for _ in range(3):
        lost = {
            "configurable": {
                **config_of()["configurable"],
                "checkpoint_id": empty_checkpoint()["id"],
            }
        }
        saver.put_writes(lost, [("text", 1)], "task 1")
        saver.put_writes(lost, [("text", 1)], "task 2")
        assert saver.get_tuple(lost) is None
    assert saver.get_tuple(config_of()).config == first
    assert [each.config for each in saver.list(config_of())] == [first]
    saver.prune(["thread"])
    assert saver.get_tuple(config_of()).config == first


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "put": lambda saver, config: put(saver, config, text="new"),
    "put_writes": lambda saver, config: saver.put_writes(config, [("a", 1), ("b", 2)], "new"),
    "special": lambda saver, config: saver.put_writes(config, [(INTERRUPT, 1), ("b", 2)], "new"),
    "merged": lambda saver, config: saver.put_writes(config, [("a", 1), ("b", 2)], "task"),
    "delete": lambda saver, config: saver.delete_thread("thread"),
    "runs": lambda saver, config: saver.delete_for_runs(["run"]),
    "copy": lambda saver, config: saver.copy_thread("thread", "copy"),
    "prune": lambda saver, config: saver.prune(["thread"]),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_lost_answer_changes_nothing(operation: str) -> None:
    world.use()
    found = []
    for lose in (0, 1):
        world.begin()
        wire = Wire(world.token())
        saver = wire.saver()
        put(saver, None, {"run_id": "run"}, text="old")
        config = put(saver, None, {"run_id": "other"}, text="one")
        saver.put_writes(config, [("a", 1)], "task")
        wire.lose = lose
        OPERATIONS[operation](saver, config)
        assert wire.lose == 0
        found.append(
            [
                (
                    each.config["configurable"]["thread_id"],
                    each.checkpoint["channel_values"],
                    each.pending_writes,
                )
                for each in saver.list(None)
            ]
        )
    assert found[0] == found[1]
    world.use()


def test_two_writers_of_a_task_lose_nothing(wire: Wire) -> None:
    saver = wire.saver()
    config = put(saver)

    def write(number: int) -> None:
        count = number % 4 + 1
        saver.put_writes(config, [(f"{index}", number) for index in range(count)], "task")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(8)))
    found = saver.get_tuple(config).pending_writes
    assert [channel for _, channel, _ in found] == ["0", "1", "2", "3"]


def test_two_writers_of_a_thread_lose_nothing(wire: Wire) -> None:
    saver = wire.saver()
    with ThreadPoolExecutor(4) as pool:
        configs = list(pool.map(lambda number: put(saver, number=number), range(12)))
    found = list(saver.list(config_of()))
    assert sorted(each.config["configurable"]["checkpoint_id"] for each in found) == sorted(
        each["configurable"]["checkpoint_id"] for each in configs
    )


def test_long_threads_are_listed_in_bounded_pages(wire: Wire) -> None:
    saver = wire.saver()
    configs = [config_of()]
    for number in range(130):
        configs.append(put(saver, configs[-1], {"step": number, "even": number % 2 == 0}))
    wire.count()
    assert [each.config for each in saver.list(config_of())] == configs[:0:-1]
    assert wire.count() == 2
    assert [each.config for each in saver.list(config_of(), before=configs[10], limit=3)] == [
        *configs[9:6:-1]
    ]
    assert wire.count() == 1
    even = list(saver.list(config_of(), filter={"even": True}, limit=2))
    assert [each.metadata["step"] for each in even] == [128, 126]
    assert wire.count() == 1
    assert [each.config for each in saver.list(configs[5])] == [configs[5]]
    assert list(saver.list(config_of(), limit=0)) == []
    saver.delete_for_runs(["no such run"])
    saver.prune(["thread"])
    assert [each.config for each in saver.list(config_of())] == [configs[-1]]


def test_delete_thread_leaves_what_is_not_its_own(wire: Wire) -> None:
    saver = wire.saver()
    put(saver, config_of("checkpoints"))
    saver.delete_thread("checkpoints")
    assert not list(wire.client.sessions.list())
    put(saver, config_of("chat"))
    wire.client.messages.append(session_id_of("chat"), role="user", content="Hi")
    saver.delete_thread("chat")
    assert saver.get_tuple(config_of("chat")) is None
    assert len(list(wire.client.messages.list(session_id_of("chat")))) == 1
    put(saver, config_of("chat"), text="again")
    assert saver.get_tuple(config_of("chat")).checkpoint["channel_values"] == {"text": "again"}


@pytest.mark.parametrize("source", ["plain", "x" * 600])
@pytest.mark.parametrize("target", ["other", "y" * 600, "taken"])
def test_copy_thread(wire: Wire, source: str, target: str) -> None:
    saver = wire.saver()
    put(saver, config_of("taken", "its own"), text="kept")
    first = put(saver, config_of(source), {"step": 1}, text="one")
    saver.put_writes(first, [("text", "two"), (INTERRUPT, "?")], "task", "~1")
    put(saver, first, {"step": 2}, text="two")
    put(saver, config_of(source, "child:1"), text="inner")
    saver.copy_thread(source, target)

    def all_of(thread: str) -> list[Any]:
        config: Any = {"configurable": {"thread_id": thread}}
        return [
            (each.checkpoint, each.metadata, each.pending_writes)
            for each in saver.list(config)
            if each.config["configurable"]["checkpoint_ns"] != "its own"
        ]

    assert all_of(target) == all_of(source)
    assert len(all_of(target)) == 3
    listed = {each.config["configurable"]["thread_id"] for each in saver.list(None)}
    assert listed == {"taken", source, target}
    saver.delete_thread(source)
    assert len(all_of(target)) == 3


def test_runs_are_deleted_in_all_threads(wire: Wire) -> None:
    saver = wire.saver()
    for thread in ("a", "b" * 600):
        for run in ("one", "two", "three"):
            config = put(saver, config_of(thread), {"run_id": run})
            saver.put_writes(config, [("x", 1)], "task")
    saver.delete_for_runs(["one", "three"])
    assert [each.metadata["run_id"] for each in saver.list(None)] == ["two", "two"]


def test_versions_go_on_from_those_of_other_savers(wire: Wire) -> None:
    saver = wire.saver()
    assert [saver.get_next_version(version, None) for version in (None, 1)] == [1, 2]
    theirs = f"{3:032}.{0.7:016}"
    following = saver.get_next_version(theirs, None)
    assert following > theirs
    assert saver.get_next_version(following, None) > following


async def test_a_method_of_the_other_kind_says_which_client_it_needs(wire: Wire) -> None:
    with pytest.raises(TypeError, match=r"session_store\.Client"):
        SessionStoreSaver(AsyncClient(world.URL, wire.token)).get_tuple(config_of())
    with pytest.raises(TypeError, match="AsyncClient"):
        await SessionStoreSaver(Client(world.URL, wire.token)).aget_tuple(config_of())


def test_prune_refuses_an_unknown_strategy(wire: Wire) -> None:
    with pytest.raises(ValueError, match="keep_last"):
        wire.saver().prune(["thread"], strategy="keep_last")
