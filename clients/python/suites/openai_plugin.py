"""OpenAI Agents: our session takes the place of the SDK's SQLite and SQLAlchemy sessions in the
modules of the tests. The SDK itself is left alone.

A database of the test is a user of ours: two sessions on one file share what they keep, two in
memory do not.
"""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from agents.extensions.memory import AsyncSQLiteSession, sqlalchemy_session
from agents.extensions.memory.sqlalchemy_session import SQLAlchemySession
from agents.memory import SQLiteSession

from suites import world
from suites.frameworks import OURS

BUILT_IN = (SQLiteSession, AsyncSQLiteSession, SQLAlchemySession)

SQLITE = "tests/memory/test_session.py::test_sqlite_session_"
ASYNC = "tests/extensions/memory/test_async_sqlite_session.py::test_"
ALCHEMY = "tests/extensions/memory/test_sqlalchemy_session.py::test_"
COMPACTION = "tests/memory/test_sqlalchemy_compaction.py::test_"
SUFFIX = "tests/memory/test_compaction_suffix.py::test_"
ENCRYPTED = "tests/extensions/memory/test_encrypt_session.py::test_encrypted_"
RESPONSES = (
    "tests/memory/test_openai_responses_compaction_session.py"
    "::TestOpenAIResponsesCompactionSession::test_"
)

