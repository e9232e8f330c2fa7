"""The sources that answers rest on, over all sessions: which answers cite one."""
