"""`flask erase` removes all of one user or one tenant, and nothing of others."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from app.config import Config
from app.errors import ClockDisagrees, Unavailable
from app.grounding.sources import key_hash
from app.identity.caller import Caller, NotACaller
from app.operations import cli, tenant_erasure
from app.operations.sweep import sweep
from app.operations.tenant_erasure import StillInUse, erase_tenant, erase_user
from app.sessions.users import users_of
from app.table import db, ids, keys
from app.table.definition import BY_TENANT
from tests.faults.proxy import always, refused
from tests.people import SECRET, Client, make_token

SCOPE = "sessions:read sessions:write tenant-values:read tenant-values:write sources:govern"
LARGE = b"\xff" * 900_000


class Killed(BaseException):
    """Nothing in the app catches it."""


@pytest.fixture
def person(app: Any) -> Callable[..., Client]:
    return lambda tenant, user: Client(app, make_token(tenant, user, scope=SCOPE))


@pytest.fixture
def at_once(table: db.Table, clock: Any) -> db.Table:
    """This test's table, without pauses."""
    return db.Table(table.name, table.client, database_time=clock, sleep=lambda _: None)


def put(client: Client, path: str, raw: bytes = b"1", content_type: str = "x/y") -> None:
    answer = client.request("PUT", path, data=raw, headers={"Content-Type": content_type})
    assert answer.status_code in (200, 201), answer.text


def furnish(client: Client, messages: int = 3, large: bytes = LARGE) -> None:
    """Sessions with and without a key, values, and a session that is being deleted."""
    for body in ({}, {"key": "mine"}, {"expires_in_days": 1}):
        session = client.create_session(**body)["session_id"]
        client.fill(session, messages)
        put(client, f"/sessions/{session}/values/a", large)
    put(client, "/values/b", large)
    put(client, "/values/c", b"{}", "application/json")


def govern(client: Client, count: int) -> None:
    for number in range(count):
        key = f"doc:{number}"
        body = {"key": key, "state": "withdrawn"}
        assert client.put(f"/tenant/sources/{key_hash(key)}", body).status_code == 200


def of(tenant: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if item["PK"]["S"].startswith(f"{tenant}#")]


def shown(client: Client) -> list[Any]:
    return [
        client.get("/sessions").json["sessions"],
        client.get("/values").json["values"],
        client.get("/tenant/values").json["values"],
    ]


def test_a_tenant_goes_completely_and_another_stays(person, at_once, clock, items, assert_sound):
    for tenant in ("acme", "globex"):
        for user in ("alice", "bob"):
            furnish(person(tenant, user))
        put(person(tenant, "alice"), "/tenant/values/d", LARGE)
        put(person(tenant, "carol"), "/values/e")  # has no session
        govern(person(tenant, "alice"), 2)
    before = items()
    erased = erase_tenant(at_once, "acme", clock)
    assert (erased.users, erased.sessions, erased.messages) == (3, 6, 18)
    assert (erased.tenant_values, erased.verdicts) == (True, 2)
    for user in ("alice", "bob", "carol"):
        assert shown(person("acme", user)) == [[], [], []]
    assert not [item for item in of("acme", items()) if "VALUE#" in item["SK"]["S"]]
    assert of("globex", items()) == of("globex", before)
    assert_sound()
    clock.move(seconds=130)
    assert sweep(at_once, clock).finished
    assert items() == of("globex", before)
    assert_sound()


def test_one_user_goes_and_others_stay(person, at_once, clock, items, assert_sound):
    for user in ("alice", "bob"):
        furnish(person("acme", user))
    put(person("acme", "alice"), "/tenant/values/d")
    before = [item for item in items() if item["PK"]["S"] != "acme#alice"]
    erased = erase_user(at_once, "acme", "alice", clock)
    assert (erased.users, erased.sessions, erased.messages) == (1, 3, 9)
    assert not erased.tenant_values
    assert_sound()
    clock.move(seconds=130)
    assert sweep(at_once, clock).finished
    assert items() == before
    nothing = erase_user(at_once, "acme", "alice", clock)
    assert (nothing.users, nothing.sessions) == (0, 0)
    assert items() == before


def test_the_user_may_begin_again_at_once(person, at_once, clock, assert_sound):
    alice = person("acme", "alice")
    furnish(alice)
    put(alice, "/tenant/values/d")
    erase_tenant(at_once, "acme", clock)
    session = alice.create_session(key="mine")["session_id"]
    for path in (f"/sessions/{session}/values/a", "/values/b", "/tenant/values/d"):
        put(alice, path, b"new")
    clock.move(seconds=130)
    assert sweep(at_once, clock).finished
    for path in (f"/sessions/{session}/values/a", "/values/b", "/tenant/values/d"):
        assert alice.get(path).data == b"new"
    assert_sound()


