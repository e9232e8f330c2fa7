"""Google ADK: our services take the places of the session and artifact services that the suites
make in their factories. A directory or a database file of the test is a tenant of ours, because
`app:` state is shared by all users of an app; so is each service in memory.

The session service acts for the users that the suite names.
"""

from typing import Any

import pytest
from google.adk.artifacts.in_memory_artifact_service import InMemoryArtifactService
from google.adk.artifacts.file_artifact_service import FileArtifactService
from google.adk.artifacts.gcs_artifact_service import GcsArtifactService
from google.adk.sessions.database_session_service import DatabaseSessionService
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.adk.sessions.sqlite_session_service import SqliteSessionService

from suites import world
from suites.frameworks import OURS

SESSION_SERVICES = (InMemorySessionService, DatabaseSessionService, SqliteSessionService)
ARTIFACT_SERVICES = (InMemoryArtifactService, FileArtifactService, GcsArtifactService)

SESSIONS = "tests/unittests/sessions/test_session_service.py"
ARTIFACTS = "tests/unittests/artifacts/test_artifact_service.py"

NOT_APPLICABLE: dict[str, tuple[str, ...]] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if world.BACKEND != OURS:
        for service in SESSION_SERVICES + ARTIFACT_SERVICES:
            _watch(service)
        return
    sessions, artifacts = _ours()
    stand_ins = dict.fromkeys(SESSION_SERVICES, sessions) | dict.fromkeys(
        ARTIFACT_SERVICES, artifacts
    )
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        for name, value in list(vars(module).items()):
            if isinstance(value, type) and value in stand_ins:
                setattr(module, name, stand_ins[value])


def _watch(service: type) -> None:
    """Makes the services note that a test has used one."""
    if issubclass(service, InMemoryArtifactService):  # a pydantic model
        service.model_post_init = lambda self, context: world.use()  # type: ignore[attr-defined]
        return
    initialise = service.__init__

    def __init__(self: Any, *args: Any, **options: Any) -> None:
        world.use()
        initialise(self, *args, **options)

    service.__init__ = __init__  # type: ignore[method-assign]


def _ours() -> tuple[type, type]:
    from session_store import AsyncClient
    from session_store.adapters.adk import (
        SessionStoreArtifactService,
        SessionStoreSessionService,
    )

    class Sessions(SessionStoreSessionService):
        def __init__(self, *_: Any, **__: Any) -> None:
            world.use()
            super().__init__(client=AsyncClient(world.URL, world.token()))

        async def close(self) -> None:
            pass

        async def __aenter__(self) -> "Sessions":
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

    class Artifacts(SessionStoreArtifactService):
        def __init__(self, *_: Any, **__: Any) -> None:
            world.use()
            super().__init__(client=AsyncClient(world.URL, world.token()))

    return Sessions, Artifacts
