import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `wire`
from wire import Wire

from suites import world


@pytest.fixture
def wire() -> Iterator[Wire]:
    """The way to the service of a user of this test."""
    world.use()
    with Wire(world.token()) as wire:
        yield wire
