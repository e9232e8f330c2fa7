"""A full check of the table: finds everything that could not be there if the promises hold.

For operators and tests. It shares the keys and the form of a message with the stores but none of
their code, and it only reads; `app.operations.content` looks at texts. This is the one place in
`app/` that scans. The service's own role may not scan, so run it with yours. Memory stays flat: it
goes from item to item and remembers one message, and the ids of one day of one session at most.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import chain, groupby

from app.operations import content
from app.table import budget, ids, keys
from app.table.db import Table
from app.table.definition import BY_ACTIVITY, BY_DUE_TIME, TTL_ATTRIBUTE
from app.table.idempotency import LIFETIME
from app.table.writes import Item

EVERYTHING = ("\x00", "\U0010ffff")
"""First and last SK that an item can have."""

ATTRIBUTES = (
    "PK, SK, GSI1PK, GSI1SK, GSI2PK, GSI2SK, deleted_at, expires_at, message_count, version,"
    " last_ulid, last_count, parts, session_count, erase_until, first_id, fingerprint, body, title,"
    f" domain_id, metadata, updated_at, {TTL_ATTRIBUTE}"
)
"""All but fingerprints. DynamoDB charges for whole items, so reading what people wrote costs
transfer and time, no capacity; it is looked at one message at a time."""

MOST_AT_ONCE = 100
"""Items in a transaction, so messages in an append."""

READINGS = 3
"""A finding is read again before it is reported: a table in use changes between two pages."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`problem` names the kind of damage, `detail` the figures."""

    partition: str
    sk: str
    problem: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.partition} {self.sk}: {self.problem}{self.detail and f' ({self.detail})'}"


@dataclass(slots=True)
class Checked:
    """What there was to check. Sessions that are being deleted or have expired are not damage:
    they are `pending` until the next sweep."""

    users: int = 0
    sessions: int = 0
    messages: int = 0
    records: int = 0
    pending: int = 0

    def add(self, other: "Checked") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def check(
    table: Table, clock: ids.Clock = ids.system_clock, checked: Checked | None = None
) -> Iterator[Finding]:
    """Every finding, as it is found; counts in `checked` what there was."""
    for partition in _partitions(table):
        findings, counted = _check_partition(table, partition, clock())
        for _ in range(READINGS - 1):
            if not findings:
                break
            again, counted = _check_partition(table, partition, clock())
            findings = {place: finding for place, finding in again.items() if place in findings}
        yield from findings.values()
        if checked:
            checked.add(counted)


def _partitions(table: Table) -> Iterator[str]:
    last = None
    for item in _each(table.scan(only="PK")):
        if item["PK"] != last:  # a scan goes through one partition after another
            last = str(item["PK"])
            yield last


def _each(pages: Iterable[list[Item]]) -> Iterator[Item]:
    """The items of all pages. Every page has as much time as a request."""
    remaining = iter(pages)
    while True:
        budget.begin()
        page = next(remaining, None)
        if page is None:
            return
        yield from page


def _check_partition(
    table: Table, partition: str, now: int
) -> tuple[dict[tuple[str, str], Finding], Checked]:
    """Findings by their place and kind. The items are sorted: records of creates, then each session
    followed by its messages and the records of its appends, then the user."""
    findings: dict[tuple[str, str], Finding] = {}
    checked = Checked(users=1)

    def complain(item: Item, problem: str, detail: str = "") -> None:
        finding = Finding(partition, str(item["SK"]), problem, detail)
        findings[finding.sk, problem] = finding

    walk = _Partition(partition, now, checked, complain)
    items = _each(table.query(partition, EVERYTHING, only=ATTRIBUTES))
    for owner, group in groupby(items, key=_owner):
        walk.check_group(owner, group)
    walk.end()
    return findings, checked


def _owner(item: Item) -> str:
    """The session that an item is or belongs to; empty for other items."""
    sk = str(item["SK"])
    return keys.session_of(sk) if sk.startswith(keys.SESSION_PREFIX) else ""


