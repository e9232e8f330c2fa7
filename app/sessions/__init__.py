"""Sessions: title, domain, metadata and the number of messages."""
