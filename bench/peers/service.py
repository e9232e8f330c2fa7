"""This service's stores, imported as a library: no HTTP, as with the other peers."""

from app.identity.caller import Caller
from app.messages.model import NewMessage
from app.messages.reader import MessageReader
from app.messages.store import MessageStore
from app.operations import provision
from app.sessions.creation import NewSession
from app.sessions.listing import SessionLister
from app.sessions.store import SessionStore
from app.table import budget, db
from bench.peers.peer import Message


class Peer:
    keeps = "count, order by activity, version, ids in order; all or nothing"

    def __init__(self) -> None:
        self.table = db.Table("peer-service")
        self.client = self.table.client
        self.sessions, self.lister = SessionStore(self.table), SessionLister(self.table)
        self.messages, self.reader = MessageStore(self.table), MessageReader(self.table)

    def create_tables(self) -> None:
        list(provision.create(self.table))

    def start(self, user: str) -> str:
        budget.begin()
        new = NewSession(domain_id="civic", title="Pothole issues")
        return self.sessions.create(Caller("acme", user), new).session.session_id

    def append(self, user: str, session: str, messages: list[Message]) -> None:
        budget.begin()
        new = [NewMessage(**message) for message in messages]
        self.messages.append(Caller("acme", user), session, new)

    def get(self, user: str, session: str) -> list[str]:
        budget.begin()
        _, page = self.reader.read(Caller("acme", user), session)
        return [str(message.content) for message in page.messages]

    def list_latest(self, user: str) -> list[str]:
        budget.begin()
        listed = self.lister.read(Caller("acme", user), page=1)
        return [session.session_id for session in listed.sessions]

    def delete(self, user: str, session: str) -> None:
        budget.begin()
        self.sessions.delete(Caller("acme", user), session)

    def count(self, user: str, session: str) -> int:
        return self.sessions.get(Caller("acme", user), session).message_count
