"""The beginning of a message's text, for the list of sessions."""

from app.formats.reading import texts
from app.messages.model import Message, NewMessage

MAX_CHARACTERS, MAX_BYTES = 160, 240


def excerpt(message: NewMessage | Message) -> str:
    text = " ".join(" ".join(texts(message.content))[: 4 * MAX_CHARACTERS].split())
    return text[:MAX_CHARACTERS].encode()[:MAX_BYTES].decode(errors="ignore")
