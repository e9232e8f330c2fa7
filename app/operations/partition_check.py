"""The check of one partition, item by item.

It shares the keys and the form of a message with the stores, but none of their code, so that it
does not share their mistakes. To keep memory small, it holds only one message at a time, and the
ids of at most one day of one session.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import chain, groupby

from app.operations import content
from app.table import ids, keys
from app.table.definition import BY_ACTIVITY, BY_DUE_TIME, TTL_ATTRIBUTE
from app.table.idempotency import LIFETIME
from app.table.writes import Item

MOST_AT_ONCE = 100
"""Items in a transaction. An append cannot have more messages."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One damaged item. `problem` is the kind of damage, `detail` has the values."""

    partition: str
    sk: str
    problem: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.partition} {self.sk}: {self.problem}{self.detail and f' ({self.detail})'}"


@dataclass(slots=True)
class Checked:
    """The numbers of what was checked. Sessions that are being deleted or have expired are not
    damaged. They count as `pending` until the next sweep."""

    users: int = 0
    sessions: int = 0
    messages: int = 0
    records: int = 0
    pending: int = 0

    def add(self, other: "Checked") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


class PartitionCheck:
    """Goes from item to item. Call `run` once, then read `findings` and `checked`."""

    def __init__(self, partition: str, now: int) -> None:
        self.findings: dict[tuple[str, str], Finding] = {}
        """By sort key and problem."""
        self.checked = Checked(users=1)
        self._partition = partition
        self._now = now
        self._unmarked = 0
        self._last_session = ""
        self._user: Item | None = None

    def run(self, items: Iterable[Item]) -> None:
        """Checks all items of the partition, which must be sorted by SK: first the records of
        creates, then each session followed by its messages and the records of its appends, then the
        user."""
        for session, group in groupby(items, key=_session_of):
            if session:
                self._check_session(session, group)
            else:
                self._check_others(group)
        self._check_user()

    def _report(self, item: Item, problem: str, detail: str = "") -> None:
        finding = Finding(self._partition, str(item["SK"]), problem, detail)
        self.findings[finding.sk, problem] = finding

    def _check_session(self, session: str, items: Iterator[Item]) -> None:
        head = next(items)
        try:
            self._session(session, head, items)
        except (KeyError, ValueError, OverflowError) as error:
            self._report(head, "cannot be understood", repr(error))

    def _check_others(self, items: Iterator[Item]) -> None:
        for item in items:
            sk = str(item["SK"])
            if sk.startswith(keys.CREATE_RECORD_PREFIX):
                self._create_record(item)
            elif sk == keys.user(self._partition)["SK"]:
                self._user = item
            else:
                self._report(item, "unknown item")

    def _check_user(self) -> None:
        user = self._user or {**keys.user(self._partition), "session_count": 0}
        if user.get("session_count") != self._unmarked:
            self._report(
                user,
                "session_count is wrong",
                f"{user.get('session_count')}, and there are {self._unmarked} sessions",
            )
        if str(user.get("last_ulid", "~")) < self._last_session:  # older items have none
            self._report(user, "last_ulid is before the last session", self._last_session)
        noted = keys.by_due_time(self._partition, str(user.get("GSI2SK", "")))
        self._indexes(user, {}, noted if "erase_until" in user else {})

    def _session(self, session: str, head: Item, items: Iterator[Item]) -> None:
        if not keys.is_session(str(head["SK"])):
            for orphan in chain([head], items):
                self._report(orphan, "belongs to no session")
            return
        self.checked.sessions += 1
        self._last_session = session
        if "deleted_at" in head:
            self.checked.pending += 1
            self._indexes(head, {}, keys.by_due_time(session, str(head["deleted_at"])))
            for _ in items:  # not checked, since they may be removed in any order
                pass
            return
        self._unmarked += 1
        self._ids(head, session)
        until = str(head.get("expires_at", ""))
        self.checked.pending += bool(until) and until <= ids.iso_time(self._now)
        activity = keys.activity_of(str(head.get("GSI1SK", "")))
        earliest = ids.timestamp(str(head.get("last_message") or head.get("born", session)))
        if not earliest <= activity <= ids.timestamp(str(head["last_ulid"])):
            self._report(head, "its last activity is wrong", activity)
        self._indexes(
            head,
            keys.by_activity(self._partition, session, activity),
            keys.by_due_time(session, until) if until else {},
        )
        for problem, detail in content.session_faults(head):
            self._report(head, problem, detail)
        self._messages(head, session, items)

    def _ids(self, head: Item, session: str) -> None:
        """Every id of a session's own is from between its birth and its last write."""
        born, last = str(head.get("born", session)), str(head["last_ulid"])
        for name in ("last_ulid", "changed", "last_message", "cut_hi", "info"):
            if name in head and not born <= str(head[name]) <= last:
                self._report(head, f"{name} is wrong", str(head[name]))

    def _create_record(self, record: Item) -> None:
        """Checks only the record itself, which must be usable for a replay. Whether its session
        exists proves nothing: the record outlives the session, and not every session has a
        record."""
        self.checked.records += 1
        whole = {"fingerprint", "first_id", TTL_ATTRIBUTE} <= record.keys()
        if not whole or not ids.is_ulid(str(record["first_id"])):
            self._report(record, "cannot be understood", str(record.get("first_id")))

    def _indexes(
        self, head: Item, by_activity: dict[str, str], by_due_time: dict[str, str]
    ) -> None:
        for index, expected in ((BY_ACTIVITY, by_activity), (BY_DUE_TIME, by_due_time)):
            names = f"{index}PK", f"{index}SK"
            found = {name: head[name] for name in names if name in head}
            if found != expected:
                self._report(head, f"its keys in {index} are wrong", f"{found}, not {expected}")

    def _messages(self, head: Item, session: str, items: Iterator[Item]) -> None:
        count = 0
        last = str(head.get("last_message", ""))
        newest = deque([""], MOST_AT_ONCE)
        recent: set[str] = set()  # messages that a valid append record can refer to
        for name, group in groupby(items, key=_message_of):
            if not name:
                for item in group:
                    self._append_record(item, session, recent)
                continue
            parts = list(group)
            if name > last:  # or written since the session was read
                self._report(parts[0], "is later than its session's last message")
            elif self._check_message(name, parts):
                count += 1
                newest.append(name)
            if self._is_of_today(name):
                recent.add(name)
        if count != head["message_count"]:
            self._report(
                head, "message_count is wrong", f"{head['message_count']}, and there are {count}"
            )
        if newest[-1] != last:
            self._report(head, "last_message is not the last", f"{last}, not {newest[-1]}")
            return
        if not last:
            return
        most = MOST_AT_ONCE + 1  # a damaged count must not cause more work; it is reported
        batch = ids.series_until(last, min(int(head.get("last_count", 0)), most))
        if missing := set(batch) - set(newest):
            self._report(head, "last_count is wrong", f"{len(missing)} of {len(batch)} missing")

    def _check_message(self, name: str, parts: list[Item]) -> bool:
        """Returns whether the message's first item exists. Each item holds the number of items."""
        self.checked.messages += 1
        first = parts[0]
        stated = first.get("parts", 1)
        whole = stated if isinstance(stated, int) else 0
        session = keys.session_of(str(first["SK"]))
        expected = [keys.message("", session, name, part)["SK"] for part in range(whole)]
        found = [str(part["SK"]) for part in parts]
        if found != expected or any(part.get("parts", 1) != whole for part in parts):
            self._report(first, "its parts are not whole", f"{len(found)} of {whole}")
        elif fault := content.message_fault(parts):
            self._report(first, "its text is damaged", fault)
        return keys.is_message(found[0])

    def _append_record(self, item: Item, session: str, recent: set[str]) -> None:
        if not str(item["SK"]).startswith(keys.append_record("", session, "")["SK"]):
            self._report(item, "unknown item")
            return
        self.checked.records += 1
        if not self._is_past(item) and item["first_id"] not in recent:
            self._report(item, "record of an append without its message", str(item["first_id"]))

    def _is_past(self, record: Item) -> bool:
        """An expired record counts as absent, even if DynamoDB has not removed it yet."""
        return int(record[TTL_ATTRIBUTE]) <= self._now // 1000

    def _is_of_today(self, ulid: str) -> bool:
        """Whether a record that refers to this id can still be valid."""
        return ids.milliseconds(ulid) // 1000 + LIFETIME > self._now // 1000


def _session_of(item: Item) -> str:
    """The session that an item is or belongs to. Empty for other items."""
    sk = str(item["SK"])
    return keys.session_of(sk) if sk.startswith(keys.SESSION_PREFIX) else ""


def _message_of(item: Item) -> str:
    """The message that an item belongs to. Empty for a record."""
    sk = str(item["SK"])
    session = keys.session_of(sk)
    return keys.message_of(sk) if sk.startswith(keys.message("", session, "")["SK"]) else ""
