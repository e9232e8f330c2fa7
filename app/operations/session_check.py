"""The check of what is under one session: its metadata, messages, feedback, cut and records. Its
values are checked by `app.operations.value_check`, its edges by `app.operations.edge_check`.

It shares the keys and the form of a message with the stores, but none of their code, so that it
does not share their mistakes. It holds one message at a time, and the ids of at most one day.
"""

from collections import deque
from collections.abc import Iterator
from itertools import groupby

from app.literals import text_fault
from app.operations import content, mends
from app.operations.edge_check import EdgeCheck
from app.operations.mends import Mend
from app.operations.value_check import Report, ValueCheck
from app.table import ids, keys
from app.table.definition import BY_DUE_TIME, TTL_ATTRIBUTE
from app.table.idempotency import LIFETIME
from app.table.writes import Item

MOST_AT_ONCE = 100
"""Items in a transaction. An append cannot have more messages."""


class SessionCheck:
    """Call `run` once with the items after the session's own, in the order of their keys. Then read
    `messages` and `records`, the numbers of what was checked."""

    def __init__(
        self,
        head: Item,
        session: str,
        report: Report,
        values: ValueCheck,
        now: int,
        *,
        is_sound: bool,
    ) -> None:
        """`is_sound` is whether the ids in the head are. Without them its counts prove nothing."""
        self.messages = 0
        self.records = 0
        self._head = head
        self._session = session
        self._report = report
        self._values = values
        self._now = now
        self._is_sound = is_sound
        self._last = str(head.get("last_message", ""))
        self._cut = str(head.get("cut_lo", "~")), str(head.get("cut_hi", ""))
        self._visible = 0
        self._feedback = 0
        self._newest = deque([""], MOST_AT_ONCE)
        self._recent: set[str] = set()  # messages that a valid record can refer to
        self._has_info = self._has_cut = False
        self._edges = EdgeCheck(str(head["PK"]), report)

    def run(self, items: Iterator[Item]) -> None:
        for name, group in groupby(items, key=_message_of):
            if name:
                self._message(name, list(group))
            else:
                for item in group:
                    (self._edge if keys.is_edge(str(item["SK"])) else self._other)(item)
        self._totals()

    def _message(self, name: str, items: list[Item]) -> None:
        if self._cut[0] <= name <= self._cut[1]:  # hidden, and being removed in any order
            return
        parts = [item for item in items if not keys.is_feedback(str(item["SK"]))]
        if not parts:
            message_key = keys.message(str(self._head["PK"]), self._session, name)
            for item in items:
                mend = mends.delete(absent=(message_key,), unchanged=(self._head,))
                self._report(item, "belongs to no message", "", mend)
            return
        if name > self._last:  # or written since the session was read
            self._is_sound = False
            self._report(parts[0], "is later than its session's last message", "")
            return
        self.messages += 1
        if self._is_of_today(name):
            self._recent.add(name)
        if not keys.is_message(str(parts[0]["SK"])):
            self._is_sound = False
            self._report(parts[0], "its parts are not whole", "the first is missing")
            return
        self._visible += 1
        self._newest.append(name)
        self._edges.message(parts[0])
        self._parts(name, parts)
        self._ratings(parts[0], [item for item in items if keys.is_feedback(str(item["SK"]))])

    def _parts(self, name: str, parts: list[Item]) -> None:
        """Each item holds the number of items."""
        first = parts[0]
        stated = first.get("parts", 1)
        whole = stated if isinstance(stated, int) else 0
        expected = [keys.message("", self._session, name, part)["SK"] for part in range(whole)]
        found = [str(part["SK"]) for part in parts]
        if found != expected or any(part.get("parts", 1) != whole for part in parts):
            self._report(first, "its parts are not whole", f"{len(found)} of {whole}")
        elif fault := content.message_fault(parts):
            self._report(first, "its text is damaged", fault)
        edited = str(first.get("edited", name))
        if not name <= edited <= str(self._head["last_ulid"]):
            self._report(first, "edited is wrong", edited)

    def _ratings(self, first: Item, given: list[Item]) -> None:
        self._feedback += len(given)
        if first.get("raters", 0) != len(given):
            mend = mends.set_to({"raters": len(given)}, self._head)
            detail = f"{first.get('raters', 0)!r}, not {len(given)}"
            self._report(first, "raters is wrong", detail, mend)
        for item in given:
            sound = ids.is_ulid(str(item.get("rated"))) and "rater" in item
            if not sound or text_fault(str(item.get("body")), ("rating", "comment")):
                self._report(item, "its text is damaged", "feedback")

    def _edge(self, item: Item) -> None:
        _, message = keys.ends_of(str(item["SK"]))
        if self._cut[0] <= message <= self._cut[1]:  # as for messages
            return
        if message > self._last:
            self._report(item, "is later than its session's last message", "")
            return
        self._edges.edge(item)

    def _other(self, item: Item) -> None:
        sk = str(item["SK"])
        if keys.is_info(sk):
            self._has_info = True
            if item.get("info") != self._head.get("info"):
                left_over = None if "info" in self._head else self._removal()
                self._report(item, "belongs to no session", str(item.get("info")), left_over)
            elif fault := text_fault(str(item.get("metadata"))):
                self._report(item, "its metadata is damaged", fault)
        elif keys.is_cut(sk):
            self._has_cut = True
            due = keys.by_due_time(self._session, str(item.get("GSI2SK")))
            if "cut_hi" not in self._head:
                self._report(item, "belongs to no cut", "", self._removal())
            elif {name: item.get(name) for name in due} != due:
                right = mends.due(self._session, item.get("GSI2SK"), self._now)
                mend = mends.index_keys(BY_DUE_TIME, right)
                self._report(item, "its keys in GSI2 are wrong", str(item.get("GSI2PK")), mend)
        elif sk.startswith(keys.append_record("", self._session, "")["SK"]):
            self._record(item)
        elif not self._values.takes(item):
            self._report(item, "unknown item", "")

    def _record(self, record: Item) -> None:
        """An expired record counts as absent, even if DynamoDB has not removed it yet. Messages may
        have been removed since the last change."""
        self.records += 1
        first = str(record["first_id"])
        is_past = int(record[TTL_ATTRIBUTE]) <= self._now // 1000
        born, changed = self._head.get("born", self._session), self._head.get("changed", "~")
        if not is_past and first not in self._recent and not str(born) < first <= str(changed):
            self._report(record, "record of an append without its message", first)

    def _removal(self) -> Mend:
        """Of what the head, as it was read, does not know of."""
        return mends.delete(unchanged=(self._head,))

    def _totals(self) -> None:
        head = self._head
        newest = self._newest_fault()
        for name, found in (("message_count", self._visible), ("feedback_count", self._feedback)):
            if head.get(name, 0) != found:
                # Where messages are lost, a count is not all that is wrong.
                mend = mends.set_to({name: found}) if self._is_sound and not newest else None
                detail = f"{head.get(name)!r}, and there are {found}"
                self._report(head, f"{name} is wrong", detail, mend)
        if "info" in head and not self._has_info:
            self._report(head, "its metadata is missing", str(head["info"]))
        if "cut_hi" in head and not self._has_cut:
            mend = self._due_cut() if self._is_sound else None
            self._report(head, "its cut is not due", str(head["cut_hi"]), mend)
        self._edges.end(head)
        if newest:
            self._report(head, *newest)

    def _due_cut(self) -> Mend:
        cut = keys.cut(str(self._head["PK"]), self._session)
        due = mends.due(self._session, None, self._now)
        return Mend("make it due for the sweep", creates={**cut, **due})

    def _newest_fault(self) -> tuple[str, str] | None:
        """What is wrong with the newest messages: the problem and its values."""
        count = self._head.get("last_count", 0)
        if self._newest[-1] != self._last:
            return "last_message is not the last", f"{self._last}, not {self._newest[-1]}"
        if not isinstance(count, int) or count < 0:
            return "last_count is wrong", str(count)
        if self._last:
            # A damaged count must not cause more work; it is reported.
            batch = ids.series_until(self._last, min(count, MOST_AT_ONCE + 1))
            if missing := set(batch) - set(self._newest):
                return "last_count is wrong", f"{len(missing)} of {len(batch)} missing"
        return None

    def _is_of_today(self, ulid: str) -> bool:
        """Whether a record that refers to this id can still be valid."""
        return ids.milliseconds(ulid) // 1000 + LIFETIME > self._now // 1000


def _message_of(item: Item) -> str:
    """The message that an item belongs to. Empty for others."""
    sk = str(item["SK"])
    return keys.message_of(sk) if keys.is_under_message(sk) else ""
