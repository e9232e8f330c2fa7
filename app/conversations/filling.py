"""What forks and imports share: a session is staged, filled and then shown."""

from collections.abc import Callable, Mapping

from app.errors import Contended, GoneSince, SessionExists, Unavailable
from app.identity.caller import Caller
from app.sessions import staging
from app.sessions.creation import make_room
from app.sessions.model import Session, is_live
from app.sessions.reading import whole_session
from app.sessions.staging import Stage
from app.sessions.write_ids import WriteIds
from app.table import idempotency, ids, keys
from app.table.db import ConditionFailed, Table
from app.table.idempotency import IdempotencyKey
from app.table.writes import Value, Write

TRIES = 3


def earlier(
    table: Table, caller: Caller, idempotency_key: IdempotencyKey | None, now: int
) -> Session | None:
    """The session that an earlier request with this key made. Costs 1 get; 2 if there is one.

    Raises:
        IdempotencyKeyReused
        GoneSince: it has been deleted, or has expired.
    """
    if not idempotency_key:
        return None
    record = table.get(keys.create_record(caller.partition, idempotency_key.name))
    if not record or not idempotency.is_current(record, now):
        return None
    ulid = idempotency.first_id_of(record, idempotency_key)
    item = table.get(keys.session(caller.partition, ulid))
    if is_live(item, ids.iso_time(now)):
        session = whole_session(table, item, ids.iso_time(now))
        if session.born == record.get("born", session.born):
            return session
    raise GoneSince(ids.SESSION_PREFIX + ulid)


def stage(
    table: Table,
    caller: Caller,
    session_ulid: str,
    staged: str,
    now: int,
    about: Mapping[str, Value | None],
    name: str,
) -> Stage:
    """
    Raises:
        SessionExists: there is a live session with the key.
        Unavailable: another request is making the session, or an old one is being removed.
    """
    key = keys.session(caller.partition, session_ulid)
    for _ in range(TRIES):
        try:
            return staging.begin(table, key, staged, now, about, name=name)
        except ConditionFailed as failed:
            found = failed.item
        if is_live(found, ids.iso_time(now)):
            raise SessionExists(ids.SESSION_PREFIX + session_ulid)
        make_room(table, caller.partition, found, ids.iso_time(now))
    raise Contended


def show(
    table: Table,
    ulids: ids.UlidSource,
    caller: Caller,
    stage: Stage,
    make: Callable[[str], Session],
    also: Mapping[str, Write],
    idempotency_key: IdempotencyKey | None,
    *,
    with_values: bool = False,
) -> Session | None:
    """Shows a staged session, in one transaction. `make` gives the session, born with an id. `also`
    are writes that belong to it. Returns None if a condition of those failed.

    Raises:
        Unavailable: the user is being erased.
        Contended: the session has been removed before it was shown.
    """
    write_ids = WriteIds(table, ulids, caller, after=stage.staged)
    while True:
        [born] = write_ids.take()
        session = make(born)
        parts = staging.publish(caller.partition, stage, session, with_values=with_values)
        parts |= also
        if idempotency_key:
            record_key = keys.create_record(caller.partition, idempotency_key.name)
            parts["record"] = idempotency.put_record(
                record_key, idempotency_key, session.ulid, ulids.clock, born=session.born
            )
        try:
            table.transact(parts)
            return session
        except ConditionFailed as failed:
            user, rest = failed.found.get("user"), failed.found.keys() - {"user"}
        if rest & also.keys():
            return None
        if rest:
            raise Contended
        if user and "erase_until" in user:
            raise Unavailable
        if user:
            write_ids.follow(user, born)
