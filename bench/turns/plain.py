"""A turn with nothing but the client: open the session with its last messages, append two."""

from typing import Any

from session_store import AsyncClient

LAST = 20
QUESTION = "Which potholes near Main St are still open, and since when? " * 4
ANSWER = "I found 5 pothole reports near Main St. Two of them are open. " * 4


async def setup(base_url: str, token: str) -> Any:
    client = AsyncClient(base_url, token)
    session = await client.sessions.create(domain_id="bench", key="plain")
    return client, session.session_id


async def turn(state: Any) -> None:
    client, session_id = state
    await client.sessions.get(session_id, messages=LAST)
    said = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    await client.messages.append_many(session_id, said)
