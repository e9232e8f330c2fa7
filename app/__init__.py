"""A conversation store for multi-agent and LLM systems.

Nothing is imported here, so that another program can use `app.sessions.store` and
`app.messages.store` without Flask. `app.factory` makes the Flask app.
"""

__version__ = "0.1.0"