NOT_APPLICABLE: dict[str, tuple[str, ...]] = {
    "looks into SQLite's connections, locks and transactions": (
        f"{SQLITE}close_closes_worker_thread_connections",
        f"{SQLITE}reaps_connections_from_exited_worker_threads",
        f"{SQLITE}closes_retired_connections_before_the_next_allocation",
        f"{SQLITE}keeps_connections_of_live_worker_threads",
        f"{SQLITE}file_lock_is_shared_across_instances",
        f"{SQLITE}failed_add_items_releases_write_lock",
        f"{SQLITE}failed_clear_session_rolls_back",
        f"{SQLITE}failed_pop_item_releases_write_lock",
        f"{SQLITE}rollback_failure_evicts_connection",
        f"{SQLITE}close_retries_quarantined_connection",
        f"{SQLITE}post_commit_cancellation_propagates_after_known_outcome",
        f"{ASYNC}cancelled_close_finishes_cleanup_and_propagates_cancellation",
        f"{ASYNC}post_commit_cancellation_propagates_after_known_mutation_outcome",
        f"{ASYNC}failed_add_items_rolls_back_and_reuses_connection",
        f"{ASYNC}failed_clear_session_rolls_back",
        f"{ASYNC}failed_pop_item_releases_write_lock",
        f"{ASYNC}failed_initialization_closes_candidate_connection",
        f"{ASYNC}initialization_retries_transient_wal_lock",
        f"{ASYNC}initialization_does_not_retry_unrecoverable_wal_errors",
        f"{ASYNC}cancelled_wal_retry_closes_startup_connection",
        f"{ASYNC}cancelled_add_items_rolls_back_write_transaction",
        f"{ASYNC}operation_failure_then_cancellation_during_rollback",
        f"{ASYNC}rollback_failure_closes_and_evicts_connection",
        f"{ASYNC}close_retries_connection_quarantined_after_rollback_failure",
        f"{ASYNC}close_retries_quarantined_failed_initialization_candidate",
        f"{ASYNC}cancelled_initialization_finishes_candidate_close",
        f"{ASYNC}initialization_failure_then_cancellation_during_candidate_close",
        f"{ASYNC}cancelled_connect_closes_eventually_acquired_connection",
        f"{RESPONSES}settled_pop_failure_invalidates_response_chain",
        f"{RESPONSES}settled_clear_failure_invalidates_response_chain",
        f"{SUFFIX}suffix_transaction_rolls_back_failed_insert",
        f"{SUFFIX}cancelled_suffix_transaction_settles_before_newer_append",
        f"{SUFFIX}failed_encrypted_suffix_transaction_preserves_original_tokens",
        f"{ENCRYPTED}pop_authentication_is_atomic_with_concurrent_mutations",
        f"{ENCRYPTED}pop_wrong_key_preserves_row_identity",
    ),
    "EncryptedSession checks an item before it is removed for SQLiteSession alone, by its class": (
        f"{ENCRYPTED}pop_wrong_key_preserves_recoverable_history[False]",
        f"{ENCRYPTED}pop_wrong_key_preserves_recoverable_history[True]",
        f"{ENCRYPTED}pop_rechecks_authentication_after_expired_tail",
        f"{ENCRYPTED}pop_cancellation_waits_for_authentication_rollback",
    ),
    "looks into SQLAlchemy's engines, tables, statements and transactions": (
        f"{ALCHEMY}sqlite_fallback_reserves_writer_before_tail_claim",
        f"{ALCHEMY}pop_item_supports_unknown_delete_rowcount",
        f"{ALCHEMY}pop_item_retries_returning_claim_lost_to_concurrent_delete",
        f"{ALCHEMY}mutation_cancellation_waits_for_transaction_exit",
        f"{ALCHEMY}add_items_cancelled_waiter_does_not_strand_table_init_lock",
        f"{ALCHEMY}create_tables_false_does_not_allocate_shared_init_lock",
        f"{ALCHEMY}engine_property_is_read_only",
        f"{ALCHEMY}sqlite_configuration_registry_releases_collected_engines",
        f"{ALCHEMY}sqlite_configuration_registry_does_not_grow_unbounded",
        f"{ALCHEMY}sqlalchemy_session_defaults_to_escaped_non_ascii_storage",
        f"{ALCHEMY}sqlalchemy_session_can_store_non_ascii_without_escaping",
        f"{COMPACTION}cancelled_replacement_settles_before_other_instance_append",
        f"{COMPACTION}failed_replacement_preserves_history_during_other_instance_access",
        f"{COMPACTION}parent_constraint_rejection_propagates",
        # `True`: makes an INSERT of SQLAlchemy fail.
        f"{COMPACTION}encrypted_prefix_cleanup_is_atomic[file-True-False]",
        f"{COMPACTION}encrypted_prefix_cleanup_is_atomic[file-True-True]",
        f"{COMPACTION}encrypted_prefix_cleanup_is_atomic[memory-True-False]",
        f"{COMPACTION}encrypted_prefix_cleanup_is_atomic[memory-True-True]",
    ),
    "writes rows with SQL that are not JSON": (
        f"{SQLITE}pop_item_skips_corrupt_most_recent",
        f"{SQLITE}pop_item_returns_none_after_dropping_only_corrupt_rows",
        f"{SQLITE}get_items_limit_skips_corrupt_newest_rows",
        f"{SQLITE}get_items_session_settings_limit_skips_corrupt_rows",
        f"{ASYNC}async_sqlite_session_pop_item_skips_corrupt_most_recent",
        f"{ASYNC}async_sqlite_session_pop_item_returns_none_after_dropping_only_corrupt_rows",
        f"{ASYNC}async_sqlite_session_get_items_limit_skips_corrupt_newest_rows",
        f"{ALCHEMY}pop_item_skips_corrupt_most_recent",
        f"{ALCHEMY}get_items_limit_skips_corrupt_newest_rows",
        f"{ALCHEMY}pop_item_returns_none_after_dropping_only_corrupt_rows",
    ),
    "changes the times of rows with SQL": (
        f"{ASYNC}async_sqlite_session_get_items_same_timestamp_consistent_order",
        f"{ASYNC}async_sqlite_session_pop_item_same_timestamp_returns_latest",
        f"{ALCHEMY}get_items_same_timestamp_consistent_order",
        f"{ALCHEMY}pop_item_same_timestamp_returns_latest",
        f"{ALCHEMY}get_items_orders_by_id_for_ties",
        f"{COMPACTION}replacement_uses_timestamp_order_not_id_order",
    ),
    "closes the session: it is the client that is closed, sessions have no close()": (
        f"{SQLITE}closed_rejects_empty_add_items",
        f"{ASYNC}async_sqlite_session_closed_operations_raise_runtime_error",
        f"{ASYNC}async_sqlite_session_closed_rejects_empty_add_items",
        f"{ASYNC}async_sqlite_session_close_before_use_is_terminal",
        f"{ASYNC}async_sqlite_session_close_is_idempotent",
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if world.BACKEND != OURS:
        for session in BUILT_IN:
            _watch(session)
        return
    ours = _ours()
    modules = {item.module for item in items if isinstance(item, pytest.Function)}
    # One test imports from it when it runs.
    for module in modules | {sqlalchemy_session}:
        for name, value in list(vars(module).items()):
            if value in BUILT_IN:
                setattr(module, name, ours[value])


def _watch(session: type) -> None:
    """Makes the sessions note that a test has used one. Compaction asks for the exact classes, so a
    subclass will not do."""
    initialise = session.__init__

    def __init__(self: Any, *args: Any, **options: Any) -> None:
        world.use()
        initialise(self, *args, **options)

    session.__init__ = __init__


def _ours() -> dict[type, type]:
    from session_store import AsyncClient
    from session_store.adapters.openai_agents import SessionStoreSession

    class Stored(SessionStoreSession):
        def __init__(self, session_id: str, database: str, settings: Any) -> None:
            world.use()
            client = AsyncClient(world.URL, world.token(database))
            super().__init__(session_id, client=client, session_settings=settings)

    class StoredSQLite(Stored):
        def __init__(
            self,
            session_id: str,
            db_path: str | Path = ":memory:",
            sessions_table: str = "",
            messages_table: str = "",
            session_settings: Any = None,
        ) -> None:
            super().__init__(session_id, _user(db_path), session_settings)

        def close(self) -> None:
            pass

    class StoredAsyncSQLite(StoredSQLite):
        async def close(self) -> None:  # type: ignore[override]
            pass

    class StoredSQLAlchemy(Stored):
        def __init__(
            self, session_id: str, *, engine: Any, session_settings: Any = None, **_: Any
        ) -> None:
            in_memory = engine.url.database in (None, "", ":memory:")
            database = f"engine-{id(engine)}" if in_memory else _user(engine.url.database)
            super().__init__(session_id, database, session_settings)
            self.engine = engine

        @classmethod
        def from_url(
            cls, session_id: str, *, url: str, engine_kwargs: Any = None, **options: Any
        ) -> Any:
            from sqlalchemy.ext.asyncio import create_async_engine

            return cls(
                session_id, engine=create_async_engine(url, **(engine_kwargs or {})), **options
            )

    return {
        SQLiteSession: StoredSQLite,
        AsyncSQLiteSession: StoredAsyncSQLite,
        SQLAlchemySession: StoredSQLAlchemy,
    }


def _user(path: str | Path) -> str:
    return f"memory-{uuid4().hex}" if str(path) == ":memory:" else f"file {path}"
