"""What the writes of messages change in their session's item. Each is part of a transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.messages.excerpts import excerpt
from app.messages.model import NewMessage
from app.messages.tails import Tail
from app.sessions.creation import creation
from app.sessions.model import LIVE, Session
from app.table import ids, keys, writes
from app.table.versions import IfMatch, match_version
from app.table.writes import Value, Write
from app.values.beside import Beside

NONE = ""
"""The previous message of a session's first."""

VISIBLE = "(attribute_not_exists(cut_hi) OR :message < cut_lo OR :message > cut_hi)"


def append(
    partition: str,
    session_ulid: str,
    ulids: Sequence[str],
    last: NewMessage,
    now: str,
    if_match: IfMatch | None,
    previous: str | None,
    beside: Beside,
) -> Write:
    """`previous` is the id that the last message must have, or `NONE`; None for any. `beside` are
    values in the same transaction."""
    condition, values = match_version(if_match)
    if beside.born:
        condition += " AND born = :born"
        values = {**values, ":born": beside.born}
    if previous == NONE:
        condition += " AND attribute_not_exists(last_message)"
    elif previous is not None:
        condition += " AND last_message = :previous"
        values = {**values, ":previous": previous}
    return _update(
        partition,
        session_ulid,
        {"last_ulid": ulids[-1], **_newest(partition, session_ulid, ulids, last), **beside.noted},
        {"message_count": len(ulids)},
        f"{LIVE} AND last_ulid < :first{condition}",
        {":first": ulids[0], ":now": now, **values},
    )


def create(
    partition: str,
    session: Session,
    ulids: Sequence[str],
    new: Sequence[NewMessage],
    beside: Beside,
) -> dict[str, Write]:
    """The writes of a session that does not exist yet, with its first messages."""
    whole = replace(
        session,
        message_count=len(new),
        last_ulid=ulids[-1],
        last_message=ulids[-1],
        last_role=new[-1].spoken_role,
        excerpt=excerpt(new[-1]),
        last_activity=ids.timestamp(ulids[-1]),
    )
    return creation(partition, whole, {"last_count": len(new), **beside.noted})


def remove(
    partition: str,
    session_ulid: str,
    seen: str,
    tail: Tail,
    change: str,
    now: str,
    *,
    new: Sequence[NewMessage] = (),
    hide: bool = False,
) -> Write:
    """Takes a tail away, and puts new messages in its place, of which the last has the id `change`.
    `seen` is the `last_ulid` on which the tail was read. With `hide` the tail is not removed yet.
    """
    sets: dict[str, Value | None] = {"last_ulid": change, "changed": change}
    if new:
        ulids = ids.series_until(change, len(new))
        sets |= _newest(partition, session_ulid, ulids, new[-1])
    elif not tail.inner:
        sets |= {"last_message": tail.before, "last_count": 0, "last_role": None, "excerpt": None}
        if before := tail.before_message:
            sets |= {"last_role": before.role, "excerpt": excerpt(before)}
    else:
        sets["last_count"] = 0
    if hide:
        sets |= {"cut_lo": tail.first, "cut_hi": seen}
    return _update(
        partition,
        session_ulid,
        sets,
        {"message_count": len(new) - tail.count, "feedback_count": -tail.feedback},
        f"{LIVE} AND last_ulid = :seen",
        {":seen": seen, ":now": now},
    )


def edit(
    partition: str,
    session_ulid: str,
    message_ulid: str,
    change: str,
    now: str,
    *,
    is_last: bool | None,
    shown: Mapping[str, Value],
) -> Write:
    """`is_last` is whether it must be the session's last message, of which the list of sessions
    shows what is in `shown`; None if that does not change."""
    condition = f"{LIVE} AND last_ulid < :change AND {VISIBLE}"
    if is_last is not None:
        condition += f" AND last_message {'=' if is_last else '<>'} :message"
    return _update(
        partition,
        session_ulid,
        {"last_ulid": change, "changed": change, **(shown if is_last else {})},
        {},
        condition,
        {":change": change, ":message": message_ulid, ":now": now},
    )


def rate(
    partition: str, session_ulid: str, message_ulid: str, change: str, now: str, count: int
) -> Write:
    """`count` is how much feedback there is more."""
    return _update(
        partition,
        session_ulid,
        {"last_ulid": change},
        {"feedback_count": count},
        f"{LIVE} AND last_ulid < :last_ulid AND {VISIBLE}",
        {":message": message_ulid, ":now": now},
    )


def _newest(
    partition: str, session_ulid: str, ulids: Sequence[str], last: NewMessage
) -> dict[str, Value | None]:
    activity = ids.timestamp(ulids[-1])
    return {
        "last_message": ulids[-1],
        "last_count": len(ulids),
        "last_role": last.spoken_role,
        "excerpt": excerpt(last),
        "GSI1SK": keys.by_activity(partition, session_ulid, activity)["GSI1SK"],
    }


def _update(
    partition: str,
    session_ulid: str,
    sets: Mapping[str, Value | None],
    adds: Mapping[str, int],
    condition: str,
    values: Mapping[str, Value],
) -> Write:
    key = keys.session(partition, session_ulid)
    return writes.change(key, sets, values, condition, {"version": 1, **adds})