def test_a_user_who_had_only_values_begins_again_with_the_right_time(person, clock, items):
    alice = person("acme", "alice")
    put(alice, "/values/b")
    assert alice.get("/sessions").json["pagination"]["total"] == 0
    assert alice.delete("/sessions?confirm=all").json["deleted_sessions"] == 0
    assert alice.create_session()["created_at"] <= ids.iso_time(clock())


class Dying:
    """The engine's client, until the call at which the process is killed."""

    def __init__(self, client: Any, number: int, *, acts: bool) -> None:
        self.client, self.left, self.acts = client, number, acts

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.client, name)

        def send(**parameters: Any) -> Any:
            self.left -= 1
            if self.left > 0:
                return call(**parameters)
            if self.left == 0 and self.acts:
                call(**parameters)
            raise Killed

        return send


@pytest.mark.parametrize("acts", [False, True], ids=["before", "after"])
def test_a_second_run_finishes_what_a_kill_interrupted(
    acts, full, person, at_once, clock, items, assert_sound
):
    """Killed at each call, or without --full at every third."""
    other = person("globex", "alice")
    furnish(other, 1, b"1")
    put(other, "/tenant/values/d")
    govern(other, 1)
    before = items()
    for number in itertools.count(1, 1 if full else 3):
        for user in ("alice", "bob"):
            furnish(person("acme", user), 1, b"1")
        put(person("acme", "alice"), "/tenant/values/d")
        govern(person("acme", "alice"), 26)
        client = Dying(at_once.client, number, acts=acts)
        dying = db.Table(at_once.name, client, database_time=clock, sleep=lambda _: None)
        try:
            erase_tenant(dying, "acme", clock)
            break
        except Killed:
            pass
        assert_sound()
        erase_tenant(at_once, "acme", clock)
        assert shown(person("acme", "alice")) == shown(person("acme", "bob")) == [[], [], []]
        assert_sound()
        clock.move(seconds=130)
        assert sweep(at_once, clock).finished
        assert items() == before, f"killed at call {number}"
    assert number > 50


class Lagging(db.Table):
    """Its index does not show some users the first time."""

    def __init__(self, table: db.Table, hidden: str, times: int) -> None:
        super().__init__(
            table.name, table.client, sleep=lambda _: None, database_time=table.database_time
        )
        self.hidden, self.left = hidden, times * keys.TENANT_SHARDS

    def query_index(self, index: str, *args: Any, **options: Any) -> Iterator[list[Any]]:
        hides = index == BY_TENANT and self.left > 0
        self.left -= index == BY_TENANT
        for page in super().query_index(index, *args, **options):
            yield [item for item in page if not hides or item["PK"] != self.hidden]


class Overtaken(db.Table):
    """Somebody says something of a source right before the revision is deleted. Then the run is
    killed, if it is to be."""

    def __init__(self, table: db.Table, act: Callable[[], None], *, kill: bool) -> None:
        super().__init__(
            table.name, table.client, sleep=lambda _: None, database_time=table.database_time
        )
        self.act, self.kill, self.done = act, kill, False

    def execute(self, write: Any, **options: Any) -> Any:
        if "REVISION" not in str(write) or self.done:
            return super().execute(write, **options)
        self.done = True
        self.act()
        try:
            return super().execute(write, **options)
        finally:
            if self.kill:
                raise Killed


@pytest.mark.parametrize("kill", [True, False])
def test_a_verdict_that_is_written_meanwhile_is_erased_and_never_without_a_revision(
    kill, person, at_once, clock, items, assert_sound
):
    erin = person("acme", "erin")
    govern(erin, 2)
    table = Overtaken(at_once, lambda: govern(erin, 1), kill=kill)
    with pytest.raises(Killed) if kill else nullcontext():
        erase_tenant(table, "acme", clock)
    assert table.done
    assert_sound()
    assert len(items()) == (2 if kill else 0)
    erase_tenant(at_once, "acme", clock)
    assert items() == []


def test_users_that_the_index_shows_late_are_erased(person, at_once, clock, items):
    for user in ("alice", "bob"):
        person("acme", user).create_session()
    erased = erase_tenant(Lagging(at_once, "acme#bob", 1), "acme", clock)
    assert erased.users == 2
    assert items() == []


def test_a_tenant_that_goes_on_writing_is_told(person, table, clock):
    def write(_: float) -> None:
        person("acme", "bob").create_session()

    busy = db.Table(table.name, table.client, database_time=clock, sleep=write)
    person("acme", "alice").create_session()
    with pytest.raises(StillInUse, match="tokens of the tenant are still in use"):
        erase_tenant(busy, "acme", clock)


