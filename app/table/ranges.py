"""Sort-key ranges of the queries in `app.table.keys`: the first and last SK, both included."""

from app.table import keys
from app.table.keys import SESSION_PREFIX

Range = tuple[str, str]

_LAST = "~"
"""Sorts after every character of a ULID and after `#`."""

EVERYTHING = ("\x00", "\U0010ffff")
"""A range that holds every item."""


def all_sessions() -> Range:
    """All sessions of a partition, with everything under them.

    >>> low, high = all_sessions()
    >>> low < "SESSION#01S" < "SESSION#7ZZ#REQUEST#h4sh" < high < "USER"
    True
    """
    return SESSION_PREFIX, f"{SESSION_PREFIX}{_LAST}"


def session_with_messages(session_ulid: str) -> Range:
    """A session and its messages in order, without request records.

    >>> low, high = session_with_messages("01S")
    >>> low <= "SESSION#01S" < "SESSION#01S#MSG#01M#02" < high < "SESSION#01S#REQUEST#h4sh"
    True
    """
    return f"{SESSION_PREFIX}{session_ulid}", f"{SESSION_PREFIX}{session_ulid}#MSG#{_LAST}"


def messages_between(session_ulid: str, after: str = "", before: str = "") -> Range:
    """The messages after one ULID and before another, parts included.

    >>> low, high = messages_between("01S", after="01A", before="01C")
    >>> "SESSION#01S#MSG#01A#01" < low < "SESSION#01S#MSG#01B" < high < "SESSION#01S#MSG#01C"
    True
    >>> low, high = messages_between("01S")
    >>> "SESSION#01S" < low < "SESSION#01S#MSG#01A" < high < "SESSION#01S#REQUEST#h4sh"
    True
    """
    prefix = f"{SESSION_PREFIX}{session_ulid}#MSG#"
    low = f"{prefix}{after}{_LAST}" if after else prefix
    # The range includes its end, so the end is the last part of the ULID before `before`.
    high = f"{prefix}{_predecessor(before)}{_LAST}" if before else f"{prefix}{_LAST}"
    return low, high


def _predecessor(ulid: str) -> str:
    return ulid[:-1] + chr(ord(ulid[-1]) - 1)


def message_with_parts(session_ulid: str, message_ulid: str) -> Range:
    """
    >>> low, high = message_with_parts("01S", "01M")
    >>> low == "SESSION#01S#MSG#01M" < "SESSION#01S#MSG#01M#07" < high
    True
    """
    sk = f"{SESSION_PREFIX}{session_ulid}#MSG#{message_ulid}"
    return sk, f"{sk}#{_LAST}"


def messages_through(session_ulid: str, first: str, last: str) -> Range:
    """The messages from one ULID to another, both included, with all that is under them.

    >>> low, high = messages_through("01S", "01A", "01C")
    >>> low == "SESSION#01S#MSG#01A" < "SESSION#01S#MSG#01C#FEEDBACK#x" < high
    True
    >>> high < "SESSION#01S#MSG#01D"
    True
    """
    prefix = f"{SESSION_PREFIX}{session_ulid}#MSG#"
    return f"{prefix}{first}", f"{prefix}{last}#{_LAST}"


def values(session_ulid: str, prefix: str = "") -> Range:
    """The values whose names begin with `prefix`, in the order of their names' UTF-8, of a session
    or, without one, of a user or a tenant. The end itself is no such name.

    >>> low, high = values("01S", "a/")
    >>> low < "SESSION#01S#VALUE#a/b" < high < "SESSION#01S#VALUE#ab"
    True
    >>> "VALUE#" == values("")[0] < "VALUE#\U0010ffff" < values("")[1] < "VPART#"
    True
    """
    low = keys.value("", session_ulid, prefix)["SK"]
    return low, _after_all(low)


def _after_all(prefix: str) -> str:
    """The least text after all that begin with `prefix`, in the order of UTF-8.

    >>> _after_all("a"), _after_all("a\U0010ffff"), _after_all("\ud7ff")
    ('b', 'b', '\ue000')
    """
    kept = prefix.rstrip("\U0010ffff")
    last = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if last == 0xD800 else last)


def value_parts(session_ulid: str, name: str, parts: int) -> Range:
    """The further parts of one value that has so many with the first. There may be more in the
    table, of an older value that is being removed.

    >>> value_parts("", "a", 3)
    ('VPART#ypeBEsobvcr6wjGzmiPcTQ#01', 'VPART#ypeBEsobvcr6wjGzmiPcTQ#02')
    """
    first, last = (keys.value_part("", session_ulid, name, part)["SK"] for part in (1, parts - 1))
    return first, last


def all_values(session_ulid: str = "") -> Range:
    """All values of a session, a user or a tenant, with their parts.

    >>> low, high = all_values("01S")
    >>> low < "SESSION#01S#VALUE#a" < "SESSION#01S#VPART#h#01" < high < "SESSION#01T"
    True
    """
    under = keys.stale("", session_ulid)["SK"].removesuffix("STALE")
    return f"{under}VALUE#", f"{under}VPART#{_LAST}"


def days(first: str, last: str) -> Range:
    """What a tenant used from one day to another, in one shard.

    >>> days("2026-01-30", "2026-01-31")
    ('DAY#2026-01-30', 'DAY#2026-01-31')
    """
    return keys.tenant_usage("", 0, first)["SK"], keys.tenant_usage("", 0, last)["SK"]


def all_days() -> Range:
    """All that a tenant used, in one shard.

    >>> low, high = all_days()
    >>> low < "DAY#2026-01-30" < high
    True
    """
    return days("", _LAST)


def days_of_user() -> Range:
    """All that a user used.

    >>> low, high = days_of_user()
    >>> "SESSION#01S" < low < "USAGE#2026-01-30" < high < "USER"
    True
    """
    return keys.user_usage("", "")["SK"], keys.user_usage("", _LAST)["SK"]


def all_of_session(session_ulid: str) -> Range:
    """A session's item and everything that is deleted with it.

    >>> low, high = all_of_session("01S")
    >>> low == "SESSION#01S" < "SESSION#01S#REQUEST#h4sh" < high < "SESSION#01T"
    True
    """
    return f"{SESSION_PREFIX}{session_ulid}", f"{SESSION_PREFIX}{session_ulid}#{_LAST}"


def verdicts() -> Range:
    """What a tenant says of its sources, without the revision.

    >>> low, high = verdicts()
    >>> "REVISION" < low < "SOURCE#00" < "SOURCE#ff" < high
    True
    """
    first = keys.verdict("", "")["SK"]
    return first, f"{first}{_LAST}"
