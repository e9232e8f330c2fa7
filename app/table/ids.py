"""Session and message ids: ULIDs (https://github.com/ulid/spec) in strictly ascending order.

An id is 26 characters of Crockford's base32. It contains its time in milliseconds and sorts by it.
The API reads `created_at` and `timestamp` from the id, so they always agree with the order.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ulid import ULID

from app import logs
from app.errors import ClockDisagrees

SESSION_PREFIX = "sess_"
MESSAGE_PREFIX = "msg_"

Clock = Callable[[], int]
"""Milliseconds since 1970, UTC."""

_END_OF_9999 = 253_402_300_799_999
"""Milliseconds. ISO 8601 with a four-digit year goes no further."""

LEAST, GREATEST = "0" * 26, "7" + "Z" * 25

END_OF_TIME = "76EZ91ZQ"
"""Greater than every ULID whose time has a year of four digits."""

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FROM_CROCKFORD = bytes.maketrans(
    b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", b"0123456789abcdefghijklmnopqrstuv"
)


def system_clock() -> int:
    """
    Raises:
        ClockDisagrees: the host's clock is before 1970 or after 9999.
    """
    return _in_range(time.time_ns() // 1_000_000)


def _in_range(now: int) -> int:
    if not 0 <= now <= _END_OF_9999:
        logs.log.error("the clock is before 1970 or after 9999")
        raise ClockDisagrees
    return now


class UlidSource:
    """Makes ids from a clock and a source of randomness."""

    def __init__(
        self, clock: Clock = system_clock, entropy: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._clock = clock
        self._entropy = entropy

    def clock(self) -> int:
        """The time of the source's clock, in milliseconds.

        Raises:
            ClockDisagrees: the clock is before 1970 or after 9999.
        """
        return _in_range(self._clock())

    def new(self, count: int = 1, *, after: str = "", now: int | None = None) -> list[str]:
        """`count` consecutive ids, all greater than `after`.

        The first id has the time `now` (by default the clock's). If that would not be greater than
        `after`, because this clock is behind that of the host which made `after`, the first id is
        the successor of `after`: the order matters more than the time.
        """
        now = self._clock() if now is None else now
        first = str(ULID(now.to_bytes(6, "big") + self._entropy(10)))
        if first <= after:
            first = series(after, 2)[1]
        return series(first, count)


def from_key(key: str) -> str:
    """The ULID of a session with a key: the first 128 bits of the key's SHA-256. It holds no time.

    >>> from_key("user_123")
    '40ZEGAW728WEBRWGZ4XZ1PBRAE'
    """
    return str(ULID(hashlib.sha256(key.encode()).digest()[:16]))


def marked(milliseconds: int, mark: bytes) -> str:
    """The id of this time with ten given bytes instead of random ones.

    >>> marked(1469922850259, bytes(10))
    '01ARZ3NDEK0000000000000000'
    """
    return str(ULID(milliseconds.to_bytes(6, "big") + mark))


def greatest_of(milliseconds: int) -> str:
    """The greatest id of one millisecond.

    >>> greatest_of(1469922850259)
    '01ARZ3NDEKZZZZZZZZZZZZZZZZ'
    """
    return str(ULID(milliseconds.to_bytes(6, "big") + b"\xff" * 10))


def parse(prefix: str, value: str) -> str | None:
    """The ULID in `sess_…` or `msg_…`; None if `value` is not such an id.

    >>> parse("sess_", "sess_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    '01ARZ3NDEKTSV4RRFFQ69G5FAV'
    >>> parse("sess_", "sess_#") is parse("sess_", "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV") is None
    True
    """
    ulid = value.removeprefix(prefix)
    return ulid if value.startswith(prefix) and is_ulid(ulid) else None


def is_ulid(value: str) -> bool:
    return _ULID.fullmatch(value) is not None


def as_uuid(ulid: str) -> str:
    """
    >>> as_uuid("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    '01563e3a-b5d3-d676-4c61-efb99302bd5b'
    """
    return str(ULID.from_str(ulid).to_uuid())


def milliseconds(ulid: str) -> int:
    """The time in the id, in milliseconds since 1970.

    A page of 1,000 messages needs this 1,000 times, and python-ulid is slower. int() can decode
    base 32, but with another alphabet.

    >>> milliseconds("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    1469922850259
    """
    return int(ulid[:10].encode().translate(_FROM_CROCKFORD), 32)


def milliseconds_of(time: str) -> int:
    """
    >>> milliseconds_of("2016-07-30T23:54:10.259Z")
    1469922850259
    """
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def timestamp(ulid: str) -> str:
    """
    >>> timestamp("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    '2016-07-30T23:54:10.259Z'
    """
    return iso_time(milliseconds(ulid))


def iso_time(milliseconds: int) -> str:
    """ISO 8601 in UTC with milliseconds. The text sorts like the number.

    >>> iso_time(0)
    '1970-01-01T00:00:00.000Z'
    """
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"


def series(first: str, count: int) -> list[str]:
    """`count` consecutive ids that begin with `first`.

    >>> series("01ARZ3NDEKTSV4RRFFQ69G5FAZ", 2)
    ['01ARZ3NDEKTSV4RRFFQ69G5FAZ', '01ARZ3NDEKTSV4RRFFQ69G5FB0']
    """
    if count == 1:
        return [first]
    number = int(ULID.from_str(first))
    return [first, *(str(ULID.from_int(number + step)) for step in range(1, count))]


def series_until(last: str, count: int) -> list[str]:
    """`count` consecutive ids that end with `last`.

    >>> series_until("01ARZ3NDEKTSV4RRFFQ69G5FB0", 2)
    ['01ARZ3NDEKTSV4RRFFQ69G5FAZ', '01ARZ3NDEKTSV4RRFFQ69G5FB0']
    >>> series_until("01ARZ3NDEKTSV4RRFFQ69G5FB0", 0)
    []
    """
    if count <= 1:
        return [last][:count]
    number = int(ULID.from_str(last))
    return [str(ULID.from_int(number - step)) for step in reversed(range(count))]
