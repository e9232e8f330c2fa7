"""Answers made of a session and its messages together."""
