"""Reads a session whole: with its long metadata, which is an item of its own."""

from app.errors import SessionDamaged, SessionNotFound
from app.logs import log_damaged
from app.sessions.model import Session, from_item, is_live, with_info
from app.table import keys
from app.table.db import Table
from app.table.retries import READS_OF_A_TRANSACTION
from app.table.writes import Item


def whole_session(table: Table, item: Item, now: str) -> Session:
    """The session of an item. Costs 1 get if its metadata is long. If somebody changes that
    meanwhile, both items are read again. If there is another session with the same key by then, the
    item's is gone.

    Raises:
        SessionNotFound, SessionDamaged
    """
    partition, session = str(item["PK"]), from_item(item)
    info_key = keys.info(partition, session.ulid)
    for _ in range(READS_OF_A_TRANSACTION):
        info = table.get(info_key) if session.info else None
        if whole := with_info(session, info):
            return whole
        found = table.get(keys.session(partition, session.ulid))
        if not is_live(found, now):
            raise SessionNotFound
        born, session = session.born, from_item(found)
        if session.born != born:
            raise SessionNotFound
    log_damaged(info_key["PK"], info_key["SK"])
    raise SessionDamaged
