"""Responses that combine a session and its messages."""
