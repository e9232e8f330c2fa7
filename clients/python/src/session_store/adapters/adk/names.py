"""The names under which things of ADK are stored. Its ids, keys and file names are any text."""

from urllib.parse import unquote

FORMAT = "adk.event"

STATE = "state:"
"""The beginning of the names of a session's state."""


def escape(text: str) -> str:
    """Text without slashes, so that it is within one segment of a name.

    >>> escape("a/b 50%"), unescape(escape("a/b 50%"))
    ('a%2Fb 50%25', 'a/b 50%')
    """
    return text.replace("%", "%25").replace("/", "%2F")


def unescape(text: str) -> str:
    return unquote(text)


def session_key(app_name: str, session_id: str) -> str:
    """The key of a session. ADK's ids are unique within an app."""
    return f"{escape(app_name)}/{session_id}"


def of_app(app_name: str) -> str:
    """The beginning of the names of a user's or the tenant's values for an app."""
    return f"adk:{escape(app_name)}/"


def shared_state(app_name: str) -> str:
    """The beginning of the names of `user:` and `app:` state."""
    return of_app(app_name) + STATE
