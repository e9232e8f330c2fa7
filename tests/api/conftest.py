"""Fixtures of the API's tests."""

import pytest

from tests.people import Client


@pytest.fixture
def session_id(alice: Client) -> str:
    """An empty session of Alice's."""
    return str(alice.create_session()["session_id"])