class _Partition:
    """What is remembered from item to item."""

    def __init__(
        self, partition: str, now: int, checked: Checked, complain: Callable[..., None]
    ) -> None:
        self.partition = partition
        self.now = now
        self.checked = checked
        self.complain = complain
        self.unmarked = 0
        self.last_session = ""
        self.user: Item | None = None

    def check_group(self, session: str, items: Iterator[Item]) -> None:
        if session:
            head = next(items)
            try:
                self._session(session, head, items)
            except (KeyError, ValueError, OverflowError) as error:
                self.complain(head, "cannot be understood", repr(error))
            return
        for item in items:
            sk = str(item["SK"])
            if sk.startswith(keys.CREATE_RECORD_PREFIX):
                self._create_record(item)
            elif item["SK"] == keys.user(self.partition)["SK"]:
                self.user = item
            else:
                self.complain(item, "unknown item")

    def end(self) -> None:
        user = self.user or {**keys.user(self.partition), "session_count": 0}
        if user.get("session_count") != self.unmarked:
            self.complain(
                user,
                "session_count is wrong",
                f"{user.get('session_count')}, and there are {self.unmarked} sessions",
            )
        if str(user.get("last_ulid", "~")) < self.last_session:  # older items have none
            self.complain(user, "last_ulid is before the last session", self.last_session)
        noted = keys.by_due_time(self.partition, str(user.get("GSI2SK", "")))
        self._indexes(user, {}, noted if "erase_until" in user else {})

    def _session(self, session: str, head: Item, items: Iterator[Item]) -> None:
        if not keys.is_session(str(head["SK"])):
            for orphan in chain([head], items):
                self.complain(orphan, "belongs to no session")
            return
        self.checked.sessions += 1
        self.last_session = session
        if "deleted_at" in head:
            self.checked.pending += 1
            self._indexes(head, {}, keys.by_due_time(session, str(head["deleted_at"])))
            for _ in items:  # they may be removed in any order
                pass
            return
        self.unmarked += 1
        until = str(head.get("expires_at", ""))
        self.checked.pending += bool(until) and until <= ids.iso_time(self.now)
        activity = ids.timestamp(str(head["last_ulid"]))
        self._indexes(
            head,
            keys.by_activity(self.partition, session, activity),
            keys.by_due_time(session, until) if until else {},
        )
        for problem, detail in content.session_faults(head):
            self.complain(head, problem, detail)
        self._messages(head, session, items)

    def _create_record(self, record: Item) -> None:
        """It outlives its session, and a session may have been created without one. So only the
        record itself can be told to be wrong: a replay could not be answered from it."""
        self.checked.records += 1
        whole = {"fingerprint", "first_id", TTL_ATTRIBUTE} <= record.keys()
        if not whole or not ids.is_ulid(str(record["first_id"])):
            self.complain(record, "cannot be understood", str(record.get("first_id")))

    def _indexes(
        self, head: Item, by_activity: dict[str, str], by_due_time: dict[str, str]
    ) -> None:
        for index, expected in ((BY_ACTIVITY, by_activity), (BY_DUE_TIME, by_due_time)):
            names = f"{index}PK", f"{index}SK"
            found = {name: head[name] for name in names if name in head}
            if found != expected:
                self.complain(head, f"its keys in {index} are wrong", f"{found}, not {expected}")

    def _messages(self, head: Item, session: str, items: Iterator[Item]) -> None:
        count = 0
        newest = deque([session], MOST_AT_ONCE)
        recent: set[str] = set()  # all that an append's record can be about
        for name, group in groupby(items, key=_message):
            if not name:
                for item in group:
                    self._append_record(item, session, recent)
                continue
            parts = list(group)
            if name > str(head["last_ulid"]):  # or written since the session was read
                self.complain(parts[0], "is later than its session's last message")
            elif self._message(name, parts):
                count += 1
                newest.append(name)
            if self._is_of_today(name):
                recent.add(name)
        if count != head["message_count"]:
            self.complain(
                head, "message_count is wrong", f"{head['message_count']}, and there are {count}"
            )
        last = newest[-1]
        if last != head["last_ulid"]:
            self.complain(head, "last_ulid is not the last", f"{head['last_ulid']}, not {last}")
            return
        most = MOST_AT_ONCE + 1  # bounds the work on a damaged count, and is always missing
        batch = ids.series_until(last, min(int(head.get("last_count", 0)), most))
        if missing := set(batch) - set(newest):
            self.complain(head, "last_count is wrong", f"{len(missing)} of {len(batch)} missing")

    def _message(self, name: str, parts: list[Item]) -> bool:
        """Whether the message's first item exists. Every item says how many there must be."""
        self.checked.messages += 1
        first = parts[0]
        stated = first.get("parts", 1)
        whole = stated if isinstance(stated, int) else 0
        session = keys.session_of(str(first["SK"]))
        expected = [keys.message("", session, name, part)["SK"] for part in range(whole)]
        found = [str(part["SK"]) for part in parts]
        if found != expected or any(part.get("parts", 1) != whole for part in parts):
            self.complain(first, "its parts are not whole", f"{len(found)} of {whole}")
        elif fault := content.message_fault(parts):
            self.complain(first, "its text is damaged", fault)
        return keys.is_message(found[0])

    def _append_record(self, item: Item, session: str, recent: set[str]) -> None:
        if not str(item["SK"]).startswith(keys.append_record("", session, "")["SK"]):
            self.complain(item, "unknown item")
            return
        self.checked.records += 1
        if not self._is_past(item) and item["first_id"] not in recent:
            self.complain(item, "record of an append without its message", str(item["first_id"]))

    def _is_past(self, record: Item) -> bool:
        """An expired record counts as absent, whether or not DynamoDB has removed it."""
        return int(record[TTL_ATTRIBUTE]) <= self.now // 1000

    def _is_of_today(self, ulid: str) -> bool:
        """Whether a record that is about this id can still count."""
        return ids.milliseconds(ulid) // 1000 + LIFETIME > self.now // 1000


def _message(item: Item) -> str:
    """The message that an item belongs to; empty for a record."""
    sk = str(item["SK"])
    session = keys.session_of(sk)
    return keys.message_of(sk) if sk.startswith(keys.message("", session, "")["SK"]) else ""
