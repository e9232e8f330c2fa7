"""The names under which things of ADK are stored. Its ids, keys and file names are any text."""

from session_store.adapters._names import escape

FORMAT = "adk.event"

STATE = "state:"
"""The beginning of the names of a session's state."""


def session_key(app_name: str, session_id: str) -> str:
    """The key of a session. ADK's ids are unique within an app."""
    return f"{escape(app_name)}/{session_id}"


def of_app(app_name: str) -> str:
    """The beginning of the names of a user's or the tenant's values for an app."""
    return f"adk:{escape(app_name)}/"


def shared_state(app_name: str) -> str:
    """The beginning of the names of `user:` and `app:` state."""
    return of_app(app_name) + STATE