def test_the_users_of_a_tenant_come_in_a_stable_order(person, at_once, items):
    names = [*(f"user-{n}" for n in range(30)), "a#b", "%", "😀" * 100]
    for name in names:
        put(person("acme", name), "/values/a")
    for tenant in ("acme#1", "acm", "acme%23", "globex"):
        person(tenant, "alice").create_session()
    found = list(users_of(at_once, "acme"))
    assert sorted(found) == sorted(Caller("acme", name).partition for name in names)
    shards = [keys.by_tenant(partition)["GSI3PK"] for partition in found]
    assert shards == sorted(shards)
    assert found == sorted(found, key=lambda p: (keys.by_tenant(p)["GSI3PK"], p))
    assert list(users_of(at_once, "acme#1")) == ["acme%231#alice"]
    assert list(users_of(at_once, "nobody")) == []


def test_no_key_of_the_index_is_too_long():
    partition = Caller("a" * 1000, "b" * 1047).partition
    [_, sort_key] = keys.by_tenant(partition).values()
    assert len(sort_key) == keys.MAX_SORT_KEY_BYTES


def test_a_wrong_clock_erases_nothing(person, at_once, clock, items):
    furnish(person("acme", "alice"), 1, b"1")
    before = items()
    for ahead in (-120_000, 120_000):
        for erase in (
            lambda now: erase_tenant(at_once, "acme", now),
            lambda now: erase_user(at_once, "acme", "alice", now),
        ):
            with pytest.raises(ClockDisagrees):
                erase(lambda ahead=ahead: clock() + ahead)
    assert items() == before


def test_a_refusal_ends_the_run(person, far_table, proxy, clock):
    person("acme", "alice").create_session()
    proxy.plan = always(refused("AccessDeniedException"), "TransactWriteItems")
    with pytest.raises(Unavailable, match="AccessDenied.*run it again"):
        erase_tenant(far_table, "acme", clock)


@pytest.mark.parametrize("pair", [("", "alice"), ("acme ", "alice"), ("acme", " alice")])
def test_an_id_that_no_token_can_have_is_refused(pair, at_once, clock):
    with pytest.raises(NotACaller):
        erase_user(at_once, *pair, clock)
    if pair[0] != "acme":
        with pytest.raises(NotACaller):
            erase_tenant(at_once, pair[0], clock)


@pytest.fixture
def run(app: Any, at_once: db.Table, monkeypatch: Any) -> Callable[..., Any]:
    """The command, with what is typed at its prompt."""
    app.extensions["table"] = at_once
    cli.init_app(app, Config(sessions_table=at_once.name, jwt_secret=SECRET))
    runner = app.test_cli_runner()
    return lambda *args, typed=None: runner.invoke(args=["erase", *args], input=typed)


@pytest.mark.parametrize(
    ("args", "typed"),
    [
        (["--tenant", "acme", "--confirm", "alice"], None),
        (["--tenant", "acme", "--user", "alice", "--confirm", "acme"], None),
        (["--tenant", "acme"], "yes\n"),
        (["--tenant", "acme", "--user", "alice"], "Alice\n"),
    ],
)
def test_the_command_takes_the_name_twice(args, typed, person, run, items):
    person("acme", "alice").create_session()
    before = items()
    refused = run(*args, typed=typed)
    assert refused.exit_code == 1
    assert "nothing was erased" in refused.output
    assert items() == before
    assert run("--user", "alice").exit_code == 2


def test_the_command_counts_what_it_erased(person, run, at_once, items):
    for user in ("alice", "bob"):
        furnish(person("acme", user), 2, b"1")
    put(person("acme", "alice"), "/tenant/values/d")
    govern(person("acme", "alice"), 3)
    one = run("--tenant", "acme", "--user", "bob", "--confirm", "bob")
    assert one.exit_code == 0, one.output
    assert one.output == (
        "erased 1 users, 3 sessions, 6 messages; the sweep removes what was written meanwhile\n"
    )
    rest = run("--tenant", "acme", typed="acme\n")
    assert rest.exit_code == 0, rest.output
    question, told = rest.output.splitlines()
    assert question.startswith(f"Erase tenant acme from table {at_once.name}? Type acme to confirm")
    assert told == (
        "erased 1 users, 3 sessions, 6 messages, and the tenant's values,"
        " and 3 verdicts on sources; the sweep removes what was written meanwhile"
    )
    assert tenant_erasure.erase_tenant(at_once, "acme").users == 0


def test_the_command_shows_an_error_in_one_line(run):
    refused = run("--tenant", " acme", "--confirm", " acme")
    assert refused.exit_code == 1
    assert refused.output == (
        "Error: the tenant has white space around it or a control character\n"
    )
