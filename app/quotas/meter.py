"""The counters of this process. Lets requests through or refuses them, and exchanges what was
counted with the other processes through the table.

The exchange takes place after a response was sent, at most once a second for each counter. If the
table cannot be read or written, the counters continue with what they know. So the service stays
available, and each process still keeps to its own bucket.

Works without Flask.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from itertools import islice

from app import logs
from app.config import Config
from app.errors import OutcomeUnknown, QuotaExceeded, RateExceeded, Unavailable
from app.formats.usage import Usage
from app.identity.caller import Caller
from app.quotas.counters import Counter
from app.quotas.limits import Limits, Standing
from app.table import budget, keys
from app.table.db import Table
from app.table.ids import Clock
from app.table.keys import Key
from app.table.writes import Write

MAX_COUNTERS = 10_000
"""Tenants and users that a process remembers. The one that was used least recently is forgotten."""

FLUSHES = 4
"""At most after one response: its tenant's, its user's, and two of others that send no more
requests."""

LOOKED_AT = 50
"""How many counters are searched for one that is due. The one that has waited longest is first."""

TENANT_DAYS, USER_DAYS = 400, 2
"""After these days, the table removes what was counted."""

Counters = Sequence[Counter]
"""The tenant's, and the user's if users have a share."""


class Meter:
    def __init__(self, table: Table, clock: Clock, config: Config) -> None:
        self._table, self._clock = table, clock
        self._tenants = Limits.of_tenant(config)
        share = config.quota_user_share
        self._users = self._tenants.share(share) if share else None
        self._counters: OrderedDict[tuple[str, str], Counter] = OrderedDict()
        self._unclean: dict[Counter, None] = {}
        self._lock = threading.Lock()

    def counters(self, caller: Caller) -> Counters:
        """Those of a request. Costs 1 batch get if nothing has been exchanged for a while."""
        now = self._clock()
        with self._lock:
            found = [self._counter("tenant", caller, self._tenants, now)]
            if self._users:
                found.append(self._counter("user", caller, self._users, now))
            outdated = [counter for counter in found if counter.is_outdated(now)]
            for counter in outdated:
                counter.begin_reading()
        if outdated:
            # In a context of its own, because the request's time budget is not for this.
            copy_context().run(self._catch_up, outdated, now)
        return found

    def admit(self, counters: Counters, *, always: bool) -> None:
        """Counts a request. With `always`, it is let through whatever has been used.

        Raises:
            RateExceeded, QuotaExceeded
        """
        now = self._clock()
        with self._lock:
            standings = () if always else self._standings(counters, now)
            over = [standing for standing in standings if standing.wait]
            for counter in counters:
                if over:
                    counter.refuse()
                else:
                    counter.use(now)
                self._unclean.setdefault(counter)
        if over:
            raise _refusal(over)

    def count(
        self, counters: Counters, read_units: float, write_units: float, tokens: Iterable[Usage]
    ) -> None:
        """Counts what a request used. The tokens are those of the messages that it wrote."""
        with self._lock:
            for counter in counters:
                counter.spend(read_units, write_units)
                self._unclean.setdefault(counter)
            for used in tokens:
                counters[0].spend_tokens(used)

    def standings(self, counters: Counters) -> list[Standing]:
        now = self._clock()
        with self._lock:
            return self._standings(counters, now)

    def _standings(self, counters: Counters, now: int) -> list[Standing]:
        return [standing for counter in counters for standing in counter.standings(now)]

    def flush(self) -> None:
        """Adds to the table what was counted, and learns what others have added. Costs 1 update for
        each counter that is due, at most `FLUSHES`."""
        now = self._clock()
        for _ in range(FLUSHES):
            with self._lock:
                waiting = islice(self._unclean, LOOKED_AT)
                counter = next((each for each in waiting if each.is_due(now)), None)
                if counter is None:
                    return
                write = counter.begin_flush(now)
            self._flush(counter, write, now)

    def _flush(self, counter: Counter, write: Write, now: int) -> None:
        budget.begin()
        try:
            item = self._table.execute(write, once=True)
        except Exception as error:  # whatever it is, requests go on
            self._give_up([counter], error, now)
        else:
            with self._lock:
                counter.end_flush(item, now)
                self._unclean.pop(counter)
                if not counter.is_clean:
                    self._unclean[counter] = None
        finally:
            budget.end()

    def _catch_up(self, counters: Counters, now: int) -> None:
        budget.begin()
        places = [place for counter in counters for place in counter.places]
        try:
            found = self._table.get_all(places, once=True)
        except Exception as error:  # whatever it is, requests go on
            self._give_up(counters, error, now)
        else:
            items = {(str(item["PK"]), str(item["SK"])): item for item in found}
            with self._lock:
                for counter in counters:
                    counter.catch_up(items, now)

    def _give_up(self, counters: Counters, error: Exception, now: int) -> None:
        if isinstance(error, Unavailable):
            failure = budget.current().failure
            logs.log.warning("use not exchanged", extra={"fields": {"db_failure": failure}})
        else:  # for example, an item is damaged
            logs.log_exception(error)
        with self._lock:
            for counter in counters:
                if isinstance(error, OutcomeUnknown):
                    counter.lose_flush(now)
                else:
                    counter.fail(now)

    def _counter(self, kind: str, caller: Caller, limits: Limits, now: int) -> Counter:
        """Today's counter. It takes over the bucket of yesterday's, which is flushed once more."""
        name = kind, caller.tenant if kind == "tenant" else caller.partition
        day = day_at(now)
        counter = self._counters.get(name)
        if counter is None or counter.day != day:
            level = counter.level(now) if counter else None
            places, days = _places(kind, caller, day)
            counter = Counter(kind, limits, day, places, expiry(day, days), now, level)
            self._counters[name] = counter
        self._counters.move_to_end(name)
        if len(self._counters) > MAX_COUNTERS:
            self._counters.popitem(last=False)
        return counter


def day_at(now: int) -> str:
    """
    >>> day_at(1796054967000)
    '2026-11-30'
    """
    return datetime.fromtimestamp(now // 1000, UTC).date().isoformat()


def expiry(day: str, days: int) -> int:
    """Seconds since 1970.

    >>> expiry("1970-01-01", 2)
    259200
    """
    end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=days + 1)
    return int(end.timestamp())


def _places(kind: str, caller: Caller, day: str) -> tuple[list[Key], int]:
    if kind == "user":
        return [keys.user_usage(caller.partition, day)], USER_DAYS
    shards = range(keys.USAGE_SHARDS)
    return [keys.tenant_usage(caller.tenant, shard, day) for shard in shards], TENANT_DAYS


def _refusal(over: Sequence[Standing]) -> QuotaExceeded:
    kind = QuotaExceeded if any(standing.unit for standing in over) else RateExceeded
    return kind([standing.policy for standing in over], max(standing.wait for standing in over))
