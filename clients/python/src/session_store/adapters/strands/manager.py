"""A session manager that needs fewer requests than Strands' own over the same repository."""

from typing import Any

from strands.multiagent import MultiAgentBase
from strands.session import RepositorySessionManager
from strands.types.agent import LocalAgent
from strands.types.content import Message
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from session_store import Client, NotFound, session_id_of
from session_store.adapters.strands import records
from session_store.adapters.strands.repository import MAX_PAGE, Pair, SessionStoreRepository
from session_store.models import OpenedSession, Write

LAST = 200
"""Messages that are read with an agent's state. Most conversation managers keep fewer."""


class SessionStoreSessionManager(RepositorySessionManager):
    """Keeps each message at once, in one request with the agent's state if that has changed. One
    request restores an agent. The first message creates the session.

    With RepositorySessionManager and a SessionStoreRepository the same takes more requests.
    """

    def __init__(
        self, session_id: str, *, client: Client, domain_id: str = "strands", **kwargs: Any
    ) -> None:
        self._collected = _Collected(client=client, domain_id=domain_id)
        super().__init__(session_id, self._collected)

    def initialize(self, agent: LocalAgent, **kwargs: Any) -> None:
        super().initialize(agent, **kwargs)
        if self._collected.messages:
            self._send(agent)

    def append_message(self, message: Message, agent: LocalAgent, **kwargs: Any) -> None:
        super().append_message(message, agent, **kwargs)
        super().sync_agent(agent, **kwargs)
        self._send(agent)

    def sync_agent(self, agent: LocalAgent, **kwargs: Any) -> None:
        super().sync_agent(agent, **kwargs)
        self._send(agent)

    def _send(self, agent: LocalAgent) -> None:
        try:
            self._collected.send(self.session_id)
        except BaseException:
            # Otherwise the next sync would take the state for stored.
            self._last_synced_internal_state.pop(agent.agent_id, None)
            raise


class _Collected(SessionStoreRepository):
    """Collects what is written until it is sent, and reads an agent with its messages."""

    def __init__(self, *, client: Client, domain_id: str) -> None:
        super().__init__(client=client, domain_id=domain_id)
        self.messages: list[Pair] = []
        self._writes: dict[str, Write] = {}
        self._opened: OpenedSession | None = None

    def send(self, session_id: str) -> None:
        messages, self.messages = self.messages, []
        writes, self._writes = [*self._writes.values()], {}
        if messages:
            self._append(session_id, messages, writes)
        elif writes:
            try:
                for write in writes:
                    self._put(session_id, write)
            except SessionException:
                self._client.sessions.create(**self._new(session_id))
                for write in writes:
                    self._put(session_id, write)

    def read_session(self, session_id: str, **kwargs: Any) -> Session:
        """Whether there is one, the first read of an agent shows."""
        return Session(session_id=session_id, session_type=SessionType.AGENT)

    def create_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        write = self._agent(session_id, session_agent)
        self._writes[write["put"]] = write

    def update_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        known = self._created.get((session_id, session_agent.agent_id))
        session_agent.created_at = known or session_agent.created_at
        self.create_agent(session_id, session_agent)

    def create_message(
        self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any
    ) -> None:
        self.messages.append((session_message, records.message_of(agent_id, session_message)))

    def read_agent(self, session_id: str, agent_id: str, **kwargs: Any) -> SessionAgent | None:
        """Also reads the last messages, for which the manager asks next."""
        name = records.value_name(records.AGENTS, agent_id)
        self._opened = None
        try:
            opened = self._client.sessions.get(
                session_id_of(session_id), messages=LAST, values=name
            )
        except NotFound:
            return None
        for value in opened.values:
            if value.name == name:
                self._opened = opened
                return self._read(session_id, value)
        return None

    def list_messages(
        self,
        session_id: str,
        agent_id: str,
        limit: int | None = None,
        offset: int = 0,
        **kwargs: Any,
    ) -> list[SessionMessage]:
        """Leaves out the first messages whose numbers are below `offset`: as many have been removed
        by the conversation manager. Reads back to there only."""
        opened, self._opened = self._opened, None
        if opened is None:
            return super().list_messages(session_id, agent_id, limit, offset)
        messages, cursor = [*opened.messages], opened.earlier_cursor
        found = list(records.read(messages, agent_id))
        while cursor and not (found and found[0].message_id <= offset):
            page = self._client.messages.page(
                opened.session_id, order="desc", cursor=cursor, limit=MAX_PAGE
            )
            messages[:0] = page.messages[::-1]
            cursor = page.next_cursor
            found = list(records.read(messages, agent_id))
        start = next((n for n, each in enumerate(found) if each.message_id >= offset), len(found))
        return found[start:][:limit]

    def create_multi_agent(
        self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any
    ) -> None:
        write = records.multi_agent_value(multi_agent)
        self._writes[write["put"]] = write
        self.send(session_id)

    def update_multi_agent(
        self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any
    ) -> None:
        self.create_multi_agent(session_id, multi_agent)
