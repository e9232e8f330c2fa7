"""Records of requests with many operations on values, for their Idempotency-Key."""

from dataclasses import dataclass

from app.errors import GoneSince
from app.table import idempotency, keys
from app.table.db import Table
from app.table.idempotency import IdempotencyKey
from app.table.ids import Clock
from app.table.keys import Key
from app.table.writes import Item, Write
from app.values.places import Place


@dataclass(frozen=True, slots=True)
class Record:
    """That a request was carried out, for its Idempotency-Key. It is not under the session, whose
    records are of messages."""

    place: Place
    epoch: str
    idempotency_key: IdempotencyKey | None
    clock: Clock

    def write(self, written: str) -> dict[str, Write]:
        key = self.idempotency_key
        if not key:
            return {}
        record = idempotency.put_record(self._place, key, written, self.clock, born=self.epoch)
        return {"record": record}

    def is_there(self, table: Table) -> bool:
        """
        Raises:
            IdempotencyKeyReused, GoneSince
        """
        record = table.get(self._place) if self.idempotency_key else None
        if not record or not idempotency.is_current(record, self.clock()):
            return False
        self.check(record)
        return True

    def check(self, record: Item) -> None:
        """
        Raises:
            IdempotencyKeyReused
            GoneSince: what was written has been deleted with all of its place.
        """
        if self.idempotency_key:
            idempotency.first_id_of(record, self.idempotency_key)
        if record.get("born") != self.epoch:
            raise GoneSince

    @property
    def _place(self) -> Key:
        key = self.idempotency_key
        name = idempotency.within(key, self.place.session_ulid).name if key else ""
        return keys.create_record(self.place.partition, name)
