"""What one tenant or user has used on one day, as far as this process knows. No I/O.

A counter has one item per shard in the table. What this process has counted is `pending` until it
is added to one of the items. The answer to this write has what all processes have added there. The
shards take turns.

    used = what the items held when last seen + sending + pending

Requests are counted by their second, so that a request that is written late does not count as if it
were made just now. The bucket's level is computed from these seconds.

This module is over 250 lines because counting, the bucket and the exchange share one state.
"""

import random
from collections.abc import Iterable, Mapping, Sequence

from app.config import SEEN_WITHIN
from app.formats.usage import Usage
from app.quotas.limits import Limits, Standing, day_standing, rate_standing
from app.table import writes
from app.table.definition import TTL_ATTRIBUTE
from app.table.keys import Key
from app.table.writes import Item, Write

REQUESTS, REFUSED = "request_count", "refused_count"
READ, WRITTEN = "read_halves", "write_halves"
"""In halves, because an eventually consistent read takes half a unit."""

MESSAGES, INPUT, OUTPUT, COST = "messages#", "input#", "output#", "cost#"
"""Followed by a model. The cost is in millionths."""

MAX_MODELS = 10
"""Of a tenant in a day. An item of up to 1 KB costs one write unit, and each model takes 100 bytes.
"""

OTHER = "other"

KNOWN_SECONDS = 30
"""How long the items keep the number of requests of a second. Older seconds are in the level."""

FLUSH_EVERY = 1000
"""Milliseconds."""

UNSEEN = 1000 * SEEN_WITHIN - FLUSH_EVERY
"""Milliseconds after which the items are read again. Other processes write once a second, so
`SEEN_WITHIN` seconds after a request all processes know of it."""

MAX_PAUSE = 30_000
"""Milliseconds between two tries while the table refuses them."""


