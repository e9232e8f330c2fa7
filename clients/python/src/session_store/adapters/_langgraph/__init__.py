"""What the adapter for LangGraph and the import from its SQLite files share, without LangGraph."""
