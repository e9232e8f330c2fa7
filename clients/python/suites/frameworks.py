"""Which tests of which framework are run, and where they come from.

This module is over 250 lines because it is the list of all suites.
"""

from collections.abc import Mapping
from dataclasses import dataclass

OURS = "ours"


@dataclass(frozen=True)
class Sdist:
    """A source distribution with tests. `name` has underscores, as in the name of its file."""

    name: str
    version: str
    sha256: str

    @property
    def folder(self) -> str:
        """The folder in it, for example `openai_agents-0.24.0`."""
        return f"{self.name}-{self.version}"


@dataclass(frozen=True)
class Suite:
    """`framework` names the environment and the plugin. `backends` are those the tests are run
    with, each with the names of its classes."""

    framework: str
    title: str
    tests: tuple[str, ...]
    backends: Mapping[str, str]
    sdist: Sdist | None = None
    """None: a checkout is needed, see `--tests`."""
    ci: bool = False
    own: bool = False
    """The tests are ours, in the folder that is named after the framework."""


STRANDS = Sdist(
    "strands_agents",
    "1.62.0",
    "8732c87f9c1ceb6ef4c5c4bd6d96b4cdf1bbfde095f1537ec2ac6fddb8d5a066",
)

SUITES = [
    Suite(
        "openai",
        "OpenAI Agents SDK 0.24.0",
        (
            "tests/memory/test_session.py",
            "tests/memory/test_session_limit.py",
            "tests/memory/test_compaction_suffix.py",
            "tests/memory/test_compaction_model_visibility.py",
            "tests/memory/test_openai_responses_compaction_session.py",
            "tests/memory/test_sqlalchemy_compaction.py",
            "tests/extensions/memory/test_async_sqlite_session.py",
            "tests/extensions/memory/test_encrypt_session.py",
            "tests/extensions/memory/test_sqlalchemy_session.py",
        ),
        {OURS: "SessionStoreSession", "builtin": "SQLiteSession, SQLAlchemySession"},
        Sdist(
            "openai_agents",
            "0.24.0",
            "4b4b285f4fed81fdf1b4ac426a9101658d9cd29b4fb1aaeee18f639b77e704e3",
        ),
        ci=True,
    ),
    Suite(
        "openai",
        "OpenAI Agents SDK: our own tests",
        ("test_docs.py", "test_migration.py", "test_sessions.py"),
        {OURS: "SessionStoreSession"},
        own=True,
        ci=True,
    ),
    Suite(
        "strands",
        "Strands Agents 1.62.0: session repository",
        (
            "tests/strands/session/test_file_session_manager.py",
            "tests/strands/session/test_repository_session_manager.py",
        ),
        {OURS: "SessionStoreRepository", "builtin": "FileSessionManager, the suite's own"},
        STRANDS,
        ci=True,
    ),
    Suite(
        "strands",
        "Strands Agents 1.62.0: storage",
        (
            "tests/strands/session/test_snapshot_session_manager.py",
            "tests/strands/storage/test_storage.py",
            "tests/strands/storage/test_in_memory_storage.py",
            "tests/strands/storage/test_local_file_storage.py",
            "tests/strands/storage/search/test_keyword.py",
            "tests/strands/agent/test_agent_storage.py",
        ),
        {OURS: "SessionStoreStorage", "builtin": "InMemoryStorage, LocalFileStorage"},
        STRANDS,
        ci=True,
    ),
    Suite(
        "strands",
        "Strands Agents: our own tests",
        (
            "test_docs.py",
            "test_manager.py",
            "test_migration.py",
            "test_repository.py",
            "test_storage.py",
        ),
        {OURS: "SessionStoreRepository, SessionStoreSessionManager, SessionStoreStorage"},
        own=True,
        ci=True,
    ),
    Suite(
        "langgraph",
        "LangGraph: langgraph-checkpoint-conformance 0.0.2",
        tuple(
            f"langgraph/checkpoint/conformance/spec/test_{name}.py"
            for name in (
                "put",
                "put_writes",
                "get_tuple",
                "list",
                "delete_thread",
                "delete_for_runs",
                "copy_thread",
                "prune",
            )
        ),
        {OURS: "SessionStoreSaver", "builtin": "InMemorySaver", "dynamodb": "AWS's DynamoDBSaver"},
        Sdist(
            "langgraph_checkpoint_conformance",
            "0.0.2",
            "6718e00937bf2f04cdfd2cdfabea23e1dabb79a534ff4c127f305f6b40dad4e0",
        ),
        ci=True,
    ),
    Suite(
        "langgraph",
        "LangGraph: langgraph-checkpoint 4.3.2, its own tests",
        ("tests/test_memory.py", "tests/test_store.py"),
        {
            OURS: "SessionStoreSaver, SessionStoreStore",
            "builtin": "InMemorySaver, InMemoryStore",
            "dynamodb": "AWS's DynamoDBSaver, DynamoDBStore",
        },
        Sdist(
            "langgraph_checkpoint",
            "4.3.2",
            "fcab8468c7e965d7055e2a35c253d73a145624ef4728b150ca7c361f4afca286",
        ),
        ci=True,
    ),
    Suite(
        "langgraph",
        "LangGraph: our own tests",
        (
            "test_saver.py",
            "test_histories.py",
            "test_graphs.py",
            "test_store.py",
            "test_docs.py",
            "test_migration.py",
        ),
        {OURS: "SessionStoreSaver, SessionStoreStore"},
        ci=True,
        own=True,
    ),
    Suite(
        "langchain",
        "langchain-core 1.8.3",
        (
            "tests/unit_tests/chat_history/test_chat_history.py",
            "tests/unit_tests/runnables/test_history.py",
        ),
        {OURS: "SessionStoreChatMessageHistory", "builtin": "InMemoryChatMessageHistory"},
        Sdist(
            "langchain_core",
            "1.8.3",
            "ce448f055dd2cf1db7def27d2b6c2902519369642e8b89d08255c7ca7abd6b36",
        ),
        ci=True,
    ),
    Suite(
        "langchain",
        "langchain-core: our own tests",
        ("test_history.py",),
        {OURS: "SessionStoreChatMessageHistory"},
        own=True,
        ci=True,
    ),
    Suite(
        "pydantic_ai",
        "Pydantic AI 2.68.0: our own tests, of what it says of a store",
        ("test_store.py",),
        {OURS: "SessionStoreConversationStore", "builtin": "InMemoryConversationStore"},
        own=True,
        ci=True,
    ),
    Suite(
        "pydantic_ai",
        "Pydantic AI: our own tests of the service",
        ("test_service.py",),
        {OURS: "SessionStoreConversationStore"},
        own=True,
        ci=True,
    ),
    Suite(
        "adk",
        "Google ADK 2.13.0, with the tests of a checkout",
        (
            "tests/unittests/sessions/test_session_service.py",
            "tests/unittests/artifacts/test_artifact_service.py",
        ),
        {
            OURS: "SessionStoreSessionService, SessionStoreArtifactService",
            "builtin": "its four session and three artifact services",
        },
    ),
    Suite(
        "adk",
        "Google ADK: our own tests",
        ("test_artifacts.py", "test_docs.py", "test_migration.py", "test_sessions.py"),
        {OURS: "SessionStoreSessionService, SessionStoreArtifactService"},
        own=True,
        ci=True,
    ),
    Suite(
        "chainlit",
        "Chainlit 2.12.0",
        ("tests/data/test_sql_alchemy.py",),
        {
            OURS: "SessionStoreDataLayer",
            "builtin": "SQLAlchemyDataLayer",
            "dynamodb": "DynamoDBDataLayer",
        },
        Sdist(
            "chainlit",
            "2.12.0",
            "53ca71c66fd98d417039ca5fa9c68349eb8eda771b7e0235a7da531f610fe5d0",
        ),
    ),
    Suite(
        "chainlit",
        "Chainlit: our own tests",
        ("test_app.py", "test_migration.py", "test_steps.py", "test_threads.py"),
        {OURS: "SessionStoreDataLayer"},
        own=True,
    ),
]
