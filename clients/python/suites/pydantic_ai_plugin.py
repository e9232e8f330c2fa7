"""Pydantic AI: its distribution has no tests of conversation stores, so all are ours. They are run
with its own store in memory, too."""

NOT_APPLICABLE: dict[str, tuple[str, ...]] = {}
