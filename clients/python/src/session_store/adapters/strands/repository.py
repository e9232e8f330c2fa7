"""A repository for Strands' RepositorySessionManager."""

from collections.abc import Sequence
from typing import Any

from strands.multiagent import MultiAgentBase
from strands.session import SessionRepository
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from session_store import Client, Conflict, NotFound, TooLarge, session_id_of
from session_store.adapters.strands import records
from session_store.errors import error_of
from session_store.models import NewMessage, SessionToCreate, Value, Write

MAX_BATCH, MAX_PAGE = 50, 1000

MAX_CREATED = 1000
"""Agents whose time of creation a repository remembers."""

Pair = tuple[SessionMessage, NewMessage]


class SessionStoreRepository(SessionRepository):
    """One request for each operation, but for `read_message`, which looks through the messages, and
    for updates of what this object has neither read nor written, which read it first."""

    def __init__(self, *, client: Client, domain_id: str = "strands") -> None:
        self._client, self._domain_id = client, domain_id
        self._created: dict[tuple[str, str], str] = {}

    def create_session(self, session: Session, **kwargs: Any) -> Session:
        told = {name: value for name, value in session.to_dict().items() if name != "session_id"}
        try:
            new: SessionToCreate = {**self._new(session.session_id), "metadata": {"strands": told}}
            self._client.sessions.create(only_new=True, **new)
        except Conflict as error:
            if error.code != "SESSION_EXISTS":
                raise
            raise SessionException(f"Session {session.session_id} already exists") from None
        return session

    def read_session(self, session_id: str, **kwargs: Any) -> Session | None:
        try:
            found = self._client.sessions.get(session_id_of(session_id), messages=0)
        except NotFound:
            return None
        told = (found.metadata or {}).get("strands") or {
            "session_type": SessionType.AGENT,
            "created_at": found.created_at.isoformat(),
            "updated_at": found.updated_at.isoformat(),
        }
        return Session.from_dict({**told, "session_id": session_id})

    def delete_session(self, session_id: str, **kwargs: Any) -> None:
        try:
            self._client.sessions.delete(session_id_of(session_id))
        except NotFound:
            raise _missing(session_id) from None

    def create_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        self._put(session_id, self._agent(session_id, session_agent))

    def read_agent(self, session_id: str, agent_id: str, **kwargs: Any) -> SessionAgent | None:
        value = self._client.session_values(session_id_of(session_id)).find(
            records.value_name(records.AGENTS, agent_id)
        )
        return None if value is None else self._read(session_id, value)

    def update_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        agent_id = session_agent.agent_id
        if (session_id, agent_id) not in self._created:
            self.read_agent(session_id, agent_id)
        created_at = self._created.get((session_id, agent_id), session_agent.created_at)
        session_agent.created_at = created_at
        write = self._agent(session_id, session_agent)
        self._put(session_id, {**write, "if_match": "*"}, f"Agent {agent_id}")

    def create_message(
        self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any
    ) -> None:
        self._append(session_id, [(session_message, records.message_of(agent_id, session_message))])

    def read_message(
        self, session_id: str, agent_id: str, message_id: int, **kwargs: Any
    ) -> SessionMessage | None:
        try:
            messages = self._client.messages.list(session_id_of(session_id), limit=MAX_PAGE)
            found = (
                each for each in records.read(messages, agent_id) if each.message_id == message_id
            )
            return next(found, None)
        except NotFound:
            return None

    def update_message(
        self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any
    ) -> None:
        stored = records.stored_as(session_message)
        missing = SessionException(f"Message {session_message.message_id} does not exist")
        if stored is None:
            previous = self.read_message(session_id, agent_id, session_message.message_id)
            if previous is None:
                raise missing
            stored = records.stored_as(previous)
            session_message.created_at = previous.created_at
        new = records.message_of(agent_id, session_message)
        try:
            self._client.messages.edit(session_id_of(session_id), str(stored), **new)
        except NotFound:
            raise missing from None

    def list_messages(
        self,
        session_id: str,
        agent_id: str,
        limit: int | None = None,
        offset: int = 0,
        **kwargs: Any,
    ) -> list[SessionMessage]:
        name = records.value_name(records.AGENTS, agent_id)
        try:
            opened = self._client.sessions.get(session_id_of(session_id), values=name)
        except NotFound:
            raise _missing(session_id) from None
        if all(value.name != name for value in opened.values):
            raise SessionException(f"Agent {agent_id} in session {session_id} does not exist")
        messages, cursor = [*opened.messages], opened.next_cursor
        while cursor:
            page = self._client.messages.page(opened.session_id, cursor=cursor, limit=MAX_PAGE)
            messages += page.messages
            cursor = page.next_cursor
        return list(records.read(messages, agent_id))[offset:][:limit]

    def create_multi_agent(
        self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any
    ) -> None:
        self._put(session_id, records.multi_agent_value(multi_agent))

    def read_multi_agent(
        self, session_id: str, multi_agent_id: str, **kwargs: Any
    ) -> dict[str, Any] | None:
        values = self._client.session_values(session_id_of(session_id))
        value = values.find(records.value_name(records.MULTI_AGENTS, multi_agent_id))
        return None if value is None else records.content_of(value)

    def update_multi_agent(
        self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any
    ) -> None:
        what = f"MultiAgent state {multi_agent.id}"
        try:
            write = records.multi_agent_value(multi_agent)
        except TypeError:
            # As in FileSessionManager, what is not there comes before what is not JSON.
            if self.read_multi_agent(session_id, multi_agent.id) is None:
                raise SessionException(f"{what} in session {session_id} does not exist") from None
            raise
        self._put(session_id, {**write, "if_match": "*"}, what)

    def _new(self, session_id: str) -> SessionToCreate:
        return {"key": session_id, "domain_id": self._domain_id}

    def _agent(self, session_id: str, agent: SessionAgent) -> Write:
        self._remember(session_id, agent)
        return records.value_of(records.value_name(records.AGENTS, agent.agent_id), agent.to_dict())

    def _read(self, session_id: str, value: Value) -> SessionAgent:
        agent = SessionAgent.from_dict(records.content_of(value))
        self._remember(session_id, agent)
        return agent

    def _remember(self, session_id: str, agent: SessionAgent) -> None:
        """An update must not change the time of creation, and need not read it then."""
        if len(self._created) >= MAX_CREATED:
            self._created.clear()
        self._created[session_id, agent.agent_id] = agent.created_at

    def _put(self, session_id: str, write: Write, what: str = "") -> None:
        """
        Raises:
            SessionException: there is no such session, or what should be there is not.
        """
        operation: Any = write
        try:
            [result] = self._client.session_values(session_id_of(session_id)).batch([operation])
        except NotFound:
            raise _missing(session_id) from None
        if what and result.status == 412:
            raise SessionException(f"{what} in session {session_id} does not exist")
        if not result.ok:
            raise error_of(result.status, result.problem)

    def _append(
        self, session_id: str, messages: Sequence[Pair], writes: Sequence[Write] = ()
    ) -> None:
        """One step for up to 50 messages and 3.9 MB. More messages take several steps; the values
        are written with the first ones."""
        first, rest = messages[:MAX_BATCH], messages[MAX_BATCH:]
        try:
            stored = self._client.messages.append_many(
                session_id_of(session_id),
                [new for _, new in first],
                session=self._new(session_id),
                values={"session": [*writes]} if writes else None,
            )
        except TooLarge:
            if writes:
                self._append(session_id, first)
                for write in writes:
                    self._put(session_id, write)
            elif len(first) > 1:
                middle = len(first) // 2
                self._append(session_id, first[:middle])
                self._append(session_id, first[middle:])
            else:
                raise
        else:
            for (message, _), receipt in zip(first, stored.messages, strict=True):
                records.note(message, receipt.message_id)
        if rest:
            self._append(session_id, rest)


def _missing(session_id: str) -> SessionException:
    return SessionException(f"Session {session_id} does not exist")
