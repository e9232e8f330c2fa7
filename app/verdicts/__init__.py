"""What a tenant says of its sources: that one has changed, or is withdrawn."""
