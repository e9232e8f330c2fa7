"""What tenants and users use, how much they may, and the report of it. Off unless configured."""
