"""Quotas of tenants and users, and the report of what tenants used. Off unless configured."""