class Counter:
    """Call it under a lock. Times are milliseconds since 1970.

    Args:
        places: the keys of its items.
        expires: when they may go, in seconds since 1970.
        level: what its bucket holds now. By default, it was full before the seconds that the items
            hold.
    """

    def __init__(
        self,
        name: str,
        limits: Limits,
        day: str,
        places: Sequence[Key],
        expires: int,
        now: int,
        level: float | None = None,
    ) -> None:
        self.name, self.limits, self.day, self.places = name, limits, day, places
        self._expires = expires
        self._seen: list[Item] = [{} for _ in places]
        self._seen_at = [0 for _ in places]
        self._turn = random.randrange(len(places))  # noqa: S311  to spread the load, not a secret
        self._pending: dict[str, int] = {}
        self._sending: dict[str, int] = {}
        self._flushed_at = 0
        self._failures, self._retry_at = 0, 0
        self._busy = False
        self._seconds: dict[int, int] = {}
        self._level = limits.capacity if level is None else level
        self._level_at = now // 1000 - (KNOWN_SECONDS if level is None else 0)

    @property
    def is_clean(self) -> bool:
        """Whether the table knows all that was counted here."""
        return not self._pending and not self._sending

    def standings(self, now: int) -> list[Standing]:
        found = []
        if self.limits.per_second:
            found.append(rate_standing(self.name, self.limits, self.level(now)))
        for limit, counted, what in (
            (self.limits.read_units, READ, "read"),
            (self.limits.write_units, WRITTEN, "write"),
        ):
            if limit is not None:
                name, unit = f"{self.name}-{what}s", f"dynamodb-{what}-units"
                found.append(day_standing(name, unit, limit, self._used(counted) / 2, now))
        return found

    def _used(self, name: str) -> int:
        own = self._sending.get(name, 0) + self._pending.get(name, 0)
        return own + sum(number_in(item, name) for item in self._seen)

    # Counting

    def use(self, now: int) -> None:
        """One request that was let through."""
        self._add(REQUESTS, 1)
        if self.limits.per_second:
            second = now // 1000
            self._add(f"s{second}", 1)
            self._seconds[second] = self._seconds.get(second, 0) + 1
            if len(self._seconds) > 2 * KNOWN_SECONDS:
                self._settle(now)

    def refuse(self) -> None:
        self._add(REFUSED, 1)

    def spend(self, read_units: float, write_units: float) -> None:
        self._add(READ, round(2 * read_units))
        self._add(WRITTEN, round(2 * write_units))

    def spend_tokens(self, used: Usage) -> None:
        known = {model for item in self._everything() for model in models_of(item)} - {OTHER}
        model = used.model if used.model in known or len(known) < MAX_MODELS else OTHER
        self._add(MESSAGES + model, 1)
        self._add(INPUT + model, used.input)
        self._add(OUTPUT + model, used.output)
        if used.cost is not None:
            self._add(COST + model, round(used.cost * 1_000_000))

    def _add(self, name: str, amount: int) -> None:
        if amount:
            self._pending[name] = self._pending.get(name, 0) + amount

    def _everything(self) -> list[Mapping[str, object]]:
        return [*self._seen, self._sending, self._pending]

    # The bucket

    def level(self, now: int) -> float:
        """What the bucket holds. It is negative if more was let through than it held. Then it must
        fill up first, so that in the long run the rate holds."""
        level, at = self._level, float(self._level_at)
        return self._flow(level, at, now / 1000, sorted(self._seconds))

    def _settle(self, now: int) -> None:
        """Adds to the level the seconds that are too old for any process to add to."""
        horizon = now // 1000 - KNOWN_SECONDS
        if horizon > self._level_at:
            old = sorted(second for second in self._seconds if second < horizon)
            self._level = self._flow(self._level, self._level_at, horizon, old)
            self._level_at = horizon
            for second in old:
                del self._seconds[second]

    def _flow(self, level: float, at: float, until: float, seconds: Iterable[int]) -> float:
        rate, capacity = self.limits.per_second or 0.0, self.limits.capacity
        for second in seconds:
            moment = max(at, min(second, until))  # another host's clock may be ahead
            level = min(capacity, level + rate * (moment - at)) - self._seconds[second]
            at = moment
        return min(capacity, level + rate * max(0.0, until - at))

    # The table

    def is_due(self, now: int) -> bool:
        late = abs(now - self._flushed_at) >= FLUSH_EVERY
        return bool(self._pending) and late and not self._busy and not self._pauses(now)

    def is_outdated(self, now: int) -> bool:
        """Whether the items have to be read before this counter can be relied on."""
        old = abs(now - min(self._seen_at)) > UNSEEN
        return old and not self._busy and not self._pauses(now)

    def _pauses(self, now: int) -> bool:
        return 0 < self._retry_at - now <= MAX_PAUSE

    def begin_reading(self) -> None:
        """Prevents a flush while the items are read. Its amounts would count twice, as seen and as
        being sent."""
        self._busy = True

    def begin_flush(self, now: int) -> Write:
        """The write that adds what is pending to the item whose turn it is."""
        self._busy = True
        horizon = now // 1000 - KNOWN_SECONDS
        self._sending, self._pending = self._pending, {}
        self._flushed_at = now
        adds = {
            name: amount
            for name, amount in self._sending.items()
            if amount and (second_of(name) or horizon) >= horizon
        }
        old = [name for name in self._seen[self._turn] if (second_of(name) or horizon) < horizon]
        return _addition(self.places[self._turn], adds, old, self._expires)

    def end_flush(self, item: Item, now: int) -> None:
        self._sending, self._busy = {}, False
        self._see(self._turn, item, now)
        self._turn = (self._turn + 1) % len(self.places)

    def lose_flush(self, now: int) -> None:
        """Nobody knows whether it was added. It counts as added until the item is seen again. If it
        was not added, it is lost, because adding it again might count it twice."""
        seen = dict(self._seen[self._turn])
        for name, amount in self._sending.items():
            seen[name] = number_in(seen, name) + amount
        self._seen[self._turn] = seen
        self._sending = {}
        self.fail(now)

    def fail(self, now: int) -> None:
        """Nothing was added or read. It stays pending."""
        for name, amount in self._sending.items():
            self._add(name, amount)
        self._sending, self._busy = {}, False
        self._retry_at = now + min(MAX_PAUSE, FLUSH_EVERY * 2**self._failures)
        self._failures = min(self._failures + 1, 5)

    def catch_up(self, items: Mapping[tuple[str, str], Item], now: int) -> None:
        """Takes over what the items hold. A missing item has not been written yet."""
        self._busy = False
        for shard, place in enumerate(self.places):
            self._see(shard, items.get((place["PK"], place["SK"]), {}), now)

    def _see(self, shard: int, item: Item, now: int) -> None:
        self._seen[shard], self._seen_at[shard] = item, now
        self._failures = 0
        self._settle(now)
        self._seconds = {}
        if self.limits.per_second:
            for found in self._everything():
                for name in found:
                    second = second_of(name)
                    if second is not None and second >= self._level_at:
                        used = self._seconds.get(second, 0) + number_in(found, name)
                        self._seconds[second] = used


def second_of(name: str) -> int | None:
    """
    >>> second_of("s1796054967"), second_of("request_count")
    (1796054967, None)
    """
    return int(name[1:]) if name[0] == "s" and name[1:].isdigit() else None


def models_of(item: Mapping[str, object]) -> list[str]:
    """
    >>> models_of({"messages#gpt-5.2": 2, "input#gpt-5.2": 9})
    ['gpt-5.2']
    """
    return [name.removeprefix(MESSAGES) for name in item if name.startswith(MESSAGES)]


def number_in(item: Mapping[str, object], name: str) -> int:
    """A number that is missing or damaged counts as 0.

    >>> number_in({"request_count": 2}, "request_count"), number_in({}, "request_count")
    (2, 0)
    """
    found = item.get(name, 0)
    return found if isinstance(found, int) else 0


def _addition(key: Key, adds: Mapping[str, int], removes: Sequence[str], expires: int) -> Write:
    """Attribute names may have any characters, so the expression uses placeholders."""
    names = [*adds, *removes]
    places = {name: f"#{number}" for number, name in enumerate(names)}
    added = ", ".join(f"{places[name]} :{number}" for number, name in enumerate(adds))
    expression = f"SET {TTL_ATTRIBUTE} = :expires"
    if adds:
        expression += f" ADD {added}"
    if removes:
        expression += f" REMOVE {', '.join(places[name] for name in removes)}"
    values = {f":{number}": amount for number, amount in enumerate(adds.values())}
    write = writes.update(key, expression, {":expires": expires, **values})
    if names:
        write["Update"]["ExpressionAttributeNames"] = {places[name]: name for name in names}
    return write
