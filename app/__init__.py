"""A conversation store for multi-agent and LLM systems.

Nothing is imported here, so that `app.sessions.store` and `app.messages.store` can be used by
another program without Flask; the Flask app is made by `app.factory`.
"""

__version__ = "0.1.0"
