"""Named values that agents keep beside the messages: under a session, a user or a tenant."""
