"""The keys of sources. Two mentions of one thing get one key, whatever a provider calls it.

Where a provider names nothing that lasts, the key is weak and says so.
"""

import base64
import binascii
import hashlib
import re
from typing import Any

from app.formats.reading import leaves, string
from app.grounding.model import Source

MAX_KEY = 1024
"""Characters of a key, which each citation repeats. A longer one is replaced by its hash."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//[^/?#]*)?([^?#]*)(?:\?([^#]*))?", re.DOTALL)
_REDIRECT_HOST = "//vertexaisearch.cloud.google.com"


def url(
    address: Any,
    title: str | None = None,
    version: str | None = None,
    *,
    kind: str = "url",
    raw: str | None = None,
    text: str | None = None,
) -> Source | None:
    """A source by its address; None if it is not one. `raw` is what the provider calls it, if it
    has another name for it.

    >>> url("HTTPS://Example.com/A?id=7&utm_source=openai#top").key
    'url:https://example.com/A?id=7'
    """
    whole = string(address)
    match = _ADDRESS.match(whole) if whole else None
    if not whole or not match:
        return None
    scheme, host, path, query = match.groups()
    host = host.lower() if host else ""
    identity = "redirect" if host.startswith(_REDIRECT_HOST) and _is_redirect(path) else "strong"
    key = bounded(f"url:{scheme.lower()}:{host}{path}{_asked(query) if query else ''}")
    return Source(key, kind, raw or whole, title, version, identity, text)


def _is_redirect(path: str) -> bool:
    return path.startswith("/grounding-api-redirect/")


def _asked(query: str) -> str:
    """What is asked for, without what only tells where a visitor comes from."""
    kept = [pair for pair in query.split("&") if not pair.lower().startswith("utm_")]
    return f"?{'&'.join(kept)}" if any(kept) else ""


def file(provider: str, identifier: Any, title: str | None = None) -> Source | None:
    raw = string(identifier)
    return Source(bounded(f"file:{provider}:{raw}"), "file", raw, title) if raw else None


def document(
    identifier: Any,
    title: str | None = None,
    version: str | None = None,
    *,
    kind: str = "document",
    raw: str | None = None,
    text: str | None = None,
) -> Source | None:
    name = string(identifier)
    if not name:
        return None
    return Source(bounded(f"doc:{name}"), kind, raw or name, title, version, text=text)


def weak_document(
    provider: str,
    name: Any,
    title: str | None = None,
    version: str | None = None,
    *,
    kind: str = "document",
) -> Source | None:
    """One whose name or id holds for this provider, or this answer, only."""
    raw = string(name)
    if not raw:
        return None
    return Source(bounded(f"doc:{provider}:{raw}"), kind, raw, title, version, "weak")


def place(identifier: Any, title: str | None = None) -> Source | None:
    raw = string(identifier)
    return Source(bounded(f"place:{raw}"), "place", raw, title) if raw else None


def content(text: str, title: str | None = None, held: Any = None) -> Source:
    """A source that has no name but its text. `held` is the object that holds it, which keeps the
    key if the text was redacted."""
    if (not text or text.startswith(_MARK)) and (key := _marked(held)):
        return Source(key, "document", title=title)
    key = f"sha256:{digest(text.encode('utf-8', 'surrogatepass'))}"
    return Source(key, "document", title=title, text=text)


def encoded_content(data: Any, title: str | None = None, held: Any = None) -> Source | None:
    """The same for bytes in base64; None if they are not."""
    if not isinstance(data, str):
        return None
    if (not data or data.startswith(_MARK)) and (key := _marked(held)):
        return Source(key, "document", title=title)
    try:
        return Source(f"sha256:{digest(base64.b64decode(data))}", "document", title=title)
    except (binascii.Error, ValueError):
        return None


_MARK = "[redacted "
_MARKED = re.compile(r"\[redacted (sha256:[0-9a-f]{32})\]")


def mark(key: str) -> str:
    """What takes the place of a redacted text whose hash is the key.

    >>> content("", held={"text": mark("sha256:afb98a9a286aa6bf7c2c224a440b9f9c")}).key
    'sha256:afb98a9a286aa6bf7c2c224a440b9f9c'
    """
    return f"{_MARK}{key}]"


def _marked(held: Any) -> str | None:
    """The key in the first mark of an object."""
    for _, _, value in leaves("", held):
        if isinstance(value, str) and (match := _MARKED.fullmatch(value)):
            return match[1]
    return None


def unknown(raw: str, fault: str) -> Source:
    return Source(None, "unknown", raw[:MAX_KEY], fault=fault)


def bounded(key: str) -> str:
    return key if len(key) <= MAX_KEY else f"sha256:{key_hash(key)}"


def key_hash(key: str) -> str:
    """What a key is called in an address."""
    return digest(key.encode("utf-8", "surrogatepass"))


_HASH = re.compile("[0-9a-f]{32}")


def is_hash(text: str) -> bool:
    """Whether a key can have this hash."""
    return _HASH.fullmatch(text) is not None


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
