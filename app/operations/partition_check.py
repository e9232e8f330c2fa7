"""The check of one partition: of a user, a tenant's values, or what a tenant used.
`app.operations.session_check` checks what is under a session.

It shares the keys with the stores, but none of their code, so that it does not share their
mistakes. What can be mended is said where it is found (`app.operations.mends`). This module is over
250 lines because the items of a partition depend on one another.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from itertools import chain, groupby
from urllib.parse import quote

from app.operations import content, mends
from app.operations.mends import Mend
from app.operations.session_check import SessionCheck
from app.operations.value_check import Read, ValueCheck
from app.table import ids, keys
from app.table.definition import BY_ACTIVITY, BY_DUE_TIME, BY_TENANT, TTL_ATTRIBUTE
from app.table.writes import Item

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Finding:
    """One damaged item. `problem` is the kind of damage, `detail` has the values. As text it is one
    line: the key of a value holds its name, which may have any characters."""

    partition: str
    sk: str
    problem: str
    detail: str = ""
    item: Item = field(default_factory=dict, repr=False)
    """As it was read, without its text. Only a key if there is none."""

    mend: Mend | None = None
    """None if the right value does not follow from the table."""

    is_settled: bool = field(default=False, compare=False)
    """Whether the reading before gave the same."""

    def after(self, earlier: "Finding") -> "Finding":
        return replace(self, is_settled=self == earlier)

    def __str__(self) -> str:
        sk = quote(self.sk, safe="#/")
        return f"{self.partition} {sk}: {self.problem}{self.detail and f' ({self.detail})'}"


@dataclass(slots=True)
class Checked:
    """The numbers of what was checked. Sessions that are being deleted or have expired are not
    damaged, and neither are the values of an earlier epoch that the sweep will find. They count as
    `pending` until then."""

    users: int = 0
    sessions: int = 0
    messages: int = 0
    values: int = 0
    verdicts: int = 0
    records: int = 0
    pending: int = 0

    def add(self, other: "Checked") -> None:
        for name in (each.name for each in fields(self)):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class PartitionCheck:
    """Goes from item to item. Call `run` once, then read `findings` and `checked`."""

    def __init__(self, partition: str, now: int, read: Read) -> None:
        self.findings: dict[tuple[str, str], Finding] = {}
        """By sort key and problem."""
        self._is_tenant = keys.is_tenant(partition)
        self._is_usage = keys.is_usage(partition)
        self.checked = Checked(users=0 if self._is_tenant or self._is_usage else 1)
        self._partition = partition
        self._now = now
        self._read = read
        self._head_sk = (keys.tenant if self._is_tenant else keys.user)(partition)["SK"]
        self._values = ValueCheck(partition, self._report, read, now)
        self._unmarked = 0
        self._last_born = ""
        self._births_are_sound = True
        self._user: Item | None = None

    def run(self, items: Iterable[Item]) -> None:
        """Checks all items of the partition, which must be sorted by SK: first the records of
        creates, then each session followed by what is under it, then the user or the tenant and
        its values."""
        for session, group in groupby(map(self._with_tenants_keys, items), key=_session_of):
            if session and not self._is_tenant:
                self._check_session(session, group)
            else:
                self._check_others(group)
        self._add_values(self._values)
        if not self._is_tenant and not self._is_usage:
            self._check_user()

    def _with_tenants_keys(self, item: Item) -> Item:
        """Only a user is in the index of users."""
        is_user = item["SK"] == self._head_sk and not self._is_tenant
        right = keys.by_tenant(self._partition) if is_user else {}
        self._index(item, BY_TENANT, right, right)
        return item

    def _add_values(self, check: ValueCheck) -> None:
        check.end()
        self.checked.values += check.values
        self.checked.pending += check.pending

    def _report(self, item: Item, problem: str, detail: str = "", mend: Mend | None = None) -> None:
        known = {name: value for name, value in item.items() if name not in ("body", "metadata")}
        finding = Finding(self._partition, str(item["SK"]), problem, detail, known, mend)
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
            elif sk == self._head_sk and not self._is_usage:
                self._user = self._values.head = item
            elif keys.is_day(sk) and not self._is_tenant:
                self._day(item)
            elif not self._values.takes(item):
                self._report(item, "unknown item")

    def _check_user(self) -> None:
        user: Item = self._user or {**keys.user(self._partition)}
        count = user.get("session_count", 0)
        if count != self._unmarked:
            detail = f"{count!r}, and there are {self._unmarked} sessions"
            self._report(user, "session_count is wrong", detail, self._mend_user())
        if str(user.get("last_ulid", "")) < self._last_born:
            problem = "last_ulid is before the last session"
            self._report(user, problem, self._last_born, self._mend_user())
        is_erased = "erase_until" in user
        noted = keys.by_due_time(self._partition, str(user.get("GSI2SK", "")))
        due = mends.due(self._partition, user.get("GSI2SK"), self._now)
        self._index(user, BY_ACTIVITY, {}, {})
        self._index(user, BY_DUE_TIME, noted if is_erased else {}, due if is_erased else {})

    def _mend_user(self) -> Mend | None:
        """The count and the last birth of a user's sessions. A user's item that is gone is made
        again, unless there are values, whose epoch nobody knows any more."""
        latest = self._last_born
        if not self._births_are_sound or latest > ids.greatest_of(self._now):
            return None
        if self._user:
            latest = max(latest, str(self._user.get("last_ulid", "")))
            return mends.set_to({"session_count": self._unmarked, "last_ulid": latest or None})
        if self._values.values or self._values.has_note:
            return None
        by_tenant = keys.by_tenant(self._partition)
        return mends.set_to({"session_count": self._unmarked, "last_ulid": latest, **by_tenant})

    def _session(self, session: str, head: Item, items: Iterator[Item]) -> None:
        values = ValueCheck(self._partition, self._report, self._read, self._now, session)
        if not keys.is_session(str(head["SK"])):
            for orphan in chain([head], items):
                if not values.takes(orphan):
                    gone = mends.delete(absent=(keys.session(self._partition, session),))
                    self._report(orphan, "belongs to no session", mend=gone)
            self._add_values(values)
            return
        self.checked.sessions += 1
        if "deleted_at" in head:
            self.checked.pending += 1
            due = keys.by_due_time(session, str(head["deleted_at"]))
            self._index(head, BY_ACTIVITY, {}, {})
            self._index(head, BY_DUE_TIME, due, due if head["deleted_at"] else None)
            for _ in items:  # not checked, since they may be removed in any order
                pass
            return
        self._unmarked += 1
        self._last_born = max(self._last_born, str(head.get("born", session)))
        is_sound = self._ids(head, session)
        until = str(head.get("expires_at", ""))
        self.checked.pending += bool(until) and until <= ids.iso_time(self._now)
        activity = keys.activity_of(str(head.get("GSI1SK", "")))
        earliest = ids.timestamp(str(head.get("last_message") or head.get("born", session)))
        earliest = min(earliest, str(head.get("imported", "~")))
        by_activity = keys.by_activity(self._partition, session, activity)
        right = by_activity
        if not earliest <= activity <= ids.timestamp(str(head["last_ulid"])):
            # That of the last message. It was later if messages after it have been removed.
            right = keys.by_activity(self._partition, session, _activity(head, session))
            mend = mends.index_keys(BY_ACTIVITY, right) if is_sound else None
            self._report(head, "its last activity is wrong", activity, mend)
        self._index(head, BY_ACTIVITY, by_activity, right if is_sound else None)
        due = keys.by_due_time(session, until) if until else {}
        # Without `expires_at`, either that is lost or the entry is left over.
        self._index(head, BY_DUE_TIME, due, due or None)
        for problem, detail in content.session_faults(head):
            self._report(head, problem, detail)
        values.head = head
        check = SessionCheck(head, session, self._report, values, self._now, is_sound=is_sound)
        check.run(items)
        self._add_values(values)
        self.checked.messages += check.messages
        self.checked.records += check.records

    def _ids(self, head: Item, session: str) -> bool:
        """A session's own ids are from between its birth and its last write. Its messages may be
        older, if it is a fork or was imported. Returns whether they are."""
        before = len(self.findings)
        born, last = str(head.get("born", session)), str(head["last_ulid"])
        old = "forked_from" in head or "imported" in head
        bounds = {"last_ulid": born, "changed": born, "info": born, "last_message": born}
        for name, earliest in bounds.items():
            least = "" if old and name == "last_message" else earliest
            if name in head and not least <= str(head[name]) <= last:
                self._report(head, f"{name} is wrong", str(head[name]))
        cut = str(head.get("cut_lo", "")), str(head.get("cut_hi", ""))
        if any(cut) and not (ids.is_ulid(cut[0]) and cut[0] <= cut[1] <= last):
            self._report(head, "its cut is wrong", " to ".join(cut))
        key = str(head.get("session_key", ""))
        if key and ids.from_key(key) != session:
            self._report(head, "its key gives another id", ids.from_key(key))
        if not ids.is_ulid(born) or born > ids.END_OF_TIME or (key and "born" not in head):
            self._report(head, "its birth is wrong", born)
        is_sound = len(self.findings) == before
        self._births_are_sound = self._births_are_sound and is_sound
        return is_sound

    def _create_record(self, record: Item) -> None:
        """Checks only the record itself, which must be usable for a replay. Whether its session
        exists proves nothing: the record outlives the session, and not every session has a
        record."""
        self.checked.records += 1
        whole = {"fingerprint", "first_id", TTL_ATTRIBUTE} <= record.keys()
        if not whole or not ids.is_ulid(str(record["first_id"])):
            self._report(record, "cannot be understood", str(record.get("first_id")))

    def _day(self, item: Item) -> None:
        """What was used in a day only grows, and goes away by itself."""
        counts = [value for name, value in item.items() if name.endswith(("_count", "_halves"))]
        if not _DAY.fullmatch(keys.day_of(str(item["SK"]))) or TTL_ATTRIBUTE not in item:
            self._report(item, "cannot be understood")
        elif any(not isinstance(count, int) or count < 0 for count in counts):
            self._report(item, "its counts are wrong", str(counts))

    def _index(
        self, item: Item, index: str, expected: dict[str, str], right: dict[str, str] | None
    ) -> None:
        """`right` are the keys that mend it; None if that would be a guess."""
        names = f"{index}PK", f"{index}SK"
        found = {name: item[name] for name in names if name in item}
        if found != expected:
            mend = None if right is None else mends.index_keys(index, right)
            self._report(item, f"its keys in {index} are wrong", f"{found}, not {expected}", mend)


def _activity(head: Item, session: str) -> str:
    """When a session's last message was written, or else when it was made or imported."""
    if "last_message" in head:
        return ids.timestamp(str(head["last_message"]))
    return str(head.get("imported") or ids.timestamp(str(head.get("born", session))))


def _session_of(item: Item) -> str:
    """The session that an item is or belongs to. Empty for other items."""
    sk = str(item["SK"])
    return keys.session_of(sk) if sk.startswith(keys.SESSION_PREFIX) else ""
