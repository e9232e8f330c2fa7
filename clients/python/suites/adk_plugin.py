"""Google ADK: our services take the place of ADK's three session services and three artifact
services in the modules of the tests. ADK itself is left alone.

All services that a test makes share what they keep.
"""

from typing import Any

import pytest
from google.adk.artifacts import FileArtifactService, GcsArtifactService, InMemoryArtifactService
from google.adk.sessions import DatabaseSessionService, InMemorySessionService
from google.adk.sessions.sqlite_session_service import SqliteSessionService

from suites import world
from suites.frameworks import OURS

BUILT_IN = (
    InMemorySessionService,
    DatabaseSessionService,
    SqliteSessionService,
    InMemoryArtifactService,
    FileArtifactService,
    GcsArtifactService,
)

SESSIONS = "tests/unittests/sessions/test_session_service.py"
ARTIFACTS = "tests/unittests/artifacts/test_artifact_service.py"

NOT_APPLICABLE = {
    "asks for the sessions of all users, and a caller sees those of one": (
        f"{SESSIONS}::test_list_sessions_all_users",
    ),
    "DatabaseSessionService's engines, tables, rows, rollbacks and locks": tuple(
        f"{SESSIONS}::test_{name}"
        for name in (
            "database_session_service_enables_pool_pre_ping_by_default",
            "database_session_service_uses_naive_datetime_for_dialect",
            "database_session_service_keeps_timezone_for_spanner",
            "database_session_service_respects_pool_pre_ping_override",
            "database_session_service_creates_read_only_engine_for_spanner",
            "database_session_service_creates_read_only_engine_for_other_dialects",
            "database_session_service_get_session_uses_read_only_factory",
            "database_session_service_list_sessions_uses_read_only_factory",
            "append_event_raises_if_app_state_row_missing",
            "append_event_raises_if_user_state_row_missing",
            "create_session_calls_rollback_on_commit_failure",
            "append_event_calls_rollback_on_commit_failure",
            "append_event_reads_storage_revision_before_commit",
            "create_session_reads_storage_revision_before_commit",
            "delete_session_calls_rollback_on_commit_failure",
            "service_recovers_after_multiple_failures",
            "concurrent_prepare_tables_no_race_condition",
            "prepare_tables_serializes_schema_detection_and_creation",
            "get_or_create_state_returns_existing_row",
            "get_or_create_state_creates_new_row",
            "get_or_create_state_handles_race_condition",
            "prepare_tables_idempotent_after_creation",
            "public_prepare_tables_eager_initialization",
            "append_event_locks_only_scopes_with_deltas",
            "database_session_service_visible_in_module_namespace",
            "database_session_service_with_db_engine",
            "database_session_service_caller_owned_engine_not_disposed_on_close",
            "database_session_service_requires_one_argument",
            "database_session_service_sqlite_file_timestamp_read_after_reopen",
        )
    ),
    "SqliteSessionService's addresses of files": tuple(
        f"{SESSIONS}::test_sqlite_session_service_{name}"
        for name in (
            "accepts_sqlite_urls",
            "preserves_uri_query_parameters",
            "accepts_absolute_sqlite_urls",
        )
    ),
    "InMemorySessionService's dictionaries": (
        f"{SESSIONS}::test_append_event_when_session_is_same_ref_as_storage_session",
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if world.BACKEND != OURS:
        for service in BUILT_IN:
            _watch(service)
        return
    ours = _ours()
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        for name, value in list(vars(module).items()):
            if isinstance(value, type) and value in ours:
                setattr(module, name, ours[value])


def _watch(service: type) -> None:
    """Makes the services note that a test has used one."""
    initialise = service.__init__  # type: ignore[misc]

    def __init__(self: Any, *args: Any, **options: Any) -> None:
        world.use()
        initialise(self, *args, **options)

    service.__init__ = __init__  # type: ignore[misc]


def _ours() -> dict[type, type]:
    from session_store import AsyncClient
    from session_store.adapters.adk import SessionStoreArtifactService, SessionStoreSessionService

    def client() -> AsyncClient:
        world.use()
        return AsyncClient(world.URL, world.token("agent"))

    class Sessions(SessionStoreSessionService):
        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__(client())

        async def close(self) -> None:
            await self._client.aclose()

        async def __aenter__(self) -> Any:
            return self

        async def __aexit__(self, *_: object) -> None:
            await self.close()

    class Artifacts(SessionStoreArtifactService):
        """The tests compare addresses, which each service has its own of."""

        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__(client())

        def address(self, found: Any, **_: Any) -> str:
            return str(found.canonical_uri)

        async def list_artifact_versions(self, **about: Any) -> Any:
            found = await super().list_artifact_versions(**about)
            for each in found:
                each.canonical_uri = self.address(each, **about)
            return found

        async def get_artifact_version(self, **about: Any) -> Any:
            found = await super().get_artifact_version(**about)
            if found:
                found.canonical_uri = self.address(found, **about)
            return found

    class InMemory(Artifacts):
        def address(self, found: Any, **_: Any) -> str:
            return str(found.canonical_uri).replace("artifact://", "memory://")

    class Gcs(Artifacts):
        def address(self, found: Any, **about: Any) -> str:
            place = "user" if about["filename"].startswith("user:") else about["session_id"]
            path = (about["app_name"], about["user_id"], place, about["filename"])
            return f"gs://test_bucket/{'/'.join(path)}/{found.version}"

    return {
        InMemorySessionService: Sessions,
        DatabaseSessionService: Sessions,
        SqliteSessionService: Sessions,
        InMemoryArtifactService: InMemory,
        FileArtifactService: Artifacts,
        GcsArtifactService: Gcs,
    }
