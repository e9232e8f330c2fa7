"""Authentication: turns a bearer token into a `Caller`."""
