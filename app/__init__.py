"""A conversation store for multi-agent and LLM systems.

This module imports nothing, so that other programs can use `app.sessions.store` and
`app.messages.store` without Flask. `app.factory` creates the Flask app.
"""

__version__ = "0.1.0"
